"""The reader `series`: readings of units over time, from tables or from text with spaces between cells (C-MAPSS).

A reading's group is its unit, so that no unit is in two splits. With `unit_ids: file` its group is `<file>/<unit>`,
because the units of another file are others even where their numbers are the same; so it is with `remaining`, where a
unit lives in one file, to the end of its life or, in files of the test split, as much longer as `RUL_*` says. That the
units of another batch are others too, unless `unit_ids` is `global`, is no matter of the group: who cuts windows tells
them apart (`assets.loading.units`). Rows stay in the order they are in.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from assets.errors import LandingError, RejectedError
from assets.line.cell_form import CellForm
from assets.line.data import DataContract
from assets.readers.cells import missing, number, words
from assets.readers.csvblocks import Block
from assets.readers.files import Files
from assets.readers.headers import Wanted
from assets.readers.packing import number_labels, pack_inputs, pack_labels, pooled, to_chunk, to_tables
from assets.readers.rows import is_named_as_rows, read_blocks, split_of
from assets.readers.tables import NO_VALUE, NOT_A_TABLE, checked_label, row_facts
from assets.readers.times import Clock
from assets.records.batch import LandedFile
from assets.records.limits import MAX_UNITS
from assets.records.reason import Reason, refusal
from assets.records.record import Record

REMAINING = "remaining"
"""Name of the target that is computed, in notes."""
_RUL = "rul_"
_RUL_BYTES = 16 * 1024**2

Lives = Mapping[str, float]
"""Unit to its last time, plus what it had left then."""


def read_series(files: Sequence[LandedFile], source: Files, data: DataContract) -> Iterator[pa.Table | Reason]:
    """Tables of records, one for each reading, and a refusal for each row or file that has none.

    `_group` is the unit, `_time` its time (a number as given, or seconds since 1970), `_label` the target; files
    `RUL_*` give no records.

    Args:
        data: the line's contract, with its section `series`.

    Raises:
        LandingError: `source` found a fault of the landing zone, which says nothing about the data.
    """
    return pooled(_readings(files, source, data))


def series_id(group: str, time: float, values: bytes) -> str:
    """SHA-256 (hex) of a reading's group, time and packed values."""
    return hashlib.sha256(group.encode() + b"\0" + struct.pack("<d", time) + values).hexdigest()


def record_of(
    stored: bytes, label: str, split: str, file: str, group: str, time: float | None, data: DataContract
) -> Record:
    """A reading as a record, of its packed values; see `Record`. Raises RejectedError where there are not as many."""
    assert data.series is not None
    stored, facts, notes = row_facts(stored, data)
    label = checked_label(label, data.series.target or REMAINING, notes, data)
    if time is None or not math.isfinite(time):
        time, notes[data.series.time] = None, NO_VALUE
    if not group:
        notes[data.series.unit] = NO_VALUE
    identity = series_id(group, math.nan if time is None else time, stored)
    return Record(identity, label, split, file, stored, group, time, facts, notes)


def _readings(files: Sequence[LandedFile], source: Files, data: DataContract) -> Iterator[pa.Table | Reason]:
    series = data.series
    assert series is not None
    target = (series.target,) if series.target else ()
    wanted = Wanted(
        "series",
        tuple(dict.fromkeys((*target, series.unit, series.time, *series.columns))),
        (frozenset(series.columns) - set(series.categories)) | (frozenset(target) if data.regression else frozenset()),
        series.target or "",
        series.header,
        skip_lines=series.skip_lines,
        cells=data.cells,
    )
    ends = {_rul_key(file.path): file for file in files if series.remaining and _is_rul(file.path)}
    used: set[str] = set()
    clock = Clock(series.time in data.privacy.private, data.cells)
    for file in files:
        if series.remaining and _is_rul(file.path):
            continue
        if not is_named_as_rows(file.path, plain=True):
            yield refusal(file.path, "its name", NOT_A_TABLE)
            continue
        lives: Lives | None = None
        if series.remaining:
            try:
                lives = _lives(file, source, wanted, data, clock)
                if lives and split_of(file.path) == "test":
                    used.add(_test_key(file.path))
                    lives = _prolonged(file, source, lives, ends.get(_test_key(file.path)), data.cells)
            except LandingError:
                raise
            except (RejectedError, pa.ArrowException) as error:
                text = str(error) if isinstance(error, RejectedError) else f"{error}; write it as plain values"
                yield refusal(file.path, "whole file", text)
                continue
        split = split_of(file.path, data.splits_from)
        make = partial(_chunk, path=file.path, split=split, data=data, clock=clock, lives=lives)
        yield from to_tables(file.path, read_blocks(file, source, wanted), make)
    for key, file in ends.items():
        if key in used:
            text = "it says how much longer the units of its test file lived, and gives no records"
            yield Reason(file.path, "whole file", "ignored", text, "nothing to do")
        else:
            text = f"no test file lies beside it; land test_{_name(file.path)[len(_RUL) :]} too, or leave it out"
            yield refusal(file.path, "whole file", text)


