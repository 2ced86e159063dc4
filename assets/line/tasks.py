"""The tasks by name: every folder of `assets/tasks` that has a `spec.py`; without torch."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from assets.line.data import SECTIONS, DataContract
from assets.line.families import AnswerKind, InputKind

Better = Literal["higher", "lower"]
CLASS_METRICS: Mapping[str, Better] = {
    "accuracy": "higher",
    "macro_f1": "higher",
    "f1": "higher",
    "roc_auc": "higher",
    "pr_auc": "higher",
    "log_loss": "lower",
}
"""f1 and pr_auc are of the last class where there are two, and macro averages where there are more."""
CLASS_LOSSES = ("cross_entropy", "focal")
CLASS_MODULES = {"loss": "class_losses", "metrics": "class_metrics", "golden": "class_golden"}
NUMBER_METRICS: Mapping[str, Better] = {"rmse": "lower", "mae": "lower", "r2": "higher"}
NUMBER_LOSSES = ("mse", "mae", "huber")
NUMBER_MODULES = {"loss": "number_losses", "metrics": "number_metrics", "golden": "number_golden"}


@dataclass(frozen=True)
class TaskSpec:
    """What a task reads, answers and is judged by.

    Attributes:
        name: the folder's name.
        sections: of the data contract that it reads; the first family listed for one is its default.
        answer: what the model's output stands for.
        regression: whether it needs numbers (True) or classes (False) to learn.
        metric: what chooses models unless the line says another.
        metrics: each metric it can be chosen by, and whether more or less is better.
        losses: the names `training.loss` may say; the first is the default.
        note: one sentence for people.
        section_is_input: False where the model reads something else than the records (a GAN reads noise).
        modules: of `assets.tasks`, which stand in for the folder's own `loss`, `metrics` and `golden`.
        default: what a line with such data does unless it says `task:`.
    """

    name: str
    sections: Mapping[str, tuple[str, ...]]
    answer: AnswerKind
    regression: bool
    metric: str
    metrics: Mapping[str, Better]
    losses: tuple[str, ...]
    note: str
    section_is_input: bool = True
    default: bool = True
    modules: Mapping[str, str] = field(default_factory=dict)

    def input_kind(self, data: DataContract) -> InputKind:
        """The kind of tensor that the model reads."""
        section = SECTIONS[data.reader]
        kinds: Mapping[str, InputKind] = {"image": "image", "table": "table", "series": "series", "text": "text"}
        return kinds[section] if self.section_is_input else "noise"

    def sign(self, metric: str) -> int:
        """1 where more of `metric` is better, -1 where less is; 1 for a metric of the user's own."""
        return -1 if self.metrics.get(metric) == "lower" else 1


@functools.cache
def task_specs() -> Mapping[str, TaskSpec]:
    """Every task, by name."""
    found = sorted(path.parent.name for path in (Path(__file__).parent.parent / "tasks").glob("*/spec.py"))
    return {name: importlib.import_module(f"assets.tasks.{name}.spec").SPEC for name in found}


def default_task(data: DataContract) -> TaskSpec | None:
    """The task that a line with this data has unless it says another; None where no task reads such data."""
    section = SECTIONS[data.reader]
    fitting = (spec for spec in task_specs().values() if section in spec.sections and spec.default)
    return next((spec for spec in fitting if spec.regression == data.regression), None)


def lower_is_better(metric: str) -> bool:
    """Whether less of a metric is better; of a metric of the user's own more always is."""
    return any(spec.metrics.get(metric) == "lower" for spec in task_specs().values())


def metric_drop(metric: str, before: float, after: float) -> float:
    """What was lost of a metric: in its own unit where more is better, else the share by which the error grew."""
    return (after - before) / max(abs(before), 1e-12) if lower_is_better(metric) else before - after


def change_in_words(metric: str, drop: float) -> str:
    """A `metric_drop` in words, for a sentence whose subject is the model."""
    if lower_is_better(metric):
        return f"has {amount_in_words(metric, abs(drop))} {'more' if drop >= 0 else 'less'} {metric}"
    return f"{'loses' if drop >= 0 else 'gains'} {amount_in_words(metric, abs(drop))} of {metric}"


def amount_in_words(metric: str, drop: float) -> str:
    """A size of `metric_drop`: in the metric's unit, or as a share of the error."""
    return f"{drop:.1%}" if lower_is_better(metric) else f"{drop:.4f}"
