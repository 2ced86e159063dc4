"""One network whose formats are tried: its float file, its INT8 files, and how files become a candidate."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from assets.compression.documents import Candidate, LayerLoss, Recipe
from assets.compression.evidence import (
    answers_of,
    class_drops,
    confusion_of,
    evidence_of,
    executed_as,
    limited_drops,
    misread,
    of_teacher,
)
from assets.compression.quantize import Calibration, Feeds, calibrations, needs_7_bits, quantize
from assets.compression.rule import candidate_name
from assets.compression.subject import Subject
from assets.compression.trials import Made
from assets.errors import RejectedError
from assets.evaluation.answers import feeds, fixed_batch, open_session
from assets.evaluation.parity import Outputs
from assets.fitting.contract import TrainingSet
from assets.line.compression import Ranges
from edge.contracts import Evidence, ParityVerdict
from edge.errors import VerificationError

Quantized = Literal["cpu", "tensorrt"]
QUANTIZED: tuple[Quantized, ...] = ("cpu", "tensorrt")
CALIBRATION_BATCH = 32


@dataclass(frozen=True)
class Network:
    """A network with what its float file answers."""

    subject: Subject
    made: Made

    @cached_property
    def file(self) -> bytes:
        """The float file."""
        return self.subject.store.fetch(self.made.onnx)

    @cached_property
    def held(self) -> Outputs:
        """What it answers on validation records."""
        if self.is_teacher:
            return self.subject.teacher_held
        return answers_of("float", self.file, self.subject.validation)

    @property
    def is_teacher(self) -> bool:
        """Whether it is the very file that everything is held against."""
        return self.made.onnx.sha256 == self.subject.onnx.sha256

    @property
    def dialects(self) -> tuple[Quantized, ...]:
        """The quantized dialects that decide: those that targets run, or the CPU's where none runs one."""
        return tuple(dialect for dialect in QUANTIZED if dialect in self.subject.shipped) or ("cpu",)

    @property
    def decides(self) -> tuple[str, ...]:
        """What decides any trial of its formats, see `Trials.take`."""
        policy, narrow = self.subject.policy, needs_7_bits(self.subject.targets)
        shipped = ",".join(self.subject.shipped)
        return (self.made.onnx.sha256, shipped, f"{policy.calibration_records}", f"7 bits: {narrow}")

    def calibrated(self, methods: Sequence[Ranges]) -> Mapping[Ranges, Calibration]:
        """INT8 ranges of the float file, one pass over the records for all methods. Raises RejectedError."""
        subject = self.subject
        records = Batches(subject.calibration, subject.policy.calibration_records, open_session(self.file))
        return calibrations(self.file, records, methods)

    def quantized(
        self, calibration: Calibration, dialects: Sequence[Quantized], floats: Collection[str] = ()
    ) -> dict[str, bytes]:
        """INT8 files of these dialects. Raises RejectedError."""
        narrow = needs_7_bits(self.subject.targets)
        return {
            dialect: quantize(self.file, calibration, dialect, floats=floats, reduce_range=narrow and dialect == "cpu")
            for dialect in dialects
        }


