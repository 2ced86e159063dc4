"""Figures of answers: ROC and precision-recall curves, calibration, residuals, histograms of scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from assets.pages.plots import Mark, Numbers, Plot, Scale, across, columns, dots, line, span, upright, x_scale, y_scale

BINS = 10
MAX_THIN = 12
"""Of so many classes at most a curve of each is drawn."""
BAR_BINS = 40
LONG_SERIES = 6


def class_figures(shares: Numbers, y: NDArray[np.int64], classes: Sequence[str]) -> tuple[Plot, ...]:
    """Curves of a classifier.

    Args:
        shares: (records, classes) probabilities.
        y: (records,) true classes.
    """
    if shares.shape[1] == 2:
        curves = [(classes[1], shares[:, 1], y == 1)]
    else:
        met = [label for label in range(shares.shape[1]) if 0 < int((y == label).sum()) < len(y)]
        curves = [(classes[label], shares[:, label], y == label) for label in met]
    if not curves or not all(0 < int(positive.sum()) < len(positive) for _, _, positive in curves):
        return (_reliability(shares, y),)
    return (*_ranked(curves, _micro(shares, y)), _reliability(shares, y))


def score_figures(scores: Numbers, anomalous: NDArray[np.bool_], threshold: float) -> tuple[Plot, ...]:
    """Curves of an anomaly detector, and how its scores are spread.

    Args:
        scores: (records,), larger is more anomalous.
    """
    plots: list[Plot] = []
    if 0 < int(anomalous.sum()) < len(anomalous):
        plots += _ranked([("anomalies", scores, anomalous)], None)
    plots.append(_histogram(scores, anomalous, threshold))
    return tuple(plots)


def number_figures(answers: Numbers, y: Numbers, unit: str, *, singles: bool = True) -> tuple[Plot, ...]:
    """Predicted against true, residuals against predicted, and the residuals' histogram.

    Args:
        unit: what is predicted; the axes say it.
        singles: whether dots of single records may be drawn.
    """
    residuals = answers - y
    both = span(np.concatenate([answers, y]))
    x, y_axis = x_scale(*both), y_scale(*both)
    plots = []
    if singles:
        ideal = line(x, y_axis, np.asarray(both), np.asarray(both))
        marks = (Mark(ideal, "limit", "exact"), Mark(dots(x, y_axis, y, answers), "dots", "a test record"))
        about = "On the dashed line an answer is exact."
        plots.append(Plot("Answer against truth", about, marks, x.ticks(), y_axis.ticks(), f"true {unit}", "", True))
        x, y_axis = x_scale(*span(answers)), y_scale(*_around_zero(residuals))
        marks = (Mark(across(y_axis, 0.0), "limit"), Mark(dots(x, y_axis, answers, residuals), "dots", "a test record"))
        about = "Above the dashed line the answer is too large. A slope or a fan shows what the model misses."
        plots.append(
            Plot("Residuals", about, marks, x.ticks(), y_axis.ticks(), f"answered {unit}", "answer minus truth", True)
        )
    low, high = _around_zero(residuals)
    heights, edges = np.histogram(residuals, bins=BAR_BINS, range=(low, high))
    x, y_axis = x_scale(low, high), y_scale(0.0, float(heights.max()) * 1.05)
    marks = (Mark(columns(x, y_axis, edges, heights), "area", ""), Mark(upright(x, 0.0), "limit", "exact"))
    about = "Narrow and around 0 is good; a long tail to one side is a bias that an average hides."
    plots.append(Plot("How far answers are off", about, marks, x.ticks(), y_axis.ticks(), "answer minus truth", ""))
    return tuple(plots)


def unit_figure(groups: Sequence[str], order: Numbers, answers: Numbers, y: Numbers, unit: str) -> Plot | None:
    """True and predicted along the readings of some units of a series: those with the most windows.

    Args:
        groups: (records,) the unit that each window is of.
        order: (records,) the windows' places within their unit.
    """
    names, counts = np.unique(np.asarray(groups, dtype=object).astype(str), return_counts=True)
    long = names[counts >= LONG_SERIES][np.argsort(-counts[counts >= LONG_SERIES], kind="stable")][:3]
    if not len(long):
        return None
    rows = [np.flatnonzero(np.asarray(groups, dtype=object).astype(str) == name) for name in long]
    rows = [row[np.argsort(order[row], kind="stable")] for row in rows]
    every = np.concatenate(rows)
    x, y_axis = x_scale(0, max(len(row) for row in rows) - 1), y_scale(*span([*answers[every], *y[every]]))
    marks = []
    for style, name, row in zip(("now", "held", "good"), long, rows, strict=False):
        places = np.arange(len(row), dtype=np.float64)
        marks.append(Mark(line(x, y_axis, places, answers[row]), style, f"{name}, answered"))
        marks.append(Mark(line(x, y_axis, places, y[row]), f"{style} dashed", ""))
    about = "Full lines are answers, dashed ones the truth, along each unit's readings."
    title = "Units over their readings"
    return Plot(title, about, tuple(marks), x.ticks(whole=True), y_axis.ticks(), "window of the unit", unit, True)


def roc(scores: Numbers, positive: NDArray[np.bool_]) -> tuple[Numbers, Numbers]:
    """False and true positive rates at every threshold, from (0, 0) to (1, 1); equal scores share a point."""
    seen, found = _cumulated(scores, positive)
    good = max(float(found[-1]), 1.0)
    bad = max(float(seen[-1] - found[-1]), 1.0)
    return np.r_[0.0, (seen - found) / bad], np.r_[0.0, found / good]


def precision_recall(scores: Numbers, positive: NDArray[np.bool_]) -> tuple[Numbers, Numbers]:
    """Recall and precision at every threshold, recall rising."""
    seen, found = _cumulated(scores, positive)
    return found / max(float(found[-1]), 1.0), found / seen


def _cumulated(scores: Numbers, positive: NDArray[np.bool_]) -> tuple[Numbers, Numbers]:
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.r_[np.diff(scores[order]) != 0, True])
    found: Numbers = np.cumsum(positive[order])[last].astype(np.float64)
    return (last + 1).astype(np.float64), found


def _micro(shares: Numbers, y: NDArray[np.int64]) -> tuple[Numbers, NDArray[np.bool_]] | None:
    """Every class of every record as one yes-or-no question; None for two classes."""
    if shares.shape[1] == 2:
        return None
    return shares.ravel(), (y[:, None] == np.arange(shares.shape[1])).ravel()


def _ranked(
    curves: Sequence[tuple[str, Numbers, NDArray[np.bool_]]], whole: tuple[Numbers, NDArray[np.bool_]] | None
) -> list[Plot]:
    """ROC and precision-recall curves: of one kind, or thin ones of each with one over all of them."""
    x, y = x_scale(0, 1), y_scale(0, 1.02)
    named = "" if whole is not None else f"({curves[0][0]})"
    thin = curves[:MAX_THIN] if whole is not None else []
    chief = whole if whole is not None else curves[0][1:]
    roc_marks = [Mark(line(x, y, np.asarray([0.0, 1.0]), np.asarray([0.0, 1.0])), "limit", "chance")]
    roc_marks += [
        Mark(line(x, y, *roc(scores, good)), "thin", "" if at else "each class")
        for at, (_, scores, good) in enumerate(thin)
    ]
    roc_marks.append(Mark(line(x, y, *roc(*chief)), "now", "all classes" if whole is not None else "model"))
    rate = float(chief[1].mean())
    pr_marks = [Mark(across(y, rate), "limit", "chance")]
    pr_marks += [
        Mark(line(x, y, *precision_recall(scores, good)), "thin", "" if at else "each class")
        for at, (_, scores, good) in enumerate(thin)
    ]
    pr_marks.append(Mark(line(x, y, *precision_recall(*chief)), "now", "all classes" if whole is not None else "model"))
    return [
        Plot(
            "ROC curve",
            _spaced("How many are found, and how many false alarms that costs", named),
            tuple(roc_marks),
            x.ticks(),
            y.ticks(),
            "false positive rate",
            "true positive rate",
        ),
        Plot(
            "Precision and recall",
            _spaced("How many are found, and how many of those named are right", named),
            tuple(pr_marks),
            x.ticks(),
            y.ticks(),
            "recall",
            "precision",
        ),
    ]


def _spaced(text: str, more: str) -> str:
    return f"{text} {more}.".replace(" .", ".")


def _reliability(shares: Numbers, y: NDArray[np.int64]) -> Plot:
    """How often the model is right, by how sure it is."""
    sure, right = shares.max(axis=1), shares.argmax(axis=1) == y
    low = 0.0 if shares.shape[1] > 2 else 0.5
    at = np.clip(((sure - low) / (1 - low) * BINS).astype(np.int64), 0, BINS - 1)
    counts = np.bincount(at, minlength=BINS).astype(np.float64)
    met = counts > 0
    confidence = np.bincount(at, weights=sure, minlength=BINS)[met] / counts[met]
    hits = np.bincount(at, weights=right, minlength=BINS)[met] / counts[met]
    x, y_axis = x_scale(low, 1), y_scale(0, 1.02)
    edges = np.linspace(low, 1, BINS + 1)
    marks = (
        Mark(columns(x, y_axis, edges, counts / max(counts.max(), 1) * 0.35), "area soft", "how many records"),
        Mark(line(x, y_axis, np.asarray([low, 1.0]), np.asarray([low, 1.0])), "limit", "as sure as right"),
        Mark(line(x, y_axis, confidence, hits), "now", "model"),
        Mark(dots(x, y_axis, confidence, hits), "dots whole", ""),
    )
    about = "Below the dashed line it is surer than it is right."
    return Plot("Calibration", about, marks, x.ticks(), y_axis.ticks(), "how sure (probability)", "share that is right")


def _histogram(scores: Numbers, anomalous: NDArray[np.bool_], threshold: float) -> Plot:
    finite = scores[np.isfinite(scores)]
    top = float(np.quantile(finite, 0.995)) if len(finite) else 1.0
    low, high = span([*np.clip(finite, None, max(top, threshold)), threshold])
    x = x_scale(low, high)
    parts = []
    for style, name, rows in (("good", "normal", ~anomalous), ("bad", "anomalous", anomalous)):
        if rows.any():
            heights, edges = np.histogram(np.clip(scores[rows], low, high), bins=BAR_BINS, range=(low, high))
            parts.append((style, name, heights / int(rows.sum()), edges))
    y = y_scale(0.0, max(float(part[2].max()) for part in parts) * 1.05 if parts else 1.0)
    marks = [Mark(columns(x, y, edges, heights), f"area {style}", name) for style, name, heights, edges in parts]
    marks.append(Mark(upright(x, threshold), "limit", "threshold"))
    about = "Share of the records by score; right of the dashed line a record counts as anomalous."
    return Plot("Scores", about, tuple(marks), x.ticks(), y.ticks(), "score", "share of records")


def _around_zero(values: Numbers) -> tuple[float, float]:
    low, high = span(values)
    return min(low, 0.0 - 0.02 * (high - low)), max(high, 0.02 * (high - low))


__all__ = ["Scale", "class_figures", "number_figures", "precision_recall", "roc", "score_figures", "unit_figure"]
