"""Real TensorRT-RTX builds: sound models give plans, everything else one clear error from a process of its own."""

from __future__ import annotations

import hashlib
import signal
import sys
from pathlib import Path

import onnx
import pytest

from edge.engine.build import BuildLimits, BuildLog, build_plan
from edge.engine.library import installed_version, load_tensorrt
from edge.errors import IncompatibleError, RejectedError, TransientError
from tests.edge.onnx_models import conv_net

pytestmark = pytest.mark.skipif(not installed_version("tensorrt_rtx"), reason="TensorRT-RTX is not installed here")


def saved(model: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "net.onnx"
    onnx.save(model, path)
    return path


def test_plans_are_built_for_each_sm(plans: dict[int, tuple[bytes, BuildLog]]) -> None:
    (first, _), (second, _) = plans[86], plans[89]
    assert first != second
    for data, log in plans.values():
        assert log.sha256 == hashlib.sha256(data).hexdigest()
        assert log.size == len(data) > 10_000
        assert log.seconds > 0
        assert 10 < log.peak_mb < 4096
        assert not [warning for warning in log.warnings if "INT8" in warning]


@pytest.mark.skipif(sys.platform != "linux", reason="addresses can be fixed on Linux only")
def test_equal_inputs_give_equal_bytes(
    quantized: Path, plans: dict[int, tuple[bytes, BuildLog]], tmp_path: Path
) -> None:
    import ctypes

    libc = ctypes.CDLL(None)
    before = libc.personality(0xFFFFFFFF)
    allowed = libc.personality(before | 0x0040000) != -1
    libc.personality(before)
    if not allowed:
        pytest.skip("this sandbox does not let a process fix its addresses, so internal names may differ")
    again = build_plan(quantized, 86, tmp_path / "deeper" / "again.plan")
    assert again.sha256 == plans[86][1].sha256


def test_a_float_model_builds_too(tmp_path: Path) -> None:
    assert build_plan(saved(conv_net(), tmp_path), 120, tmp_path / "p.plan").header.sm == 120


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no model"),
        (b"just some text\n" * 100, "cannot read|no model"),
        (bytes(range(256)) * 20, r"cannot read|no model"),
    ],
    ids=["empty", "text", "garbage"],
)
def test_what_is_no_model_is_refused(tmp_path: Path, data: bytes, reason: str) -> None:
    (tmp_path / "bad.onnx").write_bytes(data)
    with pytest.raises(RejectedError, match=rf"bad\.onnx for SM86: .*({reason})"):
        build_plan(tmp_path / "bad.onnx", 86, tmp_path / "p.plan")
    assert not (tmp_path / "p.plan").exists()


