"""Checks of the IR version, the opset and the operators that a file asks for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from assets.compilation.lint.graph import node_name, nodes
from assets.compilation.lint.rules import MAX_IR_VERSION, MAX_OPSET, MIN_OPSET, STANDARD_DOMAINS, Finding, found


def versions(model: Any) -> Iterator[Finding]:
    """IR and opset that devices run."""
    if not 3 <= model.ir_version <= MAX_IR_VERSION:
        yield found("known-ir-version", "", f"IR version {model.ir_version}, devices load 3 to {MAX_IR_VERSION}")
    versions = [entry.version for entry in model.opset_import if entry.domain in STANDARD_DOMAINS]
    if len(versions) != 1 or not MIN_OPSET <= versions[0] <= MAX_OPSET:
        known = ", ".join(map(str, versions)) or "none"
        yield found("known-opset", "", f"opset {known}, devices run {MIN_OPSET} to {MAX_OPSET}")


def domains(model: Any) -> Iterator[Finding]:
    """Standard operators only, and none that the file defines itself."""
    for node in nodes(model.graph):
        if node.domain not in STANDARD_DOMAINS:
            reason = f"operator {node.op_type} of domain {node.domain!r} is in no device's runtime"
            yield found("standard-operators", node_name(node), reason)
    for function in model.functions:
        yield found("no-local-functions", function.name, "the file defines this operator itself")
