"""The formats of one network's numbers, each tried on its records: float, INT8, mixed precision, and conversions."""
