"""What TensorRT would compute with an ONNX file, as a file that ONNX Runtime executes literally on a CPU.

TensorRT has no unsigned activations. Where a file quantizes to u8, as NNCF's symmetric preset does after a Relu, it
warns ("Defaulting to INT8") and takes the numbers as s8 with zero point 0, so that every activation above 127 steps is
cut off: the engine builds, runs, and answers worse. The reading made here does the same in plain ONNX, so that this is
found before a device is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.errors import CompileError
from assets.evaluation.answers import open_session

MOST_LOST = 0.01
"""Share of the metric that a reading may lose against its file: arithmetic in another order, no other numbers."""
MOST_DIFFERENT = 0.2
"""Root mean square of the outputs' difference against their own spread, where no metric is at hand."""
_QUANTIZE, _DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
Answer = Callable[[bytes, bool], NDArray[Any]]


def as_tensorrt_reads(model: bytes) -> bytes:
    """The file with each u8 Q/DQ taken as s8 with zero point 0; run it without graph optimizations.

    Everything else is kept: scales per channel, s8 pairs, float operations between them, an int32 bias (which TensorRT
    refuses, so nothing is misread). u8 constants keep their bits: 200 is read as -56. The result need not be one that
    `assets.compilation.lint` lets through; it is only executed.

    Raises:
        CompileError: not an ONNX file, or a zero point that is computed, so that nobody knows how it is read.
    """
    loaded = _load(model)
    changed = _reread(loaded.graph, {}, set())
    if not changed:
        return model
    loaded.graph.ClearField("value_info")  # says u8 of tensors that are s8 now
    return bytes(loaded.SerializeToString(deterministic=True))


def open_as_tensorrt(model: bytes) -> Any:
    """An ONNX Runtime session that answers what TensorRT would of a file in its dialect.

    Q/DQ and float16 run as written: ONNX Runtime's optimizer would move the former, and its layout for Conv (1.31's
    NchwcTransformer) ends the process on some of the latter, a small ViT's for one. Plain float32 is optimized.

    Raises:
        CompileError: see `as_tensorrt_reads`.
    """
    reading = as_tensorrt_reads(model)
    return open_session(reading, as_written=b"QuantizeLinear" in reading or _is_half(reading))


def _is_half(model: bytes) -> bool:
    """Whether a file has constants of float16."""
    import onnx

    graph = onnx.load_from_string(model).graph
    return any(tensor.data_type == onnx.TensorProto.FLOAT16 for tensor in graph.initializer)


def unsigned(model: bytes) -> tuple[str, ...]:
    """Names of the Q/DQ nodes that TensorRT reads otherwise than they are written. Raises as `as_tensorrt_reads`."""
    return tuple(_reread(_load(model).graph, {}, set()))


def misreading(
    model: bytes,
    answer: Answer,
    lost: Callable[[NDArray[Any], NDArray[Any]], float] | None = None,
    most: float = MOST_LOST,
) -> str:
    """Why TensorRT would answer otherwise than the file itself does; "" where both agree.

    Both are executed literally, so that a sound file agrees to the last bit.

    Args:
        model: a file in the "tensorrt" dialect.
        answer: what a file answers for the held-out records: (file, as_written) to (records, ...); `as_written` is
            True here, and goes to `assets.evaluation.answers.open_session`.
        lost: from the file's answers and the reading's to what was lost of the metric. Without it, and wherever a node
            is read otherwise than written, the outputs may differ by `MOST_DIFFERENT` of their spread.
        most: that `lost` may be.

    Raises:
        CompileError: see `as_tensorrt_reads`.
    """
    reading = as_tensorrt_reads(model)
    before, after = answer(model, True), answer(reading, True)  # both literally: only the reading differs
    place = _place(unsigned(model) if reading != model else ())
    if before.shape != after.shape:
        return f"TensorRT would answer in the shape {after.shape}, the file answers {before.shape}{place}"
    if not (np.isfinite(before).all() and np.isfinite(after).all()):
        return f"an answer is NaN or infinite{place}; quantize the model again, or leave that layer in float"
    remedy = "quantize to QInt8, symmetric, zero points 0" if place else "leave the most sensitive layers in float"
    if lost is not None and (drop := lost(before, after)) > most:
        return f"TensorRT would lose {drop:.4f} of the metric against the file itself, at most {most}{place}; {remedy}"
    spread = float(np.std(before, dtype=np.float64)) or 1.0
    apart = float(np.sqrt(np.square(before.astype(np.float64) - after).mean())) / spread
    if apart > MOST_DIFFERENT and (lost is None or place):  # what is read otherwise and is better is wrong, too
        return f"TensorRT's answers would be {apart:.2f} of the outputs' spread from the file's own{place}; {remedy}"
    return ""


