"""The child process of `edge.engine.build`: `python -m edge.engine.build_child`, in a folder of its own.

Reads `request.json` and `model.onnx` in the current folder, and `timing.cache` where it is. Writes `model.plan` and
`log.json`, or only a `log.json` with an `error`; in `node` stands which node it reads, should it crash on it.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from edge.child import die_with_parent, limit_memory, peak_mb, python_module
from edge.contracts import MAX_BATCH, from_bytes
from edge.engine.library import load_tensorrt
from edge.engine.messages import Messages, logger_of, parser_error
from edge.engine.request import USUAL_BATCH, BuildRequest
from edge.engine.versions import OPTIONS, TABLE, Rules, check_library, rules_for
from edge.errors import IncompatibleError, RejectedError

_ADDR_NO_RANDOMIZE = 0x0040000
_CACHE = Path("timing.cache")
Shapes = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]


class _RefusalError(RejectedError):
    """The builder's reason, already in one sentence."""


def main() -> int:
    """Build, and write the log."""
    request = from_bytes(BuildRequest, Path("request.json").read_bytes(), "request.json")
    _fix_addresses()
    log: dict[str, Any]
    try:
        trt, rules = load(request, before=lambda rules: _prepare(request.memory_mb if rules.limits_data else None))
        plan, warnings = build(Path("model.onnx").read_bytes(), request, trt, rules)
        Path("model.plan").write_bytes(plan)
        log = {"warnings": warnings, "peak_mb": peak_mb(), "version": str(trt.__version__)}
    except (RejectedError, MemoryError) as error:
        log = {"error": str(error) or "out of memory", "missing": isinstance(error, IncompatibleError)}
    Path("log.json").write_text(json.dumps(log), "utf-8")
    return 0


def load(request: BuildRequest, before: Callable[[Rules], None] | None = None) -> tuple[Any, Rules]:
    """The library and its row of the table; `before` runs before it is loaded.

    Raises:
        IncompatibleError: it is not installed, of an unknown version, or lacks a name that is used here.
    """
    if before is not None:
        before(next(rules for rules in TABLE if rules.runtime == request.runtime))
    trt = load_tensorrt(request.runtime)
    rules = rules_for(request.runtime, str(trt.__version__))
    check_library(trt, rules, request.options)
    return trt, rules


def build(
    model: bytes, request: BuildRequest, trt: Any, rules: Rules, gpu: Callable[[], int] | None = None
) -> tuple[bytes, list[str]]:
    """Build a strongly typed plan; returns it with the builder's warnings.

    Args:
        gpu: says the SM of this machine's GPU, where the library builds for that alone; None asks CUDA.

    Raises:
        RejectedError: the library refuses the model, or would change what it means; names the node.
        IncompatibleError: this machine cannot build for that SM.
    """
    if not rules.sms:
        _check_gpu(request, gpu or _gpu_sm)
    messages = Messages(Path("node"))
    logger = logger_of(trt, messages)
    builder = trt.Builder(logger)
    asked = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED) if rules.strong_typing == "flag" else 0
    network = builder.create_network(asked)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(model):
        raise _RefusalError(f"{rules.runtime} cannot read the model: {parser_error(parser, messages)}")
    messages.parsed()
    if not network.num_inputs or not network.num_outputs:  # parse() of text or of nothing returns True
        raise _RefusalError(
            f"the file holds no model ({network.num_inputs} inputs and {network.num_outputs} outputs found); "
            "export it again"
        )
    _refuse_changes(rules, messages)  # before the build is paid
    config = builder.create_builder_config()
    _configure(trt, config, request, rules)
    cache = _set_timing_cache(config) if rules.timing_cache else None
    _set_profile(builder, config, [network.get_input(index) for index in range(network.num_inputs)], request)
    plan = builder.build_serialized_network(network, config)
    _refuse_changes(rules, messages)
    if plan is None:
        raise _RefusalError(f"{rules.runtime} cannot build the model: {messages.errors()}")
    if cache is not None:
        _CACHE.write_bytes(bytes(config.get_timing_cache().serialize()))
    return bytes(plan), messages.warnings()


def _refuse_changes(rules: Rules, messages: Messages) -> None:
    if told := messages.changed():
        raise _RefusalError(f"{rules.runtime} would silently change the model {told}")


def _check_gpu(request: BuildRequest, gpu: Callable[[], int]) -> None:
    found = gpu()
    if found != request.sm:
        raise IncompatibleError(
            f"{request.runtime} builds for the GPU of its own machine, which is SM{found}, not SM{request.sm}; "
            "build it on such a device"
        )


