"""The readers: one row for each says which section of the data contract it reads, and where it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Reader = Literal["image_folder", "idx", "cifar10", "table", "series", "text", "audio_folder"]
Form = Literal["files", "arrays", "rows"]
"""Each file is one record; a file is an array of records, read as a whole; a file holds rows, read in blocks."""


@dataclass(frozen=True)
class ReaderSpec:
    """What is known of a reader before it is loaded.

    Attributes:
        section: of the data contract: the kind of its records.
        form: of its files.
        function: `module:function` below `assets.readers`, of the type `assets.readers.registry.ReadFiles`.
    """

    section: str
    form: Form
    function: str


READERS: Mapping[str, ReaderSpec] = {
    "image_folder": ReaderSpec("image", "files", "images:read_images"),
    "idx": ReaderSpec("image", "arrays", "idx:read_idx"),
    "cifar10": ReaderSpec("image", "arrays", "cifar:read_cifar"),
    "table": ReaderSpec("table", "rows", "tables:read_tables"),
    "series": ReaderSpec("series", "rows", "series:read_series"),
    "text": ReaderSpec("text", "rows", "text:read_texts"),
    "audio_folder": ReaderSpec("audio", "files", "audio:read_audio"),
}
"""By the names that `data.reader` takes."""
