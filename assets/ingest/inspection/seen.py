"""Adds up what readers give while a source is looked at, in bounded memory."""

from __future__ import annotations

import json
import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from assets.ingest.inspection.grid import ACROSS, DOWN
from assets.line.data import DataContract
from assets.records.reason import Reason
from assets.records.record import Record

MAX_REASONS = 10_000
MAX_LABELS = 20_000
MAX_SIZES = 100_000
ROWS = 5
_SIDES = (28, 32, 48, 64, 96, 128, 160, 224)
HIDDEN = "(private)"
_CELL = 80


class Seen:
    """Counts, extremes and samples of the records so far.

    Attributes:
        records: how many.
        reasons: the first refusals; `more_refused` counts those beyond.
        samples: picture files by label, a few of the first labels.
        rows: the first records, as people read them.
    """

    def __init__(self, data: DataContract | None) -> None:
        self._data = data
        self._hidden: set[str] = set()
        if data is not None:
            policy = data.privacy
            self._hidden = {*policy.private, *policy.pseudonymize, *policy.drop}
        self.records = 0
        self.reasons: list[Reason] = []
        self.more_refused = 0
        self.samples: dict[str, list[bytes]] = {}
        self.rows: list[dict[str, Any]] = []
        self._counts: dict[str, Counter[str]] = defaultdict(Counter)
        self._sizes: list[tuple[float, float, str]] = []
        self._modes: Counter[str] = Counter()
        self._rates: Counter[float] = Counter()
        self._seconds: list[float] = []
        self._notes: Counter[str] = Counter()

    def add(self, item: Any) -> None:
        """A record, a table of records, or a reason."""
        if isinstance(item, Reason):
            if len(self.reasons) < MAX_REASONS:
                self.reasons.append(item)
            else:
                self.more_refused += item.outcome == "refused"
        elif isinstance(item, Record):
            self._count(item.split, item.label, 1)
            self.records += 1
            self._look(item.label, item.split, item.file, item.input, item.facts, item.notes)
        else:
            self._add_table(item)

    def labels(self) -> dict[str, int]:
        """Label to how often it occurs, in all splits, the most frequent first."""
        return dict(sum(self._counts.values(), Counter()).most_common())

    def counts(self) -> dict[str, dict[str, int]]:
        """Split to label to records."""
        order = {"train": 0, "validation": 1, "test": 2, "": 3}
        return {
            split: dict(sorted(self._counts[split].items()))
            for split in sorted(self._counts, key=lambda split: order.get(split, 4))
        }

    def facts(self) -> dict[str, Any]:
        """Extremes and sums worth telling."""
        found: dict[str, Any] = {}
        if self._sizes:
            small, large = min(self._sizes, key=_area), max(self._sizes, key=_area)
            found["smallest picture"] = f"{small[0]:.0f}x{small[1]:.0f} {small[2]}"
            found["largest picture"] = f"{large[0]:.0f}x{large[1]:.0f} {large[2]}"
            found["modes"] = dict(self._modes.most_common())
        if self._seconds:
            found["shortest sound"] = f"{min(self._seconds):.2f} s"
            found["longest sound"] = f"{max(self._seconds):.2f} s"
            found["samples per second"] = {f"{rate:.0f}": count for rate, count in self._rates.most_common(10)}
        if self._notes:
            found["cells without a value"] = dict(self._notes.most_common(50))
        return found

    def section(self) -> dict[str, Any]:
        """What the section of a guessed contract should say of sizes."""
        data = self._data
        if data is not None and data.image is not None and self._sizes:
            short = statistics.median(min(width, height) for width, height, _ in self._sizes)
            sizes = {(width, height) for width, height, _ in self._sizes}
            side = max((side for side in _SIDES if side <= short), default=8)
            height = width = side
            if len(sizes) == 1 and short <= 224 and max(*next(iter(sizes))) <= 1024 and short >= 4:
                width, height = (int(value) for value in next(iter(sizes)))
            grey = all(mode in ("L", "1", "LA") or mode.startswith("I;16") for mode in self._modes)
            return {"height": height, "width": width, "channels": 1 if grey else 3}
        if data is not None and data.audio is not None and self._seconds:
            rate = int(min(max(self._rates.most_common(1)[0][0], 1_000), 192_000))
            return {"rate": rate, **_lengths(self._seconds)}
        return {}

    def _count(self, split: str, label: str, count: int) -> None:
        if label in self._counts[split] or len(self._counts[split]) < MAX_LABELS:
            self._counts[split][label] += count

    def _add_table(self, table: Any) -> None:
        data = self._data
        self.records += table.num_rows
        pairs = table.select(["_split", "_label"]).group_by(["_split", "_label"]).aggregate([([], "count_all")])
        if data is None or not data.regression:
            for row in pairs.to_pylist():
                self._count(row["_split"] or "", row["_label"] or "", row["count_all"])
        else:
            for row in table.select(["_split"]).group_by("_split").aggregate([([], "count_all")]).to_pylist():
                self._count(row["_split"] or "", "", row["count_all"])
        noted = table.column("_notes").drop_null()
        for text in noted.slice(0, 10_000).to_pylist():
            self._notes.update(json.loads(text).keys())
        facts = [name for name in table.column_names if not name.startswith("_")]
        if data is not None and data.image is not None:
            self._pictures(table)
        elif len(self.rows) < ROWS:
            for row in table.slice(0, ROWS).to_pylist():
                self._row(row["_label"], row["_split"], row["_file"], {name: row[name] for name in facts})

    def _pictures(self, table: Any) -> None:
        """Sizes and samples of a stack of pictures, which all have one size."""
        first = table.slice(0, 1).to_pylist()
        if first and len(self._sizes) < MAX_SIZES:
            self._sizes.append((first[0]["width"], first[0]["height"], first[0]["_file"]))
        self._modes.update({row["mode"]: table.num_rows for row in first})
        for row in table.select(["_label", "_input"]).slice(0, 400).to_pylist():
            self._sample(row["_label"], row["_input"])

    def _look(
        self, label: str, split: str, file: str, content: bytes, facts: Mapping[str, Any], notes: Mapping[str, str]
    ) -> None:
        self._notes.update(notes.keys())
        if "width" in facts and len(self._sizes) < MAX_SIZES:
            self._sizes.append((float(facts["width"]), float(facts["height"]), file))
            self._modes[str(facts.get("mode"))] += 1
            self._sample(label, content)
        elif "rate" in facts and len(self._seconds) < MAX_SIZES:
            self._seconds.append(float(facts["seconds"]))
            self._rates[float(facts["rate"])] += 1
        self._row(label, split, file, facts)

    def _sample(self, label: str, content: bytes) -> None:
        if label not in self.samples and len(self.samples) >= DOWN:
            return
        held = self.samples.setdefault(label, [])
        if len(held) < ACROSS and len(content) < 16 * 1024**2:
            held.append(content)

    def _row(self, label: str, split: str, file: str, facts: Mapping[str, Any]) -> None:
        if len(self.rows) >= ROWS:
            return
        data = self._data
        section = None if data is None else data.table or data.series or data.text
        target = getattr(section, "target", None)
        shown = {name: HIDDEN if name in self._hidden else _short(value) for name, value in facts.items()}
        if data is not None and data.text is not None and data.text.column in self._hidden:
            shown["text"] = HIDDEN
        self.rows.append(
            {"file": file, "split": split, "label": HIDDEN if target in self._hidden else _short(label), **shown}
        )


def _lengths(seconds: Sequence[float]) -> dict[str, float]:
    """`seconds` and, where the usual tolerance is too narrow for the sounds that are there, `tolerance`."""
    middle = round(min(max(statistics.median(seconds), 0.01), 600.0), 2)
    low, high = min(seconds), max(seconds)
    if middle * 0.5 <= low and high <= middle * 1.5:
        return {"seconds": middle}
    middle = round(min((low + high) / 2 + 0.005, 600.0), 2)
    return {"seconds": middle, "tolerance": min(1.0, math.ceil(100 * (1 - low / middle) + 1) / 100)}


def _short(value: Any) -> Any:
    if isinstance(value, str) and len(value) > _CELL:
        return f"{value[: _CELL - 1]}…"
    return round(value, 4) if isinstance(value, float) else value


def _area(size: tuple[float, float, str]) -> float:
    return size[0] * size[1]