def _load(model: bytes) -> Any:
    import onnx

    try:
        loaded = onnx.load_from_string(model)
    except Exception as error:  # protobuf's DecodeError, and what its parser raises besides
        raise CompileError(f"not an ONNX file ({error}); export it again") from error
    if not loaded.graph.node:
        raise CompileError("not an ONNX file (it holds no graph); export it again")
    return loaded


def _place(nodes: tuple[str, ...]) -> str:
    if not nodes:
        return ""
    more = f" and {len(nodes) - 1} more" if len(nodes) > 1 else ""
    return f": it reads u8 as s8 at {nodes[0]!r}{more}"


def _reread(graph: Any, outer: dict[str, Any], signed: set[str]) -> list[str]:
    """Change a graph and its subgraphs in place.

    Args:
        outer: constants of the graphs around it.
        signed: tensors that were u8 and are s8 now; grows.

    Returns:
        Names of the nodes whose reading differs.
    """
    import onnx

    constants = {**outer, **{tensor.name: tensor for tensor in graph.initializer}}
    changed: list[str] = []
    for number, node in enumerate(list(graph.node)):
        if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
            constants[node.output[0]] = node.attribute[0].t
        for subgraph in _subgraphs(node):
            changed += _reread(subgraph, constants, signed)
        if node.op_type not in {_QUANTIZE, _DEQUANTIZE} or not _is_unsigned(node, constants, signed):
            if node.op_type not in {_QUANTIZE, _DEQUANTIZE} and signed.intersection(node.input):
                signed.update(node.output)  # a Reshape or a MaxPool between Q and DQ
            continue
        name = node.name or node.output[0]
        changed.append(name)
        scale = constants.get(node.input[1])
        if scale is None:
            raise CompileError(f"node {name!r}: its scale is not a constant; give a constant scale")
        prefix = f"{name}_{number}_as_s8"
        zeros = np.zeros(tuple(scale.dims), np.int8)
        graph.initializer.append(onnx.numpy_helper.from_array(zeros, f"{prefix}_zero"))
        values = constants.get(node.input[0])
        if node.op_type == _DEQUANTIZE and values is not None:
            bits = np.ascontiguousarray(onnx.numpy_helper.to_array(values)).view(np.int8)
            graph.initializer.append(onnx.numpy_helper.from_array(bits, prefix))
            node.input[0] = prefix
        del node.input[2:]
        node.input.append(f"{prefix}_zero")
        kept = [attribute for attribute in node.attribute if attribute.name != "output_dtype"]
        del node.attribute[:]
        node.attribute.extend(kept)
        if node.op_type == _QUANTIZE:
            signed.add(node.output[0])
    for output in graph.output:
        if output.name in signed:
            output.type.tensor_type.elem_type = onnx.TensorProto.INT8
    return changed


def _is_unsigned(node: Any, constants: dict[str, Any], signed: set[str]) -> bool:
    """Whether a Q/DQ node's 8-bit side is u8: by its zero point, its data, or, without either, by ONNX's default."""
    import onnx

    u8 = onnx.TensorProto.UINT8
    if len(node.input) > 2 and node.input[2]:
        point = constants.get(node.input[2])
        if point is None:
            name = node.name or node.output[0]
            raise CompileError(f"node {name!r}: its zero point is not a constant; give a constant int8 zero point of 0")
        return bool(point.data_type == u8)
    if node.op_type == _DEQUANTIZE:
        values = constants.get(node.input[0])
        return node.input[0] in signed or (values is not None and values.data_type == u8)
    kinds = [attribute.i for attribute in node.attribute if attribute.name == "output_dtype"]
    return kinds in ([], [0], [u8])


def _subgraphs(node: Any) -> Iterator[Any]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs
