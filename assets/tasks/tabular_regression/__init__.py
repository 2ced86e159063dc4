"""The task tabular regression; README.md is its contract."""
