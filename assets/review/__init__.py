"""Decisions about quarantined records, and the way back for those that are good."""
