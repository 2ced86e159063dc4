"""A plan as an inference session, run by TensorRT or TensorRT-RTX."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.contracts import MAX_BATCH
from edge.engine.cuda import Cuda
from edge.engine.header import Header, parse_plan
from edge.engine.library import load_tensorrt
from edge.engine.versions import same_version
from edge.errors import IncompatibleError, RejectedError
from edge.runtime.signature import Signature, check_batch, check_model_file, signature_of


class PlanSession:
    """A plan on this machine's GPU. Its header is checked first, for TensorRT may crash on foreign bytes."""

    def __init__(self, path: str | Path, runtime: str) -> None:
        """Load the plan.

        Args:
            runtime: "tensorrt" or "tensorrt_rtx".

        Raises:
            IncompatibleError: no GPU, no such runtime, or a plan for another SM or version.
            RejectedError: the file is no such plan.
        """
        check_model_file(path)
        data = Path(path).read_bytes()
        header = parse_plan(data, str(path))
        if header.runtime != runtime:
            raise RejectedError(f"{path}: a plan for {header.runtime}, the release says {runtime}; release it again")
        cuda = Cuda()
        trt = load_tensorrt(runtime)
        _check_machine(header, str(trt.__version__), cuda.sm, path)
        self._cuda, self._logger = cuda, trt.Logger(trt.Logger.ERROR)
        self._runtime = trt.Runtime(self._logger)
        self._engine = self._runtime.deserialize_cuda_engine(data)
        if self._engine is None:
            raise RejectedError(f"{path}: {runtime} {trt.__version__} does not load it; fetch or build it again")
        self._context = self._engine.create_execution_context()
        if self._context is None:
            raise IncompatibleError(
                f"{path}: the GPU has no memory for it; end other programs, or use the ONNX artifact"
            )
        self.path, self.runtime, self.threads = Path(path), f"{runtime} {trt.__version__}", 1
        self.signature = _plan_signature(trt, self._engine, path)
        width = 8 if self.signature.tokens else 4
        self._input = cuda.allocate(width * MAX_BATCH * int(np.prod(self.signature.shape)))
        self._output = cuda.allocate(4 * MAX_BATCH * self.signature.outputs)
        self._context.set_tensor_address(self.signature.input, self._input)
        self._context.set_tensor_address(self.signature.output, self._output)

    def run(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        """See `InferenceSession.run`. Raises RejectedError where the plan itself fails."""
        check_batch(batch, self.signature)
        answers = np.empty((len(batch), *self.signature.answer), dtype=np.float32)
        self._cuda.upload(np.ascontiguousarray(batch), self._input)
        if not self._context.set_input_shape(self.signature.input, batch.shape):
            raise RejectedError(f"{self.path}: the plan takes no batch of {len(batch)}; build it for 1 to {MAX_BATCH}")
        if not self._context.execute_async_v3(self._cuda.stream):
            raise RejectedError(f"{self.path}: the plan fails when run; build it again")
        self._cuda.download(self._output, answers)
        return answers


def _check_machine(header: Header, installed: str, sm: int, path: str | Path) -> None:
    if not same_version(header.version, installed):
        raise IncompatibleError(
            f"{path}: built by {header.runtime} {header.version}, which alone loads it; this device has {installed}"
        )
    if header.sms is not None and sm not in header.sms:
        built = ", ".join(f"SM{number}" for number in header.sms)
        raise IncompatibleError(f"{path}: built for {built}, this device is SM{sm}")


def _plan_signature(trt: Any, engine: Any, path: str | Path) -> Signature:
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    inputs = [name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
    outputs = [name for name in names if name not in inputs]
    if len(inputs) != 1 or len(outputs) != 1:
        raise RejectedError(f"{path}: {len(inputs)} inputs and {len(outputs)} outputs; expected one of each")
    tokens = engine.get_tensor_dtype(inputs[0]) == trt.int64
    for name in names:
        if engine.get_tensor_dtype(name) != trt.float32 and not (tokens and name == inputs[0]):
            raise RejectedError(f"{path}: {name!r} is not float32; export the model again")
    shape, answer = tuple(engine.get_tensor_shape(inputs[0])), tuple(engine.get_tensor_shape(outputs[0]))
    return signature_of(inputs[0], shape, outputs[0], answer, tokens, path)
