"""Build on device: the recipe that goes with an ONNX file where no builder is at hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

from edge.contracts import ArtifactRef, BuildRecipe, InputShapes, TargetProfile
from edge.engine.request import flags_of
from edge.engine.versions import versions_of

LIBRARY_MB = 1024
"""Of TensorRT, its kernels and the CUDA context, before a model is read: an assumption, no such board is here."""
WEIGHTS, TENSORS = 4, 4
"""Copies of the weights, and of the largest tensor, that a builder holds at a time: the file, the network, and the
kernels it compares. TensorRT-RTX, whose peaks are measured here, stays below the sum."""
TIMEOUT_SECONDS = 1800.0
"""Orin boards take 5 to 10 minutes for common networks."""


def recipe_for(model: bytes, file: ArtifactRef, target: TargetProfile, shapes: Sequence[InputShapes]) -> BuildRecipe:
    """How a device of this kind builds its plan from `file`, whose bytes are `model`.

    Args:
        shapes: of every input with open axes, see `assets.compilation.shapes`.
    """
    assert target.runtime != "onnxruntime", "ONNX Runtime builds nothing"
    assert target.sm is not None, "a GPU has a compute capability"
    least, below = versions_of(target.runtime)
    memory_mb, how = memory_needed(model, shapes)
    return BuildRecipe(
        model=file.sha256,
        runtime=target.runtime,
        arch=target.arch,
        sm=target.sm,
        least_version=target.runtime_version or least,
        below_version=target.below_version or below,
        flags=flags_of(shapes),
        shapes=tuple(shapes),
        memory_mb=memory_mb,
        memory_how=how,
        timeout_s=TIMEOUT_SECONDS,
    )


def memory_needed(model: bytes, shapes: Sequence[InputShapes]) -> tuple[int, str]:
    """MiB that a build should find free, and how that was estimated."""
    weights, largest = (size / 2**20 for size in _sizes(model, shapes))
    needed = math.ceil(LIBRARY_MB + WEIGHTS * weights + TENSORS * largest)
    return needed, (
        f"estimated, not measured on such a device: {LIBRARY_MB} MiB for the library and CUDA, {WEIGHTS} times "
        f"{weights:.1f} MiB of weights, {TENSORS} times {largest:.1f} MiB of the largest tensor at the largest shapes"
    )


def _sizes(model: bytes, shapes: Sequence[InputShapes]) -> tuple[int, int]:
    """Bytes of all weights, and of the largest tensor at the largest shapes as far as shapes are inferred."""
    import onnx

    loaded = onnx.load_from_string(model)
    high = {one.name: one.high for one in shapes}
    weights = sum(tensor.ByteSize() for tensor in loaded.graph.initializer)
    weights += sum(attribute.t.ByteSize() for node in loaded.graph.node for attribute in node.attribute)
    for value in loaded.graph.input:
        for dim, size in zip(value.type.tensor_type.shape.dim, high.get(value.name, ()), strict=False):
            dim.dim_value = size
    for value in (*loaded.graph.output, *loaded.graph.value_info):
        value.type.tensor_type.ClearField("shape")
    inferred = onnx.shape_inference.infer_shapes(loaded, data_prop=True).graph
    largest = 0
    for value in (*inferred.input, *inferred.value_info, *inferred.output):
        dims = [dim.dim_value or 1 for dim in value.type.tensor_type.shape.dim]
        largest = max(largest, 4 * math.prod(dims))
    return weights, largest
