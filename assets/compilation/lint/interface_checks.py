"""Checks of how a model is fed and what it answers: as devices do it, or as a foreign file needs it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from assets.compilation.lint.graph import free_inputs, type_name
from assets.compilation.lint.rules import Finding, found

_NUMERIC = (1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13)


def device(model: Any) -> Iterator[Finding]:
    """One float32 input and output with an open batch axis and nothing else open: what a line ships."""
    inputs, outputs = free_inputs(model.graph), list(model.graph.output)
    if len(inputs) != 1 or len(outputs) != 1:
        yield found("one-input-one-output", "", f"{len(inputs)} inputs and {len(outputs)} outputs")
    for value in (*inputs, *outputs):
        tensor = value.type.tensor_type
        tokens = tensor.elem_type == 7 and value in inputs  # int64 token numbers of a text
        if tensor.elem_type != 1 and not tokens:
            reason = f"element type {type_name(tensor.elem_type)}, sessions pass float32 (texts int64)"
            yield found("float32-interface", value.name, reason)
        if not tensor.HasField("shape") or len(tensor.shape.dim) < 2:
            yield found("known-rank", value.name, "its rank is unknown or below 2")
            continue
        first, *rest = tensor.shape.dim
        if first.HasField("dim_value"):
            yield found("dynamic-batch", value.name, f"its batch axis is fixed at {first.dim_value}")
        if any(not size.HasField("dim_value") or size.dim_value < 1 for size in rest):
            yield found("only-batch-dynamic", value.name, "an axis other than the batch is open")


def foreign(model: Any) -> Iterator[Finding]:
    """Any number of inputs and outputs, any axis open or fixed: tensors of numbers whose inputs have a known rank."""
    inputs, outputs = free_inputs(model.graph), list(model.graph.output)
    if not inputs or not outputs:
        yield found("known-shape", "", f"{len(inputs)} inputs and {len(outputs)} outputs; nothing to feed, or to read")
    for value in (*inputs, *outputs):
        tensor = value.type.tensor_type
        if tensor.elem_type not in _NUMERIC:
            yield found("numeric-interface", value.name, f"element type {type_name(tensor.elem_type)}")
        if value in inputs and not tensor.HasField("shape"):
            yield found("known-shape", value.name, "its rank is unknown")
        if any(size.HasField("dim_value") and size.dim_value < 1 for size in tensor.shape.dim):
            yield found("known-shape", value.name, "an axis has no length")
