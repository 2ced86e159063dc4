"""Checks that no single expectation can make: each adds columns that the suite then asks about."""
