"""What is said of the batch as a whole, beyond single records: balance, units, columns that give the label away."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from assets.line.config import Line
from assets.line.quality import Severity
from assets.quality.checks.balance import class_balance
from assets.quality.checks.derived import Derived
from assets.quality.checks.pii import find_pii
from assets.quality.checks.target_leakage import find_target_leakage
from assets.quality.checks.units import Quantiles, find_unit_change
from assets.quality.computed_checks import Computed
from assets.quality.drift.profile import Profile
from assets.quality.redaction import LABELS, hidden_columns
from assets.quality.spool import Spool

MOST_NAMED = 3


def check_batch(
    computed: Computed,
    spool: Spool,
    splits: NDArray[np.int8],
    good: NDArray[np.int64],
    reference: Profile | None,
    line: Line,
) -> None:
    """Add the outcomes and findings of every check about the batch as a whole.

    Args:
        good: positions of the records that broke no critical rule.
        reference: what accepted data looks like, to compare units with; None for a first batch.
    """
    data, quality = line.config.data, line.config.quality
    hidden = hidden_columns(data)
    shown = hidden.isdisjoint(LABELS)
    if data.classes and len(good):
        computed.check(
            "the classes are balanced",
            "warning",
            lambda: _balance(spool, data.classes, splits, good, quality.max_imbalance, shown),
        )
    if data.inputs is not None and quality.target_leakage != "off":
        severity: Severity = "critical" if quality.target_leakage == "block" else "warning"
        computed.check(
            "no column gives the label away", severity, lambda: _summary(computed, find_target_leakage(spool, data))
        )
    if data.inputs is not None:
        computed.check(
            "each column keeps one unit",
            "warning",
            lambda: _summary(computed, find_unit_change(spool, data, _quantiles(reference))),
        )
    if data.privacy.scan:
        computed.check(
            "nothing looks like personal data", "warning", lambda: _summary(computed, find_pii(spool, hidden))
        )


def _summary(computed: Computed, found: Derived) -> tuple[bool, str]:
    """Whether nothing was found; else the first findings in words."""
    computed.findings += found.findings
    about = [finding for finding in found.findings if finding.row < 0] or list(found.findings)
    if not about:
        return True, "Nothing was found."
    texts = [finding.detail for finding in about[:MOST_NAMED]]
    more = f" and {len(about) - MOST_NAMED:,} more" if len(about) > MOST_NAMED else ""
    return False, f"{'; '.join(texts)}{more}."


def _balance(
    spool: Spool, classes: tuple[str, ...], splits: NDArray[np.int8], good: NDArray[np.int64], most: float, shown: bool
) -> tuple[bool, str]:
    """Whether classes are balanced, and how far they are not; a private class is not named (`shown`)."""
    sound = np.zeros(spool.rows, dtype=bool)
    sound[good] = True
    balance = class_balance(spool, classes, splits, sound)
    if balance.single is not None:
        only = f"the class {balance.single!r}" if shown else "one class"
        return False, f"All good records are of {only}: nothing can be told apart."
    largest = max(balance.counts.values())
    least = min(count for count in balance.counts.values() if count)
    detail = f"The largest class has {largest:,} good records, the smallest {least:,} (1 to {balance.imbalance:.0f})."
    if untested := balance.untested():
        name = repr(untested[0]) if shown else "A class"
        return False, f"{detail} {name} has test or validation records, but no train record."
    return balance.imbalance <= most, detail


def _quantiles(reference: Profile | None) -> Quantiles | None:
    """A profile's bins as points of each number's distribution."""
    if reference is None:
        return None
    found: dict[str, list[tuple[float, float]]] = {}
    for feature in reference.features:
        if feature.kind != "number" or not feature.edges or not feature.values:
            continue
        shares = np.cumsum(feature.counts[:-1]) / feature.values
        low, high = feature.fences
        low = low if feature.low is None else max(low, feature.low)
        high = high if feature.high is None else min(high, feature.high)
        inner = list(zip(feature.edges, shares.tolist(), strict=True))
        found[feature.name] = [(min(low, inner[0][0]), 0.0), *inner, (max(high, inner[-1][0]), 1.0)]
    return found
