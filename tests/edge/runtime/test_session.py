"""ONNX Runtime sessions: sound models answer, every other file is refused with a reason."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edge.contracts import MAX_BATCH, ArtifactRef, Evidence, InputSpec, PlanHeader, ReleaseArtifact, TargetProfile
from edge.errors import IncompatibleError, RejectedError
from edge.runtime.onnx import OnnxSession
from edge.runtime.session import open_session
from edge.runtime.signature import Signature, check_signature
from tests.edge.onnx_models import CLASSES, SHAPE, conv_net

SPEC = InputSpec("image", "input", SHAPE, (0.5,), (0.25,))
LABELS = tuple("abcd")
SHA = "a" * 64


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "net.onnx"
    onnx.save(conv_net(), path)
    return path


def saved(model: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "other.onnx"
    onnx.save(model, path)
    return path


def test_a_sound_model_answers(model: Path) -> None:
    session = OnnxSession(model)
    assert session.signature == Signature("input", SHAPE, "logits", CLASSES)
    assert session.runtime.startswith("onnxruntime ")
    batch = np.random.default_rng(0).normal(size=(5, *SHAPE)).astype(np.float32)
    answers = session.run(batch)
    assert answers.shape == (5, CLASSES)
    assert answers.dtype == np.float32
    np.testing.assert_allclose(session.run(batch[2:3])[0], answers[2], rtol=1e-5)


def test_quantized_and_float_models_agree(tmp_path: Path, model: Path) -> None:
    quantized = OnnxSession(saved(conv_net(quantized=True), tmp_path))
    batch = np.random.default_rng(0).uniform(-1, 1, size=(8, *SHAPE)).astype(np.float32)
    difference = np.abs(quantized.run(batch) - OnnxSession(model).run(batch)).max()
    assert 0 < difference < 0.5


@pytest.mark.parametrize(
    "batch",
    [
        np.zeros((1, *SHAPE), np.float64),
        np.zeros((0, *SHAPE), np.float32),
        np.zeros((MAX_BATCH + 1, *SHAPE), np.float32),
        np.zeros((1, 1, 8, 9), np.float32),
        np.zeros(SHAPE, np.float32),
    ],
    ids=lambda batch: f"{batch.dtype}{batch.shape}",
)
def test_a_wrong_batch_is_the_callers_mistake(model: Path, batch: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected float32"):
        OnnxSession(model).run(batch)


@pytest.mark.parametrize(
    "data", [b"", b"hello world\n" * 50, b"\0" * 100, b"vtrt" + b"\0" * 60], ids=["empty", "text", "zeros", "plan"]
)
def test_what_is_no_model_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(data)
    with pytest.raises(RejectedError, match=r"broken\.onnx"):
        OnnxSession(path)


def test_a_cut_model_is_refused(tmp_path: Path, model: Path) -> None:
    path = tmp_path / "cut.onnx"
    path.write_bytes(model.read_bytes()[:-200])
    with pytest.raises(RejectedError, match=r"cut\.onnx: not a readable ONNX model"):
        OnnxSession(path)


@pytest.mark.parametrize("name", ["nothing.onnx", "."])
def test_a_path_that_is_no_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(RejectedError, match="no such file"):
        OnnxSession(tmp_path / name)


def test_a_newer_model_needs_a_newer_runtime(tmp_path: Path) -> None:
    newer = conv_net()
    newer.ir_version = 99
    with pytest.raises(IncompatibleError, match="update onnxruntime"):
        OnnxSession(saved(newer, tmp_path))
    newer = conv_net()
    newer.opset_import[0].version = 99
    with pytest.raises(IncompatibleError, match="update onnxruntime") as caught:
        OnnxSession(saved(newer, tmp_path))
    assert "onnxruntime_src" not in str(caught.value)


def test_an_unknown_operator_is_refused(tmp_path: Path) -> None:
    odd = conv_net()
    odd.graph.node[0].op_type = "Einstein"
    with pytest.raises(RejectedError, match="Einstein"):
        OnnxSession(saved(odd, tmp_path))


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"batch": 1}, "first axis must be the batch"), ({"height": "h"}, "only the batch axis may be open")],
)
def test_fixed_batches_and_open_axes_are_refused(tmp_path: Path, change: dict[str, str | int], reason: str) -> None:
    with pytest.raises(RejectedError, match=reason):
        OnnxSession(saved(conv_net(**change), tmp_path))


def test_another_element_type_is_refused(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.DOUBLE, ["n", 2])],
        [helper.make_tensor_value_info("y", TensorProto.DOUBLE, ["n", 2])],
    )
    double = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    with pytest.raises(RejectedError, match="expected float32"):
        OnnxSession(saved(double, tmp_path))


def test_the_signature_must_be_the_releases(model: Path) -> None:
    session = OnnxSession(model)
    check_signature(session, SPEC, "logits", LABELS)
    with pytest.raises(RejectedError, match="its release says"):
        check_signature(session, SPEC, "logits", LABELS[:3])
    with pytest.raises(RejectedError, match="its release says"):
        check_signature(session, SPEC, "scores", LABELS)
    with pytest.raises(RejectedError, match="its release says"):
        check_signature(session, dataclasses.replace(SPEC, shape=(1, 8, 9)), "logits", LABELS)


def artifact(runtime: str, kind: str) -> ReleaseArtifact:
    target = TargetProfile("t", runtime, "x86_64", "cpu")  # type: ignore[arg-type]
    plan = PlanHeader("vtrt", "1.7.1.116", 86) if kind == "plan" else None
    return ReleaseArtifact(target, ArtifactRef("f", SHA, 1, kind), Evidence(SHA), plan)


def test_an_artifact_opens_in_its_own_runtime(tmp_path: Path, model: Path) -> None:
    assert open_session(artifact("onnxruntime", "onnx"), model).signature.outputs == CLASSES
    with pytest.raises(RejectedError, match="not a TensorRT plan"):
        open_session(artifact("tensorrt_rtx", "plan"), model)


def test_a_plan_needs_a_gpu(tmp_path: Path) -> None:
    import ctypes

    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        pass
    else:
        pytest.skip("this machine has an NVIDIA driver")
    plan = tmp_path / "p.plan"
    header = b"vtrt" + b"\0" * 12 + (64).to_bytes(8, "little") + bytes([1, 7, 1, 116]) + b"vtrt" + bytes([4])
    plan.write_bytes(header.ljust(64, b"\0"))
    with pytest.raises(IncompatibleError, match="no NVIDIA driver"):
        open_session(artifact("tensorrt_rtx", "plan"), plan)
    with pytest.raises(RejectedError, match="a plan for tensorrt_rtx, the release says tensorrt"):
        open_session(artifact("tensorrt", "plan"), plan)
