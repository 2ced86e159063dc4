"""Nothing phones home, and nothing is written outside the state folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CODE = """
import sys
from assets.evaluation.answers import logits, open_session
import numpy as np, onnx
from onnx import TensorProto, helper
graph = helper.make_graph(
    [helper.make_node("Relu", ["input"], ["output"])], "g",
    [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", 2])],
    [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["n", 2])],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
assert logits(open_session(model.SerializeToString()), np.ones((3, 2), np.float32)).shape == (3, 2)
import great_expectations
"""


def test_inference_and_validation_write_nothing_into_the_home_folder(tmp_path: Path) -> None:
    kept = {key: value for key, value in os.environ.items() if key not in {"CI", "ORT_DISABLE_TELEMETRY"}}
    environment = {**kept, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    subprocess.run([sys.executable, "-c", CODE], env=environment, check=True, cwd=tmp_path)
    assert list(tmp_path.rglob("*")) == []


def test_telemetry_is_off_before_onnx_runtime_loads() -> None:
    code = "import os, sys, edge; assert 'onnxruntime' not in sys.modules; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    kept = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"}
    done = subprocess.run([sys.executable, "-c", code], env=kept, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "1"


def test_the_shipped_dagster_settings_switch_telemetry_off() -> None:
    text = (Path(__file__).parent.parent / "infra/dagster.yaml").read_text()
    assert "telemetry:\n  enabled: false" in text
