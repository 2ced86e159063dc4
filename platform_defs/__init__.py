"""Wiring only: Dagster definitions, resources, automation, the command line and the demo."""
