"""ONNX files that others made: linted, read as they are meant, and built by the real TensorRT-RTX, in every format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from assets.compilation.lint import Checker, lint_model
from assets.compilation.shapes import input_shapes
from assets.compression.quantize import calibrations, quantize, to_float16, weights_to_int8
from assets.evaluation.answers import open_session
from assets.evaluation.as_tensorrt import misreading
from edge.engine.build import build_plan
from edge.engine.library import installed_version
from tests.assets.foreign_models import NAMES, Foreign, foreign
from tests.edge.onnx_models import conv_net

FORMATS = ("float", "int8", "float16", "weights8")
QUICK = {("detector", "float"), ("resnet_opset13", "int8")}
"""In every run: several outputs with open sides, and INT8 of a file of the legacy exporter."""
SM = 86
nightly = pytest.mark.nightly


def written(model: Foreign, kind: str) -> bytes:
    """The file in the TensorRT dialect of a format."""
    if kind == "float":
        return model.model
    if kind == "int8":
        ranges = calibrations(model.model, [model.feeds], ["minmax"])["minmax"]
        return quantize(model.model, ranges, "tensorrt")
    return to_float16(model.model) if kind == "float16" else weights_to_int8(model.model, "tensorrt")


def answer(model: Foreign, data: bytes, as_written: bool) -> NDArray[Any]:
    outputs = open_session(data, as_written=as_written).run(None, dict(model.feeds))
    return np.concatenate([np.reshape(output, (len(output), -1)) for output in outputs], axis=1)


def shapes_of(model: Foreign, data: bytes) -> Any:
    """Open sides of a picture may be once or twice as long."""
    examples = {name: [array.shape] for name, array in model.feeds.items()}
    if model.name == "detector":
        examples = {name: [(8, 3, 32, 32), (1, 3, 64, 96)] for name in examples}
    return input_shapes(data, examples)


@pytest.mark.skipif(not installed_version("tensorrt_rtx"), reason="TensorRT-RTX is not installed here")
@pytest.mark.parametrize(
    ("name", "kind"),
    [pytest.param(name, kind, marks=() if (name, kind) in QUICK else (nightly,)) for name in NAMES for kind in FORMATS],
)
def test_a_foreign_model_is_sound_read_as_it_is_meant_and_built(name: str, kind: str, tmp_path: Path) -> None:
    model = foreign(name)
    data = written(model, kind)
    assert lint_model(data, "tensorrt", "any") == ()
    assert misreading(data, lambda file, as_written: answer(model, file, as_written)) == ""
    path = tmp_path / "model.onnx"
    path.write_bytes(data)
    log = build_plan(path, SM, tmp_path / "model.plan", shapes=shapes_of(model, data))
    assert log.size > 10_000
    assert not [warning for warning in log.warnings if "INT8" in warning or "zero point" in warning]


@pytest.mark.skipif(not installed_version("tensorrt_rtx"), reason="TensorRT-RTX is not installed here")
def test_a_batch_that_the_file_fixes_stays_fixed(tmp_path: Path) -> None:
    model = conv_net(batch=4).SerializeToString()
    (tmp_path / "fixed.onnx").write_bytes(model)
    assert lint_model(model, "float", "any") == ()
    log = build_plan(tmp_path / "fixed.onnx", SM, tmp_path / "fixed.plan", shapes=input_shapes(model))
    assert log.flags == "strongly-typed;input=4x1x8x8..4x1x8x8..4x1x8x8"


@nightly
def test_float16_of_a_small_transformer_does_not_end_the_process() -> None:
    """What ONNX Runtime's optimizer does to it; the child that opens it tells, and as TensorRT's file it is sound."""
    data = to_float16(foreign("vit").model)
    with Checker() as checker:
        assert checker.lint(data, "tensorrt", "any") == ()
        assert {finding.rule for finding in checker.lint(data, "float", "any")} <= {"loads"}
        assert checker.lint(data, "tensorrt", "any") == ()
