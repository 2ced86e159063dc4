"""Results of steps, remembered by what they were made from, so that the same work is never paid for twice.

A step is a pure function of the digests of its inputs, the sections of the line it reads and its own revision. Seeds
are part of the line, so running it again would give the same result to float tolerance.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from assets.errors import RejectedError
from assets.storage import layout
from assets.storage.store import Store
from edge.contracts import ArtifactRef
from edge.errors import ContractError

T = TypeVar("T")


def cached_step(
    store: Store, line: str, inputs: tuple[str, ...], cls: type[T], make: Callable[[], T]
) -> tuple[T, bool]:
    """The result of a step, made now or remembered.

    Args:
        inputs: digests and a revision string; any difference makes a new result.
        cls: the contract document that the step makes: one of an asset's (`layout.ASSETS`).
        make: makes it.

    Returns:
        The document, and whether it was remembered. It is also made the asset's head, unless the head is newer: an
        older result (of a smaller `position`) never replaces one that has seen more batches.
    """
    steps = layout.steps(line, layout.asset_of(cls))
    key = f"{steps}/{hashlib.sha256(chr(0).join(inputs).encode()).hexdigest()}.json"
    value = cached(store, key, cls)
    reused = value is not None
    if value is None:
        value = make()
        store.save(key, value)
    if _position(value) >= _head_position(store, line, cls):
        store.set_newest(line, value)
    return value, reused


def cached(store: Store, key: str, cls: type[T]) -> T | None:
    """The remembered document, unless it or an artifact it names was lost or damaged: then the step is done again."""
    try:
        value = store.load(key, cls)
    except (FileNotFoundError, ContractError):
        return None
    return value if all(store.intact(ref) for ref in _artifacts(value)) else None


def results(store: Store, line: str, cls: type[T]) -> Iterator[T]:
    """Every result that is remembered of a step, in no order; those of other versions of this software are left out."""
    folder = layout.steps(line, layout.asset_of(cls))
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


def _head_position(store: Store, line: str, cls: type[T]) -> int:
    try:
        return _position(store.newest(line, cls))
    except RejectedError:  # none yet, or one that this version no longer reads
        return 0


def _position(value: object) -> int:
    """Position in the journal of accepted batches; 0 for a document without one."""
    return int(getattr(value, "position", 0))
