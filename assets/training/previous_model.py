"""The line's earlier models: the one in use, and whether its weights fit a new network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from assets.errors import RejectedError
from assets.records.in_use import released_model
from assets.records.line_store import BoundLine
from assets.training.documents import TrainedModel
from edge.contracts import InputSpec
from edge.errors import ContractError

NUMBERS = ("target_mean", "target_std")
"""Of an architecture: taken from the data, and part of the weights too, so that other ones do not keep weights out."""


def model_in_use(line: BoundLine) -> TrainedModel | None:
    """The teacher of the release that the line's devices are pointed at; before any promotion the newest; else None.

    A model of an earlier generation reads other inputs: none is in use until the generation has one of its own.
    """
    try:
        newest = line.newest(TrainedModel)
    except (RejectedError, ContractError):  # none yet, or one of another version of this software
        return None
    generation = line.generation()
    if (released := released_model(line)) is not None:
        for model in (newest, *line.results(TrainedModel)):
            if model.onnx.sha256 == released and line.generation_at(model.position) == generation:
                return model
    return newest if line.generation_at(newest.position) == generation else None


def misfit(earlier: TrainedModel, task: str, family: str, spec: InputSpec, architecture: Mapping[str, Any]) -> str:
    """Why an earlier model's weights do not fit a network; "" where they do.

    Args:
        spec: of the new network's input. Its mean and spread may differ: these are of the data.
    """
    if (earlier.task, earlier.family) != (task, family):
        return f"it is a {earlier.family} for {earlier.task}"
    ours = (spec.kind, spec.shape, spec.columns, dict(spec.categories), spec.buckets, spec.unit)
    old = earlier.input
    if ours != (old.kind, old.shape, old.columns, dict(old.categories), old.buckets, old.unit):
        return "its input is another one"
    if _numbers_apart(earlier.architecture) != _numbers_apart(architecture):
        return "its architecture is another one"
    return ""


def _numbers_apart(architecture: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in architecture.items() if name not in NUMBERS}
