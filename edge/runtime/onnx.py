"""An ONNX file as an inference session, run by ONNX Runtime; the package `onnx` is not needed for it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.errors import IncompatibleError, RejectedError
from edge.runtime.signature import Signature, check_batch, check_model_file, signature_of


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
