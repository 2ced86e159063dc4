"""Signed releases in a TUF repository of static files, and rollouts that point groups of devices at them."""
