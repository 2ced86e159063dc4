"""From a trained model, its test records and its answers to everything that the card shows."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

import numpy as np

from assets.pages.templates import cut, measure, words
from assets.training.card.answers import describe_answers
from assets.training.card.data import CardData
from assets.training.card.facts import Facts
from assets.training.card.origin import batches_of
from assets.training.card.samples import SEALED
from assets.training.card.scores import scores_of, verdict_of
from assets.training.card.settings import cost_facts, setting_facts, training_facts
from assets.training.progress.curves import learning_plots, rate_plot

PACKAGES = ("edgeloop", "torch", "pytorch-lightning", "onnx", "onnxruntime", "numpy", "captum")
SPLITS = ("train", "validation", "test")


def collect(facts: Facts) -> CardData:
    """Everything on the page."""
    model, line, spec = facts.model, facts.line, facts.task.spec
    data = line.config.data
    answered = describe_answers(facts)
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
        splits=tuple((split, facts.dataset.splits[split]) for split in SPLITS if split in facts.dataset.splits),
        batches=batches,
        batches_more=more,
        scores=scores_of(model, facts.rival),
        test_records=len(facts.records),
        rival=facts.rival.model if facts.rival is not None else "",
        notes=tuple(cut(note) for note in (*_fold_note(facts), *facts.notes)),
        curves=tuple(curves),
        plots=answered.plots,
        confusion=answered.confusion,
        slices=answered.slices,
        errors_title=answered.title,
        errors=answered.errors,
        explained=answered.explained,
        generated=answered.generated,
        hidden=SEALED if data.privacy.encrypt else "",
        training=training_facts(model, line),
        settings=setting_facts(model, line),
        cost=cost_facts(model),
        cost_note=model.cost.energy_note if model.cost is not None else "",
        versions=_versions(),
    )


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
