"""Measurements behind what is claimed: `make bench`, never part of `make test`."""
