"""The task text classification; README.md is its contract."""
