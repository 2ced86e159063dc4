"""Smaller networks of a trained one: whole channels, blocks and heads are removed, so that every runtime gains."""

from assets.compression.prune.cut import prune
from assets.compression.prune.macs import count_macs
from assets.line.families import cuts_of

__all__ = ["count_macs", "cuts_of", "prune"]
