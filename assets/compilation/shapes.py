"""The shapes that a compiled plan must take, from a model's open axes and from examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from assets.errors import CompileError
from edge.contracts import MAX_BATCH, InputShapes
from edge.engine.request import USUAL_BATCH

Shape = tuple[int, ...]


def input_shapes(
    model: bytes, examples: Mapping[str, Sequence[Shape]] | None = None, max_batch: int = MAX_BATCH
) -> tuple[InputShapes, ...]:
    """Smallest, usual and largest shape of each input with open axes; where all are fixed, their one shape.

    A first axis that is open is the batch, 1 to `max_batch` and best at 1. What any other open axis may be, only
    examples can tell: from the smallest to the largest seen, best at the median. Axes of the same symbolic name share
    their examples, as ONNX says that they are equal.

    Args:
        model: an ONNX file's bytes, linted.
        examples: input name to shapes of real inputs, batch axis included.

    Raises:
        CompileError: an open axis that no example tells of, or an example that does not fit the model.
    """
    import onnx

    graph = onnx.load_from_string(model).graph
    weights = {tensor.name for tensor in graph.initializer}
    inputs = {value.name: _axes(value) for value in graph.input if value.name not in weights}
    given = {name: [tuple(shape) for shape in shapes] for name, shapes in (examples or {}).items()}
    seen: dict[str, set[int]] = {}
    for name, shapes in given.items():
        for shape in shapes:
            _check(name, shape, inputs)
            for axis, size in enumerate(inputs[name]):
                if isinstance(size, str) and axis > 0:
                    seen.setdefault(size, set()).add(shape[axis])
    opened = {name: axes for name, axes in inputs.items() if _is_open(axes)}
    return tuple(_shapes(name, axes, seen, max_batch) for name, axes in (opened or inputs).items())


def _axes(value: object) -> tuple[int | str, ...]:
    """Each axis as its size, or the name of an open one; axes without a name are each on their own."""
    name = value.name  # type: ignore[attr-defined]
    dims = value.type.tensor_type.shape.dim  # type: ignore[attr-defined]
    return tuple(
        dim.dim_value if dim.HasField("dim_value") else dim.dim_param or f"{name}[{axis}]"
        for axis, dim in enumerate(dims)
    )


def _is_open(axes: tuple[int | str, ...]) -> bool:
    return any(isinstance(size, str) for size in axes)


def _check(name: str, shape: Shape, inputs: Mapping[str, tuple[int | str, ...]]) -> None:
    if name not in inputs:
        raise CompileError(f"an example is given for {name!r}, the model's inputs are {', '.join(inputs)}")
    axes = inputs[name]
    if len(shape) != len(axes) or any(isinstance(b, int) and a != b for a, b in zip(shape, axes, strict=True)):
        raise CompileError(f"an example of input {name!r} has shape {shape}, the model takes {axes}")


def _shapes(name: str, axes: tuple[int | str, ...], seen: Mapping[str, set[int]], max_batch: int) -> InputShapes:
    ranges = []
    for axis, size in enumerate(axes):
        if isinstance(size, int):
            ranges.append((size, size, size))
        elif axis == 0:
            ranges.append((1, USUAL_BATCH, max_batch))
        elif sizes := sorted(seen.get(size, ())):
            ranges.append((sizes[0], sizes[len(sizes) // 2], sizes[-1]))
        else:
            raise CompileError(
                f"input {name!r} has an open axis {axis} ({size!r}), and no example tells its size; give example "
                "inputs, or export the model with that axis fixed"
            )
    low, usual, high = (tuple(part) for part in zip(*ranges, strict=True))
    return InputShapes(name, low, usual, high)
