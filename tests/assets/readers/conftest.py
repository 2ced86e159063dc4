"""A line and a store for tests of readers that land a batch."""

from __future__ import annotations

from tests.assets.ingest.conftest import pictures, png, store, table_line

__all__ = ["pictures", "png", "store", "table_line"]
