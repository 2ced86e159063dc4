"""One way to judge every tool's files: accuracy, latency in turn, and what TensorRT-RTX builds of them."""

from __future__ import annotations

import dataclasses
import hashlib
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assets.intervals import Interval, paired_difference, wilson
from assets.measure import answers, interleaved_ms, open_session
from assets.simulate import as_tensorrt_reads
from assets.tasks.class_metrics import hits
from edge.contracts import TargetProfile
from edge.engine.build import build_plan
from tests.benchmarks.compress.contract import Given, Judgement, Made
from tests.benchmarks.compress.ort import reason

ROUNDS, CALLS = 60, 15
SCREEN = 10
"""Rounds in which all files are timed first; those that no budget would choose are not timed further."""
KEPT = 6
"""Files of a tool that are timed to the end for each budget."""
Hits = NDArray[np.bool_]


class Judge:
    """Judges files of one data set; the same bytes are judged once."""

    def __init__(self, given: Given, work: Path) -> None:
        self._given, self._work = given, work
        subject = given.subject
        self._held = hits(subject.teacher_held, subject.validation.y)
        self._test = hits(subject.teacher_test, subject.test.y)
        self._known: dict[tuple[str, str], tuple[Hits, Hits, str]] = {}
        self._plans: dict[str, tuple[float | None, str]] = {}

    @property
    def teacher_accuracy(self) -> Interval:
        """On test records."""
        return wilson(int(self._test.sum()), len(self._test))

    def accuracies(self, made: Sequence[Made]) -> Iterator[Judgement]:
        """What every file answers, as its target would; a file that does not run says why."""
        for one in made:
            for target in self._given.subject.targets:
                if target.name not in one.files:
                    yield Judgement(one, target.name, 0.0, why_not=one.why_not or "no file for this target")
                    continue
                yield self._accuracy(one, target)

    def engines(self, judged: Sequence[Judgement], most_points: float) -> Iterator[Judgement]:
        """The same with the plan's size, where a budget could choose the file; others are not built."""
        for one in judged:
            if one.target == "cpu-x86" or one.why_not:
                yield one
            elif one.validation_drop > most_points:
                yield dataclasses.replace(one, why_not=f"not built: loses {one.validation_drop:.1f} points")
            else:
                kilobytes, why_not = self._plan(one.made.files[one.target])
                yield dataclasses.replace(one, engine_kb=kilobytes, why_not=why_not)

    def latencies(self, judged: Sequence[Judgement], budgets: Sequence[float]) -> Iterator[Judgement]:
        """The same with times of CPU files: a short look at all, then those that may be chosen, all in turn."""
        running = [one for one in judged if one.target == "cpu-x86" and not one.why_not]
        files = {_digest(one): one.made.files[one.target] for one in running}
        looked = {name: float(np.median(ms)) for name, ms in self._time(files, SCREEN).items()}
        kept = set()
        for tool in dict.fromkeys(one.made.tool for one in running):
            for budget in budgets:
                fitting = [one for one in running if one.made.tool == tool and one.validation_drop <= budget]
                kept.update(sorted({_digest(one) for one in fitting}, key=looked.__getitem__)[:KEPT])
        kept.add(hashlib.sha256(self._given.subject.file).hexdigest())
        files[hashlib.sha256(self._given.subject.file).hexdigest()] = self._given.subject.file
        taken = self._time({name: files[name] for name in sorted(kept)}, ROUNDS)
        for one in judged:
            ms = taken.get(_digest(one)) if one in running else None
            yield dataclasses.replace(one, ms=None if ms is None else np.median(ms, axis=1))

    def _time(self, files: Mapping[str, bytes], rounds: int) -> dict[str, NDArray[np.float64]]:
        record = self._given.subject.validation.batch(np.arange(1)).numpy()
        sessions = {name: open_session(data) for name, data in files.items()}
        return interleaved_ms(sessions, record, rounds, CALLS)

    def _accuracy(self, one: Made, target: TargetProfile) -> Judgement:
        file = one.files[target.name]
        key = (hashlib.sha256(file).hexdigest(), target.dialect)
        if key not in self._known:
            self._known[key] = self._answered(file, target)
        held, test, why_not = self._known[key]
        judgement = Judgement(one, target.name, len(file) / 1000, why_not=why_not)
        if why_not:
            return judgement
        lost = paired_difference(self._test, test)
        return dataclasses.replace(
            judgement,
            validation_drop=100 * float(self._held.mean() - held.mean()),
            accuracy=wilson(int(test.sum()), len(test)),
            drop=Interval(100 * lost.value, 100 * lost.low, 100 * lost.high),
        )

    def _answered(self, file: bytes, target: TargetProfile) -> tuple[Hits, Hits, str]:
        subject, none = self._given.subject, np.zeros(0, np.bool_)
        try:
            if target.dialect == "tensorrt":
                session = open_session(as_tensorrt_reads(file), as_written=True)
            else:
                session = open_session(file)
            held, test = answers(session, subject.validation), answers(session, subject.test)
        except Exception as error:  # a file that another's tool wrote may fail in any way
            return none, none, f"ONNX Runtime refuses it: {reason(error)}"
        if not (np.isfinite(held).all() and np.isfinite(test).all()):
            return none, none, "an answer is not a finite number"
        return hits(held, subject.validation.y), hits(test, subject.test.y), ""

    def _plan(self, file: bytes) -> tuple[float | None, str]:
        name = hashlib.sha256(file).hexdigest()
        if name not in self._plans:
            self._plans[name] = self._built(file)
        return self._plans[name]

    def _built(self, file: bytes) -> tuple[float | None, str]:
        with tempfile.TemporaryDirectory(prefix="bench-plan-", dir=self._work) as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            source = Path(folder) / "model.onnx"
            source.write_bytes(file)
            try:
                log = build_plan(source, 86, Path(folder) / "model.plan")
            except Exception as error:  # refused, crashed or timed out: each is the tool's result
                return None, reason(error)
        if log.warnings:
            return log.size / 1000, f"builds with a warning: {' '.join(log.warnings[0].split())[:200]}"
        return log.size / 1000, ""


def _digest(one: Judgement) -> str:
    return hashlib.sha256(one.made.files[one.target]).hexdigest()


def ratio(slow: NDArray[np.float64], fast: NDArray[np.float64], seed: int = 0) -> Interval:
    """How many times as fast the second is: the median over rounds of the rounds' ratios, with its 95 % interval.

    By a bootstrap of rounds: both were timed in each, so what slowed a round down slowed both.
    """
    ratios = slow / fast
    draws = np.random.default_rng(seed).integers(0, len(ratios), (2000, len(ratios)))
    medians = np.median(ratios[draws], axis=1)
    low, high = np.quantile(medians, (0.025, 0.975))
    return Interval(float(np.median(ratios)), float(low), float(high))
