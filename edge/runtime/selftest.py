"""The golden self-test: does this artifact, on this very machine, answer as the model did when it was released?"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.contracts import CLASS_ANSWER, MAX_BATCH, AnswerSpec, GoldenSet, InputSpec, Latency, SelfTest
from edge.errors import RejectedError
from edge.runtime.machine import machine_name
from edge.runtime.preprocess import golden_tensor
from edge.runtime.signature import InferenceSession

WARMUP_CALLS = 3
TIMED_CALLS = 30
TIMED_SECONDS = 2.0


def self_test(
    session: InferenceSession,
    golden: GoldenSet,
    spec: InputSpec,
    artifact_sha: str,
    answer: AnswerSpec = CLASS_ANSWER,
) -> SelfTest:
    """Run the golden records and compare.

    Args:
        artifact_sha: SHA-256 of the file that `session` was opened from.
        answer: what the model's output stands for.

    Returns:
        The outcome. It fails, with a reason, where a golden record cannot be read, where the model fails or answers
        with NaN or infinity, or where fewer than `golden.min_agreement` of the records agree. Of classes a record
        agrees where it gets the same label, and no output at all may be further than `golden.max_abs_diff` from the
        expected one; of other answers it agrees where all its outputs are as near as that. Numbers that could not be
        measured are 0. The latency is of one record at a time, with preprocessing left out.
    """

    def failed(reason: str, agreement: float = 0.0, difference: float = 0.0) -> SelfTest:
        return SelfTest(False, artifact_sha, len(golden.records), agreement, difference, reason=reason)

    if not golden.records:
        return failed("the golden set is empty: nothing shows that this artifact works")
    try:
        inputs = _inputs(golden, spec)
        outputs = np.concatenate([session.run(inputs[at : at + MAX_BATCH]) for at in range(0, len(inputs), MAX_BATCH)])
        outputs = outputs.reshape(len(outputs), -1)
        expected = _expected(golden, outputs.shape[1])
    except (RejectedError, ValueError) as error:
        return failed(str(error))
    broken = int((~np.isfinite(outputs)).any(axis=1).sum())
    if broken:
        return failed(f"{broken} of {len(outputs)} golden records are answered with NaN or infinity")
    apart = np.abs(outputs - expected).max(axis=1)
    same = outputs.argmax(axis=1) == expected.argmax(axis=1) if answer.kind == "class" else apart <= golden.max_abs_diff
    agreement, difference = float(same.mean()), float(apart.max())
    told = "get the expected label" if answer.kind == "class" else "are answered as expected"
    if agreement < golden.min_agreement:
        return failed(
            f"{agreement:.3f} of the golden records {told}, at least {golden.min_agreement:.3f} must",
            agreement,
            difference,
        )
    if answer.kind == "class" and difference > golden.max_abs_diff:
        return failed(
            f"an output is {difference:.4g} from the expected one, at most {golden.max_abs_diff:.4g} is tolerated",
            agreement,
            difference,
        )
    latency = measure_latency(session, inputs)
    return SelfTest(True, artifact_sha, len(golden.records), agreement, difference, latency)


def measure_latency(session: InferenceSession, inputs: NDArray[Any]) -> Latency:
    """Median and 95th percentile of single-record calls, in milliseconds; stops early on a slow device."""
    for call in range(WARMUP_CALLS):
        session.run(inputs[call % len(inputs)][np.newaxis])
    durations: list[float] = []
    deadline = time.perf_counter() + TIMED_SECONDS
    while len(durations) < TIMED_CALLS and (not durations or time.perf_counter() < deadline):
        record = inputs[len(durations) % len(inputs)][np.newaxis]
        started = time.perf_counter()
        session.run(record)
        durations.append((time.perf_counter() - started) * 1000)
    median, p95 = np.percentile(durations, [50, 95])
    return Latency(float(median), float(p95), batch=1, threads=session.threads, machine=machine_name())


def _inputs(golden: GoldenSet, spec: InputSpec) -> NDArray[Any]:
    tensors = []
    for index, record in enumerate(golden.records):
        try:
            tensors.append(golden_tensor(spec, record.input))
        except RejectedError as error:
            raise RejectedError(f"golden record {index}: {error}") from error
    return np.stack(tensors)


def _expected(golden: GoldenSet, outputs: int) -> NDArray[np.float64]:
    for index, record in enumerate(golden.records):
        if len(record.expected) != outputs:
            raise RejectedError(
                f"golden record {index}: expects {len(record.expected)} outputs, the model gives {outputs}"
            )
    return np.asarray([record.expected for record in golden.records], dtype=np.float64)
