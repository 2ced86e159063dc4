"""Compressing one model outside any line: what `edgeloop compress` does."""
