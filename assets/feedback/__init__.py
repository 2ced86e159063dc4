"""What the devices say comes back: reports, and from them the fleet's health."""
