"""The checks that no expectation can make: each adds columns to the gate's table, which the suite then asks about.

One that breaks hinders no other: the rules over its columns are errored, with its reason.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from assets.line.config import Line, LineConfig
from assets.line.data import DataContract
from assets.line.quality import Severity
from assets.quality.checks.continuation import NEW_NAMES, find_late, names_again, seen_before
from assets.quality.checks.copies import EqualInputs
from assets.quality.checks.derived import Derived
from assets.quality.checks.known import Earlier, Met, known_rows, relabelled_rows
from assets.quality.checks.label_suspects import find_label_suspects
from assets.quality.checks.near_duplicates import find_near_duplicates
from assets.quality.checks.outliers import find_outliers
from assets.quality.checks.series_checks import find_series_trouble
from assets.quality.columns import Sparse
from assets.quality.earlier_units import EarlierUnits
from assets.quality.redaction import hidden_columns
from assets.quality.spool import Spool
from assets.records.dataset import SPLITS
from assets.records.splits import record_split
from assets.records.verdict import CheckOutcome, Finding

_PLACES = re.compile(r"/[^\s:'\"]+/")
"""Folders of this machine, which are nobody's business in a verdict."""


@dataclass
class Computed:
    """What the computed checks added.

    Attributes:
        derived: column to its values.
        broken: column that is missing to why.
        findings: of all checks.
        outcomes: of checks that give no column.
        seconds: check to how long it took.
        quiet: whether what an error says may show hidden values, and is left out.
    """

    derived: dict[str, Sparse] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    outcomes: list[CheckOutcome] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    quiet: bool = False

    def add(self, name: str, columns: tuple[str, ...], check: Callable[[], Derived]) -> None:
        """Run one check that gives `columns`."""
        started = time.perf_counter()
        try:
            found = check()
            self.derived |= {column: Sparse.of(found.columns[column]) for column in columns if column in found.columns}
            self.findings += found.findings
        except Exception as error:  # a check that breaks must never look like one that passes
            self.broken |= dict.fromkeys(columns, _why(error, self.quiet))
        self.seconds[name] = time.perf_counter() - started

    def check(self, name: str, severity: Severity, check: Callable[[], tuple[bool, str]]) -> None:
        """Run one check about the batch as a whole, which says whether it holds and why."""
        started = time.perf_counter()
        try:
            holds, detail = check()
            self.outcomes.append(CheckOutcome(name, "passed" if holds else "failed", severity, detail))
        except Exception as error:
            broke = f"the check itself broke: {_why(error, self.quiet)}"
            self.outcomes.append(CheckOutcome(name, "errored", severity, broke))
        self.seconds[name] = time.perf_counter() - started


def splits_of(spool: Spool, data: DataContract, drawn_by: pa.Array | None = None) -> NDArray[np.int8]:
    """(rows,) int8: 0 train, 1 validation, 2 test, as datasets will draw them.

    For rows of tables that are drawn one by one it is not computed (0): equal rows have equal ids, so they are in the
    same split whatever it is, and nothing else asks. Not so where some are `drawn_by` something else.

    Args:
        drawn_by: (rows,) what each record is drawn by, null for its own; None where all are.
    """
    splits = np.zeros(spool.rows, dtype=np.int8)
    each = data.inputs is None or drawn_by is not None
    names = ["_split", "_group", "_id"] if each else ["_split", "_group"]
    for start, table in spool.chunks(names):
        part = splits[start : start + table.num_rows]
        declared, groups = (table.column(name).combine_chunks().dictionary_encode() for name in ("_split", "_group"))
        codes, units = declared.indices.to_numpy(zero_copy_only=False), groups.indices.to_numpy(zero_copy_only=False)
        for code, split in enumerate(declared.dictionary.to_pylist()):
            if split in SPLITS and (split != "train" or not data.carve):
                part[codes == code] = SPLITS.index(split)
                continue
            drawn = np.flatnonzero(codes == code)
            if each:
                ids = table.column("_id").take(pa.array(drawn)).to_pylist()
                others = [None] * len(ids) if drawn_by is None else drawn_by.take(pa.array(start + drawn)).to_pylist()
                names_of = groups.dictionary.to_pylist()
                part[drawn] = [
                    SPLITS.index(
                        record_split(other or identity.hex(), "" if other else names_of[units[row]] or "", split, data)
                    )
                    for row, identity, other in zip(drawn, ids, others, strict=True)
                ]
                continue
            split_of = [
                SPLITS.index(record_split("", name, split or "", data)) if name else 0
                for name in groups.dictionary.to_pylist()
            ]
            part[drawn] = np.asarray(split_of, dtype=np.int8)[units[drawn]]
    return splits


