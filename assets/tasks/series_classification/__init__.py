"""The task series classification; README.md is its contract."""
