"""The task image generation; README.md is its contract."""
