"""The latency of all candidates, timed in turn."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.compression.documents import Candidate
from assets.compression.evidence import timings_of
from assets.compression.search_state import SearchState
from assets.evaluation.answers import fixed_batch, open_session
from assets.evaluation.latency import latency, speedup
from assets.line.tasks import change_in_words
from edge.contracts import Evidence

OPEN_BYTES = 1_000_000_000
"""Most bytes of the files that are timed together; their sessions take a little more."""


def timed(state: SearchState) -> tuple[tuple[Candidate, ...], float]:
    """The candidates with their latency: each CPU file and its network's float one, all in turn.

    Large files are timed a group after another, each with the teacher's, so that memory stays bounded; what the machine
    was slower by while a group was timed shows in the teacher's time, and is taken out of the group's.
    """
    subject, start = state.subject, time.monotonic()
    candidates: list[Candidate] = []
    first, batch = 0.0, fixed_batch(open_session(subject.file)) or 1
    for group in _groups(state):
        wanted = {subject.onnx.sha256: subject.onnx}
        wanted |= {one.onnx[dialect].sha256: one.onnx[dialect] for one, _ in group for dialect in ("float", "cpu")}
        subject.report(f"timing {len(wanted)} files, interleaved, batch {batch}, one thread")
        taken = timings_of(((sha256, subject.store.fetch(ref)) for sha256, ref in wanted.items()), subject.test)
        teacher = float(np.median(taken[subject.onnx.sha256]))
        first = first or teacher
        taken = {sha256: ms * (first / teacher) for sha256, ms in taken.items()}
        candidates += [_finished(state, *one, taken, batch) for one in group]
    return tuple(candidates), time.monotonic() - start


def _groups(state: SearchState) -> list[list[tuple[Candidate, float]]]:
    """The candidates in their order, as many together as `OPEN_BYTES` allow, at least one."""
    groups: list[list[tuple[Candidate, float]]] = []
    room = 0
    for candidate, seconds in state.found:
        size = candidate.onnx["float"].size + candidate.onnx["cpu"].size
        if not groups or size > room:
            groups.append([])
            room = OPEN_BYTES - state.subject.onnx.size
        groups[-1].append((candidate, seconds))
        room -= size
    return groups


def _finished(
    state: SearchState, candidate: Candidate, seconds: float, taken: dict[str, NDArray[Any]], batch: int
) -> Candidate:
    """With its latency, and what making it took."""
    slow, fast = (taken[candidate.onnx[dialect].sha256] for dialect in ("float", "cpu"))
    evidence: dict[str, Evidence] = {
        dialect: replace(
            one, latency=None if dialect == "tensorrt" else latency(taken[one.artifact], batch), seconds=seconds
        )
        for dialect, one in candidate.evidence.items()
    }
    faster, metric = speedup(slow, fast), state.subject.metric
    lost = evidence["cpu"].metric(f"{metric}_drop", "test")
    told = change_in_words(metric, lost.value)
    state.subject.report(f"{candidate.name}: {told} on test records, {faster:.2f} times as fast as float")
    return replace(candidate, evidence=evidence, speedup=faster, seconds=seconds)
