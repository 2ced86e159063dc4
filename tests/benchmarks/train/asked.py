"""What is asked of each line: its data, the numbers it must reach, and how often it is trained."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Row:
    """One number of the result.

    Attributes:
        target: what it must be at least (`better` "higher") or at most ("lower"); None where nothing is asked.
        low, high: the 95 % interval of one training; of a mean over seeds the least and the largest.
        records: test records, or pictures, that it is of.
        seed: None for a mean over seeds.
        minutes: landing, judging, training and measuring that it took.
        train_minutes: of these, the training step.
    """

    line: str
    metric: str
    value: float | None
    seed: int | None = None
    minutes: float | None = None
    train_minutes: float | None = None
    low: float | None = None
    high: float | None = None
    target: float | None = None
    better: str = "higher"
    records: int | None = None
    spread: float | None = None
    note: str = ""

    @property
    def reached(self) -> bool | None:
        """Whether the value is what was asked for; None where nothing was."""
        if self.target is None or self.value is None:
            return None
        return self.value >= self.target if self.better == "higher" else self.value <= self.target

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        return {**dataclasses.asdict(self), "reached": self.reached}


@dataclass(frozen=True)
class Asked:
    """A line of the benchmark.

    Attributes:
        source: below `../shared/data`; None where the line brings its data itself.
        metric: of the model's evidence on test records; "" where `tests.benchmarks.train.special` measures more.
        seeds: how often it is trained unless SEEDS says another number.
    """

    source: str | None
    metric: str
    target: float | None
    seeds: int = 1
    better: str = "higher"


LINES: dict[str, Asked] = {
    "digits": Asked(None, "accuracy", 0.985, seeds=3),
    "breast-cancer": Asked(None, "accuracy", None),
    "machine-failure": Asked("predictive-maintenance/ai4i2020", "pr_auc", 0.80, seeds=3),
    "sms-spam": Asked("text/sms-spam/SMSSpamCollection", "f1", 0.93, seeds=3),
    "turbofan": Asked("predictive-maintenance/cmapss-fd001", "rmse", 15.0, seeds=3, better="lower"),
    "cats-vs-dogs": Asked("oxford-pets", "accuracy", None),
    "cifar10": Asked("cifar10/cifar-10-batches-py", "accuracy", 0.62),
    "fashion-mnist": Asked("fashion-mnist", "accuracy", 0.92),
    "mnist-gan": Asked("mnist", "frechet", None, better="lower"),
}
CONFIDENCE, LEAST_SHARE, MOST_SHARE, JUDGE_ACCURACY = 0.85, 0.05, 0.15, 0.99
"""Of generated digits: mean top-class confidence, shares of the rarest and the most common class; and of the judge."""
