"""A user's own metrics, `my_package.my_module:metric`: called as `metric(outputs, y)`, they give a number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from assets.errors import RejectedError
from assets.line.user_functions import load_user_function
from edge.contracts import Metric
from edge.contracts.evidence import VerdictKind

Outputs = NDArray[np.float32]
Split = Literal["validation", "test"]


def is_user_metric(name: str) -> bool:
    """Whether a metric's name is that of a user's own function."""
    return ":" in name


def user_score(name: str, outputs: Outputs, y: NDArray[Any]) -> float:
    """What the function says of a model's outputs; more is better.

    Raises:
        RejectedError: it cannot be loaded, it fails, or it gives something else than a finite number.
    """
    try:
        value = float(load_user_function(name, "training.metrics")(outputs, y))
    except RejectedError:
        raise
    except Exception as error:  # whatever a user's function raises is told in one sentence
        raise RejectedError(
            f"training.metrics: {name} fails on outputs {outputs.shape} and labels {y.shape} "
            f"({type(error).__name__}: {error}); it is called as metric(outputs, y) and gives a number"
        ) from error
    if not math.isfinite(value):
        raise RejectedError(f"training.metrics: {name} gives {value}; have it give a finite number")
    return value


def user_metrics_on(
    names: Sequence[str],
    split: Split,
    outputs: Outputs,
    y: NDArray[Any],
    kind: VerdictKind = "measured",
) -> tuple[Metric, ...]:
    """Each of the user's own metrics (`training.metrics`) on one split. Raises RejectedError, see `user_score`."""
    return tuple(Metric(name, user_score(name, outputs, y), split, len(y), kind=kind) for name in names)


def checked(outputs: Outputs) -> Outputs:
    """The outputs, all of them finite. Raises RejectedError where one is not."""
    if not np.isfinite(outputs).all():
        wrong = int((~np.isfinite(outputs.reshape(len(outputs), -1)).all(axis=1)).sum())
        raise RejectedError(
            f"the model answers {wrong} of {len(outputs)} records with NaN or infinity; lower "
            "`training.learning_rate`, or set `training.clip`"
        )
    return outputs
