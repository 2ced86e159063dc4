"""Bytes, documents and journals below one root."""
