"""Reads what `--data` names: arrays in an .npz, a folder of pictures, or a table; nothing is unpickled.

Every reader is bounded: sizes are looked at before anything is unpacked, and no link is followed out of a folder.
"""

from __future__ import annotations

from pathlib import Path

from assets.errors import RejectedError
from assets.standalone.signature import Signature
from assets.standalone.sources.arrays import read_npz
from assets.standalone.sources.pictures import picture_spec, read_folder
from assets.standalone.sources.raw import SHARES, Raw, Reading, Share
from assets.standalone.sources.tables import read_table
from edge.contracts import InputSpec

__all__ = ["SHARES", "Raw", "Reading", "Share", "picture_spec", "read_source"]

_TABLES = frozenset({".csv", ".tsv", ".parquet"})


def read_source(source: Path, signature: Signature, how: Reading, spec: InputSpec | None = None) -> Raw:
    """The records of a file or folder.

    Args:
        spec: how the model's own line prepares pictures and tables; None for a model from elsewhere.

    Raises:
        RejectedError: nothing that can be read so, hostile, too large, or not what the model reads; says what is.
    """
    if source.is_dir():
        return read_folder(source, signature, how, spec)
    if not source.is_file():
        raise RejectedError(f"{source}: there is no such file or folder; give the place of the held-out records")
    suffix = source.suffix.lower()
    if suffix == ".npz":
        return read_npz(source, signature)
    if suffix in _TABLES:
        return read_table(source, signature, how, spec)
    raise RejectedError(
        f"{source}: {suffix or 'a file without a suffix'} is not read here; give arrays in an .npz, a folder of "
        "pictures, a .csv, .tsv or .parquet, or a line's name"
    )
