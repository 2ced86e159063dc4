"""One way to judge every tool's files: accuracy, latency in turn, and what TensorRT-RTX builds of them."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assets.evaluation.answers import answers, open_session
from assets.evaluation.as_tensorrt import open_as_tensorrt
from assets.evaluation.hits import hits
from assets.evaluation.intervals import Interval, paired_difference, wilson
from assets.evaluation.latency import interleaved_ms
from edge.engine.build import build_plan
from tests.benchmarks.compress.contract import Given, Judgement, Made
from tests.benchmarks.compress.ort import reason

ROUNDS, CALLS = 60, 15
SCREEN = 10
"""Rounds in which all files are timed first; those that no budget would choose are not timed further."""
ALWAYS = ("teacher-float", "teacher-int8")
"""What the table of dialects compares, whatever any budget chooses."""
KEPT = 6
"""Files of a tool that are timed to the end for each budget."""
Hits = NDArray[np.bool_]


@dataclasses.dataclass(frozen=True)
class Seen:
    """What one file does on one target.

    Attributes:
        lost: points of accuracy on validation records against the teacher.
        test: which test records it answers right; None where that was not asked.
    """

    lost: float = float("nan")
    test: Hits | None = None
    engine_kb: float | None = None
    why_not: str = ""


class Judge:
    """Judges files of one data set; the same bytes are judged once, two files at a time where there are two cores.

    Attributes:
        most: points of accuracy that the largest budget allows; what loses more on validation records is not looked at
            further.
    """

    def __init__(self, given: Given, work: Path, most: float) -> None:
        self._given, self._work, self.most = given, work, most
        subject = given.subject
        self._held = hits(subject.teacher_held, subject.validation.y)
        self._test = hits(subject.teacher_test, subject.test.y)
        self._targets = {target.name: target for target in subject.targets}

    @property
    def teacher_accuracy(self) -> Interval:
        """On test records."""
        return wilson(int(self._test.sum()), len(self._test))

    def accuracies(self, made: Sequence[Made]) -> list[Judgement]:
        """What every file answers, as its target would, and what TensorRT-RTX builds of it.

        What is refused says why. Test records are answered where the largest budget could choose the file.
        """
        files = {
            (_digest(one.files[target]), target): one.files[target]
            for one in made
            for target in self._targets
            if target in one.files
        }
        with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
            seen = dict(zip(files, pool.map(self._seen, files.values(), [target for _, target in files]), strict=True))
        return [self._judgement(one, target, seen) for one in made for target in self._targets]

    def _judgement(self, one: Made, target: str, seen: Mapping[tuple[str, str], Seen]) -> Judgement:
        if target not in one.files:
            return Judgement(one, target, 0.0, why_not=one.why_not or "no file for this target")
        found = seen[_digest(one.files[target]), target]
        judgement = Judgement(one, target, len(one.files[target]) / 1000, found.lost, why_not=found.why_not)
        judgement = dataclasses.replace(judgement, engine_kb=found.engine_kb)
        if found.test is None:
            return judgement
        drop = paired_difference(self._test, found.test)
        return dataclasses.replace(
            judgement,
            accuracy=wilson(int(found.test.sum()), len(found.test)),
            drop=Interval(100 * drop.value, 100 * drop.low, 100 * drop.high),
        )

    def _seen(self, file: bytes, target: str) -> Seen:
        """One file on one target, whatever made it."""
        engine_kb, why_not = None, ""
        if self._targets[target].dialect == "tensorrt":
            engine_kb, why_not = self._built(file)
            if engine_kb is None:
                return Seen(why_not=why_not)
        subject = self._given.subject
        try:
            session = open_session(file) if engine_kb is None else open_as_tensorrt(file)
            held = answers(session, subject.validation)
            if not np.isfinite(held).all():
                return Seen(engine_kb=engine_kb, why_not="an answer is not a finite number")
            lost = 100 * float(self._held.mean() - hits(held, subject.validation.y).mean())
            if lost > self.most:
                return Seen(lost, None, engine_kb, why_not or f"loses {lost:.2f} points on validation records")
            test = hits(answers(session, subject.test), subject.test.y)
        except Exception as error:  # a file that another's tool wrote may fail in any way
            return Seen(engine_kb=engine_kb, why_not=f"ONNX Runtime refuses it: {reason(error)}")
        return Seen(lost, test, engine_kb, why_not)

    def _built(self, file: bytes) -> tuple[float | None, str]:
        """Kilobytes of the plan for SM86, and what is wrong with it."""
        with tempfile.TemporaryDirectory(prefix="bench-plan-", dir=self._work) as folder:
            source = Path(folder) / "model.onnx"
            source.write_bytes(file)
            try:
                log = build_plan(source, 86, Path(folder) / "model.plan")
            except Exception as error:  # refused, crashed or timed out: each is the tool's result
                return None, reason(error)
        if log.warnings:
            return log.size / 1000, f"builds with a warning: {' '.join(log.warnings[0].split())[:200]}"
        return log.size / 1000, ""

    def latencies(self, judged: Sequence[Judgement], budgets: Sequence[float]) -> Iterator[Judgement]:
        """The same with times of CPU files: a short look at all, then those that may be chosen, all in turn."""
        running = [one for one in judged if one.target == "cpu-x86" and not one.why_not]
        digests = {id(one): _digest(one.made.files[one.target]) for one in running}
        files = {digests[id(one)]: one.made.files[one.target] for one in running}
        looked = {name: float(np.median(ms)) for name, ms in self._time(files, SCREEN).items()}
        kept = set()
        for tool in dict.fromkeys(one.made.tool for one in running):
            for budget in budgets:
                fitting = [one for one in running if one.made.tool == tool and one.validation_drop <= budget]
                kept.update(sorted({digests[id(one)] for one in fitting}, key=looked.__getitem__)[:KEPT])
        kept.update(digests[id(one)] for one in running if one.made.variant in ALWAYS)
        teacher = _digest(self._given.subject.file)
        kept.add(teacher)
        files[teacher] = self._given.subject.file
        taken = self._time({name: files[name] for name in sorted(kept)}, ROUNDS)
        for one in judged:
            ms = taken.get(digests.get(id(one), ""))
            yield dataclasses.replace(one, ms=None if ms is None else np.median(ms, axis=1))

    def _time(self, files: Mapping[str, bytes], rounds: int) -> dict[str, NDArray[np.float64]]:
        record = self._given.subject.validation.batch(np.arange(1)).numpy()
        sessions = {name: open_session(data) for name, data in files.items()}
        return interleaved_ms(sessions, record, rounds, CALLS)


def _digest(file: bytes) -> str:
    return hashlib.sha256(file).hexdigest()


def ratio(slow: NDArray[np.float64], fast: NDArray[np.float64], seed: int = 0) -> Interval:
    """How many times as fast the second is: the median over rounds of the rounds' ratios, with its 95 % interval.

    By a bootstrap of rounds: both were timed in each, so what slowed a round down slowed both.
    """
    ratios = slow / fast
    draws = np.random.default_rng(seed).integers(0, len(ratios), (2000, len(ratios)))
    medians = np.median(ratios[draws], axis=1)
    low, high = np.quantile(medians, (0.025, 0.975))
    return Interval(float(np.median(ratios)), float(low), float(high))
