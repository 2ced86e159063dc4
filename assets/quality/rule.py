"""One rule of the gate: an expectation, and how to say what a record that breaks it has wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from assets.line.expectations import ROW_WISE

Explain = Callable[[Mapping[str, Any]], tuple[str, str]]
"""From a record's row (its columns in the table of records, and derived ones) to reason and remedy."""
Severity = Literal["critical", "warning"]


@dataclass(frozen=True)
class Rule:
    """One expectation.

    Attributes:
        name: a claim about the batch.
        expectation: class name in `great_expectations.expectations`, with its `settings`.
        severity: "critical" decides; "warning" informs.
        mostly: share of records that must hold, for a row-wise expectation about the batch as a whole.
        explain: of a rule about single records; None for one about the batch.
        needs: columns besides those in `settings` that `explain` reads.
    """

    name: str
    description: str
    expectation: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    severity: Severity = "critical"
    mostly: float | None = None
    explain: Explain | None = None
    needs: tuple[str, ...] = ()

    @property
    def row_wise(self) -> bool:
        """Whether it looks at one record at a time."""
        return self.expectation in ROW_WISE

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it is asked over; empty for one about the table as such."""
        one = [self.settings[key] for key in ("column", "column_A", "column_B") if key in self.settings]
        many = self.settings.get("column_list") or ()
        return tuple(dict.fromkeys(name for name in (*one, *many) if isinstance(name, str)))


def null_rule(name: str, description: str, column: str, explain: Explain, severity: Severity, *needs: str) -> Rule:
    """A rule that a column, which a computed check fills, has no value."""
    settings = {"column": column}
    return Rule(name, description, "ExpectColumnValuesToBeNull", settings, severity, explain=explain, needs=needs)


def short(text: object) -> str:
    """Anything as one short, quoted piece of a sentence."""
    quoted = repr(text)
    return quoted if len(quoted) <= 80 else f"{quoted[:76]}…{quoted[0]}"
