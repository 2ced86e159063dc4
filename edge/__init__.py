"""What runs on a device: contracts, inference, engine decisions and the agent."""

__version__ = "0.1.0"
