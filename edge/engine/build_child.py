"""The child process of `edge.engine.build`: `python -m edge.engine.build_child SM MEMORY_MB`.

Reads `model.onnx` in the current folder; writes `model.plan` and `log.json`, or only a `log.json` with an `error`.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

from edge.engine.library import load_tensorrt
from edge.errors import IncompatibleError, RejectedError

MAX_BATCH, USUAL_BATCH = 32, 1
_ADDR_NO_RANDOMIZE, _PR_SET_PDEATHSIG = 0x0040000, 1
_WRONG_SILENTLY = ("Defaulting to INT8", "will use INT8 instead")
_NOISE = ("catchCudaError", "--- Begin node", "--- End node")


class _RefusalError(RejectedError):
    """The builder's reason, already in one sentence."""


def main(arguments: list[str]) -> int:
    """Build, and write the log."""
    sm, memory_mb = int(arguments[0]), int(arguments[1])
    _fix_addresses()
    _prepare(memory_mb)
    log: dict[str, Any]
    try:
        plan, warnings = build(Path("model.onnx").read_bytes(), sm)
        Path("model.plan").write_bytes(plan)
        log = {"warnings": warnings, "peak_mb": _peak_mb()}
    except (RejectedError, MemoryError) as error:
        log = {"error": str(error) or "out of memory", "missing": isinstance(error, IncompatibleError)}
    Path("log.json").write_text(json.dumps(log), "utf-8")
    return 0


def build(model: bytes, sm: int) -> tuple[bytes, list[str]]:
    """Build a strongly typed plan; returns it with the builder's warnings. Raises RejectedError."""
    trt = load_tensorrt("tensorrt_rtx")
    messages: list[tuple[bool, str]] = []
    logger = _logger(trt, messages)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(model):
        raise _RefusalError(f"TensorRT-RTX cannot read the model: {_parser_error(parser, messages)}")
    if network.num_inputs != 1 or network.num_outputs != 1:  # parse() of text or of nothing returns True
        raise _RefusalError(
            f"the file holds no model of one input and one output ({network.num_inputs} inputs, "
            f"{network.num_outputs} outputs found); export it again"
        )
    config = builder.create_builder_config()
    config.num_compute_capabilities = 1
    config.set_compute_capability(getattr(trt.ComputeCapability, f"SM{sm}"), 0)
    _set_profile(builder, config, network.get_input(0))
    plan = builder.build_serialized_network(network, config)
    for _, message in messages:
        if any(text in message for text in _WRONG_SILENTLY):
            raise _RefusalError(
                f"TensorRT-RTX would silently change the quantization: {message}; use s8 with zero point 0"
            )
    if plan is None:
        raise _RefusalError(f"TensorRT-RTX cannot build the model: {_errors(messages)}")
    return bytes(plan), [message for severe, message in messages if not severe][:50]


def _set_profile(builder: Any, config: Any, tensor: Any) -> None:
    """Open the batch axis from 1 to `MAX_BATCH`, best at `USUAL_BATCH`."""
    shape = tuple(tensor.shape)
    if len(shape) < 2 or shape[0] != -1 or any(size < 1 for size in shape[1:]):
        raise _RefusalError(f"input {tensor.name!r} has shape {shape}; the batch axis, and only it, must be open (-1)")
    profile = builder.create_optimization_profile()
    profile.set_shape(tensor.name, *((batch, *shape[1:]) for batch in (1, USUAL_BATCH, MAX_BATCH)))
    if config.add_optimization_profile(profile) < 0:
        raise _RefusalError(f"input {tensor.name!r} takes no batches from 1 to {MAX_BATCH}")


def _logger(trt: Any, messages: list[tuple[bool, str]]) -> Any:
    """A TensorRT logger that keeps warnings (False) and errors (True): at most 500, each cut at 500 characters."""

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()

        def log(self, severity: Any, message: str) -> None:
            if severity <= trt.ILogger.Severity.WARNING and len(messages) < 500:
                messages.append((severity <= trt.ILogger.Severity.ERROR, " ".join(message.split())[:500]))

    return Logger()


def _parser_error(parser: Any, messages: list[tuple[bool, str]]) -> str:
    """Node and reason of the parser's first error; its accessors raise UnicodeDecodeError on some damaged files."""
    try:
        error = parser.get_error(0)
        node, operator, text = error.node_name(), error.node_operator(), " ".join(error.desc().split())
    except (UnicodeDecodeError, IndexError, RuntimeError):
        return _errors(messages) or "the file is damaged"
    place = f"node {node!r} ({operator}): " if node or operator else ""
    return place + text.split(" [checkMacros.cpp")[0][:400]


def _errors(messages: list[tuple[bool, str]]) -> str:
    found = [message for severe, message in messages if severe and not any(noise in message for noise in _NOISE)]
    return "; ".join(dict.fromkeys(found[:3])) or "the builder gives no reason"


def _peak_mb() -> float:
    """Largest resident memory so far in MiB (getrusage would count the parent's before exec); 0 where unknown."""
    try:
        rows = Path("/proc/self/status").read_text("utf-8").splitlines()
    except OSError:
        return 0.0
    return next((int(row.split()[1]) / 1024 for row in rows if row.startswith("VmHWM:")), 0.0)


def _fix_addresses() -> None:
    """Start again with addresses that are not randomized, once, where Linux allows it (see `edge.engine.build`)."""
    if sys.platform != "linux" or os.environ.get("EDGELOOP_FIXED_ADDRESSES"):
        return
    personality = ctypes.CDLL(None).personality
    current = personality(0xFFFFFFFF)
    if current == -1 or personality(current | _ADDR_NO_RANDOMIZE) == -1:
        return
    command = [sys.executable, "-m", "edge.engine.build_child", *sys.argv[1:]]
    os.execve(sys.executable, command, {**os.environ, "EDGELOOP_FIXED_ADDRESSES": "1"})  # noqa: S606 -- no shell is wanted


def _prepare(memory_mb: int) -> None:
    """End with the parent, leave no core file, and allocate no more than asked."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_DATA, (memory_mb << 20, memory_mb << 20))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
