"""Equal inputs in the gate: which of their records are set aside, what was known, which labels a batch corrects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assets.ingest.landing import find_landing, load_manifest
from assets.line.config import LineConfig
from assets.quality.checks.copies import EqualInputs, find_copies
from assets.quality.checks.known import Corrected, Earlier, Met, Only, corrected_labels, known_rows
from assets.quality.checks.split_sides import find_other_splits
from assets.quality.computed_checks import Computed, known_columns
from assets.quality.history import earlier_records
from assets.quality.rules import APART, COPIES
from assets.quality.spool import Spool
from assets.records.corrections import accepted_corrections, replaced_pairs
from assets.records.identity import among
from assets.records.line_store import BoundLine
from assets.review.relabelling import Relabelling, relabelling_of

KINDS = {"once": "one of them counts", "per_batch": "each counts", "all": "each counts, in every batch"}
ONE_TARGET = "equal inputs and equal records"


@dataclass(frozen=True)
class EqualRecords:
    """A batch beside what the line accepted before.

    Attributes:
        correcting: (rows,) which records may replace accepted ones under another label.
        only: input to the labels that they replace, where these are fewer than all.
    """

    spool: Spool
    config: LineConfig
    earlier: Earlier
    met: Met
    correcting: NDArray[np.bool_]
    only: Only

    @classmethod
    def of(cls, line: BoundLine, batch: str, spool: Spool) -> EqualRecords:
        """Of a batch that has been read. Raises LandingError where its manifest was changed since."""
        batches = (entry.batch for _, entry in line.accepted_batches())
        replaced = replaced_pairs(line.store, accepted_corrections(line, batches))
        earlier = Earlier.of(earlier_records(line, spool), replaced)
        met = Met.of(spool, earlier)
        correcting, only = np.zeros(spool.rows, dtype=bool), dict[bytes, frozenset[str]]()
        if load_manifest(line, find_landing(line, batch).drop, batch).corrections:
            correcting[met.rows] = True
        elif len(met.rows) and (decided := relabelling_of(line, batch)) is not None:
            only = _reviewed(spool, met, decided, correcting)
        return cls(spool, line.config, earlier, met, correcting, only)

    def ask_first(self, computed: Computed) -> None:
        """Add the columns that rules over all records ask about, and say how equal inputs are taken."""
        columns = ("_conflict", "_relabelled", "_known_label")
        computed.add(
            "known records",
            columns,
            lambda: known_columns(self.spool, self.met, self.earlier, self.config, self.correcting),
        )
        computed.check(ONE_TARGET, "warning", lambda: (True, self._told(computed)))

    def ask_last(self, computed: Computed, rule: str, sound: NDArray[np.bool_], splits: NDArray[np.int8]) -> None:
        """Add the column that a rule of `SET_ASIDE` asks about: of what breaks no other rule.

        Args:
            sound: (rows,) which records break none so far.
            splits: (rows,) 0 train, 1 validation, 2 test.
        """
        if rule == COPIES:
            computed.add("exact copies", ("_copy_of",), lambda: find_copies(self.spool, splits, sound))
        elif rule == APART:
            computed.add(
                "inputs in two splits",
                ("_other_split",),
                lambda: find_other_splits(self.spool, self.config.data, self.met, self.earlier, sound),
            )

    def known(self, good: NDArray[np.int64]) -> int:
        """How many of the good records add nothing."""
        return len(known_rows(self._of(good), self.earlier, self.config.copies))

    def corrected(self, good: NDArray[np.int64]) -> list[Corrected]:
        """Which accepted labels the good records correct."""
        met = self._of(good).among(self.correcting)
        return corrected_labels(self.spool, met, self.earlier, self.only) if len(met.rows) else []

    def _of(self, good: NDArray[np.int64]) -> Met:
        sound = np.zeros(self.spool.rows, dtype=bool)
        sound[good] = True
        return self.met.among(sound)

    def _told(self, computed: Computed) -> str:
        """How many inputs have several targets, how many records are equal, and what is done about it."""
        equal, config = EqualInputs.of(self.spool, self.config.data.classes), self.config
        kind = {"table": "rows of a table", "series": "readings of a series"}.get(config.data.reader, "the line has it")
        inputs = len(np.unique(equal.groups[equal.targets > 1]))
        replaced = self.met.rows[among(self.met.pairs, self.earlier.replaced) & ~self.correcting[self.met.rows]]
        relabelled = computed.derived.get("_relabelled")
        before = len(np.setdiff1d(relabelled.rows, replaced)) if relabelled is not None else 0
        done = {"off": f"kept, as {kind} may", "warn": "kept, with a warning"}.get(config.conflicts, "quarantined")
        told = f"{inputs:,} input{'s come' if inputs != 1 else ' comes'} with more than one target"
        if before:
            told += f", {before:,} record{'s' * (before != 1)} with another one than was accepted before"
        if inputs or before:
            told += f": {done}"
        told += f" (conflicts: {config.conflicts})"
        if len(replaced):
            told += f". {len(replaced):,} under a label that was corrected since: they do not count"
        told += f". {equal.repeated:,} record{'s' * (equal.repeated != 1)} more than different inputs and targets"
        return f"{told}{f': {KINDS[config.copies]}' if equal.repeated else ''} (copies: {config.copies})."


def _reviewed(
    spool: Spool, met: Met, decided: Relabelling, correcting: NDArray[np.bool_]
) -> dict[bytes, frozenset[str]]:
    """Mark the records whose label reviewers decided; input to the labels that these replace, where not all are."""
    only: dict[bytes, frozenset[str]] = {}
    records = spool.take(met.rows, ["_id", "_label"]).to_pylist()
    for row, record in zip(met.rows.tolist(), records, strict=True):
        found = decided.replaced(record["_id"].hex(), record["_label"] or "")
        if found is None:
            continue
        correcting[row] = True
        if found:
            only[record["_id"]] = only.get(record["_id"], frozenset()) | found
    return only
