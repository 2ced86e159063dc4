"""The held-out records of a standalone run: split into calibration, validation and test, with what they are judged by.

Calibration records set INT8 ranges, validation records choose, test records report. Where the source declares no
shares, a record's share is drawn by the hash of its input, as a line's is (`assets.records.splits.drawn_split`), so
that equal records are on one side, and no record changes side when others are added.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from assets.errors import RejectedError
from assets.loading.held_out import HeldOut as Judged
from assets.loading.pictures import normalized_batch
from assets.records.splits import drawn_split
from assets.standalone.fidelity import fidelity_task
from assets.standalone.sources import SHARES, Raw, Share
from assets.tasks.task import Task, load_task
from edge.contracts import InputSpec

DRAWN: Mapping[Share, float] = {"calibration": 0.2, "validation": 0.4, "test": 0.4}
"""Shares of records that declare none."""
LEAST = 8
"""Records of each share, at least."""
MOST_ANSWER_BYTES = 256 * 1024**2
"""Of all answers to one share's records: several of them are held at once."""
MOST_CLASSES = 100_000


class SourceRecords:
    """Some records of a source, see `assets.loading.held_out.HeldOut`.

    Attributes:
        y: (records,) classes or numbers; (records, …) the float model's answers where there are no labels.
    """

    def __init__(self, raw: Raw, rows: NDArray[np.int64], y: NDArray[Any]) -> None:
        self.y = y
        self.ids: Sequence[str] = [raw.ids[row] for row in rows]
        self.groups: Sequence[str] = ("",) * len(rows)
        self._raw, self._rows = raw, rows

    def __len__(self) -> int:
        """How many there are."""
        return len(self._rows)

    def batch(self, rows: NDArray[np.int64]) -> Any:
        """A tensor (rows, …) as the model reads it; of several inputs a mapping from their names."""
        chosen = self._rows[np.asarray(rows, dtype=np.int64)]
        if self._raw.spec is not None and self._raw.spec.kind == "image":
            return normalized_batch(self._raw.spec, self._raw.feeds[self._raw.spec.name][chosen])
        found = {name: torch.from_numpy(values[chosen]) for name, values in self._raw.feeds.items()}
        return next(iter(found.values())) if len(found) == 1 else found

    def input_of(self, row: int) -> bytes:
        """The bytes of its numbers, input after input."""
        return b"".join(np.ascontiguousarray(values[self._rows[row]]).tobytes() for values in self._raw.feeds.values())


class FloatTruth:
    """The same records, judged by something else than their own labels."""

    def __init__(self, records: Judged, y: NDArray[Any]) -> None:
        self.y, self.ids, self.groups = y, records.ids, records.groups
        self._records = records

    def __len__(self) -> int:
        """How many there are."""
        return len(self._records)

    def batch(self, rows: NDArray[np.int64]) -> Any:
        """See `SourceRecords`."""
        return self._records.batch(rows)

    def input_of(self, row: int) -> bytes:
        """See `SourceRecords`."""
        return self._records.input_of(row)


@dataclass(frozen=True)
class Truth:
    """What answers are judged by.

    Attributes:
        task: of labels a task as lines have it, else fidelity to the float model.
        classes: in the order of the outputs; empty where the answer is no class.
        y: (records,) int64 classes or float64 numbers; None for fidelity.
        note: what a person should know; "".
    """

    task: Task
    classes: tuple[str, ...]
    y: NDArray[Any] | None
    note: str = ""


@dataclass(frozen=True)
class HeldOut:
    """The three shares, how they came about, and a digest of all that decides them."""

    calibration: Judged
    validation: Judged
    test: Judged
    digest: str
    note: str


def truth_of(
    y: NDArray[Any] | None,
    given: Sequence[str],
    named: Sequence[str],
    shapes: Sequence[tuple[int, ...]],
    axes: int,
) -> Truth:
    """What a model's answers are judged by: the labels where they fit its one output, else the float model.

    Args:
        y: labels as the source gives them; None without.
        given: names of the outputs that somebody said: the command, or the model's own line.
        named: those that the source has an order of its own for.
        shapes: of one record's answer, for each output.
        axes: of the model's input, the batch included: pictures have 4.

    Raises:
        RejectedError: labels that do not fit the output; says what would.
    """
    widths = [math.prod(shape) for shape in shapes]
    ranked = len(shapes) == 1 and len(shapes[0]) == 1 and widths[0] > 1
    if y is None or len(shapes) > 1:
        note = "" if y is None else f"the labels are not used: the model has {len(shapes)} outputs"
        return Truth(fidelity_task(widths, ranked), (), None, note)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        raise RejectedError(
            f"y has shape {y.shape}, expected is one label for each record; of one-hot rows give y.argmax(axis=1), "
            "or leave y out to be judged by fidelity to the float model"
        )
    if ranked:
        classes, labels = _classes(y, given, named, widths[0])
        kind = {4: "image", 3: "series"}.get(axes, "tabular")
        return Truth(load_task(f"{kind}_classification"), classes, labels)
    if widths[0] != 1:
        raise RejectedError(
            f"the model answers {shapes[0]} numbers for each record, which one label cannot judge; leave y out, "
            "then it is judged by fidelity to the float model"
        )
    if y.dtype.kind not in "fiub" or not np.isfinite(y).all():
        raise RejectedError(
            "the model answers one number for each record; y must be finite numbers too, or be left out"
        )
    if y.dtype.kind != "f" and set(np.unique(y).tolist()) <= {0, 1}:
        raise RejectedError(
            "the model answers one number for each record and y is 0 or 1: is it a score of two classes? Leave y out "
            "to be judged by fidelity, or give y as float numbers to be judged by the error (rmse)"
        )
    return Truth(load_task("tabular_regression"), (), y.astype(np.float64))


