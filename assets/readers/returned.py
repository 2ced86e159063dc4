"""Records that return: `*.records.parquet` files, e.g. of corrected records, become records of a new batch.

Columns are those of `RECORD_COLUMNS`; `group`, `time` and `origin` may be missing, others are left alone. What a file
says of a record's id is not read: the record is made of its `input` as if it had just landed.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from assets.errors import LandingError, RejectedError
from assets.line.data import DataContract
from assets.line.stored_form import stored_form
from assets.readers.columnar import DAMAGE, THRIFT_LIMITS
from assets.readers.files import Files
from assets.readers.pages import Footer, check_pages, read_footer
from assets.readers.pool import in_order
from assets.readers.registry import RecordMaker, record_maker
from assets.records.batch import LandedFile
from assets.records.carry_over import Carry, Forms, carry_over
from assets.records.limits import (
    FREE_BYTES,
    MAX_CELL_CHARS,
    MAX_FILES,
    MAX_IMAGE_BYTES,
    MAX_RATIO,
    MAX_TABLE_BYTES,
    MAX_UNPACKED_BATCH,
)
from assets.records.paths import shown
from assets.records.reason import Reason, refusal
from assets.records.record import RELEASE_NOTE, Record

MAX_RECORDS = 4 * MAX_FILES
"""Records of one file."""

_NEEDED = ("label", "split", "input")
_OPTIONAL = ("group", "time", "origin")
_SPLITS = {"", "train", "validation", "test"}
_ROWS = 256
_BATCH = re.compile("([0-9a-f]{64})?")


@dataclass(frozen=True)
class _Row:
    """One row: its number in the file, from 1, and its values as they are in the file."""

    number: int
    values: dict[str, Any]


def read_returned(
    files: Sequence[LandedFile], source: Files, data: DataContract, forms: Forms = MappingProxyType({})
) -> Iterator[Record | Reason]:
    """A record for each row that is one, named `path#row` from 1; a refusal for each other row or file.

    Args:
        forms: of each generation of the line, how its inputs are stored; a file that returned in an earlier one is
            carried over.

    Raises:
        LandingError: `source` found a fault of the landing zone, which says nothing about the data.
    """
    make = record_maker(data)
    for file in files:
        try:
            if file.size > MAX_TABLE_BYTES:
                raise RejectedError(f"{file.size:,} bytes are more than {MAX_TABLE_BYTES:,}; split the file")
            with source.open(file) as stream:
                opened = replace(file, size=stream.seek(0, 2))  # of a sealed file, not as it landed
                footer, form = read_footer(stream, opened.size), stored_form(data)
                carry = carry_over(forms.get(_generation(footer), form), form)
                rows = _rows(opened, stream, footer)
                yield from in_order(partial(_item, file=opened, data=data, make=make, carry=carry), rows)
        except LandingError:
            raise
        except RejectedError as error:
            yield refusal(file.path, "whole file", str(error))


def _item(row: _Row, file: LandedFile, data: DataContract, make: RecordMaker, carry: Carry) -> Record | Reason:
    try:
        stored, label, split, group, time = _checked(row.values)
        origin = _origin(row.values.get("origin"))
        record = make(carry(stored), label, split, f"{file.path}#{row.number}", group, time, data)
        return replace(record, origin=origin)
    except RejectedError as error:
        return refusal(file.path, f"row {row.number}", str(error))


def _generation(footer: Footer) -> int:
    """The generation whose form the file's inputs have: 1 where it does not say."""
    try:
        return int(json.loads(footer.about.get(RELEASE_NOTE, b"{}")).get("generation", 1))
    except (ValueError, TypeError, AttributeError):
        return 1


def _rows(file: LandedFile, stream: BinaryIO, footer: Footer) -> Iterator[_Row]:
    """The rows of a file. Raises RejectedError where it is none, is damaged, or goes beyond a limit."""
    number = size = 0
    allowed = FREE_BYTES + MAX_RATIO * file.size
    try:
        for batch in _batches(stream, footer):
            for values in _values(batch):
                number += 1
                size += len(values["input"]) if isinstance(values["input"], bytes) else 0
                if size > allowed:
                    raise RejectedError(
                        f"its records unpack to more than {allowed:,} bytes, the rest was not read; split it"
                    )
                yield _Row(number, values)
    except DAMAGE as error:
        text = (str(error).splitlines() or [""])[0][:160] or type(error).__name__
        raise RejectedError(f"it is not a readable Parquet file ({text}); write it again") from error