def _chunk(block: Block, path: str, split: str, data: DataContract, clock: Clock, lives: Lives | None) -> pa.Table:
    series = data.series
    assert series is not None
    packed = pack_inputs(block, data)
    units = words(block.columns[series.unit], data.cells)
    packed.note(series.unit, missing(units))
    times, notes = clock.seconds(block.columns[series.time])
    packed.note(series.time, notes)
    if lives is not None:
        last = np.array([lives.get(unit, math.nan) for unit in units.to_pylist()])
        packed.labels = number_labels(last - times)
    else:
        assert series.target is not None
        packed.labels = pack_labels(packed, block.columns[series.target], series.target, data)
    if lives is not None or series.unit_ids == "file":
        units = pc.if_else(pc.equal(units, ""), "", pc.binary_join_element_wise(_stem(path), units, "/"))
    packed.ids = _ids(units, times, packed.values)
    packed.groups = units
    packed.times = pa.array(times, pa.float64(), mask=np.isnan(times))
    return to_chunk(packed, data, split, path, block.places)


def _ids(groups: pa.Array, times: NDArray[np.float64], values: NDArray[np.float64]) -> bytes:
    """As `series_id`, for each row, 32 bytes each."""
    encoded = groups.dictionary_encode()
    heads = [group.encode() + b"\0" for group in encoded.dictionary.to_pylist()]
    raw = np.column_stack([times, values]).astype("<f8").tobytes()
    width, digest = 8 * (1 + values.shape[1]), hashlib.sha256
    return b"".join(
        [digest(heads[code] + raw[at * width : (at + 1) * width]).digest()
         for at, code in enumerate(encoded.indices.to_pylist())]
    )  # fmt: skip


def _lives(file: LandedFile, source: Files, wanted: Wanted, data: DataContract, clock: Clock) -> dict[str, float]:
    """Last time of each unit of a file, in the order in which units appear. Raises RejectedError."""
    series = data.series
    assert series is not None
    lives: dict[str, float] = {}
    for block in read_blocks(file, source, replace(wanted, only=(series.unit, series.time))):
        if isinstance(block, Reason):
            continue  # the second pass says it
        times, _ = clock.seconds(block.columns[series.time])
        encoded = words(block.columns[series.unit], data.cells).dictionary_encode()
        latest = np.full(len(encoded.dictionary), -math.inf)
        sound = np.isfinite(times)
        np.maximum.at(latest, np.asarray(encoded.indices.to_numpy())[sound], times[sound])
        for unit, time in zip(encoded.dictionary.to_pylist(), latest.tolist(), strict=True):
            if unit and time > lives.get(unit, -math.inf):
                lives[unit] = time
        if len(lives) > MAX_UNITS:
            raise RejectedError(f"it has more than {MAX_UNITS:,} units; split it into more files")
    return lives


def _prolonged(
    file: LandedFile, source: Files, lives: dict[str, float], end: LandedFile | None, form: CellForm
) -> dict[str, float]:
    """Lives with what `RUL_*` adds, one number for each unit in order. Raises RejectedError."""
    if end is None:
        name = _name(file.path)
        rest = name[len("test_") :] if name.lower().startswith("test_") else name
        raise RejectedError(f"how much longer its units lived is not known; land RUL_{rest} beside it")
    try:
        cells = source.read(end, _RUL_BYTES).decode("utf-8-sig").split()
    except UnicodeDecodeError as error:
        raise RejectedError(f"{_name(end.path)} is not UTF-8 text; write one number for each unit") from error
    more = [number(cell, form)[0] for cell in cells]
    if not all(math.isfinite(value) and value >= 0 for value in more):
        raise RejectedError(f"{_name(end.path)} holds more than numbers from 0 on; write one number for each unit")
    units = list(lives)
    if all(math.isfinite(number(unit)[0]) for unit in units):
        units.sort(key=lambda unit: number(unit)[0])
    if len(more) != len(units):
        raise RejectedError(
            f"{_name(end.path)} has {len(more):,} numbers for its {len(units):,} units; write one for each"
        )
    return {unit: lives[unit] + value for unit, value in zip(units, more, strict=True)}


def _name(path: str) -> str:
    return path.rsplit("/", 1)[-1]


def _stem(path: str) -> str:
    folder, slash, name = path.rpartition("/")
    whole = name[:-3] if name.lower().endswith(".gz") else name
    return folder + slash + (whole.rpartition(".")[0] or whole)


def _is_rul(path: str) -> bool:
    return _name(path).lower().startswith(_RUL)


def _rul_key(path: str) -> str:
    """A folder, and what its `RUL_*` and test file have in common."""
    folder, slash, name = _stem(path).rpartition("/")
    return folder + slash + name.lower().removeprefix(_RUL)


def _test_key(path: str) -> str:
    folder, slash, name = _stem(path).rpartition("/")
    return folder + slash + name.lower().removeprefix("test_")
