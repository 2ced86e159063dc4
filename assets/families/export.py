"""From a network to an ONNX file, and the proof that both answer the same."""

from __future__ import annotations

import contextlib
import copy
import gc
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from assets.errors import RejectedError
from assets.evaluation import answers as measure
from assets.evaluation.answers import logits, open_session
from assets.evaluation.parity import Drop, Outputs, compare_answers
from assets.families.weights import Batches, predict
from edge.contracts import InputSpec, ParityVerdict

OPSET = 20
MAX_IR_VERSION = 10
"""The newest that ONNX Runtime 1.23 loads, the last for Python 3.10 on aarch64."""
OUTPUT_NAME = "logits"
MAX_RELATIVE_DIFF = 1e-3
"""Of float32 arithmetic in another order, against the largest output number."""


def example_of(spec: InputSpec, records: int = 2) -> Tensor:
    """Records of zeros as the network reads them: (records, *shape), int64 for text and float32 for the rest."""
    return torch.zeros((records, *spec.shape), dtype=torch.int64 if spec.kind == "text" else torch.float32)


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Python 3.11 ends with a SystemError where a finalizer runs while source is parsed, as the exporter does."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def export_onnx(network: nn.Module, spec: InputSpec) -> bytes:
    """The network in evaluation mode as one ONNX file with a dynamic batch axis and BatchNorm folded.

    The network itself is left in evaluation mode, on its device; its forward takes one tensor, by whatever name.

    Raises:
        RejectedError: it has an operation that cannot be exported, or needs a newer IR version than devices load.
    """
    plain = copy.deepcopy(network.eval()).cpu()
    with warnings.catch_warnings(), _no_collection():
        warnings.simplefilter("ignore")  # the exporter trips over torch's own deprecations
        _hush(logging.getLogger("torch.onnx"))
        try:
            program = torch.onnx.export(
                plain,
                (example_of(spec),),
                dynamo=True,
                opset_version=OPSET,
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                input_names=[spec.name],
                output_names=[OUTPUT_NAME],
                external_data=False,
                verbose=False,
            )
        except Exception as error:  # the exporter wraps whatever the network raises
            raise RejectedError(
                f"the network cannot be exported to ONNX with a dynamic batch ({_reason(error)}); write it with "
                "operations that ONNX has, and without Python decisions on the batch's size or values"
            ) from error
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


def answers(session: Any, x: NDArray[Any] | Batches) -> Outputs:
    """What an ONNX Runtime session answers: (records, ...) float32, of records in memory or a set of them."""
    return logits(session, x) if isinstance(x, np.ndarray) else measure.answers(session, x)


def export_verdict(
    network: nn.Module, model: bytes, parent: str, child: str, x: NDArray[Any] | Batches, drop: Drop
) -> ParityVerdict:
    """What exporting did, on the same held-out records: torch against ONNX Runtime; outputs of any shape.

    Args:
        model: the ONNX file's bytes.
        parent, child: digests of the weights and of the file.
        x: (records, *shape), or a set of records.
        drop: from the outputs before and after to what was lost of the line's metric.
    """
    before = predict(network, torch.from_numpy(x) if isinstance(x, np.ndarray) else x).numpy()
    after = answers(open_session(model), x)
    found = compare_answers(before, after, drop)
    limit = MAX_RELATIVE_DIFF * max(1.0, float(np.abs(before).max()))
    note = "torch against ONNX Runtime"
    if not found.flaw:
        note += f": outputs differ by at most {found.difference:.1e}, allowed is {limit:.1e}"
    return found.verdict("export", "measured", parent, child, passed=found.difference <= limit, note=note)


def _reason(error: BaseException) -> str:
    """The first cause's first words; the exporter's own are a page of advice."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__


def _hush(logger: logging.Logger) -> None:
    """Without the exporter's notes on torchvision, which nothing here uses."""
    logger.setLevel(logging.ERROR)
