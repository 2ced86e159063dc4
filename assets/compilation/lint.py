"""Named rules on an ONNX file, checked before any compiler reads it.

The compilers accept opset 99, float64 inputs and tensors larger than any memory without a word, and crash on some
damaged files; each rule here stands for one of those surprises.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from assets.errors import CompileError
from edge.contracts.target import Dialect

MAX_MODEL_BYTES = 512 * 1024 * 1024
MAX_TENSOR_BYTES = 1024**3
MAX_BATCH = 32
MIN_OPSET, MAX_OPSET = 13, 22
"""Per-channel Q/DQ came with 13; ONNX Runtime 1.23, the last for JetPack 6's Python, has no QuantizeLinear of 23."""
MAX_IR_VERSION = 10
_DOMAINS = ("", "ai.onnx")
_FUSED_INT8 = ("DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger")


@dataclass(frozen=True)
class Finding:
    """One broken rule: its name, the node or tensor ("" for the whole file), the reason, and what to do."""

    rule: str
    node: str
    reason: str
    remedy: str

    def __str__(self) -> str:
        place = f" at {self.node!r}" if self.node else ""
        return f"{self.rule}{place}: {self.reason}; {self.remedy}"


def check_model(data: bytes, dialect: Dialect, source: str) -> None:
    """Raise CompileError, naming `source` and up to ten broken rules, unless the file keeps all of them."""
    findings = lint_model(data, dialect)
    if findings:
        rows = "\n".join(f"  {finding}" for finding in findings[:10])
        more = f"\n  and {len(findings) - 10} more" if len(findings) > 10 else ""
        raise CompileError(f"{source}: not compiled, the model breaks {len(findings)} rule(s)\n{rows}{more}")


def lint_model(data: bytes, dialect: Dialect) -> tuple[Finding, ...]:
    """Every rule that an ONNX file breaks; empty for a sound one.

    Args:
        data: the file's bytes, or anything at all.
        dialect: "tensorrt" adds the rules of the Q/DQ form that TensorRT reads.
    """
    import onnx

    if len(data) > MAX_MODEL_BYTES:
        reason = f"{len(data):,} bytes, at most {MAX_MODEL_BYTES:,} are taken"
        return (Finding("size-limit", "", reason, "compress the model"),)
    try:
        model = onnx.ModelProto.FromString(data)
    except Exception as error:  # protobuf's DecodeError, and what its parser raises besides
        return (Finding("valid-protobuf", "", f"not an ONNX file ({error})", "export it again"),)
    if not model.graph.node:
        return (Finding("valid-protobuf", "", "holds no graph", "export it again"),)
    # Rules run in groups: a later group may only trust what the earlier ones have shown.
    groups: tuple[tuple[Callable[[Any], Iterator[Finding]], ...], ...] = (
        (_versions, _domains, _external_data),
        (_sound,),
        (_interface, _tensor_sizes, *((_quantization,) if dialect == "tensorrt" else ())),
    )
    for group in groups:
        if findings := tuple(finding for rule in group for finding in rule(model)):
            return findings
    return ()


def _versions(model: Any) -> Iterator[Finding]:
    if not 3 <= model.ir_version <= MAX_IR_VERSION:
        reason = f"IR version {model.ir_version}, devices load 3 to {MAX_IR_VERSION}"
        yield Finding("known-ir-version", "", reason, f"set `ir_version` to {MAX_IR_VERSION} when exporting")
    versions = [entry.version for entry in model.opset_import if entry.domain in _DOMAINS]
    if len(versions) != 1 or not MIN_OPSET <= versions[0] <= MAX_OPSET:
        found = ", ".join(map(str, versions)) or "none"
        reason = f"opset {found}, devices run {MIN_OPSET} to {MAX_OPSET}"
        yield Finding("known-opset", "", reason, "export with opset_version=20")


def _domains(model: Any) -> Iterator[Finding]:
    for node in _nodes(model.graph):
        if node.domain not in _DOMAINS:
            reason = f"operator {node.op_type} of domain {node.domain!r} is in no device's runtime"
            yield Finding("standard-operators", node.name, reason, "write it with standard ONNX operators")


def _external_data(model: Any) -> Iterator[Finding]:
    for tensor in _tensors(model.graph):
        if tensor.data_location == 1 or tensor.external_data:
            reason = "its values are in another file"
            yield Finding("no-external-data", tensor.name, reason, "export with external_data=False")


