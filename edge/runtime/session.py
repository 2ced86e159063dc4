"""Inference sessions: one interface over ONNX Runtime and TensorRT plans.

Runtimes are imported when a session is opened, so a device needs only the one it uses.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge.contracts import CLASS_ANSWER, AnswerSpec, InputSpec, ReleaseArtifact
from edge.errors import IncompatibleError, RejectedError

MAX_BATCH = 32
"""The largest batch that every session takes; plans are built for it."""


@dataclass(frozen=True)
class Signature:
    """What a model reads and answers, without the batch axis.

    Attributes:
        input, output: names.
        shape: of the input.
        outputs: how many numbers are answered.
        picture: (channels, height, width) of the answer where it is a picture; empty where it is a row of numbers.
        tokens: the input is int64 token numbers, not float32.
    """

    input: str
    shape: tuple[int, ...]
    output: str
    outputs: int
    picture: tuple[int, ...] = ()
    tokens: bool = False

    @property
    def answer(self) -> tuple[int, ...]:
        """The answer's shape for one record."""
        return self.picture or (self.outputs,)


class InferenceSession(Protocol):
    """A model that is ready to answer. `runtime` names what executes it, with its version."""

    runtime: str
    threads: int
    signature: Signature

    def run(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        """Answer records: (n, *shape) float32 or int64, 1 <= n <= `MAX_BATCH`, to float32 (n, *answer)."""


class OnnxSession:
    """An ONNX file in ONNX Runtime on the CPU, as a device runs it: one thread, nothing printed, nothing sent."""

    def __init__(self, path: str | Path, threads: int = 1) -> None:
        """Load the file.

        Raises:
            IncompatibleError: ONNX Runtime is missing, or too old for this file.
            RejectedError: not a model, or one with other inputs and outputs than one of each, float32 (or int64 in).
        """
        ort = _onnxruntime()
        check_model_file(path)
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what goes wrong is raised, with the file's name
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises one class per status code, without a common base
            raise _load_error(path, error, ort.__version__) from error
        self.path = Path(path)
        self.runtime = f"onnxruntime {ort.__version__}"
        self.threads = threads
        self.signature = _onnx_signature(self._session, path)

    def run(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        """See `InferenceSession.run`. Raises RejectedError where the model itself fails."""
        check_batch(batch, self.signature)
        try:
            (outputs,) = self._session.run([self.signature.output], {self.signature.input: batch})
        except Exception as error:
            raise RejectedError(
                f"{self.path}: the model fails while it runs ({_clean(error)[:500]}); export it again"
            ) from error
        answers = np.asarray(outputs, dtype=np.float32)
        expected = (len(batch), *self.signature.answer)
        if answers.shape != expected:
            raise RejectedError(
                f"{self.path}: {len(batch)} records gave an output of shape {answers.shape}, "
                f"expected {expected}; export the model with a batch axis"
            )
        return answers


def open_session(artifact: ReleaseArtifact, path: str | Path) -> InferenceSession:
    """Open a release's artifact, whose verified bytes are at `path`, in the runtime it was made for.

    Raises:
        IncompatibleError: this machine lacks the runtime, the GPU, or the version that the artifact needs.
        RejectedError: the file is not what the artifact says.
    """
    if artifact.target.runtime == "onnxruntime":
        return OnnxSession(path)
    from edge.runtime.plan import PlanSession

    return PlanSession(path, artifact.target.runtime)


def check_signature(
    session: InferenceSession,
    spec: InputSpec,
    output: str,
    labels: tuple[str, ...],
    answer: AnswerSpec = CLASS_ANSWER,
) -> None:
    """Raise RejectedError unless the model reads `spec` and answers, under the name `output`, what `answer` says.

    Of classes one number per label, of numbers and anomalies one, of pictures the pixels of one.
    """
    found = session.signature
    tokens = spec.kind == "text"
    if answer.kind == "image":
        expected = Signature(spec.name, spec.shape, output, found.outputs, found.picture, tokens)
        sound = found == expected and len(found.picture) == 3
    else:
        outputs = len(labels) if answer.kind == "class" else 1
        expected = Signature(spec.name, spec.shape, output, outputs, (), tokens)
        sound = found == expected
    if not sound:
        what = f"{expected}, answering an {answer.kind}" if answer.kind != "class" else str(expected)
        raise RejectedError(f"the model has {found}, its release says {what}; release it again")


def check_batch(batch: NDArray[Any], signature: Signature) -> None:
    """Raise ValueError unless `batch` is (n, *shape) with n from 1 to `MAX_BATCH`, float32 or int64 as the model's."""
    wanted = np.int64 if signature.tokens else np.float32
    if batch.dtype != wanted or batch.shape[1:] != signature.shape or not 1 <= len(batch) <= MAX_BATCH:
        expected = ", ".join(map(str, (f"1..{MAX_BATCH}", *signature.shape)))
        raise ValueError(f"expected {np.dtype(wanted)} ({expected}), found {batch.dtype} {batch.shape}")


def check_model_file(path: str | Path) -> None:
    """Raise RejectedError unless there is a plain file with something in it."""
    file = Path(path)
    if not file.is_file():
        raise RejectedError(f"{file}: there is no such file")
    if not file.stat().st_size:
        raise RejectedError(f"{file}: the file is empty; fetch it again")


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise IncompatibleError(
            f"onnxruntime is not installed on this device ({error}); install edgeloop-edge[onnxruntime]"
        ) from error
    onnxruntime.disable_telemetry_events()
    return onnxruntime


def _onnx_signature(session: Any, path: str | Path) -> Signature:
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or len(outputs) != 1:
        raise RejectedError(f"{path}: {len(inputs)} inputs and {len(outputs)} outputs; expected one of each")
    tokens = inputs[0].type == "tensor(int64)"
    for tensor in (inputs[0], outputs[0]):
        if tensor.type != "tensor(float)" and not (tokens and tensor is inputs[0]):
            raise RejectedError(f"{path}: {tensor.name!r} is a {tensor.type}; expected float32")
        if not tensor.shape or isinstance(tensor.shape[0], int):
            raise RejectedError(f"{path}: {tensor.name!r} has shape {tensor.shape}; its first axis must be the batch")
        if not all(isinstance(size, int) and size > 0 for size in tensor.shape[1:]):
            raise RejectedError(f"{path}: {tensor.name!r} has shape {tensor.shape}; only the batch axis may be open")
    return signature_of(inputs[0].name, inputs[0].shape, outputs[0].name, outputs[0].shape, tokens, path)


def signature_of(
    name: str, shape: Sequence[int], output: str, answer: Sequence[int], tokens: bool, path: str | Path
) -> Signature:
    """The signature of a model whose input and answer have these shapes, batch axis first. Raises RejectedError."""
    if len(answer) not in (2, 4):
        raise RejectedError(
            f"{path}: the output has shape {list(answer)}; expected (batch, numbers) or "
            "(batch, channels, height, width)"
        )
    picture = tuple(answer[1:]) if len(answer) == 4 else ()
    return Signature(name, tuple(shape[1:]), output, prod(answer[1:]), picture, tokens)


def _load_error(path: str | Path, error: Exception, version: str) -> RejectedError:
    reason = _clean(error)
    if re.search(r"IR version|till opset|Could not find an implementation|not a registered function", reason):
        return IncompatibleError(
            f"{path}: onnxruntime {version} on this device cannot run it ({reason[:500]}); "
            "update onnxruntime, or export the model for this version"
        )
    return RejectedError(f"{path}: not a readable ONNX model ({reason[:500]}); fetch or export it again")


def _clean(error: Exception) -> str:
    """The reason in an ONNX Runtime error, without its status code, the path and the C++ function that raised it."""
    text = " ".join(str(error).split())
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", text)
    text = re.sub(r"^Load model from .*? failed: ?", "", text)
    text = re.sub(r"^\S*onnxruntime/core/\S+ .*?\) (?=[A-Z])", "", text)
    return text or type(error).__name__
