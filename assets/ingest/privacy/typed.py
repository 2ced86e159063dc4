"""Parquet and Arrow IPC files without their private columns: written anew, block by block, in the form they were in."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from assets.errors import RejectedError
from assets.ingest.privacy.pseudonyms import Tokens
from assets.ingest.privacy.texts import named
from assets.line.data import PrivacyPolicy
from assets.readers.columnar import THRIFT_LIMITS
from assets.readers.frames import check_frames
from assets.readers.pages import check_pages, read_footer
from assets.records.limits import MAX_COLUMNS

_ROWS_TOGETHER = 65_536


def filter_typed(source: BinaryIO, size: int, target: BinaryIO, policy: PrivacyPolicy, tokens: Tokens) -> None:
    """Write `source` to `target` without dropped columns, values of pseudonymized ones as tokens.

    What the file says besides (metadata, statistics, indexes) is made anew or goes.

    Raises:
        RejectedError: damaged, or beyond a limit; "reason; remedy".
    """
    head = source.read(6)
    source.seek(0)
    try:
        if head.startswith(b"PAR1"):
            _parquet(source, size, target, policy, tokens)
        else:
            _ipc(source, target, policy, tokens, file=head == b"ARROW1")
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, IndexError, OverflowError) as error:
        raise RejectedError("it is a damaged Parquet or Arrow file; write it again") from error


def _parquet(source: BinaryIO, size: int, target: BinaryIO, policy: PrivacyPolicy, tokens: Tokens) -> None:
    check_pages(source, read_footer(source, size))
    source.seek(0)
    with pq.ParquetFile(pa.PythonFile(source, "r"), pre_buffer=False, **THRIFT_LIMITS) as opened:
        plan = _plan(opened.schema_arrow, policy, tokens)
        kept = [name for name, _ in plan]
        with pq.ParquetWriter(target, _schema(opened.schema_arrow, plan), compression="zstd") as writer:
            for batch in opened.iter_batches(_ROWS_TOGETHER, columns=kept, use_threads=False):
                writer.write_batch(_changed(batch, plan))


def _ipc(source: BinaryIO, target: BinaryIO, policy: PrivacyPolicy, tokens: Tokens, *, file: bool) -> None:
    start = 8 if file else 0
    check_frames(source, start)
    source.seek(start)
    with pa.ipc.open_stream(pa.PythonFile(source, "r")) as opened:
        plan = _plan(opened.schema, policy, tokens)
        schema = _schema(opened.schema, plan)
        make = pa.ipc.new_file if file else pa.ipc.new_stream
        with make(
            pa.PythonFile(target, "w"), schema, options=pa.ipc.IpcWriteOptions(unify_dictionaries=file)
        ) as writer:
            for batch in opened:
                writer.write_batch(_changed(batch, plan))
    target.seek(0, io.SEEK_END)


Plan = list[tuple[str, Callable[[str], str] | None]]
"""Columns that stay, and what makes tokens of their values."""


def _plan(schema: pa.Schema, policy: PrivacyPolicy, tokens: Tokens) -> Plan:
    if len(schema) > MAX_COLUMNS or len(set(schema.names)) < len(schema):
        raise RejectedError("it has too many columns, or two of one name; write it again")
    plan: Plan = []
    for name in schema.names:
        if named(name, policy.drop):
            continue
        column = named(name, policy.pseudonymize)
        plan.append((name, tokens.of(column) if column else None))
    return plan


def _schema(schema: pa.Schema, plan: Plan) -> pa.Schema:
    """The schema of what stays, without notes: pandas notes its index there."""
    return pa.schema(
        [
            pa.field(name, pa.string() if token else schema.field(name).type, schema.field(name).nullable)
            for name, token in plan
        ]
    )


def _changed(batch: pa.RecordBatch, plan: Plan) -> pa.RecordBatch:
    columns = []
    for name, token in plan:
        column = batch.column(batch.schema.get_field_index(name))
        columns.append(column if token is None else _tokens(column, token))
    return pa.RecordBatch.from_arrays(columns, schema=_schema(batch.schema, plan))


def _tokens(column: pa.Array, token: Callable[[str], str]) -> pa.Array:
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    values = [None if value is None else token(_text(value)) for value in encoded.dictionary.to_pylist()]
    return pa.array(values, pa.string()).take(encoded.indices)


def _text(value: object) -> str:
    """A value as CSV would write it, so that a person has one token whatever the form of the file."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)
