"""Records as a reviewer sees them: pictures as thumbnails, sounds as waves, texts as quotes, rows as cells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from assets.line.data import DataContract
from assets.pages.redaction import page_mark
from assets.pages.thumbnails import sound_samples, thumbnail, wave_path
from assets.quality.redaction import HIDDEN, hidden_columns
from assets.quality.report.words import cut, number
from assets.quality.spool import Spool

MAX_CELLS = 6
MAX_QUOTE = 280
MAX_CELL = 60
MAX_PICTURES = 100

Kind = Literal["picture", "sound", "text", "row", "sealed"]


@dataclass(frozen=True)
class Shown:
    """A record to show.

    Attributes:
        label: "" where it has none.
        split: as the source declared it, else "".
        picture: data URI; wave: SVG path; None where it cannot be drawn, or the page has enough of them.
        text: a text's beginning.
        values: column to cell, as text.
        mark: finds it again, where it is to be forgotten.
    """

    file: str
    label: str = ""
    split: str = ""
    picture: str | None = None
    wave: str | None = None
    text: str | None = None
    values: tuple[tuple[str, str], ...] = ()
    mark: str = ""

    def cells(self, columns: Sequence[str]) -> list[str]:
        """The cells of these columns."""
        found = dict(self.values)
        return [found.get(name, "") for name in columns]


def kind_of(data: DataContract) -> Kind:
    """How a line's records are shown; encrypted ones ("sealed") by the names of their files alone."""
    if data.privacy.encrypt:
        return "sealed"
    return "picture" if data.image else "sound" if data.audio else "text" if data.text else "row"


class Records:
    """The records that a page shows, read from the spool at once."""

    def __init__(self, spool: Spool, data: DataContract, rows: Iterable[int]) -> None:
        self.kind = kind_of(data)
        self._data, self._private = data, hidden_columns(data)
        self._facts = [name for name in spool.schema.names if not name.startswith("_")]
        wanted = np.unique(np.fromiter((row for row in rows if 0 <= row < spool.rows), dtype=np.int64))
        names = ["_file", "_label", "_split", *self._facts] if self.kind != "sealed" else ["_file"]
        if self.kind in {"picture", "sound"}:
            names.append("_input")
        table = spool.take(wanted, [name for name in names if name in spool.schema.names])
        self._found: dict[int, dict[str, Any]] = dict(zip(wanted.tolist(), table.to_pylist(), strict=True))
        self._drawn: dict[int, Shown] = {}
        self.pictures = 0

    def show(self, row: int) -> Shown | None:
        """The record at `row`; None where it was not asked for at first."""
        if row not in self._drawn and row in self._found:
            self._drawn[row] = self._show(self._found[row])
        return self._drawn.get(row)

    def show_input(self, file: str, content: bytes | None) -> Shown:
        """A record of an earlier batch, of which at most its stored input is known."""
        if content is None or self.kind == "sealed":
            return Shown(cut(file, 160), mark=page_mark(file, earlier=True))
        picture, wave = self._draw(content)
        text = self._quote(content.decode("utf-8", "replace")) if self.kind == "text" else None
        values: tuple[tuple[str, str], ...] = ()
        if self.kind == "row" and len(content) == 8 * len(self._facts):
            cells = zip(self._facts, np.frombuffer(content, "<f8").tolist(), strict=True)
            values = tuple((name, self._cell(name, value)) for name, value in cells)
        mark = page_mark(file, earlier=True)
        return Shown(cut(file, 160), picture=picture, wave=wave, text=text, values=values, mark=mark)

    def columns(self, first: Sequence[str] = ()) -> list[str]:
        """The columns that a small table shows: those it is about, then the first of the others."""
        if self.kind != "row":
            return []
        about = [name for name in first if name in self._facts]
        return [*about, *(name for name in self._facts if name not in about)][: max(MAX_CELLS, len(about[:12]))]

    def _show(self, record: dict[str, Any]) -> Shown:
        if self.kind == "sealed":
            return Shown(cut(str(record["_file"]), 160), mark=page_mark(str(record["_file"])))
        picture, wave = self._draw(record["_input"]) if "_input" in record else (None, None)
        return Shown(
            cut(str(record["_file"]), 160),
            HIDDEN if "_label" in self._private else cut(str(record["_label"] or ""), MAX_CELL),
            str(record.get("_split") or ""),
            picture,
            wave,
            self._quote(str(record.get("text") or "")) if self.kind == "text" else None,
            tuple((name, self._cell(name, record[name])) for name in self._facts) if self.kind == "row" else (),
            page_mark(str(record["_file"])),
        )

    def _draw(self, content: bytes | None) -> tuple[str | None, str | None]:
        if content is None or self.pictures >= MAX_PICTURES:
            return None, None
        if self.kind == "picture":
            assert self._data.image is not None
            self.pictures += 1
            return thumbnail(content, self._data.image.channels), None
        samples = sound_samples(content) if self.kind == "sound" else None
        if samples is None:
            return None, None
        self.pictures += 1
        return None, wave_path(samples) or None

    def _quote(self, text: str) -> str:
        assert self._data.text is not None
        return HIDDEN if self._data.text.column in self._private else cut(text, MAX_QUOTE)

    def _cell(self, name: str, value: Any) -> str:
        if name in self._private:
            return HIDDEN
        if value is None:
            return "no value"
        return number(value) if isinstance(value, float) else cut(str(value), MAX_CELL)
