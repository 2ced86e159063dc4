"""The page that a search ends with: what was chosen and why, the front, everything that was tried, and the proof."""

from assets.compression.choosing.rows import EngineFacts
from assets.compression.page.index import write_index
from assets.compression.page.make import make_page

__all__ = ["EngineFacts", "make_page", "write_index"]
