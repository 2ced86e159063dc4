"""How long a model takes: interleaved rounds, so that two models are slowed by the machine alike."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.evaluation.answers import feeds
from assets.evaluation.machine import machine_name
from edge.contracts import Latency

ROUNDS, CALLS = 40, 20
ROUND_MS = 60.0
"""A model so slow that `CALLS` calls take longer gets fewer of them in each round."""
SLOW_ROUNDS = 10


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
