"""Applies the rules to a file, in this process: for files of our own, and within the child of `supervised`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any, Literal

from assets.compilation.lint import dialect_checks, file_checks, interface_checks, opset_checks, rules, tensor_checks
from assets.compilation.lint.rules import Finding, found
from edge.contracts import MAX_BATCH
from edge.contracts.target import Dialect

Interface = Literal["device", "any"]
Group = tuple[Callable[[Any], Iterator[Finding]], ...]
MOST_FINDINGS = 100


def lint_model(
    data: bytes, dialect: Dialect, interface: Interface = "device", sms: Collection[int] = ()
) -> tuple[Finding, ...]:
    """Every rule that an ONNX file breaks, `MOST_FINDINGS` at most; empty for a sound one.

    onnx's own checker is native code: for bytes of others, `supervised.check_model` does the same in a child process.

    Args:
        data: the file's bytes, or anything at all.
        dialect: "tensorrt" adds the rules of the Q/DQ form that TensorRT reads, "cpu" those of ONNX Runtime.
        interface: "device" for what a line ships; "any" for a foreign file, of several inputs and outputs, fixed or
            open axes.
        sms: compute capabilities it will be built for, where one has rules of its own.
    """
    import onnx

    if len(data) > rules.MAX_MODEL_BYTES:
        return (found("size-limit", "", f"{len(data):,} bytes, at most {rules.MAX_MODEL_BYTES:,} are taken"),)
    try:
        model = onnx.ModelProto.FromString(data)
    except Exception as error:  # protobuf's DecodeError, and what its parser raises besides
        return (found("valid-protobuf", "", f"not an ONNX file ({error})"),)
    if not model.graph.node:
        return (found("valid-protobuf", "", "holds no graph"),)
    for group in _groups(dialect, interface, sms):
        if findings := tuple(finding for rule in group for finding in _apply(rule, model)):
            return findings[:MOST_FINDINGS]
    return ()


def _groups(dialect: Dialect, shape: Interface, sms: Collection[int]) -> Iterator[Group]:
    """Rules run in groups: a later group may only trust what the earlier ones have shown."""
    yield (file_checks.counts,)
    yield (file_checks.names,)
    yield (
        opset_checks.versions,
        opset_checks.domains,
        file_checks.external_data,
        file_checks.kinds_of_values,
        file_checks.unique_names,
    )
    yield (file_checks.sound,)
    yield (
        interface_checks.device if shape == "device" else interface_checks.foreign,
        tensor_checks.loops,
        _sizes_at(MAX_BATCH if shape == "device" else 1),
        tensor_checks.finite,
        tensor_checks.scales,
    )
    if dialect == "tensorrt":
        yield (
            dialect_checks.quantization,
            dialect_checks.pairs,
            dialect_checks.float64,
            dialect_checks.products_for(sms),
        )
    elif dialect == "cpu":
        yield (dialect_checks.cpu,)


def _sizes_at(batch: int) -> Callable[[Any], Iterator[Finding]]:
    return lambda model: tensor_checks.sizes(model, batch)


def _apply(rule: Callable[[Any], Iterator[Finding]], model: Any) -> Iterator[Finding]:
    """A rule's findings; that it cannot read the file is a finding, too."""
    try:
        yield from rule(model)
    except Exception as error:  # whatever onnx raises of what its own checker let through
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        yield found("valid-graph", "", reason)