def test_a_cut_model_is_refused(quantized: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.onnx").write_bytes(quantized.read_bytes()[:-100])
    with pytest.raises(RejectedError, match="Failed to parse the ONNX model"):
        build_plan(tmp_path / "cut.onnx", 86, tmp_path / "p.plan")


def test_unsigned_activations_are_refused_not_misread(tmp_path: Path) -> None:
    import numpy as np

    with pytest.raises(RejectedError, match=r"Non-zero zero point|silently change the model"):
        build_plan(saved(conv_net(True, zero_type=np.uint8, zero=128), tmp_path), 86, tmp_path / "p.plan")
    with pytest.raises(
        RejectedError, match=r"silently change the model at node 'input_q' \(QuantizeLinear\).*u8 is read"
    ):
        build_plan(saved(conv_net(True, zero_type=np.uint8, zero=0), tmp_path), 86, tmp_path / "p.plan")


def test_an_int32_bias_is_refused_by_the_name_of_its_node(tmp_path: Path) -> None:
    with pytest.raises(RejectedError, match=r"node 'b1_dq' \(DequantizeLinear\)"):
        build_plan(saved(conv_net(True, int32_bias=True), tmp_path), 86, tmp_path / "p.plan")


def test_the_builders_reason_comes_out_of_its_log(tmp_path: Path) -> None:
    with pytest.raises(RejectedError, match="FP32 GEMM is not supported"):
        build_plan(saved(conv_net(True), tmp_path), 75, tmp_path / "p.plan")


@pytest.mark.parametrize("change", [{"batch": 4}, {"height": "h"}])
def test_only_the_batch_may_be_open(tmp_path: Path, change: dict[str, str | int]) -> None:
    with pytest.raises(RejectedError, match=r"'input' has shape .* must be open"):
        build_plan(saved(conv_net(**change), tmp_path), 86, tmp_path / "p.plan")


@pytest.mark.parametrize("memory_mb", [5, 40])
def test_a_build_ends_at_its_memory_limit(quantized: Path, tmp_path: Path, memory_mb: int) -> None:
    with pytest.raises((RejectedError, IncompatibleError)):
        build_plan(quantized, 86, tmp_path / "p.plan", BuildLimits(memory_mb=memory_mb))


def test_a_build_ends_at_its_time_limit(quantized: Path, tmp_path: Path) -> None:
    with pytest.raises(TransientError, match=r"longer than 0\.05 s"):
        build_plan(quantized, 86, tmp_path / "p.plan", BuildLimits(seconds=0.05))


def test_an_sm_that_rtx_does_not_build_for_is_refused(quantized: Path, tmp_path: Path) -> None:
    with pytest.raises(IncompatibleError, match=r"does not build for SM87; it builds for 75, 80, 86"):
        build_plan(quantized, 87, tmp_path / "p.plan")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RejectedError, match="No such file"):
        build_plan(tmp_path / "none.onnx", 86, tmp_path / "p.plan")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", r"crashed on it \(SIGSEGV\)"),
        ("import sys; sys.stderr.write('boom'); sys.exit(3)", r"exit code 3\): boom"),
        ("open('log.json', 'w').write('[')", "without an answer"),
    ],
)
def test_a_child_that_dies_is_a_clear_error(
    quantized: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, reason: str
) -> None:
    child = tmp_path / "python"
    child.write_text(f"#!/bin/sh\nexec \"{sys.executable}\" - <<'END'\n{code}\nEND\n")
    child.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(child))
    with pytest.raises(RejectedError, match=reason):
        build_plan(quantized, 86, tmp_path / "p.plan")


def test_a_crash_names_the_node_that_was_read(quantized: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import os, signal\n"
        "from pathlib import Path\n"
        "from edge.engine.messages import Messages\n"
        "Messages(Path('node')).reading('Parsing node: conv [Conv]')\n"
        "os.kill(os.getpid(), signal.SIGSEGV)\n"
    )
    child = tmp_path / "python"
    child.write_text(f"#!/bin/sh\nexec \"{sys.executable}\" - <<'END'\n{code}END\n")
    child.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(child))
    with pytest.raises(RejectedError, match=r"crashed on it \(SIGSEGV\) at node 'conv' \(Conv\)"):
        build_plan(quantized, 86, tmp_path / "p.plan")


def test_a_child_whose_parent_dies_ends(quantized: Path, tmp_path: Path) -> None:
    import os
    import subprocess
    import time

    code = (
        "import sys, time\n"
        "import edge.engine.build_child as child\n"
        "child._prepare(4096)\n"
        "print('ready', file=sys.stderr, flush=True)\n"  # where its standard output goes from here on
        "time.sleep(600)\n"
    )
    outer = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-c', {code!r}], stderr=subprocess.PIPE)\n"
        "child.stderr.readline()\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", outer], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
    for _ in range(4000):
        if not Path(f"/proc/{pid}").exists() or " Z " in Path(f"/proc/{pid}/stat").read_text():
            return
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    pytest.fail("the child outlived its parent")


def test_a_runtime_that_is_missing_says_what_to_install() -> None:
    if installed_version("tensorrt"):
        pytest.skip("TensorRT is installed here")
    with pytest.raises(IncompatibleError, match="JetPack"):
        load_tensorrt("tensorrt")
    assert installed_version("tensorrt") == ""
    assert installed_version("nonsense") == ""
