"""A task: its facts, its loss, its metrics and its golden records, joined."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from assets.line.tasks import TaskSpec, task_specs
from assets.tasks.contract import MOST_PICTURES, GoldenModule, LossModule, MetricsModule, Outputs, Truth
from assets.tasks.user_metrics import checked, is_user_metric, user_score
from edge.contracts import InputSpec


@dataclass(frozen=True)
class Task:
    """A task of a line: its facts, and its modules."""

    spec: TaskSpec
    loss: LossModule
    metrics: MetricsModule
    golden: GoldenModule

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.spec.name

    def outputs(self, classes: Sequence[str], spec: InputSpec) -> int:
        """How many numbers the network answers per record."""
        del spec
        return len(classes) if self.spec.answer == "class" else 1

    def score(self, metric: str, outputs: Outputs, y: Truth) -> float:
        """One metric, of `TaskSpec.metrics` or a function of the user's own, in its own unit; finite.

        Raises:
            ValueError: an unknown name.
            RejectedError: outputs that are not finite, or a metric of the user's own that fails.
        """
        if is_user_metric(metric):
            return user_score(metric, outputs, y)
        outputs = checked(outputs)[:MOST_PICTURES] if self.spec.answer == "image" else checked(outputs)
        return float(self.metrics.weighted(outputs, y, (metric,))(np.ones((len(outputs), 1)))[0, 0])

    def drop(self, metric: str, before: Outputs, after: Outputs, y: Truth) -> float:
        """What `after` lost of `metric` against `before` on the same records; below 0 where it gained.

        In the metric's own unit where more is better (accuracy: fraction), and relative to `before` where less is
        better (0.01: the error grew by one percent).
        """
        old, new = self.score(metric, before, y), self.score(metric, after, y)
        return old - new if self.spec.sign(metric) > 0 else (new - old) / max(abs(old), 1e-12)


def load_task(name: str) -> Task:
    """The task of that name. Raises KeyError where there is none."""
    spec = task_specs()[name]
    modules: Mapping[str, Any] = {
        part: importlib.import_module(f"assets.tasks.{spec.modules.get(part, f'{name}.{part}')}")
        for part in ("loss", "metrics", "golden")
    }
    return Task(spec, **modules)
