"""Which golden sets hold a record, and taking them away: what devices prove themselves on is made of test records."""

from __future__ import annotations

import base64
import contextlib
import struct

from assets.compilation.documents import Engines
from assets.errors import RejectedError
from assets.line.config import Line
from assets.readers.registry import make_record
from assets.records.line_store import BoundLine
from assets.release.documents import ReleaseRecord, golden_key
from assets.storage import layout
from assets.storage.store import Store
from edge.contracts import GoldenRecord, GoldenSet, InputSpec, from_bytes
from edge.errors import ContractError
from edge.runtime.preprocess import parse_row, row_values


def golden_holds(line: BoundLine, release: ReleaseRecord, ids: frozenset[str]) -> bool:
    """Whether a release's golden set holds one of these records (64 hex digits); False where it was taken away."""
    key = golden_key(release)
    try:
        golden = from_bytes(GoldenSet, line.store.read(key), key)
    except FileNotFoundError:
        return False
    return _holds(line.line, release.manifest.input, golden, ids)


def erase_release(store: Store, release: ReleaseRecord) -> bool:
    """Remove a release's golden set. Devices could not test the release any more, so none may be pointed at it."""
    return store.remove(golden_key(release))


def erase_engines(line: BoundLine, ids: frozenset[str]) -> int:
    """Remove engines whose golden set holds one of these records: they are made again, with another set."""
    steps = layout.steps(line.name, "engines")
    removed = 0
    for key in (*(f"{steps}/{name}" for name in line.store.names(steps)), layout.head(line.name, "engines")):
        with contextlib.suppress(FileNotFoundError, ContractError):
            engines = line.store.load(key, Engines)
            if _holds(line.line, engines.input, engines.golden, ids):
                removed += line.store.remove(key)
    return removed


def _holds(line: Line, spec: InputSpec, golden: GoldenSet, ids: frozenset[str]) -> bool:
    """Whether one of these records is in it. Windows do not say which readings they are of: any of them may be."""
    if spec.kind == "series":
        return bool(ids and golden.records)
    return any(_identity(line, spec, one) in ids for one in golden.records)


def _identity(line: Line, spec: InputSpec, golden: GoldenRecord) -> str:
    """The id of the record that a golden one is; "" where it cannot be read."""
    try:
        if spec.kind == "image":
            stored = base64.b64decode(golden.input)
        elif spec.kind == "text":
            stored = golden.input.encode()
        elif spec.kind == "noise":
            return ""
        else:
            stored = struct.pack(f"<{len(spec.columns)}d", *row_values(spec, parse_row(golden.input)))
        return make_record(line.config.data, stored, golden.label, "", "golden", "", None).id
    except (RejectedError, ValueError):
        return ""
