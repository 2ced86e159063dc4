"""What an error means to whoever typed the command: one sentence with the place, the reason and what to do."""

from __future__ import annotations

import os
from collections.abc import Iterator

from assets.errors import EdgeError, RejectedError, TransientError, of_the_machine
from assets.ingest.sources.remote import network_error
from platform_defs.home import HOME_VARIABLE, find_home

_DATABASE = frozenset({"sqlalchemy", "sqlite3", "psycopg2", "psycopg"})
_NETWORK = frozenset({"aiobotocore", "aiohttp", "azure", "botocore", "gcsfs", "google", "s3fs"})


def explain(error: BaseException) -> EdgeError | None:
    """The error as one of our own; None where it is a fault of this code, and its traceback is wanted.

    Errors of the disk, of Dagster's database and of the place where the state is kept are the machine's, not ours.
    """
    if isinstance(error, EdgeError):
        return error
    for link in _chain(error):
        library = type(link).__module__.split(".")[0]
        if library in _DATABASE:
            where = os.environ.get("DAGSTER_HOME", "DAGSTER_HOME")
            reason = str(getattr(link, "orig", None) or link).split("\n", 1)[0][:200]
            return TransientError(
                f"{where}: Dagster's database cannot be used ({reason}); make room there, see that it may be written, "
                "then try again"
            )
        if library in _NETWORK:
            return network_error(f"{find_home()}", link)
    if isinstance(error, OSError):
        return of_the_machine(error, f"the state in {find_home()}", f"set {HOME_VARIABLE} to a folder that you may use")
    return RejectedError(str(error)) if isinstance(error, ValueError) else None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error, then what caused it."""
    seen: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in seen and len(seen) < 20:
        seen.append(following)
        yield following
        following = following.__cause__ or following.__context__
