"""ONNX Runtime's `quantize_static`: as it comes, and with every option that promises something."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.compress.contract import Given, Made

LAYERS = ("Conv", "Gemm", "MatMul")


@dataclass(frozen=True)
class Options:
    """What one call of `quantize_static` is given beside its model and records."""

    method: str = "MinMax"
    per_channel: bool = True
    reduce_range: bool = False
    signed: bool = False
    form: str = "QDQ"
    operators: tuple[str, ...] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


_TENSORRT = {"ActivationSymmetric": True, "WeightSymmetric": True, "QuantizeBias": False}
BEST: dict[str, Options] = {
    "u8s8 minmax": Options(),
    "u8s8 entropy": Options(method="Entropy"),
    "u8s8 percentile": Options(method="Percentile"),
    "u8s8 minmax per tensor": Options(per_channel=False),
    "u8s8 minmax reduced range": Options(reduce_range=True),
    "u8s8 minmax layers only": Options(operators=(*LAYERS, "Relu")),
    "u8s8 minmax with Add": Options(operators=(*LAYERS, "Relu", "Add")),
    "u8s8 minmax QOperator": Options(form="QOperator"),
    "s8s8 symmetric minmax": Options(signed=True, extra=_TENSORRT),
    "s8s8 symmetric entropy": Options(signed=True, method="Entropy", extra=_TENSORRT),
    "s8s8 symmetric minmax layers only": Options(
        signed=True, operators=LAYERS, extra={**_TENSORRT, "OpTypesToExcludeOutputQuantization": list(LAYERS)}
    ),
}
"""Each is tried; the judge takes, for every budget, the best on validation records."""
FEW = ("u8s8 minmax", "u8s8 entropy", "u8s8 minmax layers only", "s8s8 symmetric minmax layers only")
"""Of a student: what was never far from the best on teachers."""


def default(given: Given) -> Iterator[Made]:
    """`quantize_static(model, out, reader)`, nothing else said."""
    yield made("onnxruntime", "default", given.subject.file, given, None)


def best(given: Given) -> Iterator[Made]:
    """Every one of `BEST`, of the preprocessed model, as its documentation advises."""
    for name, options in BEST.items():
        yield made("onnxruntime-best", name, given.subject.file, given, options)


def made(tool: str, variant: str, model: bytes, given: Given, options: Options | None, already: float = 0.0) -> Made:
    """One quantized file for both targets, or why there is none.

    Args:
        already: seconds that were spent before.
    """
    start = time.monotonic()
    try:
        file = quantized(model, given.calibration, options)
    except Exception as error:  # another's tool: whatever it raises is its answer
        return Made(tool, variant, {}, already + time.monotonic() - start, why_not=reason(error))
    files = {target.name: file for target in given.subject.targets}
    return Made(tool, variant, files, already + time.monotonic() - start)


def quantized(model: bytes, x: NDArray[np.float32], options: Options | None) -> bytes:
    """The file that `quantize_static` writes; None for its own defaults."""
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory(prefix="bench-ort-") as folder:
        source, target = Path(folder) / "model.onnx", Path(folder) / "int8.onnx"
        source.write_bytes(model)
        name = onnx.load(source).graph.input[0].name
        if options is None:
            quantize_static(source, target, _Reader(x, name))
        else:
            prepared = Path(folder) / "prepared.onnx"
            quant_pre_process(source, prepared, skip_symbolic_shape=True)
            quantize_static(
                prepared,
                target,
                _Reader(x, name),
                quant_format=QuantFormat[options.form],
                op_types_to_quantize=options.operators,
                per_channel=options.per_channel,
                reduce_range=options.reduce_range,
                activation_type=QuantType.QInt8 if options.signed else QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod[options.method],
                extra_options=dict(options.extra),
            )
        return target.read_bytes()


def reason(error: BaseException) -> str:
    """One line of what a tool raised."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


class _Reader:
    """Batches of records, then None."""

    def __init__(self, x: NDArray[np.float32], name: str) -> None:
        self._batches = iter(np.array_split(x, max(1, len(x) // 32)))
        self._name = name

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        batch = next(self._batches, None)
        return None if batch is None else {self._name: batch}
