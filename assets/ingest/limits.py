"""How large a source may be. Each limit is checked before the memory it guards is spent."""

from __future__ import annotations

MAX_FILES = 100_000
"""Files of one batch; its manifest stays well below the largest document."""

MAX_BATCH_BYTES = 1024**3
"""Bytes of one batch: the gate holds a batch in memory, about twice."""

MAX_IMAGE_BYTES = 64 * 1024**2
"""Bytes of one picture file; its pixels are limited by `edge.runtime.preprocess.MAX_PIXELS`."""

MAX_TABLE_BYTES = 256 * 1024**2
"""Bytes of one CSV file."""

MAX_ROWS = 500_000
"""Rows of one CSV file."""

MAX_COLUMNS = 10_000
"""Columns of one CSV file."""

MAX_CELL_CHARS = 10_000
"""Characters of one cell."""

MAX_LINE_CHARS = 1024**2
"""Characters of one line of a CSV file."""

MAX_ROW_LINES = 1_000
"""Lines that one row may cover, by line breaks inside quotes."""

MAX_DEPTH = 32
"""Folders inside folders of a source."""


def largest_file(reader: str) -> int:
    """Bytes of the largest file that a reader takes."""
    return MAX_IMAGE_BYTES if reader == "image_folder" else MAX_TABLE_BYTES
