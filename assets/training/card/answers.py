"""What a card says of the answers on test records, for each kind of answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assets.pages.plots import Plot
from assets.pages.templates import number
from assets.training.card import figures, slices
from assets.training.card.data import Cell, Confusion, Explained, Generated, Shown, SliceGroup
from assets.training.card.explaining import COLUMN_RECORDS, explained
from assets.training.card.facts import Facts
from assets.training.card.generated import generated
from assets.training.card.origin import batch_names
from assets.training.card.samples import Sampler, hidden_columns, table_values
from assets.training.card.slices import Answers
from assets.training.card.worst import Pick, worst_classes, worst_numbers, worst_scores

MAX_MATRIX = 20
MAX_PAIRS = 12


@dataclass(frozen=True)
class Answered:
    """What depends on the kind of answer."""

    plots: tuple[Plot, ...] = ()
    confusion: Confusion | None = None
    slices: tuple[SliceGroup, ...] = ()
    title: str = ""
    errors: tuple[Shown, ...] = ()
    explained: Explained | None = None
    generated: Generated | None = None


def describe_answers(facts: Facts) -> Answered:
    """Figures, mistakes, slices, worst errors and explanations, by the kind of answer."""
    kind = facts.model.answer.kind
    if kind == "image":
        singles = not facts.line.config.data.privacy.encrypt
        return Answered(generated=generated(facts.outputs, facts.gan, facts.spec, singles=singles))
    y = np.asarray(facts.records.y)
    if kind == "class":
        return _of_classes(facts, y.astype(np.int64))
    numbers = facts.outputs.reshape(len(y)).astype(np.float64)
    return _of_numbers(facts, numbers, y) if kind == "number" else _of_scores(facts, numbers, y.astype(np.int64))


def _of_classes(facts: Facts, y: NDArray[np.int64]) -> Answered:
    classes = facts.model.labels
    shares = probabilities(facts.outputs)
    hits = shares.argmax(axis=1) == y
    wrong, right = worst_classes(shares, y, classes)
    answers = Answers(hits, None)
    of_class = slices.by_class(answers, y, classes)
    title = f"Worst errors: {min(len(wrong), int((~hits).sum()))} of {int((~hits).sum()):,}, the surest first"
    return Answered(
        plots=figures.class_figures(shares, y, classes),
        confusion=_confusion(shares.argmax(axis=1), y, classes),
        slices=(*([of_class] if of_class else []), *_slices(facts, answers)),
        title=title if wrong else "No errors on the test records",
        errors=_shown(facts, wrong),
        explained=_explained(facts, wrong, right, shares.argmax(axis=1)),
    )


def _of_numbers(facts: Facts, answers: NDArray[np.float64], y: NDArray[np.float64]) -> Answered:
    wrong, right = worst_numbers(answers, y)
    singles = facts.singles
    plots = list(figures.number_figures(answers, y, facts.target, singles=singles))
    groups = facts.groups
    if facts.spec.kind == "series" and groups is not None and singles:
        order = np.arange(len(y), dtype=np.float64)  # windows come in the order of their readings
        plots += [plot] if (plot := figures.unit_figure(groups, order, answers, y, facts.target)) is not None else []
    return Answered(
        plots=tuple(plots),
        slices=_slices(facts, Answers(None, answers - y)),
        title="Worst errors, the furthest off first",
        errors=_shown(facts, wrong),
        explained=_explained(facts, wrong, right, np.zeros(len(y), np.int64)),
    )


def _of_scores(facts: Facts, scores: NDArray[np.float64], y: NDArray[np.int64]) -> Answered:
    threshold, classes = float(facts.model.answer.threshold or 0.0), facts.line.config.data.classes
    alarms = scores > threshold
    wrong, right = worst_scores(scores, y, threshold, classes)
    answers = Answers(alarms == (y != 0), None)
    of_class = slices.by_class(answers, y, classes)
    return Answered(
        plots=figures.score_figures(scores, y != 0, threshold),
        confusion=_confusion(alarms.astype(np.int64), (y != 0).astype(np.int64), ("normal", "anomalous")),
        slices=(*([of_class] if of_class else []), *_slices(facts, answers)),
        title="False alarms and missed anomalies, the worst first" if wrong else "No errors on the test records",
        errors=_shown(facts, wrong),
        explained=_explained(facts, wrong, right, np.zeros(len(y), np.int64)),
    )


def probabilities(outputs: NDArray[np.float32]) -> NDArray[np.float64]:
    """(records, classes) the softmax of logits."""
    logits = outputs.astype(np.float64)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return shares


def _shown(facts: Facts, picks: Sequence[Pick]) -> tuple[Shown, ...]:
    if not facts.singles:
        return ()
    sampler = Sampler(facts.records, facts.spec, facts.line.config.data)
    return tuple(sampler.show(pick.row, pick.title, pick.detail) for pick in picks)


def _explained(
    facts: Facts, wrong: Sequence[Pick], right: Sequence[Pick], targets: NDArray[np.int64]
) -> Explained | None:
    """Of pictures and texts the worst errors beside sure right answers; of rows and series some records of all."""
    if facts.spec.kind in {"image", "text"}:
        picks = [*wrong[:4], *right[:4]]
        rows, told = [pick.row for pick in picks], [(pick.title, pick.detail) for pick in picks]
        wanted = [pick.target for pick in picks]
    else:
        most = COLUMN_RECORDS.get(facts.spec.kind, 0)
        every = np.linspace(0, len(targets) - 1, min(len(targets), most)).astype(np.int64)
        rows = np.unique(every).tolist()
        wanted, told = targets[rows].tolist(), [("", "")] * len(rows)
    sampler = Sampler(facts.records, facts.spec, facts.line.config.data)
    return explained(facts.network, sampler, facts.spec, rows, wanted, told, facts.seconds, singles=facts.singles)


def _slices(facts: Facts, answers: Answers) -> tuple[SliceGroup, ...]:
    """By batch, by group, and by the columns of a table."""
    data, found = facts.line.config.data, []
    names = batch_names(facts.store, facts.dataset, facts.records.ids)
    if names is not None:
        found.append(slices.by_name("By batch", answers, names))
    if data.privacy.encrypt:
        return tuple(group for group in found if group is not None)
    groups = facts.groups
    if groups is not None:
        found.append(slices.by_name(f"By {facts.group_name}", answers, groups, singles=True))
    if facts.spec.kind == "table":
        x = facts.records.batch(np.arange(len(facts.records))).numpy()
        hidden = hidden_columns(data)
        found += slices.by_columns(answers, facts.spec, table_values(facts.spec, x), hidden, _short_number)
    return tuple(group for group in found if group is not None)


def _short_number(value: float) -> str:
    return number(float(f"{value:.3g}"))


def _confusion(answers: NDArray[np.int64], y: NDArray[np.int64], classes: Sequence[str]) -> Confusion:
    many = len(classes)
    counts = np.bincount(y * many + answers, minlength=many**2).reshape(many, many)
    totals = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    shares = 100 * counts / totals
    off = counts.copy()
    np.fill_diagonal(off, 0)
    order = np.argsort(-off, axis=None, kind="stable")[:MAX_PAIRS]
    pairs = []
    for true, answered in zip(*np.unravel_index(order, off.shape), strict=True):
        if off[true, answered]:
            share = float(shares[true, answered])
            pairs.append((classes[true], classes[answered], int(off[true, answered]), share))
    rows: tuple[tuple[Cell, ...], ...] = ()
    if many <= MAX_MATRIX:
        rows = tuple(
            tuple(Cell(int(count), float(share)) for count, share in zip(*row, strict=True))
            for row in zip(counts, shares, strict=True)
        )
    return Confusion(tuple(classes), rows, tuple(pairs))
