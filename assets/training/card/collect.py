"""From a trained model, its test records and its answers to everything that the card shows."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from assets.line import Line
from assets.looks import cut, number
from assets.store import Store
from assets.tasks.contract import Task
from assets.training.card import figures, slices
from assets.training.card.data import CardData, Cell, Confusion, Explained, Generated, Rival, Shown, SliceGroup
from assets.training.card.explaining import COLUMN_RECORDS, explained
from assets.training.card.generated import GanEvidence, generated
from assets.training.card.origin import batch_names, batches_of
from assets.training.card.samples import (
    SEALED,
    Judged,
    Sampler,
    hidden_columns,
    label_is_hidden,
    table_values,
)
from assets.training.card.scores import scores_of, verdict_of
from assets.training.card.settings import cost_facts, setting_facts, training_facts
from assets.training.card.slices import Answers
from assets.training.card.worst import Pick, worst_classes, worst_numbers, worst_scores
from assets.training.contract import DatasetVersion, TrainedModel
from assets.training.curves import learning_plots, rate_plot
from assets.training.drawings import Plot
from assets.training.templates import measure, words
from edge.contracts import InputSpec

MAX_MATRIX = 20
MAX_PAIRS = 12
PACKAGES = ("edgeloop", "torch", "pytorch-lightning", "onnx", "onnxruntime", "numpy", "captum")


@dataclass(frozen=True)
class Facts:
    """What a card is made from.

    Attributes:
        records: the test split, as the model is judged on it.
        spec: of the records; a generator's: of the pictures.
        outputs: of the exported file on these records, (n, …) float32; a generator's pictures.
        best_epoch: whose weights were kept, from 1.
        folds: scores of a cross-validation by the line's metric.
        notes: further sentences.
    """

    store: Store
    line: Line
    dataset: DatasetVersion
    model: TrainedModel
    task: Task
    records: Judged
    spec: InputSpec
    outputs: NDArray[np.float32]
    network: nn.Module | None
    rival: Rival | None
    gan: GanEvidence | None
    best_epoch: int | None
    folds: tuple[float, ...]
    notes: tuple[str, ...]
    seconds: float


@dataclass(frozen=True)
class _Judged:
    """What depends on the kind of answer."""

    plots: tuple[Plot, ...] = ()
    confusion: Confusion | None = None
    slices: tuple[SliceGroup, ...] = ()
    title: str = ""
    errors: tuple[Shown, ...] = ()
    explained: Explained | None = None
    generated: Generated | None = None


def collect(facts: Facts) -> CardData:
    """Everything on the page."""
    model, line, spec = facts.model, facts.line, facts.task.spec
    data = line.config.data
    judged = _judge(facts)
    base = next((one.value for one in model.baseline if (one.name, one.split) == (model.metric, "test")), None)
    curves = list(learning_plots(model.curve, model.metric, facts.best_epoch, base))
    curves += [plot] if (plot := rate_plot(model.curve)) is not None else []
    batches, more = batches_of(facts.store, facts.dataset)
    return CardData(
        line=line.name,
        description=cut(line.config.description),
        model=model.onnx.sha256,
        task=spec.name.replace("_", " "),
        task_note=spec.note,
        verdict=verdict_of(model, spec, facts.rival),
        tiles=_tiles(facts),
        dataset=model.dataset,
        position=model.position,
        splits=tuple(
            (split, facts.dataset.splits[split])
            for split in ("train", "validation", "test")
            if split in facts.dataset.splits
        ),
        batches=batches,
        batches_more=more,
        scores=scores_of(model, facts.rival),
        test_records=len(facts.records),
        rival=facts.rival.model if facts.rival is not None else "",
        notes=tuple(cut(note) for note in (*_fold_note(facts), *facts.notes)),
        curves=tuple(curves),
        plots=judged.plots,
        confusion=judged.confusion,
        slices=judged.slices,
        errors_title=judged.title,
        errors=judged.errors,
        explained=judged.explained,
        generated=judged.generated,
        hidden=SEALED if data.privacy.encrypt else "",
        training=training_facts(model, line),
        settings=setting_facts(model, line),
        cost=cost_facts(model),
        cost_note=model.cost.energy_note if model.cost is not None else "",
        versions=_versions(),
    )


def _judge(facts: Facts) -> _Judged:
    kind = facts.model.answer.kind
    if kind == "image":
        singles = not facts.line.config.data.privacy.encrypt
        return _Judged(generated=generated(facts.outputs, facts.gan, facts.spec, singles=singles))
    y = np.asarray(facts.records.y)
    if kind == "class":
        return _judge_classes(facts, y.astype(np.int64))
    numbers = facts.outputs.reshape(len(y)).astype(np.float64)
    return _judge_numbers(facts, numbers, y) if kind == "number" else _judge_scores(facts, numbers, y.astype(np.int64))


def _judge_classes(facts: Facts, y: NDArray[np.int64]) -> _Judged:
    classes = facts.model.labels
    shares = probabilities(facts.outputs)
    hits = shares.argmax(axis=1) == y
    wrong, right = worst_classes(shares, y, classes)
    answers = Answers(hits, None)
    of_class = slices.by_class(answers, y, classes)
    title = f"Worst errors: {min(len(wrong), int((~hits).sum()))} of {int((~hits).sum()):,}, the surest first"
    return _Judged(
        plots=figures.class_figures(shares, y, classes),
        confusion=_confusion(shares.argmax(axis=1), y, classes),
        slices=(*([of_class] if of_class else []), *_slices(facts, answers)),
        title=title if wrong else "No errors on the test records",
        errors=_shown(facts, wrong),
        explained=_explained(facts, wrong, right, shares.argmax(axis=1)),
    )


def _judge_numbers(facts: Facts, answers: NDArray[np.float64], y: NDArray[np.float64]) -> _Judged:
    wrong, right = worst_numbers(answers, y)
    singles = _singles(facts)
    plots = list(figures.number_figures(answers, y, _target(facts), singles=singles))
    groups = _groups(facts)
    if facts.spec.kind == "series" and groups is not None and singles:
        order = np.arange(len(y), dtype=np.float64)  # windows come in the order of their readings
        plots += [plot] if (plot := figures.unit_figure(groups, order, answers, y, _target(facts))) is not None else []
    return _Judged(
        plots=tuple(plots),
        slices=_slices(facts, Answers(None, answers - y)),
        title="Worst errors, the furthest off first",
        errors=_shown(facts, wrong),
        explained=_explained(facts, wrong, right, np.zeros(len(y), np.int64)),
    )


def _judge_scores(facts: Facts, scores: NDArray[np.float64], y: NDArray[np.int64]) -> _Judged:
    threshold, classes = float(facts.model.answer.threshold or 0.0), facts.line.config.data.classes
    alarms = scores > threshold
    wrong, right = worst_scores(scores, y, threshold, classes)
    answers = Answers(alarms == (y != 0), None)
    of_class = slices.by_class(answers, y, classes)
    return _Judged(
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


def _singles(facts: Facts) -> bool:
    """Whether single test records may be shown."""
    data = facts.line.config.data
    return not data.privacy.encrypt and not label_is_hidden(data)


def _shown(facts: Facts, picks: Sequence[Pick]) -> tuple[Shown, ...]:
    if not _singles(facts):
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
    return explained(facts.network, sampler, facts.spec, rows, wanted, told, facts.seconds, singles=_singles(facts))


def _slices(facts: Facts, answers: Answers) -> tuple[SliceGroup, ...]:
    """By batch, by group, and by the columns of a table."""
    data, found = facts.line.config.data, []
    names = batch_names(facts.store, facts.dataset, facts.records.ids)
    if names is not None:
        found.append(slices.by_name("By batch", answers, names))
    if data.privacy.encrypt:
        return tuple(group for group in found if group is not None)
    groups = _groups(facts)
    if groups is not None:
        found.append(slices.by_name(f"By {_group_name(facts)}", answers, groups, singles=True))
    if facts.spec.kind == "table":
        x = facts.records.batch(np.arange(len(facts.records))).numpy()
        hidden = hidden_columns(data)
        found += slices.by_columns(answers, facts.spec, table_values(facts.spec, x), hidden, _short_number)
    return tuple(group for group in found if group is not None)


def _short_number(value: float) -> str:
    return number(float(f"{value:.3g}"))


def _groups(facts: Facts) -> Sequence[str] | None:
    """The group of each test record, unless there is none or it is private."""
    groups = getattr(facts.records, "groups", None)
    if groups is None or len(groups) != len(facts.records) or not any(groups):
        return None
    data = facts.line.config.data
    return None if _group_name(facts) in hidden_columns(data) or data.privacy.encrypt else list(groups)


def _group_name(facts: Facts) -> str:
    data = facts.line.config.data
    section = data.series or data.table
    return str(getattr(section, "unit", None) or getattr(section, "group", None) or "group")


def _target(facts: Facts) -> str:
    data = facts.line.config.data
    section = data.table or data.series
    return str(getattr(section, "target", None) or ("time left" if data.series is not None else "number"))


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


def _fold_note(facts: Facts) -> tuple[str, ...]:
    if not facts.folds:
        return ()
    mean, spread = float(np.mean(facts.folds)), float(np.std(facts.folds, ddof=1)) if len(facts.folds) > 1 else 0.0
    each = ", ".join(measure(score) for score in facts.folds)
    name = words(facts.model.metric)
    return (f"{len(facts.folds)}-fold cross-validation: {name} {measure(mean)} ± {measure(spread)} ({each}).",)


def _tiles(facts: Facts) -> tuple[tuple[str, str], ...]:
    model = facts.model
    chief: list[tuple[str, str]] = []
    for name in dict.fromkeys((model.metric, *facts.task.spec.metrics)):
        found = next((one for one in model.evidence.metrics if (one.name, one.split) == (name, "test")), None)
        if found is not None and len(chief) < 2:
            chief.append((measure(found.value), f"test {words(name)}"))
    size = model.onnx.size / 1000
    facts_ = [
        *chief,
        (f"{model.parameters:,}", "parameters"),
        (f"{size:,.0f} kB" if size < 1e5 else f"{size / 1000:,.0f} MB", "ONNX file"),
    ]
    if model.evidence.latency is not None:
        facts_.append((f"{measure(model.evidence.latency.median_ms)} ms", "a record, one thread"))
    return tuple(facts_)


def _versions() -> tuple[tuple[str, str], ...]:
    found = [("Python", platform.python_version())]
    for name in PACKAGES:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:  # an optional one
            continue
    return tuple(found)


__all__ = ["Any", "Facts", "collect", "probabilities"]
