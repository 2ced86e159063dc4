"""Learning curves: loss, metric and learning rate over the epochs, for the live page and the card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from assets.pages.plots import Mark, Numbers, Plot, across, line, span, upright, x_scale, y_scale
from assets.pages.templates import words

Rows = Sequence[Mapping[str, float]]


def learning_plots(rows: Rows, metric: str, best: int | None = None, baseline: float | None = None) -> tuple[Plot, ...]:
    """Loss and metric over the epochs; empty before the first epoch ended.

    Args:
        rows: of `TrainedModel.curve`; what a row lacks is not drawn.
        metric: its name; the row's `validation_<metric>`.
        best: the epoch whose weights are kept.
        baseline: the metric of a model that has seen labels only.
    """
    if not rows:
        return ()
    plots = [
        _plot("Loss", "", rows, {"train_loss": ("then", "training"), "validation_loss": ("now", "validation")}, best)
    ]
    told = {f"validation_{metric}": ("now", "validation")}
    plots.append(_plot(words(metric), "", rows, told, best, baseline))
    return tuple(plot for plot in plots if plot is not None)


def rate_plot(rows: Rows) -> Plot | None:
    """The learning rate over the epochs."""
    return _plot("Learning rate", "", rows, {"learning_rate": ("now", "")}, None)


def _plot(
    title: str,
    about: str,
    rows: Rows,
    series: Mapping[str, tuple[str, str]],
    best: int | None,
    baseline: float | None = None,
) -> Plot | None:
    epochs = column(rows, "epoch")
    found = {name: column(rows, name) for name in series}
    found = {name: values for name, values in found.items() if np.isfinite(values).any()}
    if not found:
        return None
    every = np.concatenate(list(found.values()))
    far = [] if baseline is None or not np.isfinite(baseline) else [baseline]
    x, y = x_scale(min(1.0, float(epochs.min())), float(epochs.max())), y_scale(*span([*every, *far]))
    marks = [Mark(line(x, y, epochs, values), series[name][0], series[name][1]) for name, values in found.items()]
    if far:
        marks.append(Mark(across(y, far[0]), "limit", "sanity baseline"))
    if best is not None and len(epochs) > 1:
        marks.append(Mark(upright(x, best), "limit best", f"best epoch, {best}"))
    return Plot(title, about, tuple(marks), x.ticks(6, whole=True), y.ticks(), "epoch", "")


def column(rows: Rows, name: str) -> Numbers:
    """One number of each row; NaN where a row has none."""
    return np.asarray([float(row.get(name, np.nan)) for row in rows], dtype=np.float64)
