"""An append-only list of small documents, in a store that knows neither append nor lock.

Entry n is the key `<prefix>/<n as 12 digits>.json`, created only if it does not exist, so positions have no gap and two
writers never take the same one. A reader asks for the entries after a position, which costs no listing however long the
journal is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from assets.storage import layout
from assets.storage.store import Store
from edge.contracts import from_bytes, to_bytes

T = TypeVar("T")


@dataclass(frozen=True)
class Journal(Generic[T]):
    """Documents of class `cls` at positions 1, 2, 3, … below `prefix`."""

    store: Store
    prefix: str
    cls: type[T]

    def append(self, value: Any) -> int:
        """Add a document; returns its position."""
        data = to_bytes(value)
        position = self.length() + 1
        while not self.store.create(self._key(position), data):
            position += 1
        return position

    def append_at(self, position: int, value: Any) -> bool:
        """Add a document at exactly `position`, the one after the last; False where another writer took it."""
        return self.store.create(self._key(position), to_bytes(value))

    def append_once(self, value: Any, same: Callable[[T], bool], after: int) -> tuple[int, bool]:
        """Add a document unless one that is `same` stands after position `after`; several writers add one together.

        Each walks on from `after`, which must be the same for all of them, to the first position that is free or holds
        one that is `same`: whoever is second at a free position finds there what the first wrote. A writer that is
        killed and comes again walks the same way.

        Returns:
            The position of the first one that is `same`, and whether it was added now.
        """
        data = to_bytes(value)
        position = after if self._taken(after) else 0  # a journal that was lost and begins anew
        while True:
            position += 1
            found = self.at(position)
            if found is None:
                if self.store.create(self._key(position), data):
                    return position, True
                found = self.at(position)
            if found is not None and same(found):
                return position, False

    def at(self, position: int) -> T | None:
        """The document at `position`, or None."""
        return next((value for _, value in self.after(position - 1, limit=1)), None)

    def raw(self, position: int) -> bytes | None:
        """The bytes of the document at `position` as stored, or None."""
        try:
            return self.store.read(self._key(position))
        except FileNotFoundError:
            return None

    def after(self, position: int, limit: int | None = None) -> Iterator[tuple[int, T]]:
        """Positions and documents after `position`, in order, at most `limit` of them."""
        last = None if limit is None else position + limit
        while last is None or position < last:
            position += 1
            try:
                data = self.store.read(self._key(position))
            except FileNotFoundError:
                return
            yield position, from_bytes(self.cls, data, self._key(position))

    def newest_first(self) -> Iterator[tuple[int, T]]:
        """Positions and documents from the last one back to the first; stop early, each costs a read."""
        for position in range(self.length(), 0, -1):
            value = self.at(position)
            if value is not None:
                yield position, value

    def length(self, least: int = 0) -> int:
        """The last position, 0 for an empty journal; found by doubling and halving, not by listing.

        Args:
            least: a position that is known to be taken, to start from.
        """
        if not self._taken(least + 1):
            return least
        low, high = least + 1, least + 2
        while self._taken(high):
            low, high = high, 2 * high - least
        while high - low > 1:
            middle = (low + high) // 2
            if self._taken(middle):
                low = middle
            else:
                high = middle
        return low

    def _taken(self, position: int) -> bool:
        return position == 0 or self.store.exists(self._key(position))

    def _key(self, position: int) -> str:
        return layout.entry(self.prefix, position)
