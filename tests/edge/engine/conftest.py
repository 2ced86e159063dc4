"""Real TensorRT-RTX plans, built once for all tests of this folder."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from edge.engine.build import BuildLog, build_plan
from edge.engine.library import installed_version
from tests.edge.onnx_models import conv_net

SMS = (86, 89)


@pytest.fixture(scope="session")
def quantized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small conv net with symmetric s8 Q/DQ."""
    path = tmp_path_factory.mktemp("quantized") / "net.onnx"
    onnx.save(conv_net(quantized=True), path)
    return path


@pytest.fixture(scope="session")
def plans(quantized: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, tuple[bytes, BuildLog]]:
    """SM to a plan's bytes and the log of its build."""
    if not installed_version("tensorrt_rtx"):
        pytest.skip("TensorRT-RTX is not installed here")
    folder = tmp_path_factory.mktemp("plans")
    built = {}
    for sm in SMS:
        log = build_plan(quantized, sm, folder / f"sm{sm}.plan")
        built[sm] = ((folder / f"sm{sm}.plan").read_bytes(), log)
    return built
