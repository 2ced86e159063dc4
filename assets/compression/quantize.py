"""INT8 by calibration after training: one set of ranges, two dialects of the same ONNX model.

No single Q/DQ file runs fast in ONNX Runtime on a CPU and is accepted by TensorRT, so each gets its own:

- "cpu": activations u8 with a zero point, weights s8 per channel, ReLU folded into the range.
- "tensorrt": s8 everywhere, symmetric, zero points 0, Q/DQ only on the inputs of Conv and Gemm, biases in float.

MatMul counts where it multiplies by weights; the products of attention stay in float, as do recurrent layers and
embeddings, which neither runtime computes in INT8.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from assets.errors import RejectedError
from assets.export import slim
from edge.contracts import TargetProfile

Quantized = Literal["cpu", "tensorrt"]
LAYERS = ["Conv", "ConvTranspose", "Gemm", "MatMul"]
FOLDED = ["Relu"]
"""Become part of the range of the layer before them."""
VNNI = frozenset({"avx512_vnni", "avx_vnni"})
"""CPU features with which x86 adds products of 8-bit numbers in 32 bits."""
_BATCH = 32
_QUANTIZE, _DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"


def needs_7_bits(targets: Iterable[TargetProfile]) -> bool:
    """Whether the CPU dialect's weights must keep to 7 bits for the processors it will run on.

    An x86 processor without VNNI adds two u8 x s8 products in 16 bits, which saturate silently with 8-bit weights and
    cannot with 7-bit ones (ONNX Runtime's `reduce_range`). "x86_64" alone promises no VNNI. Arm does not saturate.
    """
    cpus = [target for target in targets if target.runtime == "onnxruntime"]
    return any(cpu.arch == "x86_64" and VNNI.isdisjoint(cpu.cpu_features) for cpu in cpus)


def quantize(model: bytes, x: NDArray[Any], *, reduce_range: bool, matmul: bool = True) -> dict[Quantized, bytes]:
    """Both INT8 dialects of a float model.

    Args:
        model: the float ONNX file's bytes, BatchNorm folded.
        x: calibration records (records, …) float32, or int64 for text, from the training split.
        reduce_range: 7-bit weights in the CPU dialect, see `needs_7_bits`.
        matmul: False leaves every MatMul in float, for models that do not stand it.

    Raises:
        RejectedError: no records, or numbers that are not finite: their ranges would be meaningless.
    """
    if len(x) == 0 or not np.isfinite(x).all():
        raise RejectedError("calibration needs at least one record, and finite numbers only")
    with tempfile.TemporaryDirectory(prefix="edgeloop-quantize-") as folder:
        source = Path(folder) / "float.onnx"
        input_name, floats = _prepare(model, source, matmul)
        cache = Path(folder) / "ranges.json"
        return {
            "cpu": _quantize(source, cache, _Records(x, input_name), "cpu", reduce_range, floats),
            "tensorrt": _quantize(source, cache, None, "tensorrt", False, floats),  # reads the ranges just kept
        }


def _quantize(
    source: Path, cache: Path, records: Any, dialect: Quantized, reduce_range: bool, floats: list[str]
) -> bytes:
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    tensorrt = dialect == "tensorrt"
    symmetric: dict[str, Any] = {
        "ActivationSymmetric": True,
        "WeightSymmetric": True,
        "QuantizeBias": False,
        "OpTypesToExcludeOutputQuantization": LAYERS,
    }
    target = source.with_name(f"{dialect}.onnx")
    quantize_static(
        source,
        target,
        records,
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=LAYERS if tensorrt else [*LAYERS, *FOLDED],
        nodes_to_exclude=floats,
        per_channel=True,
        reduce_range=reduce_range,
        activation_type=QuantType.QInt8 if tensorrt else QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibration_cache_path=cache,
        extra_options=symmetric if tensorrt else {},
    )
    quantized = onnx.load(target)
    _leave_output_float(quantized.graph)
    return slim(quantized)


def _prepare(model: bytes, path: Path, matmul: bool) -> tuple[str, list[str]]:
    """Write the model with inferred shapes and the quantizer's own mark of a prepared model.

    Returns:
        Its input's name, and the names of nodes that stay in float.
    """
    import onnx
    from onnxruntime.quantization.quant_utils import add_pre_process_metadata

    prepared = onnx.shape_inference.infer_shapes(onnx.load_from_string(model))
    add_pre_process_metadata(prepared)
    weights = {tensor.name for tensor in prepared.graph.initializer}
    floats = []
    for number, node in enumerate(prepared.graph.node):
        node.name = node.name or f"node_{number}"
        if node.op_type == "MatMul" and not (matmul and node.input[1] in weights):
            floats.append(node.name)
    onnx.save(prepared, path)
    return str(prepared.graph.input[0].name), floats


def _leave_output_float(graph: Any) -> None:
    """Take a last Q/DQ pair off: logits in 8 bits tie, and no operation follows that would gain from it."""
    makers = {output: node for node in graph.node for output in node.output}
    for output in graph.output:
        last = makers[output.name]
        if last.op_type != _DEQUANTIZE:
            continue
        before = makers[last.input[0]]
        assert before.op_type == _QUANTIZE, "the quantizer puts a Q before the DQ of an activation"
        maker = makers[before.input[0]]
        graph.node.remove(last)
        graph.node.remove(before)
        maker.output[list(maker.output).index(before.input[0])] = output.name
        unused = {*last.input[1:], *before.input[1:]}.difference(name for node in graph.node for name in node.input)
        for constant in [item for item in graph.initializer if item.name in unused]:
            graph.initializer.remove(constant)


class _Records:
    """What the calibrator reads: batches of records, then None."""

    def __init__(self, x: NDArray[Any], input_name: str) -> None:
        self._batches: Iterator[NDArray[Any]] = iter(np.array_split(x, -(-len(x) // _BATCH)))
        self._name = input_name

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        batch = next(self._batches, None)
        return None if batch is None else {self._name: batch}

    def __iter__(self) -> Iterator[dict[str, NDArray[Any]]]:
        while (batch := self.get_next()) is not None:
            yield batch
