"""Judging a model file: what it answers in ONNX Runtime, how sure a number is, and how long a call takes."""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from assets.errors import RejectedError
from assets.intervals import Interval, paired_difference, wilson
from assets.tasks.class_metrics import hits, macro_f1
from edge.contracts import Latency
from edge.engine.library import installed_version
from edge.runtime import machine

__all__ = [
    "Interval",
    "answer_batch",
    "answers",
    "bounded_ms",
    "feeds",
    "fixed_batch",
    "hits",
    "interleaved_ms",
    "latency",
    "logits",
    "machine_name",
    "macro_f1",
    "open_session",
    "paired_difference",
    "speedup",
    "wilson",
]

BATCH = 256
ROUNDS, CALLS = 40, 20
ROUND_MS = 60.0
"""A model so slow that `CALLS` calls take longer gets fewer of them in each round."""
SLOW_ROUNDS = 10


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


def interleaved_ms(
    sessions: Mapping[str, Any],
    x: NDArray[Any] | Mapping[str, NDArray[Any]],
    rounds: int = ROUNDS,
    calls: int = CALLS,
) -> dict[str, NDArray[np.float64]]:
    """Milliseconds of single calls: for each session (rounds, calls), all sessions in turn within every round.

    Many short rounds, because on a shared machine whatever slows one session down then slows its neighbours too.

    Args:
        x: what one call is fed: one record with its batch axis (as many as the file fixes), or one of each input by
            name.
    """
    fed = {key: feeds(session, x) for key, session in sessions.items()}
    taken = {key: np.empty((rounds, calls)) for key in sessions}
    for number in range(-2, rounds):  # two rounds to warm up
        for key, session in sessions.items():
            for call in range(calls):
                start = time.perf_counter_ns()
                session.run(None, fed[key])
                taken[key][max(number, 0), call] = (time.perf_counter_ns() - start) / 1e6
    return taken


def bounded_ms(
    sessions: Mapping[str, Any],
    x: NDArray[Any] | Mapping[str, NDArray[Any]],
    rounds: int = ROUNDS,
    calls: int = CALLS,
) -> dict[str, NDArray[np.float64]]:
    """`interleaved_ms` of at most so many rounds and calls: fewer where the slowest session would take long."""
    once = interleaved_ms(sessions, x, rounds=1, calls=1)
    slowest = max(float(taken.max()) for taken in once.values())
    fewer = int(np.clip(ROUND_MS / max(slowest, 1e-6), 1, calls))
    return interleaved_ms(sessions, x, rounds if fewer > 1 else min(rounds, SLOW_ROUNDS), fewer)


def latency(taken: NDArray[np.float64], batch: int = 1) -> Latency:
    """Median and 95th percentile of single calls of `interleaved_ms`, on one thread.

    Args:
        batch: records of one call: 1, or as many as the file fixes (`fixed_batch`). Milliseconds are of the whole call.
    """
    return Latency(float(np.median(taken)), float(np.percentile(taken, 95)), batch, 1, machine_name())


def speedup(slow: NDArray[np.float64], fast: NDArray[np.float64]) -> float:
    """Median over rounds of (median of `slow` / median of `fast`) within the same round; above 1 is faster."""
    return float(np.median(np.median(slow, axis=1) / np.median(fast, axis=1)))


@functools.cache
def machine_name() -> str:
    """What latencies were measured on: the processor and ONNX Runtime's version, which is not loaded for this.

    Steps that measure latencies are remembered under this name too: another machine or version measures its own.
    """
    return f"{machine.machine_name()}, onnxruntime {installed_version('onnxruntime')}"
