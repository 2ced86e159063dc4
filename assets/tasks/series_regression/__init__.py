"""The task series regression; README.md is its contract."""
