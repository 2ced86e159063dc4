"""What was tried already, so that nothing is paid for twice: trials of a search and parts of a cross-validation."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

from assets.errors import of_the_machine
from assets.records.line_store import LineStore
from assets.storage import layout


class TrialLog:
    """A list of JSON objects below one key of the store; each is there before the next is tried.

    Of several training processes all read the list, once, and only the first writes it.
    """

    def __init__(self, line: LineStore, asked: Mapping[str, Any]) -> None:
        """Read what is there; a list that cannot be read counts as empty.

        Args:
            asked: everything that decides what a try gives; with anything else, another list is begun.
        """
        name = hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()
        self._store, self._key = line.store, layout.tries(line.name, name)
        self.done: list[dict[str, Any]] = []
        try:
            found = json.loads(line.store.read(self._key))
        except (OSError, ValueError):
            found = []
        if isinstance(found, list) and all(isinstance(one, dict) for one in found):
            self.done = found

    def add(self, one: Mapping[str, Any]) -> None:
        """Keep a try that is done. Raises TransientError where the disk is full."""
        self.done.append(dict(one))
        if os.environ.get("RANK", "0") != "0":
            return
        try:
            self._store.write(self._key, json.dumps(self.done, sort_keys=True).encode())
        except OSError as error:
            raise of_the_machine(error, self._key, "see that it may be written") from error
