"""Results of steps, remembered by what they were made from, so that the same work is never paid for twice.

A step is a pure function of the digests of its inputs, the sections of the line it reads and its own revision. Seeds
are part of the line, so running it again would give the same result to float tolerance.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TypeVar

from assets.errors import RejectedError
from assets.store import Store

T = TypeVar("T")


def remembered(
    store: Store, line: str, asset: str, inputs: tuple[str, ...], cls: type[T], make: Callable[[], T]
) -> tuple[T, bool]:
    """The result of a step, made now or remembered.

    Args:
        asset: the step's name; its results are kept below `store/<line>/steps/<asset>/`.
        inputs: digests and a revision string; any difference makes a new result.
        cls: the contract document that the step makes.
        make: makes it.

    Returns:
        The document, and whether it was remembered. It is also made the asset's head, unless the head is newer: an
        older result (of a smaller `position`) never replaces one that has seen more batches.
    """
    key = f"store/{line}/steps/{asset}/{hashlib.sha256(chr(0).join(inputs).encode()).hexdigest()}.json"
    try:
        value, reused = store.load(key, cls), True
    except FileNotFoundError:
        value, reused = make(), False
        store.save(key, value)
    if _position(value) >= _head_position(store, line, asset, cls):
        store.set_head(line, asset, value)
    return value, reused


def _head_position(store: Store, line: str, asset: str, cls: type[T]) -> int:
    try:
        return _position(store.head(line, asset, cls))
    except RejectedError:  # none yet, or one that this version no longer reads
        return 0


def _position(value: object) -> int:
    """Position in the journal of accepted batches; 0 for a document without one."""
    return int(getattr(value, "position", 0))
