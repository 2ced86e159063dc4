"""Is the new model really better than the one in use? Both answer the same records, which a paired test needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from assets.evaluation.intervals import (
    LEAST_RESAMPLES,
    MOST_RECORDS,
    RESAMPLES,
    Interval,
    Weighted,
    bootstrap,
    paired_difference,
)
from assets.tasks.contract import MOST_PICTURES, Truth
from assets.tasks.task import Task
from assets.tasks.user_metrics import Outputs, is_user_metric

Numbers = NDArray[np.float64]
SHARES = frozenset({"accuracy", "macro_f1", "precision", "recall", "f1", "roc_auc", "pr_auc"})
"""Metrics between 0 and 1, whose differences are told in points (hundredths)."""


@dataclass(frozen=True)
class Comparison:
    """What the new model gained over the old one, on the same records.

    Attributes:
        before, after: the metric of the old and of the new model, in its own unit.
        gain: of the metric, with its 95 % interval; above 0 the new model is better, also where less of it is better.
        merit: mean difference of what each single answer is worth (`MetricsModule.merits`: hits, minus squared error).
        verdict: "better" or "worse" where the whole interval of `gain` says so.
        sentence: the same for people.
    """

    metric: str
    records: int
    before: float
    after: float
    gain: Interval
    merit: Interval
    verdict: Literal["better", "worse", "undecided"]
    sentence: str


def compare(
    task: Task, metric: str, before: Outputs, after: Outputs, y: Truth, *, groups: NDArray[np.generic] | None = None
) -> Comparison:
    """Compare two models' outputs on the same records.

    Shares of hits are compared by Newcombe's paired interval, everything else by a paired bootstrap: each resample
    draws records, and asks both models about the same ones.

    Args:
        metric: one of the task's, or a user's own.
        groups: (records,) unit of each record, where records of one unit resemble each other; they are drawn together.

    Raises:
        ValueError: outputs that are not of the same records, or an unknown metric.
        RejectedError: a metric of the user's own that fails.
    """
    if before.shape != after.shape or not len(before):
        raise ValueError(f"{before.shape} and {after.shape} are not answers on the same records")
    if task.spec.answer == "image":
        before, after = before[:MOST_PICTURES], after[:MOST_PICTURES]
    records = len(before)
    old, new = task.score(metric, before, y), task.score(metric, after, y)
    merits = task.metrics.merits(before, y), task.metrics.merits(after, y)
    merit = _merit(*merits, groups)
    if metric == "accuracy" and task.spec.answer == "class":
        gain = merit
    elif is_user_metric(metric):
        gain = _user_gain(task, metric, before, after, y, groups)
    else:
        sign = task.spec.sign(metric)
        # Of pictures the real ones are no partners of the generated: only these are drawn anew.
        paired = task.spec.answer != "image"

        def prepare(rows: NDArray[np.int64]) -> Weighted:
            truth = y[rows] if paired else y
            one, two = (task.metrics.weighted(outputs[rows], truth, (metric,)) for outputs in (before, after))
            return lambda weights: sign * (two(weights) - one(weights))

        passes = before.shape[1] if task.spec.answer == "class" else 2
        resamples = RESAMPLES if paired else LEAST_RESAMPLES  # each costs decompositions
        (gain,) = bootstrap(prepare, records, cost=2 * passes, resamples=resamples, groups=groups)
    verdict: Literal["better", "worse", "undecided"] = "undecided"
    if gain.low > 0 or gain.high < 0:
        verdict = "better" if gain.low > 0 else "worse"
    return Comparison(metric, records, old, new, gain, merit, verdict, _sentence(metric, records, gain, verdict))


def _merit(before: Numbers, after: Numbers, groups: NDArray[np.generic] | None) -> Interval:
    """Mean of `after` less `before`: Newcombe's interval for hits of single records, else a bootstrap's."""
    if groups is None and np.isin(before, (0, 1)).all() and np.isin(after, (0, 1)).all():
        return paired_difference(after == 1, before == 1)
    gains = after - before

    def prepare(rows: NDArray[np.int64]) -> Weighted:
        return lambda weights: (gains[rows] @ weights / weights.sum(axis=0))[None]

    return bootstrap(prepare, len(gains), groups=groups)[0]


def _user_gain(
    task: Task, metric: str, before: Outputs, after: Outputs, y: Truth, groups: NDArray[np.generic] | None
) -> Interval:
    """By resampling records for a function that knows no weights."""

    def gain(rows: NDArray[np.int64]) -> float:
        truth = y if task.spec.answer == "image" else y[rows]
        return task.score(metric, after[rows], truth) - task.score(metric, before[rows], truth)

    every = np.arange(len(before))
    value = gain(every)
    _, unit = np.unique(every if groups is None else groups, return_inverse=True)
    members = np.split(np.argsort(unit, kind="stable"), np.cumsum(np.bincount(unit))[:-1])
    rng = np.random.default_rng(0)
    draws = min(len(members), MOST_RECORDS)
    drawn = [
        gain(np.concatenate([members[at] for at in rng.integers(0, len(members), draws)]))
        for _ in range(LEAST_RESAMPLES)
    ]
    low, middle, high = np.quantile(drawn, (0.025, 0.5, 0.975))
    shrink = float(np.sqrt(draws / len(members)))
    return Interval(value, value - float(middle - low) * shrink, value + float(high - middle) * shrink)


def _sentence(metric: str, records: int, gain: Interval, verdict: str) -> str:
    scale, unit = (100, "points of ") if metric in SHARES else (1, "")
    value, low, high = (_digits(scale * number) for number in (gain.value, gain.low, gain.high))
    if verdict == "undecided":
        return (
            f"no difference of {metric} can be shown on {records} records (gain {value}{' points' if unit else ''}, "
            f"95 % {low} to {high})"
        )
    if verdict == "worse":
        value, low, high = (_digits(-scale * number) for number in (gain.value, gain.high, gain.low))
    of = f"{unit}{metric}" if unit else f"of {metric}"
    return f"{verdict} by {value} {of}, 95 % {low} to {high}, on {records} records"


def _digits(number: float) -> str:
    """One digit behind the point, two digits that count below 1."""
    if abs(number) >= 100:
        return f"{number:.0f}"
    if abs(number) >= 0.1 or number == 0:
        return f"{number:.1f}" if abs(number) >= 1 or number == 0 else f"{number:.2f}"
    return f"{number:.2g}"
