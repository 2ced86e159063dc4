"""Lands what a line's own function writes: `data.source: my_package.my_module:write`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from assets.errors import EdgeError, LandingError
from assets.ingest.landing import Landed, land
from assets.ingest.sources.collecting import Progress
from assets.line.config import Line
from assets.line.user_functions import load_user_function
from assets.records.line_store import BoundLine
from assets.storage.scratch import scratch_folder, scratch_root


def land_user_source(line: BoundLine, tell: Progress | None = None, corrections: bool = False) -> Landed:
    """Have the line's `data.source` write its data set into an empty folder, and land that.

    The same files are the same batch. `corrections` is as `land` has it.

    Raises:
        LandingError: the line names no function, or the function failed.
    """
    with user_source(line.line) as folder:
        return land(line, folder, tell, corrections)


@contextlib.contextmanager
def user_source(line: Line) -> Iterator[Path]:
    """A folder with what the line's `data.source` wrote into it, for as long as the context lasts.

    The function gets the folder's path and writes the set in its original format.

    Raises:
        LandingError: the line names no function, or the function failed.
    """
    path = line.config.data.source
    if path is None:
        raise LandingError(
            f"line {line.name!r}: says no `data.source`; name what to land, `edgeloop land {line.name} FOLDER_OR_FILE`"
        )
    write = load_user_function(path, "data.source")
    with scratch_folder(scratch_root(None)) as folder:  # not in the state, which no source may lie in
        try:
            write(folder)
        except EdgeError:
            raise
        except Exception as error:  # whatever a function of the user's own does, it is told in one sentence
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            raise LandingError(f"line {line.name!r}: data.source {path} failed ({reason}); correct it") from error
        if not any(folder.iterdir()):
            raise LandingError(f"line {line.name!r}: data.source {path} wrote nothing into the folder; correct it")
        yield folder
