"""Test records as people see them: thumbnails, quotes, rows and curves, without what must not be shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from assets.line.data import DataContract
from assets.pages.plots import Numbers
from assets.pages.redaction import page_mark
from assets.pages.templates import cut, number
from assets.pages.thumbnails import WAVE_HEIGHT, thumbnail
from assets.training.card.data import Shown
from edge.contracts import InputSpec

HIDDEN = "(private)"
MAX_QUOTE = 280
MAX_CELLS = 8
MAX_WAVES = 3
SEALED = "The records of this line are encrypted, so no single one is shown, and nothing that tells their values."


class TestRecords(Protocol):
    """The records that a model is measured on (see `assets.loading.held_out`)."""

    @property
    def y(self) -> NDArray[Any]: ...

    @property
    def ids(self) -> Sequence[str]: ...

    def __len__(self) -> int: ...

    def batch(self, rows: NDArray[np.int64]) -> Tensor: ...

    def input_of(self, row: int) -> bytes: ...


def hidden_columns(data: DataContract) -> frozenset[str]:
    """Columns whose values are shown nowhere: private ones, and those that hold tokens of pseudonyms."""
    return frozenset({*data.privacy.private, *data.privacy.pseudonymize})


def label_is_hidden(data: DataContract) -> bool:
    """Whether the true label of a single record must not be shown."""
    section = data.table or data.series or data.text
    target = getattr(section, "target", None)
    return bool(hidden_columns(data) & {"label", *([target] if target else [])})


def table_values(spec: InputSpec, x: NDArray[Any]) -> Numbers:
    """(…, columns) in the columns' own units, from the model's input."""
    values: Numbers = np.asarray(x, np.float64) * np.asarray(spec.std) + np.asarray(spec.mean)
    return values


def picture_values(spec: InputSpec, x: NDArray[Any]) -> NDArray[np.float32]:
    """(…, channels, height, width) from 0 to 1, from the model's input."""
    scale = (len(spec.mean), 1, 1)
    values = np.asarray(x, np.float32) * np.reshape(spec.std, scale) + np.reshape(spec.mean, scale)
    clipped: NDArray[np.float32] = np.clip(values, 0, 1).astype(np.float32)
    return clipped


class Sampler:
    """Shows single records of one set."""

    def __init__(self, records: TestRecords, spec: InputSpec, data: DataContract) -> None:
        self.records, self._spec, self._data = records, spec, data
        self._hidden = hidden_columns(data)
        groups = getattr(records, "groups", None)
        self._groups = groups if groups is not None and len(groups) == len(records) else None

    def show(self, row: int, title: str, detail: str) -> Shown:
        """One record; what cannot be drawn is left out."""
        shown = Shown(page_mark(str(self.records.ids[row])), title, detail)
        if self._spec.kind == "image":
            return replace(shown, picture=thumbnail(self.records.input_of(row), self._spec.shape[0]) or "")
        if self._spec.kind == "text":
            return replace(shown, tokens=((self.text(row), 0.0),))
        if self._spec.kind == "table":
            return replace(shown, cells=self._cells(row))
        if self._spec.kind == "series":
            names, waves = self._waves(row)
            group = cut(str(self._groups[row]), 40) if self._groups is not None and self._groups[row] else ""
            unit = self._data.series.unit if self._data.series is not None else ""
            about = f"{detail}; unit {HIDDEN if unit in self._hidden else group}" if group else detail
            return replace(shown, detail=about, names=names, waves=waves, many=True)
        return shown

    def text(self, row: int) -> str:
        """The beginning of a text, or that it is private."""
        column = self._data.text.column if self._data.text is not None else ""
        if column in self._hidden:
            return HIDDEN
        return cut(self.records.input_of(row).decode("utf-8", "replace"), MAX_QUOTE)

    def _cells(self, row: int) -> tuple[tuple[str, str], ...]:
        values = table_values(self._spec, self.records.batch(np.asarray([row])).numpy())[0]
        cells = []
        for name, value in zip(self._spec.columns, values.tolist(), strict=True):
            words = self._spec.categories.get(name)
            if name in self._hidden:
                cells.append((name, HIDDEN))
            elif words is not None:
                code = round(value)
                cells.append((name, cut(words[code], 40) if 0 <= code < len(words) else "another word"))
            else:
                cells.append((name, number(float(f"{value:.5g}"))))
        return tuple(cells)

    def _waves(self, row: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The columns that vary most in this window, each on its own scale."""
        window = self.records.batch(np.asarray([row])).numpy()[0]
        spread = window.std(axis=0)
        at = [
            column
            for column in np.argsort(-spread, kind="stable")[:MAX_WAVES]
            if self._spec.columns[column] not in self._hidden
        ]
        return tuple(self._spec.columns[column] for column in at), tuple(wave(window[:, column]) for column in at)


def wave(values: NDArray[Any]) -> str:
    """Readings as the path of a line in a box of 120 x 48."""
    low, high = float(values.min()), float(values.max())
    room = (high - low) or 1.0
    step = 120 / max(len(values) - 1, 1)
    heights = (WAVE_HEIGHT - 4 - (np.asarray(values, np.float64) - low) / room * (WAVE_HEIGHT - 8)).tolist()
    return "".join(f"{'L' if at else 'M'}{at * step:.1f} {height:.1f}" for at, height in enumerate(heights))
