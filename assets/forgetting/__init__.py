"""Forgetting a record everywhere."""
