"""Bytes of others are read in a child process: what ends it there is a finding, and the next file is read again."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from assets.compilation.lint import Checker, check_models
from assets.compilation.lint.supervised import SECONDS
from assets.errors import CompileError, TransientError
from tests.edge.onnx_models import conv_net

SOUND = conv_net(True).SerializeToString()


@pytest.fixture(scope="module")
def checker() -> Iterator[Checker]:
    with Checker() as checker:
        yield checker


def not_implemented() -> bytes:
    """Valid ONNX that ONNX Runtime has no kernel for: Relu of int64."""
    nodes = [
        helper.make_node("Cast", ["x"], ["i"], name="in", to=TensorProto.INT64),
        helper.make_node("Relu", ["i"], ["r"], name="relu"),
        helper.make_node("Cast", ["r"], ["y"], name="out", to=TensorProto.FLOAT),
    ]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 2]) for name in "xy"]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return bytes(model.SerializeToString())


def fails_when_run() -> bytes:
    """Opens, and then gathers beyond the end."""
    indices = numpy_helper.from_array(np.array([7]), "beyond")
    nodes = [
        helper.make_node("Add", ["x", "x"], ["s"], name="add"),
        helper.make_node("Gather", ["s", "beyond"], ["y"], name="gather", axis=1),
    ]
    values = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])]
    values.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1]))
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], [indices])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def test_one_child_reads_one_file_after_another(checker: Checker) -> None:
    assert checker.lint(SOUND, "tensorrt") == ()
    child = checker._child
    assert [finding.rule for finding in checker.lint(b"", "float")] == ["valid-protobuf"]
    assert [finding.rule for finding in checker.lint(conv_net(True, zero=3).SerializeToString(), "tensorrt")] == [
        "symmetric-quantization",
        "symmetric-quantization",
        "symmetric-quantization",
        "symmetric-quantization",
    ]
    assert checker._child is child
    assert checker.restarts == 0


def test_what_onnx_runtime_does_not_open_or_run_is_found(checker: Checker) -> None:
    (finding,) = checker.lint(not_implemented(), "float")
    assert finding.rule == "loads"
    assert finding.node == "relu"
    (finding,) = checker.lint(fails_when_run(), "float")
    assert finding.rule == "loads"
    assert finding.node == "gather"
    assert checker.lint(fails_when_run(), "float", load=False) == ()


def test_a_file_that_takes_too_long_is_found_and_the_next_is_read() -> None:
    with Checker() as checker:
        assert checker.lint(SOUND, "tensorrt") == ()
        assert checker._child is not None
        checker._child._process.send_signal(signal.SIGSTOP)  # it does not answer, however long one waits
        checker._seconds = 0.1
        (finding,) = checker.lint(SOUND, "tensorrt")
        assert finding.rule == "survives-checking"
        assert "took longer than 0.1 s" in finding.reason
        checker._seconds = SECONDS
        assert checker.lint(SOUND, "tensorrt") == ()


@pytest.mark.parametrize(
    ("code", "rule", "reason"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "survives-checking", r"the checker crashed on it \(SIGSEGV\)"),
        (
            "open('stage', 'w').write('ONNX Runtime'); sys.exit(3)",
            "loads",
            r"ONNX Runtime crashed on it \(exit code 3\)",
        ),
        ("print('no JSON', flush=True); time.sleep(600)", "survives-checking", "gave no answer"),
    ],
)
def test_a_child_that_dies_is_a_clear_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, rule: str, reason: str
) -> None:
    child = tmp_path / "python"
    lines = ["import os, signal, sys, time", "sys.stdin.readline()", "print('{}', flush=True)", "sys.stdin.readline()"]
    script = tmp_path / "child.py"
    script.write_text("\n".join((*lines, code)))
    child.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{script}"\n')
    child.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(child))
    with Checker() as checker:
        (finding,) = checker.lint(SOUND, "tensorrt")
    assert finding.rule == rule
    assert re.search(reason, finding.reason)


def test_a_child_that_does_not_start_is_worth_another_try(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    child = tmp_path / "python"
    child.write_text("#!/bin/sh\necho 'no module' >&2\nexit 1\n")
    child.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(child))
    with Checker() as checker, pytest.raises(TransientError, match=r"does not start: it crashed on it .*no module"):
        checker.lint(SOUND, "tensorrt")


def test_memory_is_limited() -> None:
    values: Any = numpy_helper.from_array(np.zeros((50, 1024, 256), np.float32), "w")  # 50 MiB, held more than once
    nodes = [helper.make_node("Gather", ["w", "x"], ["y"], name="gather")]
    inputs = [helper.make_tensor_value_info("x", TensorProto.INT64, ["n", 1])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1, 1024, 256])]
    graph = helper.make_graph(nodes, "g", inputs, outputs, [values])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10).SerializeToString()
    with Checker(memory_mb=250) as checker:
        assert checker.lint(model, "float", "any") != ()
        assert checker.lint(SOUND, "tensorrt") == ()


def test_several_files_stop_at_the_first_bad_one() -> None:
    with pytest.raises(CompileError, match=r"^second: not compiled"):
        check_models([(SOUND, "tensorrt", "first"), (b"", "float", "second"), (b"", "float", "third")])
