"""NNCF, nvidia-modelopt and torchao, each through its documented entry."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from assets.evaluation.answers import open_session
from assets.evaluation.hits import hits
from tests.benchmarks.compress.contract import Given, Made
from tests.benchmarks.compress.ort import reason

CONTROL_DROPS = (0.005, 0.01, 0.02, 0.04)
"""What NNCF's accuracy control is allowed to lose: the budgets."""


def nncf(given: Given) -> Iterator[Made]:
    """`nncf.quantize` as it comes, with its other preset, and without bias correction, which may harm."""
    import nncf as library

    uncorrected = library.AdvancedQuantizationParameters(disable_bias_correction=True)
    for variant, options in {
        "default": {},
        "preset mixed": {"preset": library.QuantizationPreset.MIXED},
        "no bias correction": {"advanced_parameters": uncorrected},
    }.items():
        yield _tried("nncf", variant, given, partial(_nncf, given, **options))


def nncf_control(given: Given) -> Iterator[Made]:
    """`nncf.quantize_with_accuracy_control` for each budget, as long as plain INT8 does not keep to it anyway."""
    import nncf as library

    for drop in CONTROL_DROPS:
        start = time.monotonic()
        try:
            model, data = _loaded(given), _dataset(given)
            rows, held = _rows(given), given.subject.validation

            def accuracy(onnx_model: Any, batches: Iterable[Any]) -> tuple[float, list[float]]:
                session = open_session(onnx_model.SerializeToString())
                good = [hits(session.run(None, {given.subject.input.name: x})[0], y).astype(float) for x, y in batches]
                found = np.concatenate(good)
                return float(found.mean()), found.tolist()

            # One record an item: it ranks layers by the items that each spoils.
            batches = [(held.batch(rows[at : at + 1]).numpy(), held.y[rows[at : at + 1]]) for at in range(len(rows))]
            validation = library.Dataset(batches)
            result = library.quantize_with_accuracy_control(
                model, data, validation, accuracy, max_drop=drop, subset_size=len(given.calibration)
            )
            file = result.SerializeToString()
        except Exception as error:  # another's tool: whatever it raises is its answer
            yield Made("nncf-accuracy-control", f"max_drop {drop}", {}, time.monotonic() - start, why_not=reason(error))
            return
        files = {target.name: file for target in given.subject.targets}
        yield Made("nncf-accuracy-control", f"max_drop {drop}", files, time.monotonic() - start)
        if not _reverted(given, file):
            return  # all of it is INT8 already: a larger drop asks for the same file


def modelopt(given: Given) -> Iterator[Made]:
    """`modelopt.onnx.quantization.quantize`: as it comes (entropy, the rest in FP16), and its other ways."""
    for variant, options in {
        "default": {},
        "entropy, rest fp32": {"high_precision_dtype": "fp32"},
        "max, rest fp32": {"high_precision_dtype": "fp32", "calibration_method": "max"},
        "max, rest fp16": {"calibration_method": "max"},
    }.items():
        yield _tried("modelopt", variant, given, partial(_modelopt, given, options))


def torchao(given: Given) -> Iterator[Made]:
    """PT2E with the quantizers that torchao ships for x86 and Arm processors, exported to ONNX by torch."""
    for variant in ("x86 quantizer", "arm quantizer"):
        yield _tried("torchao-pt2e", variant, given, partial(_pt2e, given, variant))


def _tried(tool: str, variant: str, given: Given, make: Callable[[], bytes]) -> Made:
    start = time.monotonic()
    try:
        file = make()
    except Exception as error:  # another's tool: whatever it raises is its answer
        return Made(tool, variant, {}, time.monotonic() - start, why_not=reason(error))
    return Made(tool, variant, {target.name: file for target in given.subject.targets}, time.monotonic() - start)


def _loaded(given: Given) -> Any:
    import onnx

    logging.getLogger("nncf").setLevel(logging.ERROR)
    return onnx.load_from_string(given.subject.file)


def _dataset(given: Given) -> Any:
    import nncf as library

    name = given.subject.input.name
    return library.Dataset(list(given.calibration[:, None]), lambda record: {name: record})


def _nncf(given: Given, **options: Any) -> bytes:
    import nncf as library

    made = library.quantize(_loaded(given), _dataset(given), subset_size=len(given.calibration), **options)
    return bytes(made.SerializeToString())


def _rows(given: Given) -> np.ndarray[Any, np.dtype[np.int64]]:
    """At most 1,000 validation records, evenly: accuracy control asks for them once per layer."""
    records = len(given.subject.validation)
    return np.unique(np.linspace(0, records - 1, min(records, 1000)).astype(np.int64))


def _reverted(given: Given, file: bytes) -> bool:
    """Whether accuracy control took the quantizers of some layer out again."""
    import onnx

    plain = onnx.load_from_string(_nncf(given))
    made = onnx.load_from_string(file)
    quantizers = [sum(node.op_type == "QuantizeLinear" for node in model.graph.node) for model in (plain, made)]
    return bool(quantizers[1] < quantizers[0])


def _modelopt(given: Given, options: dict[str, Any]) -> bytes:
    from modelopt.onnx.quantization import quantize

    with tempfile.TemporaryDirectory(prefix="bench-modelopt-") as folder:
        source, target = Path(folder) / "model.onnx", Path(folder) / "int8.onnx"
        source.write_bytes(given.subject.file)
        quantize(
            str(source),
            calibration_data={given.subject.input.name: given.calibration},
            calibration_eps=["cpu"],
            output_path=str(target),
            log_level="ERROR",
            **options,
        )
        return target.read_bytes()


def _pt2e(given: Given, variant: str) -> bytes:
    import copy

    import torch
    from torchao.quantization.pt2e import move_exported_model_to_eval
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
    from torchao.quantization.pt2e.quantizer import arm_inductor_quantizer, x86_inductor_quantizer

    trainable = given.subject.trainable
    assert trainable is not None, "a bench's teacher is a network"
    network = copy.deepcopy(trainable.network).eval()
    records = torch.from_numpy(given.calibration)
    shapes = ({0: torch.export.Dim("batch")},)
    graph = torch.export.export(network, (records[:2],), dynamic_shapes=shapes).module()
    if variant.startswith("x86"):
        quantizer: Any = x86_inductor_quantizer.X86InductorQuantizer()
        quantizer.set_global(x86_inductor_quantizer.get_default_x86_inductor_quantization_config())
    else:
        quantizer = arm_inductor_quantizer.ArmInductorQuantizer()
        quantizer.set_global(arm_inductor_quantizer.get_default_arm_inductor_quantization_config())
    prepared = prepare_pt2e(graph, quantizer)
    with torch.no_grad():
        for batch in torch.split(records, 32):
            prepared(batch)
    converted = move_exported_model_to_eval(convert_pt2e(prepared))
    program = torch.onnx.export(
        converted,
        (records[:2],),
        dynamo=True,
        opset_version=20,
        dynamic_shapes=shapes,
        input_names=[given.subject.input.name],
        output_names=[given.subject.output],
        external_data=False,
        verbose=False,
    )
    assert program is not None, "the dynamo exporter returns a program"
    return bytes(program.model_proto.SerializeToString())
