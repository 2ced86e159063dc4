"""From a network to an ONNX file, and the proof that both answer the same."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from assets.errors import RejectedError
from assets.measure import hits, logits, open_session
from assets.networks import Network, predict
from edge.contracts import InputSpec, ParityVerdict

OPSET = 20
MAX_IR_VERSION = 10
"""The newest that ONNX Runtime 1.23 loads, the last for Python 3.10 on aarch64."""
OUTPUT_NAME = "logits"
MAX_RELATIVE_DIFF = 1e-3
"""Of float32 arithmetic in another order, against the largest output number."""


def export_onnx(network: Network, spec: InputSpec) -> bytes:
    """The network in evaluation mode as one ONNX file with a dynamic batch axis and BatchNorm folded."""
    network.eval()
    example = torch.zeros((2, *spec.shape))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter trips over torch's own deprecations
        _hush(logging.getLogger("torch.onnx"))
        program = torch.onnx.export(
            network,
            (example,),
            dynamo=True,
            opset_version=OPSET,
            dynamic_shapes={"x": {0: torch.export.Dim("batch")}},
            input_names=[spec.name],
            output_names=[OUTPUT_NAME],
            external_data=False,
            verbose=False,
        )
    assert program is not None, "the dynamo exporter returns a program"
    return slim(program.model_proto)


def slim(model: Any) -> bytes:
    """The model's bytes without what no runtime reads: traces, notes, inferred shapes, names of tools.

    Raises:
        RejectedError: the IR version is newer than the oldest device runtime loads.
    """
    if model.ir_version > MAX_IR_VERSION:
        raise RejectedError(f"ONNX IR version {model.ir_version}; devices load at most {MAX_IR_VERSION}")
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.initializer, *graph.input, *graph.output):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    graph.ClearField("value_info")
    for field in ("producer_name", "producer_version", "functions"):
        model.ClearField(field)
    return bytes(model.SerializeToString(deterministic=True))


def export_verdict(
    network: Network,
    model: bytes,
    parent: str,
    child: str,
    x: NDArray[np.float32],
    y: NDArray[np.int64],
) -> ParityVerdict:
    """What exporting did, on the same held-out records: torch against ONNX Runtime.

    Args:
        model: the ONNX file's bytes.
        parent, child: digests of the weights and of the file.
    """
    before = predict(network, torch.from_numpy(x)).numpy()
    after = logits(open_session(model), x)
    diff = float(np.abs(before - after).max())
    drop = float(hits(before, y).mean() - hits(after, y).mean())
    limit = MAX_RELATIVE_DIFF * max(1.0, float(np.abs(before).max()))
    passed = bool(diff <= limit)  # NaN does not pass
    note = f"torch against ONNX Runtime: outputs differ by at most {diff:.1e}, allowed is {limit:.1e}"
    if not np.isfinite(diff):
        diff, note = float(np.finfo(np.float32).max), "an output is not a finite number"
    return ParityVerdict("export", "measured", parent, child, passed, drop, diff, len(x), note)


def _hush(logger: logging.Logger) -> None:
    """Without the exporter's notes on torchvision, which nothing here uses."""
    logger.setLevel(logging.ERROR)
