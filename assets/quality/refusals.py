"""What never became a record: counted, the first kept at hand, all of them on disk."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self

from assets.records.reason import Reason
from assets.records.verdict import MAX_REASONS


class Refused:
    """Refusals of a batch, in any number.

    Attributes:
        count: how many records or files were refused.
        first: the first `MAX_REASONS` of them.
        ignored: files that are no data, the first `MAX_REASONS`; `ignored_count` counts all.
        whole_file: the first file that was refused as a whole; None where there is none.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("w", encoding="utf-8")
        self.count = self.ignored_count = 0
        self.first: list[Reason] = []
        self.ignored: list[Reason] = []
        self.whole_file: Reason | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, reason: Reason) -> None:
        """Take one refusal, or one file that is no data."""
        if reason.outcome == "ignored":
            self.ignored_count += 1
            if len(self.ignored) < MAX_REASONS:
                self.ignored.append(reason)
            return
        self.count += 1
        if len(self.first) < MAX_REASONS:
            self.first.append(reason)
        if self.whole_file is None and reason.place == "whole file":
            self.whole_file = reason
        self._file.write(json.dumps(asdict(reason), ensure_ascii=False) + "\n")

    def __iter__(self) -> Iterator[str]:
        """Every refusal as one line of JSON, in the order they came."""
        self._file.flush()
        with self._path.open(encoding="utf-8") as lines:
            for line in lines:
                yield line.rstrip("\n")
