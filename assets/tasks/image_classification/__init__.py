"""The task image classification; README.md is its contract."""
