"""What an ONNX file reads and answers, as ONNX Runtime says it: names, types and axes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from assets.errors import RejectedError

_TYPES: Mapping[str, str] = {
    "float": "float32",
    "double": "float64",
    **{name: name for name in ("float16", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "bool")},
}


@dataclass(frozen=True)
class Port:
    """One input or output. `shape` has the batch axis first, and None for an open axis; `dtype` is numpy's name."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]

    def __str__(self) -> str:
        axes = ", ".join("any" if size is None else str(size) for size in self.shape[1:])
        return f"{self.name!r}: {self.dtype} of (records{f', {axes}' if axes else ''})"

    def takes(self, shape: tuple[int, ...]) -> bool:
        """Whether an array of (records, …) fits."""
        rest = self.shape[1:]
        return len(shape) == len(self.shape) and all(
            size is None or size == found for size, found in zip(rest, shape[1:], strict=True)
        )


@dataclass(frozen=True)
class Signature:
    """A model's inputs and outputs."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]

    def __str__(self) -> str:
        return "; ".join(map(str, self.inputs))


def read_signature(session: Any, source: str) -> Signature:
    """What a session reads and answers.

    Raises:
        RejectedError: an input of texts, of a sequence or without a batch axis, which records cannot be given to.
    """
    inputs = tuple(_port(value) for value in session.get_inputs())
    if not inputs:
        raise RejectedError(f"{source}: the model reads nothing; export it with an input of (batch, …)")
    for port in inputs:
        if port.dtype not in _TYPES.values():
            raise RejectedError(f"{source}: input {port.name!r} is {port.dtype}; records can be given as numbers only")
        if not port.shape:
            raise RejectedError(
                f"{source}: input {port.name!r} has no batch axis; export the model with inputs of (batch, …)"
            )
    return Signature(inputs, tuple(_port(value) for value in session.get_outputs()))


def _port(value: Any) -> Port:
    kind = str(value.type)
    inner = kind.removeprefix("tensor(").removesuffix(")")
    shape = tuple(size if isinstance(size, int) and size > 0 else None for size in value.shape or ())
    return Port(value.name, _TYPES.get(inner, kind), shape)
