"""Evidence about a candidate's files: the task's metrics, what it lost against the teacher, and how fast it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.compression.bench import Bench, kind_of
from assets.measure import answers, interleaved_ms, latency, open_session, speedup
from assets.tasks.compare import compare
from assets.tasks.own_metrics import own_metrics
from assets.tasks.registry import lower_is_better
from edge.contracts import ArtifactRef, Evidence, Metric, ParityVerdict
from edge.contracts.evidence import VerdictKind


def timings_of(made: Mapping[str, Mapping[str, bytes]], bench: Bench) -> dict[str, NDArray[np.float64]]:
    """Milliseconds of single calls of each candidate's float and cpu file ("name/dialect"), all measured in turn."""
    sessions = {
        f"{name}/{dialect}": open_session(files[dialect])
        for name, files in made.items()
        for dialect in ("float", "cpu")
    }
    return interleaved_ms(sessions, bench.test.batch(np.arange(1)).numpy())


def measured(
    bench: Bench,
    name: str,
    files: Mapping[str, bytes],
    refs: Mapping[str, ArtifactRef],
    parity: Mapping[str, tuple[ParityVerdict, ...]],
    timings: Mapping[str, NDArray[np.float64]],
    seconds: float,
) -> tuple[dict[str, Evidence], float]:
    """Each dialect's evidence, and how many times as fast the cpu file is as the float one.

    What is known of the teacher's own file is not measured again.
    """
    evidence: dict[str, Evidence] = {}
    for dialect, file in files.items():
        key, known = f"{name}/{dialect}", refs[dialect].sha256 == bench.model.onnx.sha256
        evidence[dialect] = Evidence(
            artifact=refs[dialect].sha256,
            metrics=_of_teacher(bench) if known else _metrics(open_session(file), bench, kind_of(dialect)),
            parity=parity[dialect],
            latency=latency(timings[key]) if key in timings else None,
            seconds=seconds,
        )
    return evidence, speedup(timings[f"{name}/float"], timings[f"{name}/cpu"])


def _of_teacher(bench: Bench) -> tuple[Metric, ...]:
    known = bench.model.evidence.metrics
    records = bench.model.evidence.metric(bench.metric, "test").records
    return (*known, Metric(f"{bench.metric}_drop", 0.0, "test", records, 0.0, 0.0))


def _metrics(session: Any, bench: Bench, kind: VerdictKind) -> tuple[Metric, ...]:
    """On both splits, and the loss against the teacher on test records."""
    task, own, threshold = bench.task, bench.line.config.training.metrics, bench.model.answer.threshold
    held, test = answers(session, bench.validation), answers(session, bench.test)
    return (
        *task.metrics.metrics("validation", held, bench.validation.y, bench.classes, kind, threshold),
        *own_metrics(own, "validation", held, bench.validation.y, kind),
        *task.metrics.metrics("test", test, bench.test.y, bench.classes, kind, threshold),
        *own_metrics(own, "test", test, bench.test.y, kind),
        _drop(bench, test, kind),
    )


def _drop(bench: Bench, outputs: NDArray[np.float32], kind: VerdictKind) -> Metric:
    """What was lost against the teacher (see `Task.drop`), with the paired 95 % interval; pictures are no pairs."""
    task, metric, before, y = bench.task, bench.metric, bench.teacher_test, bench.test.y
    name = f"{metric}_drop"
    if task.spec.answer == "image":
        return Metric(name, task.drop(metric, before, outputs, y), "test", len(outputs), kind=kind)
    found = compare(task, metric, before, outputs, y)
    unit = 1 / max(abs(found.before), 1e-12) if lower_is_better(metric) else 1.0
    gain = found.gain
    return Metric(name, -gain.value * unit, "test", found.records, -gain.high * unit, -gain.low * unit, kind)
