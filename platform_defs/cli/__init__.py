"""The `edgeloop` command."""
