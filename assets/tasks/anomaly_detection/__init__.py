"""The task anomaly detection; README.md is its contract."""
