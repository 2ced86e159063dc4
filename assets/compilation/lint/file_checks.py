"""Checks of any ONNX file: whether it is one, and whether a reader may trust what it says."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from assets.compilation.lint.graph import graphs, node_name, nodes, tensors
from assets.compilation.lint.rules import (
    MAX_GRAPHS,
    MAX_NAME,
    MAX_NODES,
    Finding,
    found,
)


def counts(model: Any) -> Iterator[Finding]:
    """No more nodes and nested graphs than can be checked within seconds."""
    many = 0
    for number, graph in enumerate(graphs(model.graph), 1):
        many += len(graph.node)
        if number > MAX_GRAPHS or many > MAX_NODES:
            reason = f"more than {MAX_GRAPHS} graphs" if number > MAX_GRAPHS else f"more than {MAX_NODES:,} nodes"
            yield found("graph-limit", "", reason)
            return


def names(model: Any) -> Iterator[Finding]:
    """Names are UTF-8, printable and short."""
    for graph in graphs(model.graph):
        values = (*graph.input, *graph.output, *graph.initializer)
        for name in (*(one.name for one in values), *(name for node in graph.node for name in _names_of(node))):
            if isinstance(name, bytes):  # what protobuf hands out where it is not UTF-8
                yield found("readable-names", "", f"{name[:40]!r} is not UTF-8")
                return
            if len(name) > MAX_NAME or (name and not name.isprintable()):
                yield found("readable-names", "", f"{name[:40]!r} of {len(name):,} characters")
                return


def _names_of(node: Any) -> tuple[str | bytes, ...]:
    attributes = (attribute.name for attribute in node.attribute)
    return (node.name, node.op_type, node.domain, *node.input, *node.output, *attributes)


def external_data(model: Any) -> Iterator[Finding]:
    """Every value is in the file."""
    for tensor in tensors(model.graph):
        if tensor.data_location == 1 or tensor.external_data:
            yield found("no-external-data", tensor.name, "its values are in another file")


def kinds_of_values(model: Any) -> Iterator[Finding]:
    """Plain tensors of numbers."""
    for graph in graphs(model.graph):
        for value in (*graph.input, *graph.output, *graph.value_info):
            kind = value.type.WhichOneof("value")
            if kind not in {"tensor_type", None}:
                yield found("tensors-only", value.name, f"it is of {kind.replace('_', ' ')}")
            elif value.type.tensor_type.elem_type == 8:
                yield found("no-strings", value.name, "it holds text")
        for sparse in graph.sparse_initializer:
            yield found("tensors-only", sparse.values.name, "a sparse tensor")
    for tensor in tensors(model.graph):
        if tensor.data_type == 8:
            yield found("no-strings", tensor.name, "it holds text")
    for node in nodes(model.graph):
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i == 8:
                yield found("no-strings", node_name(node), "it makes text")
            elif attribute.HasField("tp") or attribute.HasField("sparse_tensor"):
                yield found("tensors-only", node_name(node), f"attribute {attribute.name!r} is no tensor")


def unique_names(model: Any) -> Iterator[Finding]:
    """One tensor per name within a graph."""
    for graph in graphs(model.graph):
        made = [name for node in graph.node for name in node.output if name]
        weights = [tensor.name for tensor in graph.initializer]
        for kind, known in (
            ("input", [value.name for value in graph.input]),
            ("output", [value.name for value in graph.output]),
            ("tensor", [*made, *weights]),
        ):
            for name, times in Counter(known).items():
                if times > 1:
                    yield found("unique-names", name, f"{times} {kind}s have this name")


def sound(model: Any) -> Iterator[Finding]:
    """What onnx itself checks, inferred types and shapes included."""
    import onnx

    try:
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # the checker raises ValidationError, InferenceError, TypeError, ValueError, ...
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        yield found("valid-graph", _named(model, reason), reason)


def _named(model: Any, reason: str) -> str:
    """The node or tensor that a reason of the checker names; "" where it names none."""
    known = {node.name for node in nodes(model.graph)} | {tensor.name for tensor in tensors(model.graph)}
    places = re.findall(r"[Nn]ame: ([^\s,)]+)|Node ?\(([^)]+)\)", reason)
    return next((name for place in places for name in place if name and name in known), "")
