"""What is said about models that answer how anomalous a record is: outputs are (records, 1), more is more anomalous.

Labels are classes; the line's first class is the normal one, and every other counts as anomalous.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from assets.evaluation.intervals import Weighted, bootstrap, bounded, wilson
from assets.tasks.anomaly_detection.loss import NORMAL
from assets.tasks.ranking import placements, ranking
from assets.tasks.user_metrics import Split, checked
from edge.contracts import AnswerSpec, Metric
from edge.contracts.evidence import VerdictKind

NAMES = ("roc_auc", "pr_auc")
ALARMS = 0.01
"""Share of normal validation records above the threshold where no anomalous one is there to choose it by."""
Numbers = NDArray[np.float64]
Outputs = NDArray[np.float32]
Labels = NDArray[np.int64]


def weighted(outputs: Outputs, y: Labels, names: Sequence[str]) -> Weighted:
    """What computes the named metrics by how often each record counts. Raises ValueError for an unknown name."""
    if unknown := [name for name in names if name not in NAMES]:
        raise ValueError(f"no metric {unknown[0]!r}; there are {', '.join(NAMES)}")
    areas = ranking(_scores(outputs), y != NORMAL)

    def metric(weights: Numbers) -> Numbers:
        roc, average = areas(weights)
        both = {"roc_auc": np.nan_to_num(roc, nan=0.5), "pr_auc": np.nan_to_num(average, nan=0.0)}
        return np.stack([both[name] for name in names])

    return metric


def metrics(
    split: Split,
    outputs: Outputs,
    y: Labels,
    classes: Sequence[str],
    kind: VerdictKind = "measured",
    threshold: float | None = None,
) -> tuple[Metric, ...]:
    """Both areas, with bootstrap intervals; and where there is a threshold, the hits at it.

    Args:
        threshold: records above it are called anomalous. accuracy is the share of right answers, recall that of
            anomalous records which are found, precision that of alarms which are anomalous, false_alarms that of normal
            records above it; each with Wilson's interval, and left out where it is a share of nothing. f1 has none.
    """
    del classes
    outputs = checked(outputs)
    found = bootstrap(lambda rows: weighted(outputs[rows], y[rows], NAMES), len(y), cost=2)
    bad = y != NORMAL
    rarest = max(1, min(int(bad.sum()), int((~bad).sum())))
    areas = tuple(
        Metric(name, one.value, split, len(y), one.low, one.high, kind)
        for name, one in zip(NAMES, (bounded(one, rarest) for one in found), strict=True)
    )
    if threshold is None:
        return areas
    alarm = _scores(outputs) > threshold
    good = int((bad & alarm).sum())
    shares = {
        "accuracy": (int((bad == alarm).sum()), len(y)),
        "recall": (good, int(bad.sum())),
        "precision": (good, int(alarm.sum())),
        "false_alarms": (int((~bad & alarm).sum()), int((~bad).sum())),
    }
    at = []
    for name, (above, below) in shares.items():
        if below:
            one = wilson(above, below)
            at.append(Metric(name, one.value, split, below, one.low, one.high, kind))
    f1 = 2 * good / max(int(bad.sum()) + int(alarm.sum()), 1)
    return (*areas, *at, Metric("f1", f1, split, len(y), kind=kind))


def merits(outputs: Outputs, y: Labels) -> Numbers:
    """(records,) the share of records of the other kind that each is on the right side of; the mean is the ROC-AUC."""
    return placements(_scores(outputs), y != NORMAL)


def baseline(train_y: Labels, y: Labels, classes: Sequence[str]) -> Outputs:
    """(records, 1) zeros: who has seen labels only finds every record equally odd."""
    del train_y, classes
    return np.zeros((len(y), 1), dtype=np.float32)


def answer(outputs: Outputs, y: Labels) -> AnswerSpec:
    """What the outputs stand for, with the threshold chosen on these validation records.

    With both kinds there, it is the one of the largest Youden index (recall less false alarms; Youden 1950), in the
    middle between two scores; of several the least. With normal records only, `ALARMS` of them are above it.
    """
    scores, bad = _scores(checked(outputs)), y != NORMAL
    if not bad.any() or bad.all():
        return AnswerSpec("anomaly", float(np.quantile(scores[~bad] if len(scores[~bad]) else scores, 1 - ALARMS)))
    order = np.argsort(scores, kind="stable")
    ordered, found = scores[order], bad[order]
    ends = np.flatnonzero(np.concatenate([ordered[1:] != ordered[:-1], [True]]))
    missed, quiet = np.cumsum(found)[ends] / bad.sum(), np.cumsum(~found)[ends] / (~bad).sum()
    best = int(np.argmax(quiet - missed))
    above = ordered[ends[best] + 1] if best + 1 < len(ends) else ordered[ends[best]]
    return AnswerSpec("anomaly", float((ordered[ends[best]] + above) / 2))


def _scores(outputs: Outputs) -> Numbers:
    return outputs.reshape(len(outputs)).astype(np.float64)
