"""How a model was trained and what it took, as names and values in words."""

from __future__ import annotations

from typing import Any

from assets.line.config import Line
from assets.line.training import TrainingPolicy
from assets.pages.templates import duration, measure, words
from assets.training.documents import TrainedModel

Facts = tuple[tuple[str, str], ...]
ENDED = {
    "epochs": "all epochs are done",
    "patience": "no gain for as many epochs as `patience` allows",
    "time limit": "the time limit of the line's `retrain.max_minutes`",
}
START = {"scratch": "random weights", "last": "the line's last accepted model", "pretrained": "pretrained weights"}
LEFT_OUT = frozenset({"search", "augment", "metrics", "privacy", "threads", "cache_gb", "checkpoint_seconds", "start"})


def training_facts(model: TrainedModel, line: Line) -> Facts:
    """Which network, from where, how long, and why it ended."""
    policy = line.config.training
    start = START[model.start.kind] + (f" ({model.start.parent[:12]})" if model.start.parent else "")
    facts = [
        ("family", model.family),
        ("parameters", f"{model.parameters:,}"),
        ("input", f"{model.input.kind}, {' x '.join(map(str, model.input.shape))}"),
        ("chosen by", f"{words(model.metric)} on validation records"),
        ("epochs", f"{len(model.curve)} of at most {policy.epochs}"),
        ("ended because", ENDED[model.ended].replace("`", "")),
        ("started from", start),
    ]
    if model.start.why:
        facts.append(("why so", model.start.why))
    if policy.search is not None:
        facts.append(("searched", f"{policy.search.trials} settings, on validation records"))
    if model.epsilon is not None:
        delta = f" at delta {policy.privacy.delta:g}" if policy.privacy is not None else ""
        facts.append(("privacy spent", f"epsilon {measure(model.epsilon)}{delta}"))
    return tuple(facts)


def setting_facts(model: TrainedModel, line: Line) -> Facts:
    """The settings that differ from the defaults, and those that matter always; what a search found is marked."""
    policy = line.config.training
    always = ("optimizer", "learning_rate", "schedule", "batch_size", "weight_decay", "seed", "precision", "processes")
    usual = TrainingPolicy()
    names = [*always, *(name for name in TrainingPolicy.model_fields if name not in {*always, *LEFT_OUT, "epochs"})]
    facts = []
    for name in names:
        value = model.settings.get(name, getattr(policy, name))
        if name in always or name in model.settings or value != getattr(usual, name):
            facts.append((name.replace("_", " "), _in_words(value) + (" (searched)" if name in model.settings else "")))
    told = {*names}
    facts += [
        (name.replace("_", " "), f"{_in_words(value)} (searched)")
        for name, value in model.settings.items()
        if name not in told
    ]
    augment = policy.augment
    changes = [
        f"{name} {_in_words(getattr(augment, name))}" for name in type(augment).model_fields if getattr(augment, name)
    ]
    if changes:
        facts.append(("augmentation", ", ".join(changes)))
    if line.config.model is not None:
        model_ = line.config.model
        facts += [(f"model {name}", _in_words(getattr(model_, name))) for name in ("width", "depth", "dropout")]
        facts += [(name, _in_words(value)) for name, value in model_.options.items()]
    return tuple(facts)


def cost_facts(model: TrainedModel) -> Facts:
    """What training took; empty where it was not measured."""
    cost = model.cost
    if cost is None:
        return ()
    energy = f"{cost.energy_wh:.2f} Wh" if cost.energy_wh < 100 else f"{cost.energy_wh / 1000:.2f} kWh"
    memory = f"{cost.peak_memory_mb:,.0f} MB"
    facts = [
        ("time", duration(cost.seconds)),
        ("CPU time of all processes", duration(cost.cpu_seconds)),
        ("peak memory of the largest process", memory),
        ("energy, estimated", f"{energy}, as {_lamp(cost.energy_wh)}"),
    ]
    return tuple(facts)


def _lamp(watt_hours: float) -> str:
    """Watt-hours as something at hand."""
    return f"a 5 W lamp for {duration(watt_hours / 5 * 3600)}"


def _in_words(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
