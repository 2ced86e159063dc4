"""INT8 against FP32 of the same network, from the newest candidates of the demo (run `make demo` first)."""

from __future__ import annotations

from typing import Any

import numpy as np

from assets.compression.documents import Candidates
from assets.errors import RejectedError
from assets.evaluation.answers import open_session
from assets.evaluation.latency import interleaved_ms
from assets.storage.store import Store
from platform_defs.home import find_home

LINE = "digits"


def measure() -> list[dict[str, Any]]:
    """Medians of interleaved rounds, batch 1, one thread; accuracy on the same test records."""
    store = Store(find_home())
    try:
        found = store.newest(LINE, Candidates)
    except RejectedError as error:
        raise SystemExit(f"{error} (`make demo` does)") from error
    draw = np.random.default_rng(0)
    one = draw.standard_normal((1, *found.input.shape)).astype(np.float32)
    rows = []
    for candidate in found.candidates:
        sessions = {name: open_session(store.fetch(candidate.onnx[name])) for name in ("float", "cpu")}
        medians = {name: float(np.median(rounds)) for name, rounds in interleaved_ms(sessions, one).items()}
        accuracy = {name: candidate.evidence[name].metric("accuracy", "test").value for name in sessions}
        rows.append(
            {
                "model": candidate.name,
                "fp32_ms": medians["float"],
                "int8_ms": medians["cpu"],
                "fp32/int8": medians["float"] / medians["cpu"],
                "fp32_accuracy": accuracy["float"],
                "int8_accuracy": accuracy["cpu"],
                "int8_kB": candidate.onnx["cpu"].size / 1000,
                "of_teacher": candidate.onnx["cpu"].size / found.teacher_size,
            }
        )
    return rows