def hold_out(raw: Raw, truth: Truth, numbers: int) -> HeldOut:
    """Split the records.

    Args:
        numbers: that the model answers for each record.

    Raises:
        RejectedError: too few records in a share.
    """
    shares = raw.shares if raw.shares is not None else np.array([_drawn(record) for record in raw.ids])
    y = truth.y if truth.y is not None else np.zeros(len(raw.ids))
    sets, notes = {}, [raw.note, truth.note]
    most = max(LEAST, MOST_ANSWER_BYTES // (4 * numbers))
    for share in SHARES:
        rows = np.flatnonzero(shares == share)
        if len(rows) < LEAST:
            different = len(set(raw.ids))
            if raw.shares is None and 2 * different < len(raw.ids):
                raise RejectedError(
                    f"only {different:,} of {len(raw.ids):,} records are different, and equal ones are for one share: "
                    f"{len(rows)} are for {share}, at least {LEAST} are needed; give more that differ"
                )
            drawn = ", ".join(f"{part:.0%} {name}" for name, part in DRAWN.items())
            raise RejectedError(
                f"{len(rows)} of {len(shares)} records are for {share}, at least {LEAST} are needed; give more records "
                f"({drawn} are drawn by their hash; a hundred are few, a thousand tell half a percent)"
            )
        if share != "calibration" and len(rows) > most:
            notes.append(f"of {len(rows):,} {share} records the first {most:,} are used: answers must fit in memory")
            rows = rows[:most]
        sets[share] = SourceRecords(raw, rows, y[rows])
    how = "as declared" if raw.shares is not None else "drawn by the hash of each record"
    counts = ", ".join(f"{len(sets[share]):,} {share}" for share in SHARES)
    note = "; ".join([f"{counts} records, {how}", *filter(None, notes)])
    return HeldOut(sets["calibration"], sets["validation"], sets["test"], _digest(raw, shares, truth), note)


def _drawn(record: str) -> Share:
    side = drawn_split(record, DRAWN["validation"], DRAWN["test"])
    return "calibration" if side == "train" else side


def _classes(
    y: NDArray[Any], given: Sequence[str], named: Sequence[str], outputs: int
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Names of the outputs in order, and each record's position among them."""
    if y.dtype.kind == "f" and np.isfinite(y).all() and (y == np.rint(y)).all():
        y = y.astype(np.int64)
    if outputs > MOST_CLASSES:
        raise RejectedError(f"the model answers {outputs:,} numbers; leave y out to be judged by fidelity")
    if y.dtype.kind in "iub":
        labels = y.astype(np.int64)
        if len(labels) and (labels.min() < 0 or labels.max() >= outputs):
            wrong = int(labels.min() if labels.min() < 0 else labels.max())
            at = int((labels == wrong).argmax())
            raise RejectedError(
                f"record {at} has label {wrong}, the model answers {outputs} classes: 0 to {outputs - 1} are allowed; "
                "correct the labels, or leave y out to be judged by fidelity"
            )
        classes = tuple(given or named or map(str, range(outputs)))
    elif y.dtype.kind == "U":
        classes = tuple(given or named or sorted(set(y.tolist())))
        known = {name: at for at, name in enumerate(classes)}
        if unknown := sorted(set(y.tolist()) - set(known)):
            raise RejectedError(f"label {unknown[0]!r} is none of the model's classes ({', '.join(classes[:10])})")
        labels = np.array([known[name] for name in y.tolist()], dtype=np.int64)
    else:
        raise RejectedError(
            f"y holds {y.dtype} {_not_whole(y)}, the model answers {outputs} classes; give class numbers 0 "
            f"to {outputs - 1}, or leave y out to be judged by fidelity"
        )
    if len(classes) != outputs or len(set(classes)) != outputs:
        raise RejectedError(
            f"{len(set(classes))} classes ({', '.join(classes[:10])}), the model answers {outputs}; name the outputs "
            "in their order with --classes, or leave the labels out to be judged by fidelity"
        )
    return classes, labels


def _not_whole(y: NDArray[Any]) -> str:
    """What is wrong with labels that are no class numbers, and where first."""
    if y.dtype.kind != "f" or y.ndim != 1:
        return "values that are no class numbers"
    at = int((~np.isfinite(y) | (y != np.rint(y))).argmax())
    return f"numbers that are not whole (record {at} has {y[at]:g})"


def _digest(raw: Raw, shares: NDArray[np.str_], truth: Truth) -> str:
    """Of all that decides which numbers the model is given and judged by."""
    spec: InputSpec | None = raw.spec
    facts = (raw.ids, shares.tolist(), truth.classes, truth.task.name, spec, tuple(raw.feeds))
    found = hashlib.sha256(repr(facts).encode())
    if truth.y is not None:
        found.update(np.ascontiguousarray(truth.y).tobytes())
    return found.hexdigest()
