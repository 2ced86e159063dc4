"""From attributions to what the card shows: heat maps, marked words, bars per column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from assets.pages.plots import Mark, Plot, line, span, x_scale, y_scale
from assets.training.card.data import Bar, Explained, Shown
from assets.training.card.pictures import heat_picture
from assets.training.card.samples import HIDDEN, Sampler, picture_values
from assets.training.explain import Attributions, Question, explain
from edge.contracts import InputSpec
from edge.runtime.inputs.words import words

MAX_BARS = 20
MAX_SHOWN = 8
COLUMN_RECORDS = {"table": 128, "series": 48}
"""Test records that the bars of columns are an average of."""


def explained(
    network: nn.Module | None,
    sampler: Sampler,
    spec: InputSpec,
    rows: Sequence[int],
    targets: Sequence[int],
    told: Sequence[tuple[str, str]],
    seconds: float,
    *,
    singles: bool,
) -> Explained | None:
    """Explain some test records; None where there is no network to ask.

    Args:
        rows: of the test set; tables and series use them all, the other kinds show the first `MAX_SHOWN`.
        targets: which output is explained of each.
        told: (title, detail) of each.
        singles: whether single records may be shown.
    """
    if network is None or not rows or (not singles and spec.kind in {"image", "text"}):
        return None
    if spec.kind in {"image", "text"}:
        rows, targets, told = rows[:MAX_SHOWN], targets[:MAX_SHOWN], told[:MAX_SHOWN]
    x = sampler.records.batch(np.asarray(rows, dtype=np.int64))
    found = explain(network, Question(spec, x, torch.as_tensor(list(targets), dtype=torch.int64)), seconds)
    if found.values is None:
        return Explained(found.method, found.note)
    if spec.kind == "image":
        return Explained(found.method, found.note, shown=_heats(found, sampler, spec, x.numpy(), rows, told))
    if spec.kind == "text":
        return Explained(found.method, found.note, shown=_marked(found, sampler, spec, rows, told))
    return _by_column(found, spec)


def _heats(
    found: Attributions,
    sampler: Sampler,
    spec: InputSpec,
    x: NDArray[Any],
    rows: Sequence[int],
    told: Sequence[tuple[str, str]],
) -> tuple[Shown, ...]:
    assert found.values is not None
    pictures = picture_values(spec, x)
    return tuple(
        replace(sampler.show(row, *text), heat=heat_picture(picture, heat))
        for row, text, picture, heat in zip(rows, told, pictures, found.values, strict=False)
    )


def _marked(
    found: Attributions, sampler: Sampler, spec: InputSpec, rows: Sequence[int], told: Sequence[tuple[str, str]]
) -> tuple[Shown, ...]:
    """Texts as the model reads them, token by token, with each one's share."""
    assert found.values is not None
    shown = []
    for row, text, values in zip(rows, told, found.values, strict=False):
        content = sampler.text(row)
        largest = float(np.abs(values).max()) or 1.0
        if content == HIDDEN or spec.unit != "word":
            continue
        pieces = zip(words(content), (values / largest).tolist(), strict=False)
        shown.append(replace(sampler.show(row, *text), tokens=tuple(pieces)))
    return tuple(shown)


def _by_column(found: Attributions, spec: InputSpec) -> Explained:
    """The mean size of what each column adds, over records and, of series, summed over the steps."""
    assert found.values is not None
    sizes = np.abs(found.values.astype(np.float64))
    if spec.kind == "series":
        sizes = sizes.sum(axis=1)
    means = sizes.mean(axis=0)
    order = np.argsort(-means, kind="stable")
    top = float(means[order[0]]) or 1.0
    bars = tuple(
        Bar(
            spec.columns[at],
            100 * float(means[at]) / top,
            f"{100 * float(means[at]) / max(float(means.sum()), 1e-12):.1f} %",
        )
        for at in order[:MAX_BARS]
    )
    note = f"{found.note} A bar is the mean size of what a column adds to or takes from the answer, as a share of all."
    return Explained(found.method, note, bars, max(0, len(order) - MAX_BARS), plot=_by_step(found, spec))


def _by_step(found: Attributions, spec: InputSpec) -> Plot | None:
    """Which readings of a window count: the mean size of what each step adds, over records and columns."""
    if spec.kind != "series" or spec.shape[0] < 2:
        return None
    assert found.values is not None
    sizes = np.abs(found.values.astype(np.float64)).sum(axis=2).mean(axis=0)
    shares = 100 * sizes / max(float(sizes.sum()), 1e-12)
    before = np.arange(1 - len(shares), 1, dtype=np.float64)
    x, y = x_scale(float(before[0]), 0.0), y_scale(0.0, span(shares)[1])
    marks = (Mark(line(x, y, before, shares), "now"),)
    about = "Share of each reading in the answer; the newest is at the right."
    return Plot("Which readings count", about, marks, x.ticks(whole=True), y.ticks(), "readings back", "percent")
