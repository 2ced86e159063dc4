"""How a device builds its own plan, where nobody else can."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edge.contracts.artifact import check_sha256
from edge.contracts.codec import document


@dataclass(frozen=True)
class InputShapes:
    """The shapes that a plan takes of one input, batch axis first: what TensorRT calls an optimization profile.

    Attributes:
        name: of the ONNX graph's input.
        low, usual, high: the smallest, the one that kernels are chosen for, and the largest; equal on fixed axes.
    """

    name: str
    low: tuple[int, ...]
    usual: tuple[int, ...]
    high: tuple[int, ...]

    def __post_init__(self) -> None:
        if not len(self.low) == len(self.usual) == len(self.high):
            raise ValueError(f"the shapes of input {self.name!r} have different ranks")
        if not all(1 <= a <= b <= c for a, b, c in zip(self.low, self.usual, self.high, strict=True)):
            raise ValueError(f"the shapes of input {self.name!r} are not 1 <= low <= usual <= high on every axis")

    def __str__(self) -> str:
        return f"{self.name}={'..'.join('x'.join(map(str, shape)) for shape in (self.low, self.usual, self.high))}"


@document("edgeloop.build_recipe")
@dataclass(frozen=True)
class BuildRecipe:
    """Everything that building a plan from an ONNX file takes, for a machine that has the library and the GPU.

    Attributes:
        model: digest of the ONNX file, in the "tensorrt" dialect.
        runtime, arch, sm: what the plan is for; `sm` is compute capability times ten.
        least_version, below_version: builder versions that this recipe was written for, the second one excluded.
        flags: what the builder is asked, as `edge.engine.request.flags_of` writes it; part of every cache key.
        shapes: of every input.
        options: builder options by their names in `edge.engine.versions`, e.g. "version-compatible".
        memory_mb: MiB of free memory that the build should find; below it, it waits.
        memory_how: how that number was estimated.
        timeout_s: seconds after which the build is ended.
    """

    model: str
    runtime: Literal["tensorrt", "tensorrt_rtx"]
    arch: Literal["x86_64", "aarch64"]
    sm: int
    least_version: str
    below_version: str
    flags: str
    shapes: tuple[InputShapes, ...]
    memory_mb: int
    memory_how: str
    timeout_s: float
    options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_sha256(self.model)
        if self.memory_mb < 1 or self.timeout_s <= 0:
            raise ValueError("memory_mb and timeout_s are above 0")
