"""The metrics of a model against its sanity baseline and the model in use, and what to think of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import numpy as np

from assets.line.families import AnswerKind
from assets.line.tasks import TaskSpec, lower_is_better
from assets.pages.templates import measure, sentence, words
from assets.training.card.data import ModelInUse, Score, Verdict
from assets.training.documents import TrainedModel
from edge.contracts import Metric

SHARES = frozenset(
    {"accuracy", "macro_f1", "precision", "recall", "f1", "roc_auc", "pr_auc", "ece", "false_alarms", "nn_precision"}
    | {"nn_recall"}
)
"""Metrics from 0 to 1: their rails are all the same."""
LESS = frozenset({"ece", "log_loss", "false_alarms"})
"""Reported metrics of which less is better, besides those that choose models."""
BASELINES: Mapping[AnswerKind, str] = {
    "class": "Always answering as the training labels are spread",
    "number": "Always answering the mean of the training labels",
    "anomaly": "Finding every record equally odd",
    "image": "The sanity baseline, which has learned nothing,",
}


def scores_of(model: TrainedModel, rival: ModelInUse | None) -> tuple[Score, ...]:
    """Every metric on test records, the chief one first; those of single classes are among the slices."""
    test = [metric for metric in model.evidence.metrics if metric.split == "test" and _whole(metric.name)]
    test.sort(key=lambda metric: metric.name != model.metric)
    others = {
        "validation": _values(metric for metric in model.evidence.metrics if metric.split == "validation"),
        "baseline": _values(metric for metric in model.baseline if metric.split == "test"),
        "rival": _values(rival.metrics if rival is not None else ()),
    }
    return tuple(
        _score(metric, {side: found.get(metric.name) for side, found in others.items()}, model) for metric in test
    )


def _whole(name: str) -> bool:
    return "[" not in name and not name.endswith("_drop")


def _values(metrics: Iterable[Metric]) -> dict[str, float]:
    return {metric.name: metric.value for metric in metrics}


def _score(metric: Metric, others: dict[str, float | None], model: TrainedModel) -> Score:
    ends = (metric.value, metric.low, metric.high, others["baseline"], others["rival"])
    told = [end for end in ends if end is not None and np.isfinite(end)] or [0.0]
    low, high = (0.0, 1.0) if metric.name in SHARES else (min(0.0, *told), max(0.0, *told) * 1.08 or 1.0)
    if metric.name == "bias":
        high = max(abs(low), abs(high))
        low = -high
    room = (high - low) or 1.0

    def place(value: float | None) -> float | None:
        return None if value is None or not np.isfinite(value) else min(max(100 * (value - low) / room, 0.0), 100.0)

    at = (place(metric.value) or 0.0, place(ends[1]), place(ends[2]), place(ends[3]), place(ends[4]))
    return Score(
        words(metric.name),
        _better(metric.name),
        metric.value,
        metric.low,
        metric.high,
        others["validation"],
        others["baseline"],
        others["rival"],
        metric.records,
        metric.name == model.metric,
        at,
    )


def _better(name: str) -> Literal["higher", "lower", "zero"]:
    if name == "bias":
        return "zero"
    return "lower" if name in LESS or lower_is_better(name) else "higher"


def verdict_of(model: TrainedModel, spec: TaskSpec, rival: ModelInUse | None) -> Verdict:
    """What to think of the model: first whether it beats a baseline, then the model in use."""
    chief = next((one for one in model.evidence.metrics if (one.name, one.split) == (model.metric, "test")), None)
    base = next((one for one in model.baseline if (one.name, one.split) == (model.metric, "test")), None)
    sentences = []
    if chief is not None:
        reach = f" (95 %: {measure(chief.low)} to {measure(chief.high)})" if chief.low is not None else ""
        many = f"{chief.records:,} test record{'' if chief.records == 1 else 's'} that it never saw"
        if spec.answer == "image":
            many = f"{chief.records:,} generated pictures, held against real ones that it never saw"
        sentences.append(f"{sentence(words(chief.name))} is {measure(chief.value)}{reach} on {many}.")
    weak = chief is not None and base is not None and not _beats(chief, base, spec.sign(model.metric))
    if base is not None and chief is not None:
        sentences.append(
            f"{BASELINES[spec.answer]} reaches {measure(base.value)}; this model is "
            + ("not clearly better: do not trust it." if weak else "clearly better.")
        )
    if rival is not None:
        sentences.append(
            f"Against the model in use ({rival.model[:12]}), on the same records: {rival.sentence.rstrip('.')}."
        )
    if weak:
        return Verdict("weak", f"{model.line}: not better than guessing", tuple(sentences))
    if rival is None and model.versus:
        title = f"{model.line}: a new model, not compared with the one in use"
        return Verdict("unsure", title, (*sentences, f"{sentence(model.versus.rstrip('.'))}."))
    if rival is None:
        return Verdict(
            "first", f"{model.line}: a first model", (*sentences, "There is no model in use to compare it with.")
        )
    if rival.better is None:
        title = f"{model.line}: no difference to the model in use can be shown"
        return Verdict("unsure", title, tuple(sentences))
    if rival.better:
        return Verdict("better", f"{model.line}: better than the model in use", tuple(sentences))
    return Verdict("worse", f"{model.line}: worse than the model in use", tuple(sentences))


def _beats(chief: Metric, base: Metric, sign: int) -> bool:
    """Whether the whole interval is on the right side of the baseline."""
    worst = chief.value if chief.low is None or chief.high is None else (chief.low if sign > 0 else chief.high)
    return sign * (worst - base.value) > 0
