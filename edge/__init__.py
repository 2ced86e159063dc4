"""What runs on a device: contracts, inference, engine decisions and the agent."""

import os

__version__ = "0.1.0"

# Nothing phones home: from 1.29 on, ONNX Runtime's Linux builds send telemetry unless told not to before they load.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