def _batches(stream: BinaryIO, footer: Footer) -> Iterator[pa.RecordBatch]:
    if missing := [name for name in _NEEDED if name not in footer.names]:
        raise RejectedError(f"its columns {', '.join(missing)} are missing; it needs label, split and input")
    if footer.rows > MAX_RECORDS:
        raise RejectedError(f"it has {footer.rows:,} rows, at most {MAX_RECORDS:,} are read; split it")
    if not footer.rows:
        raise RejectedError("it holds no records; leave it out")
    wanted = [name for name in (*_NEEDED, *_OPTIONAL) if name in footer.names]
    if nested := [name for name in wanted if name not in footer.plain]:
        raise RejectedError(f"its column {nested[0]} is nested; write it as bytes, text or numbers")
    unpacked = check_pages(stream, footer, wanted)
    if unpacked > MAX_UNPACKED_BATCH:
        raise RejectedError(
            f"a row group unpacks to {unpacked:,} bytes, at most {MAX_UNPACKED_BATCH:,} are; write smaller ones"
        )
    stream.seek(0)
    schema = pq.ParquetFile(pa.PythonFile(stream, "r"), pre_buffer=False, **THRIFT_LIMITS).schema_arrow
    for name in wanted:
        _check_type(name, schema.field(name).type)
    stream.seek(0)
    # As a dictionary, a value that is there a million times is in memory once.
    texts = [name for name in wanted if name != "time"]
    again = pq.ParquetFile(pa.PythonFile(stream, "r"), pre_buffer=False, read_dictionary=texts, **THRIFT_LIMITS)
    yield from again.iter_batches(_ROWS, columns=wanted, use_threads=False)


def _check_type(name: str, kind: pa.DataType) -> None:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    binary = pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    number = pa.types.is_floating(kind) or pa.types.is_integer(kind)
    wanted = {"input": ("bytes", binary), "time": ("numbers", number)}.get(name, ("text", text))
    if not wanted[1] and not pa.types.is_null(kind):
        raise RejectedError(f"its column {name} holds {shown(str(kind))}; write it as {wanted[0]}")


def _values(batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    for row in range(batch.num_rows):
        yield {name: _value(column[row]) for name, column in zip(batch.schema.names, batch.columns, strict=True)}


def _value(scalar: Any) -> Any:
    """A value, or the error that its bytes are no UTF-8; a picture that is too large is not copied."""
    try:
        return scalar.as_py()
    except UnicodeDecodeError as error:
        return error


def _origin(value: Any) -> str:
    """The batch whose unit a reading is of. Raises RejectedError."""
    origin = value or ""
    if not isinstance(origin, str) or not _BATCH.fullmatch(origin):
        raise RejectedError(f"its origin is {shown(str(origin))}, no batch's id; take the record from quarantine again")
    return origin


def _checked(values: dict[str, Any]) -> tuple[bytes, str, str, str, float | None]:
    """input, label, split, group and time of a row. Raises RejectedError."""
    stored = values["input"]
    if not isinstance(stored, bytes) or len(stored) > MAX_IMAGE_BYTES:
        what = "is missing" if stored is None else f"has more than {MAX_IMAGE_BYTES:,} bytes"
        raise RejectedError(f"its input {what}; take the record from quarantine again")
    texts = []
    for name in ("label", "split", "group"):
        text = values.get(name) or ""
        if not isinstance(text, str):
            raise RejectedError(f"its {name} is not UTF-8; correct it")
        if len(text) > MAX_CELL_CHARS:
            raise RejectedError(f"its {name} is longer than {MAX_CELL_CHARS:,} characters; correct it")
        texts.append(text)
    label, split, group = texts
    if split not in _SPLITS:
        raise RejectedError(f"its split is {shown(split)}; write train, validation, test or nothing")
    time = values.get("time")
    if time is not None and not math.isfinite(time):
        time = None
    return stored, label, split, group, None if time is None else float(time)
