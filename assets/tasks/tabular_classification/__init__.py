"""The task tabular classification; README.md is its contract."""