def computed_checks(
    spool: Spool,
    splits: NDArray[np.int8],
    earlier: pa.Table,
    forgotten: Mapping[bytes, str],
    line: Line,
    units: EarlierUnits,
    drawn_by: pa.Array | None = None,
) -> Computed:
    """Everything that is asked before the suite; exact copies come after it, since of sound copies one is kept."""
    data, quality = line.config.data, line.config.quality
    computed = Computed(quiet=bool(hidden_columns(data)))
    none: NDArray[Any] = np.full(spool.rows, None, dtype=object)
    computed.add("forgotten", ("_forgotten",), lambda: _forgotten(spool, forgotten, drawn_by))
    if data.image is not None:
        computed.add("odd pictures", ("_odd",), lambda: find_outliers(spool))
    if data.series is not None:
        computed.add("order in time", ("_order", "_gap"), lambda: _disorder(spool, data))
        known = seen_before(spool, earlier)
        computed.add("earlier readings", ("_earlier",), lambda: find_late(spool, data, units, known))
        if data.series.unit_ids != "global":
            computed.check(NEW_NAMES, "warning", lambda: names_again(spool, data, units, known))
    if data.inputs is not None:
        computed.derived |= {"_near": Sparse.of(none), "_leak": Sparse.of(none)}
    elif quality.near_duplicates != "off" or quality.leakage != "off":
        computed.add(
            "almost equal records", ("_near", "_leak"), lambda: find_near_duplicates(spool, data, splits, earlier)
        )
    if data.classes and quality.label_suspects != "off":
        computed.add("suspected labels", ("_suspect",), lambda: find_label_suspects(spool, data))
    return computed


def _disorder(spool: Spool, data: DataContract) -> Derived:
    """Times out of order, and gaps in words."""
    found = find_series_trouble(spool, data)
    gap = found.columns["_gap"]
    words = np.full(spool.rows, None, dtype=object)
    for row in np.flatnonzero(~np.isnan(gap)).tolist():
        words[row] = f"a gap of {gap[row]:g} lies before it in its unit"
    return Derived({**found.columns, "_gap": words}, found.findings)


def known_columns(
    spool: Spool, met: Met, earlier: Earlier, config: LineConfig, correcting: NDArray[np.bool_]
) -> Derived:
    """What rules ask of equal inputs: `_conflict`, `_relabelled`, and `_known_label` of records that add nothing.

    Args:
        correcting: (rows,) which records may come under another label than before.
    """
    relabelled = relabelled_rows(spool, met, earlier)
    relabelled[correcting] = None
    known = np.full(spool.rows, None, dtype=object)
    again = known_rows(met, earlier, config.copies)
    known[again] = [label or "" for label in spool.take(again, ["_label"]).column("_label").to_pylist()]
    return Derived({"_conflict": _conflicts(spool, config), "_relabelled": relabelled, "_known_label": known})


def _conflicts(spool: Spool, config: LineConfig) -> NDArray[np.object_]:
    """Every target that the batch gives a record's input, in words, where there are several; else None."""
    conflict = np.full(spool.rows, None, dtype=object)
    if config.conflicts == "off":
        return conflict
    equal = EqualInputs.of(spool, config.data.classes)
    many = np.sort(equal.rows[equal.targets > 1])
    many = many[spool.take(many, ["_notes"]).column("_notes").is_null().to_numpy()]
    named: dict[bytes, dict[str, str]] = {}  # without rows that have no values: alike, they say nothing of each other
    table = spool.take(many, ["_id", "_label", "_file"]).to_pylist()
    for record in table:
        named.setdefault(record["_id"], {}).setdefault(record["_label"], record["_file"])
    texts = {
        identity: " and as ".join(
            [f"{label!r} ({file})" for label, file in list(labels.items())[:3]] + ["…"] * (len(labels) > 3)
        )
        for identity, labels in named.items()
    }
    conflict[many] = [texts[record["_id"]] for record in table]
    return conflict


def _forgotten(spool: Spool, forgotten: Mapping[bytes, str], drawn_by: pa.Array | None) -> Derived:
    column = np.full(spool.rows, None, dtype=object)
    if forgotten:
        wanted = pa.array(list(forgotten), pa.binary(32))
        for start, table in spool.chunks(["_id"]):
            hits = np.flatnonzero(pc.is_in(table.column("_id"), value_set=wanted).to_numpy())
            for row, identity in zip(hits, table.column("_id").take(pa.array(hits)).to_pylist(), strict=True):
                column[start + row] = forgotten[identity]
        # A record that was forgotten by the id that it had in another form.
        ids = pa.array([identity.hex() for identity in forgotten], pa.string())
        if drawn_by is not None:
            for row in np.flatnonzero(pc.is_in(drawn_by, value_set=ids)):
                column[row] = forgotten[bytes.fromhex(drawn_by[int(row)].as_py())]
    return Derived({"_forgotten": column})


def _why(error: Exception, quiet: bool) -> str:
    text = _PLACES.sub("", (str(error).strip().splitlines() or [""])[0])[:200]
    return f"{type(error).__name__}: {text}" if text and not quiet else type(error).__name__
