"""Whether what a line's own `data.source` writes is what its reader reads: a clause of `edgeloop lines check`."""

from __future__ import annotations

from assets.ingest.inspection.inspect import inspect_source
from assets.ingest.user_source import user_source
from assets.line.config import Line

MAX_NOTE = 400


def check_source(line: Line) -> tuple[bool, str]:
    """Have the line's `data.source` write its data set, and read that; nothing lands.

    Returns:
        Whether it holds, and what was found or is wrong, in plain words.
    """
    source = line.config.data.source
    try:
        with user_source(line) as folder:
            found = inspect_source(folder, line.config.data)
    except Exception as error:  # a source of the user's own raises what it likes
        return False, " ".join(str(error).split())[:MAX_NOTE]
    if not found.records:
        first = found.reasons[0] if found.reasons else None
        why = (
            f"{first.file}: {first.reason}; {first.remedy}" if first else "the reader finds no record in what it wrote"
        )
        return False, f"{source}: {why}"
    if found.unknown:
        odd = ", ".join(sorted(found.unknown)[:5])
        return False, f"{source}: labels that are no class of the line: {odd}"
    splits = ", ".join(sorted(split for split in found.counts if split)) or "no splits"
    refused = f", {found.refused} refused" if found.refused else ""
    return True, f"{found.records} records in {found.files} files, {splits}{refused}"
