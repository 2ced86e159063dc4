"""Which quarantined records a decision is about: named ones, or all of one rule, label or kind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assets.line.config import Line
from assets.records.line_store import bind
from assets.records.verdict import BatchVerdict
from assets.review.decisions import locate
from assets.review.state import State, select

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Selection:
    """Records of one batch or of all.

    Attributes:
        records: first digits of ids, or files; where there are none, all that the rest describes.
        batch: whether they are looked for in one batch only.
        rule: only those that this rule set aside; "" for good records of blocked batches.
        labelled: only those that came with this label.
        decided: also those that were decided already.
        empty: a batch without such a record will do.
    """

    records: tuple[str, ...] = ()
    batch: bool = False
    rule: str | None = None
    labelled: str | None = None
    decided: bool = False
    empty: bool = False

    def members(
        self, state: State, line: Line, verdicts: Sequence[BatchVerdict]
    ) -> Iterator[tuple[BatchVerdict, pa.Table]]:
        """The verdict on each batch that has such records, and these (`assets.review.state.select`).

        Raises:
            RejectedError: a name names no record, or several.
        """
        if not self.records:
            for verdict in verdicts:
                found = select(state, verdict, rule=self.rule, labelled=self.labelled, decided=self.decided)
                if found.num_rows or self.empty:
                    yield verdict, found
            return
        named: dict[str, tuple[BatchVerdict, list[str]]] = {}
        for record in self.records:
            verdict, _, identity = locate(bind(state.store, line), record, verdicts[0] if self.batch else None)
            named.setdefault(verdict.batch, (verdict, []))[1].append(identity)
        for verdict, ids in named.values():
            yield verdict, select(state, verdict, rule=self.rule, labelled=self.labelled, ids=ids, decided=True)
