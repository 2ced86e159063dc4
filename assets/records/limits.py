"""How large a source may be. Each limit is checked before the memory it guards is spent."""

from __future__ import annotations

from collections.abc import Mapping

from assets.line.readers import READERS, Form

MAX_FILES = 250_000
"""Files of one batch. Its manifest, about 120 bytes a file, is one document; long paths make it full earlier."""

MAX_BATCH_BYTES = 64 * 1024**3
"""Bytes of one batch. They are streamed, so this guards disks and patience, not memory."""

MAX_LEFT_OUT = 10_000
"""Rows of a manifest that say what was left in the source; the last of them counts the rest."""

MAX_IMAGE_BYTES = 64 * 1024**2
"""Bytes of one picture or sound file; its pixels are limited by `edge.runtime.preprocess.MAX_PIXELS`."""

MAX_BLOCK_BYTES = 1024**3
"""Bytes of one idx or CIFAR file, unpacked too."""

MAX_TABLE_BYTES = 16 * 1024**3
"""Bytes of one file of rows: they are read in blocks."""

MAX_ROWS = 50_000_000
"""Rows of one file."""

MAX_COLUMNS = 10_000
"""Columns of one CSV file."""

MAX_CELL_CHARS = 10_000
"""Characters of one cell."""

MAX_LINE_CHARS = 1024**2
"""Characters of one line of a CSV file."""

MAX_ROW_LINES = 1_000
"""Lines that one row may cover, by line breaks inside quotes."""

MAX_BLANK_LINES = 1_000_000
"""Blank lines of a file that follow each other: they take time and are nothing."""

MAX_REFUSED_ROWS = 100_000
"""Lines of one file that are refused one by one; a file with more is no table, and the rest is not read."""

MAX_TEXT_CHARS = 200_000
"""Characters of one text; `text.max_chars` quarantines earlier."""

MAX_FOOTER_BYTES = 64 * 1024**2
"""Bytes of a Parquet file's footer, and of the description of an Arrow file."""

MAX_UNPACKED_PAGE = 256 * 1024**2
"""Unpacked bytes of one page of a Parquet column; writers make them of 1 MiB."""

MAX_UNPACKED_BATCH = 1024**3
"""Unpacked bytes of one batch of an Arrow file."""

MAX_UNITS = 200_000
"""Units of one file of readings, where the time that each has left is the target."""

MAX_SOUND_SECONDS = 3_600
"""Seconds of one sound."""

MAX_SOUND_SAMPLES = 64 * 1024**2
"""Samples of one sound, all channels together: what the largest WAV of 8 bits holds. A FLAC of silence packs them all
into a few kilobytes."""

MAX_DEPTH = 32
"""Folders inside folders of a source."""

MAX_PART_BYTES = 255
"""Bytes of one file or folder name: what file systems take."""

MAX_PATH_BYTES = 900
"""Bytes of a path in a batch: an object store's key has 1,024 at most, with what stands before it."""

MAX_ARCHIVES = 1_000
"""Archives in one source."""

MAX_ARCHIVE_INDEX = 64 * 1024**2
"""Bytes of a zip's list of members, and of the names before one tar member."""

MAX_RATIO = 200
"""How many times its packed size a member or archive may unpack to, once it is larger than `FREE_BYTES`."""

FREE_BYTES = 16 * 1024**2
"""Unpacked bytes of a member or archive that are never held against it, whatever the ratio."""

MAX_PAGES = 1_000
"""Pages of an HTTP server's listing that are looked at."""

MAX_PAGE_BYTES = 8 * 1024**2
"""Bytes of one such page."""

_LARGEST: Mapping[Form, int] = {"files": MAX_IMAGE_BYTES, "arrays": MAX_BLOCK_BYTES, "rows": MAX_TABLE_BYTES}
RETURNED_SUFFIX = ".records.parquet"
"""Records that come back from quarantine: any line reads them, whatever its reader."""


def largest_file(reader: str, path: str = "") -> int:
    """Bytes of the largest file that a reader takes, of any name or of this path; of any reader where it is ""."""
    if path.endswith(RETURNED_SUFFIX) or not reader:
        return MAX_TABLE_BYTES
    return _LARGEST[READERS[reader].form]
