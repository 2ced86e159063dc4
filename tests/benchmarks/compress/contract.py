"""What a tool is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from assets.compression.subject import Subject
from assets.evaluation.intervals import Interval


@dataclass(frozen=True)
class Given:
    """What every tool gets: the teacher's float file, its records, and as much training as everybody else.

    Attributes:
        subject: the teacher, the held-out records and, for tools that train, its network and training records.
        calibration: (records, *shape) float32 training records.
        train_seconds: what all trainings of one tool may take together.
        report: tells a person how far it is.
    """

    subject: Subject
    calibration: NDArray[np.float32]
    train_seconds: float
    report: Callable[[str], None]


@dataclass(frozen=True)
class Made:
    """One model that a tool made.

    Attributes:
        tool, variant: e.g. "onnxruntime-best" and "u8s8 per-channel minmax".
        files: target name to the ONNX file it would run or be compiled from.
        seconds: what making it took; `train_seconds` is the share of training.
        why_not: why there is no file, or none for a target, in one sentence; "" where there is one.
    """

    tool: str
    variant: str
    files: Mapping[str, bytes]
    seconds: float
    train_seconds: float = 0.0
    why_not: str = ""


@dataclass(frozen=True)
class Judgement:
    """What one file of a target is worth, found by the same code for every tool.

    Attributes:
        validation_drop: points of accuracy lost against the teacher on validation records: what chooses.
        accuracy: on test records, with its Wilson interval.
        drop: points lost on test records, with the paired interval.
        ms: per round, the median of single calls at batch 1 on one thread; None for a plan, or where it does not run.
        engine_kb: of the plan; None for a CPU.
        why_not: what refused the file; "" for nothing.
    """

    made: Made
    target: str
    onnx_kb: float
    validation_drop: float = float("nan")
    accuracy: Interval = field(default_factory=lambda: Interval(float("nan"), float("nan"), float("nan")))
    drop: Interval = field(default_factory=lambda: Interval(float("nan"), float("nan"), float("nan")))
    ms: NDArray[np.float64] | None = None
    engine_kb: float | None = None
    why_not: str = ""
