"""What compiling did to a model's answers, and what is known of an engine: its verdict and its evidence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from assets.compilation.build import Built
from assets.compilation.documents import Engine
from assets.evaluation.answers import answers, feeds, fixed_batch, open_session
from assets.evaluation.as_tensorrt import open_as_tensorrt, unsigned
from assets.evaluation.latency import bounded_ms, latency
from assets.evaluation.machine import machine_name
from assets.evaluation.parity import Outputs, compare_answers
from assets.line.tasks import change_in_words, metric_drop
from assets.loading.held_out import HeldOut
from assets.storage.store import Store
from assets.tasks.exam import Exam
from assets.tasks.task import Task
from edge.contracts import AnswerSpec, ArtifactRef, Evidence, Metric, ParityVerdict
from edge.contracts.evidence import VerdictKind
from edge.runtime.machine import is_here

MAX_DROP = 0.01
"""Compiling rounds; a compiler that loses more accuracy than this against its own input has made another model."""
DEVICE_RECORDS = 1000
"""Held-out records that are run one by one as a device does, at most."""


@dataclass(frozen=True)
class Source:
    """A dialect's file, and what is known of it: the compiler's input.

    Attributes:
        data: its bytes.
        parity: verdicts from the teacher's ONNX to `file`, no gaps.
    """

    file: ArtifactRef
    data: bytes
    evidence: Evidence
    parity: tuple[ParityVerdict, ...]


@dataclass(frozen=True)
class Verifier:
    """The held-out records that engines are verified on, and by what.

    Attributes:
        metric: what the model was chosen by.
        teacher: its value for the teacher on test records; None where it is not known.
        own: the user's own metrics.
        as_device: answers of the session that devices use, one record at a time, of a file's bytes; None where devices
            have none for such a model.
    """

    task: Task
    metric: str
    classes: tuple[str, ...]
    answer: AnswerSpec
    held: HeldOut
    test: HeldOut
    teacher: float | None = None
    own: tuple[str, ...] = ()
    as_device: Callable[[bytes], Outputs] | None = None

    def engine(self, store: Store, built: Built, source: Source) -> Engine:
        """What was built, with its verdict against its source on the same records, and its evidence.

        A verdict that did not pass is carried: the caller must not release it.
        """
        if built.target.runtime == "onnxruntime":
            return self._graph(store, built, source)
        return self._plan(built, source)

    @property
    def exam(self) -> Exam:
        """What is reported of answers on these records."""
        return Exam(self.task, self.classes, self.answer, self.held, self.test, self.own)

    def _graph(self, store: Store, built: Built, source: Source) -> Engine:
        """An ONNX file, run as a device runs it."""
        target, file = built.target, built.file
        data = source.data if file == source.file else store.fetch(file)
        before = answers(open_session(source.data), self.held, DEVICE_RECORDS)
        after = self.as_device(data) if self.as_device else answers(open_session(data), self.held, DEVICE_RECORDS)
        here = is_here(target)
        verdict = self.verdict(
            "measured" if here else "simulated",
            built.source,
            file.sha256,
            before,
            after,
            f"{built.note}; run one record at a time on one thread{'' if here else f', not on {target.name}'}",
        )
        chain = (*source.parity, verdict)
        evidence = source.evidence
        if file != source.file:
            evidence = self._again(data, evidence)
        if not here:
            chain = (*chain, pending(file.sha256))
            metrics = tuple(replace(metric, kind="simulated") for metric in evidence.metrics)
            evidence = replace(evidence, metrics=metrics, latency=None)  # measured there or unknown, never guessed
        return Engine(target, file, _evidence(built, evidence, chain), chain, None, built.reused)

    def _again(self, data: bytes, source: Evidence) -> Evidence:
        """Metrics and latency of a rewritten file: it is another one than the search measured."""
        session = open_session(data)
        size = fixed_batch(session) or 1
        taken = bounded_ms({"": session}, feeds(session, self.held.batch(np.arange(size) % len(self.held))))[""]
        kept = tuple(metric for metric in source.metrics if metric.name.endswith("_drop"))  # of the same answers
        fresh = self.exam.metrics(answers(session, self.held), answers(session, self.test))
        return replace(source, metrics=(*fresh, *kept), latency=latency(taken, size))

    def _plan(self, built: Built, source: Source) -> Engine:
        """A plan or its recipe; no GPU is here, so what it computes is simulated: operator by operator as written."""
        literal = open_as_tensorrt(source.data)
        before = answers(open_session(source.data, as_written=True), self.held)
        after = answers(literal, self.held)
        metrics = self._simulated(after, answers(literal, self.test))
        told = f"; on test records it {change_in_words(self.metric, metrics[-1].value)} against the teacher"
        if nodes := unsigned(source.data):
            told += f"; it would read u8 as s8 at {nodes[0]!r}"
        verdict = self.verdict(
            "simulated",
            built.source,
            built.file.sha256,
            before,
            after,
            f"its Q/DQ operators one by one in ONNX Runtime{told if self.teacher is not None else ''}",
        )
        chain = (*source.parity, verdict, pending(built.file.sha256))
        evidence = replace(source.evidence, metrics=metrics, latency=None)  # nothing here could measure it
        return Engine(
            built.target, built.file, _evidence(built, evidence, chain), chain, built.plan, built.reused, built.recipe
        )

    def _simulated(self, held: Outputs, test: Outputs) -> tuple[Metric, ...]:
        """What a plan should answer, by answers of its Q/DQ graph as written; the last is its loss against the teacher.

        The teacher is known by its test metric, not record by record, so this difference has no paired interval.
        """
        found = self.exam.metrics(held, test, "simulated")
        if self.teacher is None:
            return found
        (after,) = (one.value for one in found if (one.name, one.split) == (self.metric, "test"))
        drop = metric_drop(self.metric, self.teacher, after)
        return (*found, Metric(f"{self.metric}_drop", drop, "test", len(self.test), kind="simulated"))

    def verdict(
        self, kind: VerdictKind, parent: str, child: str, before: Outputs, after: Outputs, how: str
    ) -> ParityVerdict:
        """What compiling did to the answers on held-out records: the first ones, as many as were answered."""
        y = self.held.y if self.answer.kind == "image" else self.held.y[: len(after)]
        found = compare_answers(before, after, lambda old, new: self.task.drop(self.metric, old, new, y))
        note = f"{kind}: {how}"
        if found.flaw:
            note = f"quantize the model again; {note}"
        elif found.drop > MAX_DROP:
            note = f"{change_in_words(self.metric, found.drop)}, at most {MAX_DROP} is sound; {note}"
        return found.verdict("compile", kind, parent, child, passed=found.drop <= MAX_DROP, note=note)


def pending(sha256: str) -> ParityVerdict:
    """The verdict that only a device can give, before it does."""
    note = "only the device itself can tell; its golden self-test will"
    return ParityVerdict("device", "pending", sha256, sha256, None, None, None, 0, note)


def _evidence(built: Built, known: Evidence, chain: tuple[ParityVerdict, ...]) -> Evidence:
    """What is known of a model, bound to the digest of what was built of it."""
    return replace(
        known,
        artifact=built.file.sha256,
        parity=chain,
        seconds=built.seconds or known.seconds,
        size=built.file.size,
        peak_mb=built.peak_mb,
        peak_on=machine_name() if built.peak_mb is not None else "",
        build_mb=built.build_mb,
        builder=built.builder,
        flags=built.flags,
        warnings=built.warnings,
    )
