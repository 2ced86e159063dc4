"""Dagster components of this platform."""

from platform_defs.components.model_line import ModelLine

__all__ = ["ModelLine"]