def _sound(model: Any) -> Iterator[Finding]:
    import onnx

    try:
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # the checker raises ValidationError, InferenceError, TypeError, ValueError, ...
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        yield Finding("valid-graph", "", reason, "export the model again")


def _interface(model: Any) -> Iterator[Finding]:
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    outputs = list(model.graph.output)
    if len(inputs) != 1 or len(outputs) != 1:
        reason = f"{len(inputs)} inputs and {len(outputs)} outputs"
        yield Finding("one-input-one-output", "", reason, "export the network with one of each")
    for value in (*inputs, *outputs):
        tensor = value.type.tensor_type
        tokens = tensor.elem_type == 7 and value in inputs  # int64 token numbers of a text
        if tensor.elem_type != 1 and not tokens:
            reason = f"element type {_type_name(tensor.elem_type)}, sessions pass float32 (texts int64)"
            yield Finding("float32-interface", value.name, reason, "cast inside the network")
        if not tensor.HasField("shape") or len(tensor.shape.dim) < 2:
            reason = "its rank is unknown or below 2"
            yield Finding("known-rank", value.name, reason, "export with (batch, ...) shapes")
            continue
        first, *rest = tensor.shape.dim
        if first.HasField("dim_value"):
            reason = f"its batch axis is fixed at {first.dim_value}"
            yield Finding("dynamic-batch", value.name, reason, "export with dynamic_shapes for axis 0")
        if any(not size.HasField("dim_value") or size.dim_value < 1 for size in rest):
            reason = "an axis other than the batch is open"
            yield Finding("only-batch-dynamic", value.name, reason, "fix every axis but the first")


def _tensor_sizes(model: Any) -> Iterator[Finding]:
    import onnx

    inferred = onnx.shape_inference.infer_shapes(model).graph
    for value in (*inferred.input, *inferred.value_info, *inferred.output):
        sizes = [
            size.dim_value if size.HasField("dim_value") else MAX_BATCH for size in value.type.tensor_type.shape.dim
        ]
        needed = 4 * math.prod(sizes)
        if needed > MAX_TENSOR_BYTES:
            reason = f"{needed:,} bytes at batch {MAX_BATCH}, at most {MAX_TENSOR_BYTES:,} fit a device"
            yield Finding("tensor-size", value.name, reason, "use smaller inputs or fewer channels")


def _quantization(model: Any) -> Iterator[Finding]:
    """Symmetric s8 on both sides: TensorRT reads u8 as s8 without failing, and refuses int32 biases."""
    import onnx

    constants = _constants(model.graph)
    for node in _nodes(model.graph):
        if node.op_type in _FUSED_INT8:
            reason = f"{node.op_type} is ONNX Runtime's own form of INT8"
            yield Finding("explicit-qdq", node.name, reason, "quantize in QDQ format")
        if node.op_type not in {"QuantizeLinear", "DequantizeLinear"}:
            continue
        values = constants.get(node.input[0])
        if values is not None and values.data_type == onnx.TensorProto.INT32:
            yield Finding("float-bias", node.name, "an int32 bias is dequantized", "quantize with QuantizeBias=False")
            continue
        point = constants.get(node.input[2]) if len(node.input) > 2 else None
        if point is None:
            reason = "its zero point is not a constant, so its type is not known to be s8"
            yield Finding("s8-quantization", node.name, reason, "give a constant int8 zero point of 0")
        elif point.data_type != onnx.TensorProto.INT8:
            reason = f"it quantizes to {_type_name(point.data_type)}; TensorRT would read it as s8 without a word"
            yield Finding("s8-quantization", node.name, reason, "quantize activations and weights to QInt8")
        elif onnx.numpy_helper.to_array(point).any():
            reason = "its zero point is not 0"
            yield Finding("symmetric-quantization", node.name, reason, "use ActivationSymmetric and WeightSymmetric")


def _nodes(graph: Any) -> Iterator[Any]:
    """Every node, those of subgraphs included; protobuf itself limits the depth to 100."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for subgraph in (attribute.g, *attribute.graphs):
                yield from _nodes(subgraph)


def _tensors(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for subgraph in (attribute.g, *attribute.graphs):
                yield from _tensors(subgraph)


def _constants(graph: Any) -> dict[str, Any]:
    found = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
            found[node.output[0]] = node.attribute[0].t
    return found


def _type_name(number: int) -> str:
    import onnx

    try:
        return str(onnx.TensorProto.DataType.Name(number)).lower()
    except ValueError:
        return f"type {number}"
