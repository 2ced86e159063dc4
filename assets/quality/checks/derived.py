"""What a computed check adds to the gate's table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.records.verdict import Finding


@dataclass(frozen=True)
class Derived:
    """Columns, one value per record, and what a reviewer should look at.

    Attributes:
        columns: names begin with `_`; a rule of the suite is asked over each.
        findings: pairs and suspects, the surest first.
    """

    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()

    def none(self, name: str, rows: int) -> NDArray[np.object_]:
        """The column `name`, or one of `rows` Nones."""
        found = self.columns.get(name)
        return np.full(rows, None, dtype=object) if found is None else found
