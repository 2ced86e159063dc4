"""Which group of devices runs which release."""
