"""The graph that ONNX Runtime targets load: the dialect's own file, or ONNX Runtime's basic rewrite of it, saved.

Measured (ResNet-like, 320k parameters, float and Q/DQ, one thread): saved at any level a model runs as fast as its
source within 2 %, since ONNX Runtime optimizes what it loads anyway; what saving gains is the start (float: 5.7 to
1.7 ms). The levels "extended" and "all" write operators of ONNX Runtime's own domains, among them convolutions laid
out for the registers of this very processor, which no Arm device reads. "basic" writes standard operators only, the
same on every architecture; of eight networks from elsewhere six became smaller (ViT: 250 to 100 kB), and ONNX Runtime
1.23.2 loaded all of them with the same answers. So basic it is, and only where it makes the graph smaller.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.compilation.lint import lint_model
from assets.compilation.lint.run import Interface
from assets.evaluation.answers import open_session
from assets.evaluation.latency import bounded_ms
from edge.contracts.target import Dialect

LEAST_BYTES = 0.95
"""Times the source's size, where no node is saved. A rewrite that is larger by one byte never ships: the budget judged
the source. Folding constants may turn a small shape into a large tensor."""
MOST_DIFFERENT = 1e-5
"""Of the largest answer: basic rewrites keep every number but the order of a sum."""
LEAST_SPEED = 0.98
"""Times the source's speed, by interleaved medians: what saving cost at most where it was measured, see above."""
ROUNDS, CALLS, SURE = 20, 3, 0.9
"""A rewrite is slower where it was so in this share of the rounds besides: of two equal ones hardly ever is."""


@dataclass(frozen=True)
class Graph:
    """What ships, and why.

    Attributes:
        model: the file's bytes.
        saved: True where it is ONNX Runtime's rewrite, False where it is the source itself.
        note: one sentence for people.
    """

    model: bytes
    saved: bool
    note: str


def runtime_graph(
    source: bytes, dialect: Dialect, fed: Mapping[str, NDArray[Any]], interface: Interface = "device"
) -> Graph:
    """The smaller of a file and its basic rewrite, if the rewrite holds against every check.

    Args:
        source: a linted file's bytes.
        fed: inputs to compare the answers on, name to array.

    Returns:
        The source itself where the rewrite has neither fewer nodes nor clearly fewer bytes, breaks a rule of `lint`, is
        larger, answers otherwise, or is slower.
    """
    import onnx

    saved = _rewritten(source)
    before, after = (len(onnx.load_from_string(data).graph.node) for data in (source, saved))
    if after > before or (after == before and len(saved) > LEAST_BYTES * len(source)):
        return Graph(source, False, f"the file as it is: a basic rewrite has {after} nodes, the file {before}")
    if reason := _why_not(source, saved, dialect, fed, interface):
        return Graph(source, False, f"the file as it is: its basic rewrite {reason}")
    smaller = f"{before} nodes became {after}, {len(source):,} bytes {len(saved):,}"
    return Graph(saved, True, f"rewritten by ONNX Runtime with standard operators: {smaller}")


def _why_not(
    source: bytes, saved: bytes, dialect: Dialect, fed: Mapping[str, NDArray[Any]], interface: Interface
) -> str:
    """Why the rewrite is not shipped; "" where it may be."""
    if findings := lint_model(saved, dialect, interface):
        return f"breaks a rule ({findings[0]})"
    if len(saved) > len(source):
        return f"has {len(saved):,} bytes, the file {len(source):,}"
    sessions = {"source": open_session(source), "saved": open_session(saved)}
    first, second = (session.run(None, dict(fed)) for session in sessions.values())
    for one, other in zip(first, second, strict=True):
        if np.asarray(one).shape != np.asarray(other).shape or not np.allclose(
            one, other, rtol=0, atol=MOST_DIFFERENT * max(1.0, float(np.abs(one).max(initial=0))), equal_nan=True
        ):
            return "answers otherwise"
    taken = {name: np.median(ms, axis=1) for name, ms in bounded_ms(sessions, fed, ROUNDS, CALLS).items()}
    gains = taken["source"] / taken["saved"]
    gain = float(np.median(gains))
    slower = gain < LEAST_SPEED and float((gains < 1).mean()) >= SURE
    return f"runs at {gain:.2f} times the file's speed" if slower else ""


def _rewritten(source: bytes) -> bytes:
    """ONNX Runtime's graph after basic optimization, without notes and the domains that it never uses."""
    import onnx
    import onnxruntime as ort

    with tempfile.TemporaryDirectory(prefix="edgeloop-graph-") as folder:
        path = Path(folder) / "saved.onnx"
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(path)
        ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        saved = onnx.load(path)
    used = {node.domain for node in saved.graph.node} | {""}
    opsets = [entry for entry in saved.opset_import if entry.domain in used]
    del saved.opset_import[:]
    saved.opset_import.extend(opsets)
    for part in (saved, saved.graph, *saved.graph.node):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    saved.graph.ClearField("value_info")
    return bytes(saved.SerializeToString(deterministic=True))