def _gpu_sm() -> int:
    from edge.engine.cuda import Cuda

    return Cuda().sm


def _configure(trt: Any, config: Any, request: BuildRequest, rules: Rules) -> None:
    """Everything of the builder's configuration but shapes. No flag of `rules.weak_flags` is ever set."""
    if rules.sms:
        if request.sm not in rules.sms:
            raise IncompatibleError(f"{rules} does not build for SM{request.sm}")
        config.num_compute_capabilities = 1
        config.set_compute_capability(getattr(trt.ComputeCapability, f"SM{request.sm}"), 0)
    else:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, request.memory_mb << 20)
    for option in request.options:
        kind, name = OPTIONS[option].split(".")
        if kind == "BuilderFlag":
            config.set_flag(getattr(trt.BuilderFlag, name))
        else:
            config.hardware_compatibility_level = getattr(trt.HardwareCompatibilityLevel, name)


def _set_timing_cache(config: Any) -> Any:
    """Use the timings of earlier builds on this machine; those of another GPU or version are refused and left."""
    kept = _CACHE.read_bytes() if _CACHE.exists() else b""
    cache = config.create_timing_cache(kept)
    if cache is None or not config.set_timing_cache(cache, False):
        cache = config.create_timing_cache(b"")
        config.set_timing_cache(cache, False)
    return cache


def _set_profile(builder: Any, config: Any, tensors: Sequence[Any], request: BuildRequest) -> None:
    """One optimization profile for every input with open axes."""
    given = {shapes.name: (shapes.low, shapes.usual, shapes.high) for shapes in request.shapes}
    if unknown := set(given).difference(tensor.name for tensor in tensors):
        names = ", ".join(repr(tensor.name) for tensor in tensors)
        raise _RefusalError(f"shapes are given for {', '.join(sorted(unknown))}, the model's inputs are {names}")
    profile, open_inputs = builder.create_optimization_profile(), 0
    for tensor in tensors:
        shape = tuple(tensor.shape)
        if tensor.is_shape_tensor:
            raise _RefusalError(f"input {tensor.name!r} decides the shapes of others; make it a constant of the model")
        if tensor.name in given:
            shapes = _checked(tensor.name, shape, given[tensor.name])
        elif not request.shapes:
            shapes = _batches(tensor.name, shape)
        elif -1 in shape:
            raise _RefusalError(f"input {tensor.name!r} has open axes {shape}, and no shapes are given for it")
        else:
            continue
        if -1 in shape:
            profile.set_shape(tensor.name, *shapes)
            open_inputs += 1
    if open_inputs and config.add_optimization_profile(profile) < 0:
        raise _RefusalError(f"the model does not take the shapes {', '.join(map(str, request.shapes)) or 'of batches'}")


def _batches(name: str, shape: tuple[int, ...]) -> Shapes:
    """The batch axis from 1 to `MAX_BATCH`, best at `USUAL_BATCH`."""
    if len(shape) < 2 or shape[0] != -1 or any(size < 1 for size in shape[1:]):
        raise _RefusalError(
            f"input {name!r} has shape {shape}; the batch axis, and only it, must be open (-1), or shapes be given"
        )
    low, usual, high = ((batch, *shape[1:]) for batch in (1, USUAL_BATCH, MAX_BATCH))
    return low, usual, high


def _checked(name: str, shape: tuple[int, ...], given: Shapes) -> Shapes:
    fits = all(len(one) == len(shape) for one in given) and all(
        size in (-1, one[axis]) for one in given for axis, size in enumerate(shape)
    )
    if not fits:
        raise _RefusalError(f"input {name!r} has shape {shape}, which the given shapes {given} do not fit")
    return given


def _fix_addresses() -> None:
    """Start again with addresses that are not randomized, once, where Linux allows it (see `edge.engine.build`)."""
    if sys.platform != "linux" or os.environ.get("EDGELOOP_FIXED_ADDRESSES"):
        return
    personality = ctypes.CDLL(None).personality
    current = personality(0xFFFFFFFF)
    if current == -1 or personality(current | _ADDR_NO_RANDOMIZE) == -1:
        return
    command = python_module("edge.engine.build_child")
    os.execve(sys.executable, command, {**os.environ, "EDGELOOP_FIXED_ADDRESSES": "1"})  # noqa: S606 -- no shell is wanted


def _prepare(memory_mb: int | None) -> None:
    """End with the parent, leave no core file, allocate no more than asked, and print nothing but errors."""
    os.dup2(2, 1)
    die_with_parent()
    limit_memory(None if memory_mb is None else memory_mb << 20)


if __name__ == "__main__":
    sys.exit(main())
