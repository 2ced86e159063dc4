"""Judging a model file: what it answers in ONNX Runtime, how sure a number is, and how long a call takes."""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from assets.intervals import Interval, paired_difference, wilson
from assets.tasks.class_metrics import hits, macro_f1
from edge.contracts import Latency, Metric
from edge.contracts.evidence import VerdictKind
from edge.engine.library import installed_version
from edge.runtime import machine

__all__ = [
    "Interval",
    "accuracy_metrics",
    "answers",
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


def logits(session: Any, x: NDArray[Any]) -> NDArray[np.float32]:
    """Outputs (records, …) float32 of inputs (records, …), in batches of `BATCH`."""
    name = session.get_inputs()[0].name
    parts = [session.run(None, {name: x[start : start + BATCH]})[0] for start in range(0, len(x), BATCH)]
    return np.concatenate(parts)


class Answered(Protocol):
    """Records that come in batches, see `assets.fitting.contract.TrainingSet`; torch is not loaded for it."""

    def __len__(self) -> int: ...

    def batch(self, rows: NDArray[np.int64]) -> Any: ...


def answers(session: Any, records: Answered, most: int | None = None) -> NDArray[np.float32]:
    """Outputs (records, …) float32 of all records, or the first `most`; never more than a batch of inputs in memory."""
    count = len(records) if most is None else min(most, len(records))
    parts = [
        logits(session, records.batch(np.arange(start, min(start + BATCH, count))).numpy())
        for start in range(0, count, BATCH)
    ]
    return np.concatenate(parts)


def accuracy_metrics(
    split: Literal["validation", "test"],
    outputs: NDArray[np.float32],
    y: NDArray[np.int64],
    kind: VerdictKind = "measured",
) -> tuple[Metric, ...]:
    """Accuracy with its Wilson interval, and macro F1."""
    share = wilson(int(hits(outputs, y).sum()), len(y))
    return (
        Metric("accuracy", share.value, split, len(y), share.low, share.high, kind),
        Metric("macro_f1", macro_f1(outputs, y), split, len(y), kind=kind),
    )


def interleaved_ms(
    sessions: Mapping[str, Any], x: NDArray[np.float32], rounds: int = 40, calls: int = 20
) -> dict[str, NDArray[np.float64]]:
    """Milliseconds of single calls: for each session (rounds, calls), all sessions in turn within every round.

    Many short rounds, because on a shared machine whatever slows one session down then slows its neighbours too.

    Args:
        x: one record with its batch axis.
    """
    feeds = {key: {session.get_inputs()[0].name: x} for key, session in sessions.items()}
    taken = {key: np.empty((rounds, calls)) for key in sessions}
    for number in range(-2, rounds):  # two rounds to warm up
        for key, session in sessions.items():
            for call in range(calls):
                start = time.perf_counter_ns()
                session.run(None, feeds[key])
                taken[key][max(number, 0), call] = (time.perf_counter_ns() - start) / 1e6
    return taken


def latency(taken: NDArray[np.float64]) -> Latency:
    """Median and 95th percentile of single calls of `interleaved_ms`, at batch 1 on one thread."""
    return Latency(float(np.median(taken)), float(np.percentile(taken, 95)), 1, 1, machine_name())


def speedup(slow: NDArray[np.float64], fast: NDArray[np.float64]) -> float:
    """Median over rounds of (median of `slow` / median of `fast`) within the same round; above 1 is faster."""
    return float(np.median(np.median(slow, axis=1) / np.median(fast, axis=1)))


@functools.cache
def machine_name() -> str:
    """What latencies were measured on: the processor and ONNX Runtime's version, which is not loaded for this.

    Steps that measure latencies are remembered under this name too: another machine or version measures its own.
    """
    return f"{machine.machine_name()}, onnxruntime {installed_version('onnxruntime')}"
