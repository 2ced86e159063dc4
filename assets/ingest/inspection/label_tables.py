"""Pictures or sounds whose labels stand in a table beside them: said, and no folder is taken for a class."""

from __future__ import annotations

from collections.abc import Sequence

from assets.errors import RejectedError
from assets.ingest.inspection.first_rows import Rows, first_rows
from assets.ingest.inspection.source_files import SourceFiles
from assets.readers.images import folder_label
from assets.readers.rows import is_named_as_rows
from assets.records.batch import LandedFile
from assets.records.paths import shown

MEDIA = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".wav", ".flac", ".ogg", ".oga", ".opus")
MOST_TABLES = 5
_NAMED = 0.5
"""Share of a column's cells that must name files there are."""


def labels_in_a_table(files: Sequence[LandedFile], source: SourceFiles) -> str:
    """A sentence where a table names the files of a source that has no class folders; "" elsewhere."""
    media = [file.path for file in files if file.path.lower().endswith(MEDIA)]
    if len(media) < 2 or len({_label(path) for path in media} - {None}) > 1:
        return ""
    names = {part for path in media for part in (_name(path), _name(path).rpartition(".")[0])}
    tables = [file for file in files if is_named_as_rows(file.path, plain=False)]
    for file in tables[:MOST_TABLES]:
        rows = first_rows(file, source)
        if rows is not None and (column := _naming(rows, names)):
            return (
                f"the labels of its {len(media):,} files seem to stand in {shown(file.path)}, whose column {column!r} "
                "names them; a table beside pictures or sounds is not read yet: put each into a folder of its class"
            )
    return ""


def _naming(rows: Rows, names: set[str]) -> str:
    """The column of which most cells name files."""
    for place, column in enumerate(rows.names):
        cells = [_name(row[place].strip()) for row in rows.cells]
        if cells and sum(cell in names for cell in cells) >= _NAMED * len(cells):
            return column
    return ""


def _name(path: str) -> str:
    return path.replace("\\", "/").rpartition("/")[2]


def _label(path: str) -> str | None:
    try:
        return folder_label(path)[1]
    except RejectedError:
        return None