@dataclass(frozen=True)
class Batches:
    """At most `wanted` records, evenly over all, so that every part has its say; a few at a time, as often as asked."""

    records: TrainingSet
    wanted: int
    session: Any

    def __iter__(self) -> Iterator[Feeds]:
        """Batches in the model's own inputs."""
        rows, fixed = spread(len(self.records), self.wanted), fixed_batch(self.session)
        if fixed is None:
            for part in np.array_split(rows, -(-len(rows) // CALIBRATION_BATCH)):
                yield feeds(self.session, self.records.batch(part))
            return
        for start in range(0, len(rows), fixed):  # the file takes just so many: the last piece is filled up
            yield feeds(self.session, self.records.batch(np.resize(rows[start : start + fixed], fixed)))


def spread(records: int, wanted: int) -> NDArray[np.int64]:
    """At most `wanted` row numbers, evenly over all records."""
    return np.unique(np.linspace(0, records - 1, min(wanted, records)).astype(np.int64))


@dataclass(frozen=True)
class Assessed:
    """Files with their answers on validation records, before it is known whether they become a candidate.

    Attributes:
        lost: of the metric against the teacher, in the worst dialect looked at.
        class_drops: of each class, likewise.
        drops: of each metric that the budget limits besides, likewise.
        error: root mean square of the difference to the float network's own answers, in the worst dialect.
    """

    files: Mapping[str, bytes]
    held: Mapping[str, Outputs]
    lost: float
    class_drops: Mapping[str, float]
    drops: Mapping[str, float]
    error: float
    seconds: float


def assess(network: Network, files: Mapping[str, bytes], started: float) -> Assessed:
    """Have files answer the validation records. Raises CompileError, see `answers_of`."""
    subject = network.subject
    held: dict[str, Outputs] = {}
    known: dict[str, Outputs] = {}
    for dialect, file in files.items():
        key = executed_as(dialect, file)
        known[key] = held[dialect] = known[key] if key in known else answers_of(dialect, file, subject.validation)
    lost = max(subject.lost(subject.teacher_held, after) for after in held.values())
    error = max(float(np.sqrt(np.square(after - network.held, dtype=np.float64).mean())) for after in held.values())
    error = error if np.isfinite(error) else float(np.finfo(np.float64).max)
    return Assessed(
        files, held, lost, class_drops(subject, held), limited_drops(subject, held), error, time.monotonic() - started
    )


def candidate_of(
    network: Network,
    recipe: Recipe,
    files: Mapping[str, bytes],
    held: Mapping[str, Outputs],
    layers: tuple[LayerLoss, ...] = (),
) -> Candidate:
    """A candidate of stored files with its evidence, all but its latency and what making it took.

    Args:
        files: of the quantized dialects; the float one is the network's own.
        held: what is known of their answers on validation records.

    Raises:
        RejectedError: an answer is not a finite number.
        CompileError: see `answers_of`.
    """
    subject, made = network.subject, network.made
    files = {"float": network.file, **files}
    refs = {
        dialect: made.onnx if file == network.file else subject.keep_onnx(file, made.onnx.sha256)
        for dialect, file in files.items()
    }
    parity: dict[str, tuple[ParityVerdict, ...]] = {}
    evidence: dict[str, Evidence] = {}
    known: dict[str, tuple[Outputs, Outputs]] = {}
    for dialect, file in files.items():
        at = network.held if file == network.file else held.get(dialect)
        if network.is_teacher and file == network.file:
            metrics, answered = of_teacher(subject), (subject.teacher_held, subject.teacher_test)
        else:
            metrics, *both = evidence_of(subject, dialect, file, at, known)
            answered = (both[0], both[1])
        known[executed_as(dialect, file)] = known[dialect] = answered
        parity[dialect] = made.chain
        if refs[dialect] != made.onnx:
            verdict = subject.verdict(
                "quantize", network.held, answered[0], made.onnx.sha256, refs[dialect].sha256, dialect
            )
            why = misread(subject, file) if dialect == "tensorrt" else ""
            parity[dialect] = (*made.chain, replace(verdict, passed=False, note=why) if why else verdict)
        evidence[dialect] = Evidence(refs[dialect].sha256, metrics, parity[dialect])
    return Candidate(
        name=candidate_name(recipe),
        recipe=recipe,
        parameters=made.parameters,
        macs=made.macs,
        onnx=refs,
        evidence=evidence,
        parity=parity,
        speedup=None,
        seconds=0.0,
        class_drops=class_drops(subject, {dialect: known[dialect][0] for dialect in subject.shipped}),
        confusion=confusion_of(subject, known["cpu"][1]),
        layers=layers,
    )


def sound(candidate: Candidate, dialects: Sequence[str]) -> bool:
    """Whether every conversion to these dialects passed."""
    return all(verdict.passed for dialect in dialects for verdict in candidate.parity[dialect])


def refused(error: RejectedError) -> str:
    """Why a conversion or a file was refused, in its first line. Raises it where a stored file was changed."""
    if isinstance(error, VerificationError):
        raise error
    return str(error).splitlines()[0] if str(error) else type(error).__name__
