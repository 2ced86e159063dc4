"""Judging a model file: what it answers in ONNX Runtime, how sure a number is, and how long a call takes."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge.contracts import Latency, Metric
from edge.contracts.evidence import VerdictKind
from edge.engine.library import installed_version
from edge.runtime import machine

Z95 = 1.959963984540054
BATCH = 256


@dataclass(frozen=True)
class Interval:
    """A value and the ends of its 95 % interval."""

    value: float
    low: float
    high: float


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


def logits(session: Any, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Outputs (records, classes) float32 of inputs (records, ...) float32, in batches of `BATCH`."""
    name = session.get_inputs()[0].name
    parts = [session.run(None, {name: x[start : start + BATCH]})[0] for start in range(0, len(x), BATCH)]
    return np.concatenate(parts)


def hits(outputs: NDArray[np.float32], y: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(records,) bool: where the largest output is at the true label."""
    answers: NDArray[np.bool_] = outputs.argmax(axis=1) == y
    return answers


def macro_f1(outputs: NDArray[np.float32], y: NDArray[np.int64]) -> float:
    """Mean F1 over the classes that are either true or answered at least once; 0 to 1."""
    answers = outputs.argmax(axis=1)
    scores = []
    for label in np.union1d(answers, y):
        true = int(((answers == label) & (y == label)).sum())
        scores.append(2 * true / int((answers == label).sum() + (y == label).sum()))
    return float(np.mean(scores))


def wilson(good: int, records: int) -> Interval:
    """A share and its 95 % score interval (Wilson 1927, J. Am. Stat. Assoc. 22:209-212)."""
    if not 0 <= good <= records or records == 0:
        raise ValueError(f"{good} of {records} is not a share")
    share, z2 = good / records, Z95 * Z95
    middle = (share + z2 / (2 * records)) / (1 + z2 / records)
    half = Z95 / (1 + z2 / records) * math.sqrt(share * (1 - share) / records + z2 / (4 * records**2))
    return Interval(share, max(0.0, min(middle - half, share)), min(1.0, max(middle + half, share)))


def paired_difference(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> Interval:
    """Share of hits of `first` minus that of `second` on the same records, with its 95 % interval.

    Method 10 of Newcombe 1998 (Statistics in Medicine 17:2635-2650): Wilson intervals of both shares, joined with the
    continuity-corrected correlation of the pairs. It stays sensible where the two models never disagree.
    """
    if first.shape != second.shape or first.size == 0:
        raise ValueError(f"{first.shape} and {second.shape} are not answers on the same records")
    n = int(first.size)
    both, only_first = int((first & second).sum()), int((first & ~second).sum())
    only_second, neither = int((~first & second).sum()), int((~first & ~second).sum())
    one, two = wilson(both + only_first, n), wilson(both + only_second, n)
    product = (both + only_first) * (only_second + neither) * (both + only_second) * (only_first + neither)
    agreement = float(both * neither - only_first * only_second)
    if agreement > 0:
        agreement = max(agreement - n / 2, 0)
    phi = agreement / math.sqrt(product) if product else 0.0
    value = (only_first - only_second) / n

    def reach(a: float, b: float) -> float:
        return math.sqrt(max(a * a - 2 * phi * a * b + b * b, 0.0))

    low = value - reach(one.value - one.low, two.high - two.value)
    high = value + reach(one.high - one.value, two.value - two.low)
    return Interval(value, max(-1.0, low), min(1.0, high))


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
