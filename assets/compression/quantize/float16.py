"""FP16: half the bytes of a float file, and what a GPU computes fast without calibration.

Inputs and outputs stay float32. A CPU gains bytes only: ONNX Runtime computes there in float32 between casts, and
version 1.31 crashes while it optimizes an FP16 vision transformer (its NCHWc rewrite). So a CPU's file keeps weights in
FP16, which are cast once, while loading, and computes in float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from assets.compression.quantize.conversion import Conversion
from assets.compression.quantize.graphs import sort_nodes
from assets.compression.quantize.layers import Dialect
from assets.compression.quantize.prepare import loads, prepared
from assets.errors import RejectedError
from assets.families.export import slim

LARGEST = 65504.0
"""Of FP16. Larger constants, e.g. the -1e9 of an attention mask, become this, not infinite."""
LEAST = 512
"""Numbers; a smaller constant is not worth a cast."""


def to_float16(model: bytes, dialect: Dialect = "tensorrt") -> bytes:
    """The file with weights and, for TensorRT, arithmetic in FP16; inputs and outputs as they were.

    Operators that have no FP16 kernel (and those that count, like TopK and Range) stay in float32 between casts.
    ONNX Runtime should execute the TensorRT file as it is written, without optimizations.

    Raises:
        RejectedError: a file that cannot be prepared (see `prepared`), or not be converted.
    """
    from onnxruntime.transformers.float16 import convert_float_to_float16

    proto = prepared(model)
    if dialect == "cpu":
        data = slim(_half_weights(proto))
        loads(data, "with FP16 weights")
        return data
    try:
        half = convert_float_to_float16(proto, keep_io_types=True, max_finite_val=LARGEST, disable_shape_infer=True)
    except Exception as error:  # the converter asserts what it has not thought of
        raise RejectedError(f"the model cannot be converted to FP16 ({error or type(error).__name__})") from error
    sort_nodes(half.graph)
    data = slim(half)
    loads(data, "in FP16", as_written=True)
    return data


def _half_weights(proto: Any) -> Any:
    """The model with its large constants in FP16, each cast to float32 where it is read."""
    from onnx import TensorProto, helper, numpy_helper

    nodes = []
    for tensor in proto.graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.dtype != np.float32 or array.size < LEAST or not np.abs(array).max() <= LARGEST:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(array.astype(np.float16), f"{name}/half"))
        nodes.append(helper.make_node("Cast", [tensor.name], [name], f"{name}/Cast", to=TensorProto.FLOAT))
    nodes += proto.graph.node
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    return proto


CONVERSION = Conversion(to_float16, lambda int8: not int8.stands or "tensorrt" in int8.shipped)
"""Of students too where a plan is built: a small one is smaller than its INT8 plan, whose kernels it does not carry."""
