"""What a model file answers in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from assets.errors import RejectedError

BATCH = 256


def open_session(model: bytes, *, as_written: bool = False) -> Any:
    """An ONNX Runtime session on the CPU with one thread, as a small device runs it; no telemetry, errors only.

    Args:
        as_written: without graph optimizations, so that each Q/DQ rounds where the file says so, as TensorRT must.
    """
    import onnxruntime as ort

    ort.disable_telemetry_events()
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if as_written:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


class Answered(Protocol):
    """Records that come in batches, see `assets.fitting.contract.TrainingSet`; torch is not loaded for it."""

    def __len__(self) -> int: ...

    def batch(self, rows: NDArray[np.int64]) -> Any:
        """A tensor, or for a model of several inputs a mapping from their names to tensors."""
        ...


def feeds(session: Any, batch: Any) -> dict[str, NDArray[Any]]:
    """What a session is fed: input name to array.

    Args:
        batch: what `Answered.batch` gave: a tensor or an array for a model's first input, or a mapping of either.
    """
    named = batch if isinstance(batch, Mapping) else {session.get_inputs()[0].name: batch}
    return {name: value if isinstance(value, np.ndarray) else value.numpy() for name, value in named.items()}


def fixed_batch(session: Any) -> int | None:
    """How many records the model takes in one call where its file fixes that; None where any number goes."""
    for value in session.get_inputs():
        if value.shape and isinstance(value.shape[0], int):
            return int(value.shape[0])
    return None


def answer_batch(session: Any, fed: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
    """What a session answers to one batch: (records, …) float32; of several outputs all numbers of a record in a row.

    Where the file fixes how many records a call takes, the batch is cut into such calls, and the last is filled up.

    Raises:
        RejectedError: an output that has not one row for each record, or whose rows differ in length.
    """
    records, size = len(next(iter(fed.values()))), fixed_batch(session)
    if size is None or size == records:
        return _rows(session, session.run(None, dict(fed)), records)
    parts = []
    for start in range(0, records, size):
        rows = np.minimum(np.arange(start, start + size), records - 1)
        part = _rows(session, session.run(None, {name: value[rows] for name, value in fed.items()}), size)
        parts.append(part[: records - start])
    return _joined(session, parts)


def logits(session: Any, x: NDArray[Any]) -> NDArray[np.float32]:
    """Outputs (records, …) float32 of inputs (records, …) of a model's first input, in batches of `BATCH`."""
    parts = [answer_batch(session, feeds(session, x[start : start + BATCH])) for start in range(0, len(x), BATCH)]
    return _joined(session, parts)


def answers(session: Any, records: Answered, most: int | None = None) -> NDArray[np.float32]:
    """Outputs (records, …) float32 of all records, or the first `most`; never more than a batch of inputs in memory.

    Raises:
        RejectedError: see `answer_batch`.
    """
    count = len(records) if most is None else min(most, len(records))
    parts = [
        answer_batch(session, feeds(session, records.batch(np.arange(start, min(start + BATCH, count)))))
        for start in range(0, count, BATCH)
    ]
    return _joined(session, parts)


def _rows(session: Any, outputs: list[Any], records: int) -> NDArray[np.float32]:
    """The outputs of one call as (records, …) float32."""
    for value, output in zip(session.get_outputs(), outputs, strict=True):
        if not isinstance(output, np.ndarray) or output.dtype.kind not in "fiub":
            raise RejectedError(
                f"output {value.name!r} is no tensor of numbers ({value.type}); take it out of the model"
            )
        if not output.ndim or len(output) != records:
            raise RejectedError(
                f"output {value.name!r} has shape {output.shape} for {records} records: its first axis is not the "
                "batch, so its numbers cannot be told apart by record; give the model outputs of (batch, …), before "
                "steps such as non-maximum suppression that answer more for one record than for another"
            )
    if len(outputs) == 1:
        return np.asarray(outputs[0], dtype=np.float32)
    return np.concatenate([output.reshape(records, -1).astype(np.float32) for output in outputs], axis=1)


def _joined(session: Any, parts: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """The answers of several calls in one array; RejectedError where they differ in shape."""
    if len({part.shape[1:] for part in parts}) > 1:
        names = ", ".join(value.name for value in session.get_outputs())
        shapes = sorted({part.shape[1:] for part in parts})
        raise RejectedError(
            f"outputs ({names}): their numbers per record differ from record to record ({shapes[0]} and {shapes[-1]}), "
            "so answers cannot be compared; give the model outputs of one size, before such steps as non-maximum "
            "suppression"
        )
    return np.concatenate(parts)
