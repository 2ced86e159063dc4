"""Results of steps, remembered by what they were made from, so that the same work is never paid for twice.

A step is a pure function of the digests of its inputs, the sections of the line it reads and its own revision. Seeds
are part of the line, so running it again would give the same result to float tolerance.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from assets.storage.store import Store
from edge.contracts import ArtifactRef
from edge.errors import ContractError

T = TypeVar("T")


def cached(store: Store, key: str, cls: type[T]) -> T | None:
    """The remembered document, unless it or an artifact it names was lost or damaged: then the step is done again."""
    try:
        value = store.load(key, cls)
    except (FileNotFoundError, ContractError):
        return None
    return value if all(store.intact(ref) for ref in _artifacts(value)) else None


def documents(store: Store, folder: str, cls: type[T]) -> Iterator[T]:
    """Every document of a folder, in no order; those of other versions of this software are left out."""
    for name in store.names(folder):
        with contextlib.suppress(ContractError, FileNotFoundError):
            yield store.load(f"{folder}/{name}", cls)


def _artifacts(value: Any) -> Iterator[ArtifactRef]:
    """Every artifact that a document names, however deep."""
    if isinstance(value, ArtifactRef):
        yield value
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from _artifacts(getattr(value, field.name))
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _artifacts(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _artifacts(item)


def position_of(value: object) -> int:
    """Position in the journal of accepted batches; 0 for a document without one."""
    return int(getattr(value, "position", 0))
