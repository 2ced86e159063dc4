"""Makes every candidate of a line with its evidence: `python -m assets.compression.search`, answering `Candidates`.

The rule, in order: the formats of the teacher; where INT8 loses more than the budget allows, its most sensitive layers
back in float, then training with INT8 simulated; students, proxies first (see `assets.compression.rule`), each in INT8;
and at the end all files that run on a CPU timed in turn. What is chosen is chosen on validation records; test records
are for reports only.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.compression.contract import Candidate, Candidates, Recipe, Tried
from assets.compression.formats import (
    drop_of,
    try_float,
    try_float16,
    try_int8,
    try_layers,
    try_mixed,
    try_weights8,
)
from assets.compression.measured import confusion_of, drops_of, limited_drops, timings_of
from assets.compression.network import Network, sound
from assets.compression.prune import count_macs, cuts_of
from assets.compression.rule import (
    HOPELESS,
    beats,
    by_promise,
    loses_too_much,
    network_name,
    proxy_epochs,
    space,
    survivors,
)
from assets.compression.students.simulated import try_qat
from assets.compression.students.teach import same_network, try_cut, try_paces, try_student
from assets.compression.subject import Subject, Trainable, open_subject
from assets.compression.trials import Cut, Made, Trial, Trials
from assets.compression.weigh import macs_of_file, parameters_of_file
from assets.families.weights import architecture_of, parameters_of
from assets.measure import feeds, fixed_batch, latency, open_session, speedup
from assets.tasks.registry import change_in_words
from assets.training.contract import DatasetVersion, TrainedModel
from assets.worker import Job, serve
from edge.contracts import Evidence, from_bytes

OPEN_BYTES = 1_000_000_000
"""Most bytes of the files that are timed together; their sessions take a little more."""


@dataclass
class Course:
    """What a search has found so far.

    Attributes:
        found: candidates without latency, each with the seconds that its trials took.
        begun_not: what there was no time for.
    """

    trials: Trials
    found: list[tuple[Candidate, float]] = field(default_factory=list)
    tried: list[Tried] = field(default_factory=list)
    begun_not: list[str] = field(default_factory=list)

    @property
    def subject(self) -> Subject:
        """What is compressed."""
        return self.trials.subject

    def add(self, trial: Trial, before: float = 0.0) -> Candidate | None:
        """Keep what a trial found; `before` are seconds that its network took. Returns its candidate."""
        self.tried += trial.tried
        for candidate in trial.candidates:
            self.found.append((candidate, before + trial.seconds))
        return trial.candidates[0] if trial.candidates else None

    def too_late_for(self, name: str) -> bool:
        """Whether the minutes are spent, which is told of what would have come next."""
        if self.trials.late:
            self.begun_not.append(name)
        return self.trials.late

    def swap(self, old: Candidate, new: Candidate) -> None:
        """Put a candidate that more is known of in the place of an old one."""
        self.found = [(new if candidate is old else candidate, seconds) for candidate, seconds in self.found]


def search(subject: Subject) -> Candidates:
    """Every candidate of a subject, from its journal of trials and from trials made now.

    The float teacher is always a candidate, so that a model that INT8 breaks still has one.

    Raises:
        RejectedError: records that cannot be read, or a training that diverges.
        VerificationError: stored records or weights that were changed.
    """
    course = Course(Trials(subject))
    teacher = Network(subject, _teacher(subject))
    _formats_of_teacher(course, teacher)
    if subject.trainable is not None:
        _students(course, subject.trainable)
    candidates, seconds = _timed(course)
    return Candidates(
        line=subject.name,
        position=subject.position,
        dataset=subject.dataset,
        teacher=subject.onnx.sha256,
        teacher_size=subject.onnx.size,
        teacher_evidence=subject.evidence,
        input=subject.input,
        output=subject.output,
        labels=subject.labels,
        candidates=candidates,
        answer=subject.answer,
        metric=subject.metric,
        tried=tuple(course.tried),
        confusion=confusion_of(subject, subject.teacher_test),
        seconds=course.trials.seconds + seconds,
        note=_note(course),
    )


def _teacher(subject: Subject) -> Made:
    """The float file that all begins with, counted on its network where there is one."""
    teacher = subject.trainable
    if teacher is None:
        shapes = shapes_of(subject)
        return Made(
            "teacher", Recipe(), subject.onnx, (), parameters_of_file(subject.file), macs_of_file(subject.file, shapes)
        )
    return Made(
        "teacher",
        Recipe(),
        subject.onnx,
        (),
        parameters_of(teacher.network),
        count_macs(teacher.network, subject.input),
        architecture=architecture_of(teacher.network),
        weights=teacher.weights,
    )


def _formats_of_teacher(course: Course, network: Network) -> None:
    """Every format of the policy, and the float file."""
    trials, formats = course.trials, course.subject.policy.formats
    course.add(try_float(trials, network))
    if "int8" in formats:
        _int8(course, network, 0.0, look_anyway=True)
    if "float16" in formats:
        course.add(try_float16(trials, network))
    if "weights8" in formats:
        course.add(try_weights8(trials, network))


def _int8(course: Course, network: Network, before: float, *, look_anyway: bool = False) -> Candidate | None:
    """INT8, and what helps it where the float network fits the budget and INT8 does not.

    Returns:
        The INT8 candidate that fits, else the one that loses least; None where there is none.
    """
    trials, subject = course.trials, course.subject
    int8 = course.add(try_int8(trials, network), before)
    if int8 is None:
        return None
    broken = _breaks(network, int8)
    if not (broken or look_anyway):
        return int8
    if course.too_late_for(f"the layers of {int8.name}"):
        return int8
    looked = try_layers(trials, network, int8)
    course.tried += looked.tried
    if looked.layers:
        course.swap(int8, seen := replace(int8, layers=looked.layers))
        int8 = seen
    found = [int8]
    many = broken and len(looked.layers) > 1 and subject.policy.max_float_layers
    if many and not course.too_late_for(f"{int8.name}-mixed"):
        mixed = course.add(try_mixed(trials, network, int8, looked.layers), before + looked.seconds)
        found += [mixed] if mixed else []
    if subject.trainable is not None and subject.policy.qat_epochs and all(_breaks(network, one) for one in found):
        if course.too_late_for(f"{int8.name}-qat"):
            return _best(network, found)
        learned = try_qat(trials, subject.trainable, network, int8)
        course.tried += learned.tried
        if learned.made is not None:
            again = course.add(try_int8(trials, Network(subject, learned.made)), before + learned.seconds)
            found += [again] if again else []
    return _best(network, found)


def _best(network: Network, found: Sequence[Candidate]) -> Candidate:
    """The one that stands in the budget, else the one that loses least."""
    return min(found, key=lambda one: (_breaks(network, one), drop_of(network, one)))


def _breaks(network: Network, candidate: Candidate) -> bool:
    """Whether INT8 is what keeps the candidate out of the budget: the float network fits, and is sound."""
    subject, made = network.subject, network.made
    alone = limited_drops(subject, {"float": network.held}) if subject.budget.max_drops else {}
    if loses_too_much(made.drop, {}, subject.budget, alone) or not all(verdict.passed for verdict in made.chain):
        return False
    return not sound(candidate, network.dialects) or any(
        loses_too_much(
            drop_of(network, candidate),
            candidate.class_drops,
            subject.budget,
            drops_of(subject, candidate.evidence[dialect].metrics),
        )
        for dialect in network.dialects
    )


def _students(course: Course, teacher: Trainable) -> None:
    """Cut, teach a little, and teach the survivors to the end."""
    trials, policy = course.trials, course.subject.policy
    cuts = _cuts(course, teacher)
    epochs = proxy_epochs(policy, len(cuts))
    begun: list[tuple[Recipe, Cut, Trial]] = []
    for recipe, cut in cuts:
        if course.too_late_for(network_name(recipe)):
            continue
        begun.append((recipe, cut, try_student(trials, teacher, replace(recipe, epochs=epochs), cut)))
        course.tried += begun[-1][2].tried
    stays = _survivors(course, begun) if epochs < policy.distill_epochs else None
    if stays is not None:
        order = {name: at for at, name in enumerate(stays)}
        begun.sort(key=lambda one: order.get(network_name(one[0]), len(order)))
    for recipe, cut, trial in begun:
        made, seconds = trial.made, trial.seconds
        if made is None:
            continue
        if stays is not None:
            if made.name not in stays:
                continue
            if course.too_late_for(made.name):
                continue
            full = try_student(trials, teacher, recipe, cut, proxy=made)
            course.tried += full.tried
            if full.made is None:
                continue
            made, seconds = full.made, seconds + full.seconds
        _formats_of_student(course, Network(course.subject, made), seconds)


def _cuts(course: Course, teacher: Trainable) -> list[tuple[Recipe, Cut]]:
    """The networks that the policy's cuts leave, each once."""
    found: dict[str, tuple[Recipe, Cut]] = {}
    for recipe in space(course.subject.policy, cuts_of(teacher.family)):
        trial = try_cut(course.trials, teacher, recipe)
        course.tried += trial.tried
        if trial.cut is None:
            continue
        twin = found.setdefault(same_network(trial.cut), (recipe, trial.cut))
        if twin[0] is not recipe:
            why = f"it leaves the same network as {network_name(twin[0])}"
            course.tried.append(Tried(network_name(recipe), recipe, None, None, why, trial.seconds))
    return list(found.values())


def _survivors(course: Course, begun: Sequence[tuple[Recipe, Cut, Trial]]) -> tuple[str, ...]:
    """Names of the proxies that are taught to the end, in the order they are; the others are told why not."""
    subject = course.subject
    made = {trial.made.name: trial.made for _, _, trial in begun if trial.made is not None}
    if not made:
        return ()
    on_cpu = any(target.runtime == "onnxruntime" for target in subject.targets)
    ms = try_paces(course.trials, {name: one.int8 or one.onnx for name, one in made.items()}).ms if on_cpu else {}
    sizes = {name: (one.int8 or one.onnx).size for name, one in made.items()}
    points = {name: (one.int8_drop, ms.get(name, float(one.macs)), sizes[name]) for name, one in made.items()}
    stay = survivors(points, subject.policy.survivors, HOPELESS * subject.limit)
    for _, _, trial in begun:
        one = trial.made
        if one is None or one.name in stay:
            continue
        why = f"its proxy {_point(subject, points[one.name], on_cpu=on_cpu)}"
        better = next((name for name in stay if beats(points[name], points[one.name])), None)
        if better is not None:
            why += f"; that of {better} {_point(subject, points[better], on_cpu=on_cpu)}"
        elif one.int8_drop > HOPELESS * subject.limit:
            why += f", which training on would hardly bring below {subject.limit:g}"
        else:
            why += f"; between others that are on the front too, and {len(stay)} are taught on"
        course.tried.append(Tried(f"{one.name}-proxy", one.recipe, one.int8_drop, ms.get(one.name), why, trial.seconds))
    return by_promise({name: points[name] for name in stay}, subject.budget.max_drop)


def _point(subject: Subject, point: tuple[float, ...], *, on_cpu: bool) -> str:
    drop, cost, size = point
    spent = f"takes {cost:.4f} ms" if on_cpu else f"takes {cost:,.0f} multiplications"
    return f"{change_in_words(subject.metric, drop)} in INT8, {spent} and has {size / 1000:.1f} kB"


def _formats_of_student(course: Course, network: Network, before: float) -> None:
    """INT8; where that is not asked for or breaks the student, the formats that do not.

    FP16 too where a plan is built of it: a small one is smaller than the INT8 plan, whose kernels it does not carry.
    """
    trials, formats = course.trials, course.subject.policy.formats
    stands = False
    if "int8" in formats:
        int8 = _int8(course, network, before)
        stands = int8 is not None and not _breaks(network, int8)
        if not stands:
            course.add(try_float(trials, network), before)
    if "float16" in formats and (not stands or "tensorrt" in course.subject.shipped):
        course.add(try_float16(trials, network), before)
    if "weights8" in formats and "int8" not in formats:
        course.add(try_weights8(trials, network), before)


def _timed(course: Course) -> tuple[tuple[Candidate, ...], float]:
    """The candidates with their latency: each CPU file and its network's float one, all in turn.

    Large files are timed a group after another, each with the teacher's, so that memory stays bounded; what the machine
    was slower by while a group was timed shows in the teacher's time, and is taken out of the group's.
    """
    subject, start = course.subject, time.monotonic()
    candidates: list[Candidate] = []
    first, batch = 0.0, fixed_batch(open_session(subject.file)) or 1
    for group in _groups(course):
        wanted = {subject.onnx.sha256: subject.onnx}
        wanted |= {one.onnx[dialect].sha256: one.onnx[dialect] for one, _ in group for dialect in ("float", "cpu")}
        subject.report(f"timing {len(wanted)} files, interleaved, batch {batch}, one thread")
        taken = timings_of(((sha256, subject.store.fetch(ref)) for sha256, ref in wanted.items()), subject.test)
        teacher = float(np.median(taken[subject.onnx.sha256]))
        first = first or teacher
        taken = {sha256: ms * (first / teacher) for sha256, ms in taken.items()}
        candidates += [_finished(course, *one, taken, batch) for one in group]
    return tuple(candidates), time.monotonic() - start


def _groups(course: Course) -> list[list[tuple[Candidate, float]]]:
    """The candidates in their order, as many together as `OPEN_BYTES` allow, at least one."""
    groups: list[list[tuple[Candidate, float]]] = []
    room = 0
    for candidate, seconds in course.found:
        size = candidate.onnx["float"].size + candidate.onnx["cpu"].size
        if not groups or size > room:
            groups.append([])
            room = OPEN_BYTES - course.subject.onnx.size
        groups[-1].append((candidate, seconds))
        room -= size
    return groups


def _finished(
    course: Course, candidate: Candidate, seconds: float, taken: dict[str, NDArray[Any]], batch: int
) -> Candidate:
    """With its latency, and what making it took."""
    slow, fast = (taken[candidate.onnx[dialect].sha256] for dialect in ("float", "cpu"))
    evidence: dict[str, Evidence] = {
        dialect: replace(
            one, latency=None if dialect == "tensorrt" else latency(taken[one.artifact], batch), seconds=seconds
        )
        for dialect, one in candidate.evidence.items()
    }
    faster, metric = speedup(slow, fast), course.subject.metric
    lost = evidence["cpu"].metric(f"{metric}_drop", "test")
    told = change_in_words(metric, lost.value)
    course.subject.report(f"{candidate.name}: {told} on test records, {faster:.2f} times as fast as float")
    return replace(candidate, evidence=evidence, speedup=faster, seconds=seconds)


def shapes_of(subject: Subject) -> dict[str, tuple[int, ...]]:
    """Each input's shape with one record."""
    fed = feeds(open_session(subject.file), subject.validation.batch(np.arange(1)))
    return {name: tuple(array.shape) for name, array in fed.items()}


def _note(course: Course) -> str:
    """What a person should know of the search."""
    sentences = [
        "Latencies are measured, so candidates within 5 % of each other may change places from run to run; all else "
        "is the same for the same records, line and number of threads."
    ]
    if course.subject.trainable is not None:
        sentences.append(
            "Which students are taught to the end depends on their proxies' measured latency too, which the journal of "
            "trials keeps: another journal may have other students survive."
        )
    if course.begun_not:
        minutes = course.subject.policy.max_minutes
        sentences.append(f"After {minutes:g} minutes no time was left for {', '.join(course.begun_not)}.")
    return " ".join(sentences)


def step(job: Job) -> Candidates:
    """`Job.options`: "dataset" and "model", the documents as text."""
    dataset = from_bytes(DatasetVersion, str(job.options["dataset"]).encode(), "options.dataset")
    model = from_bytes(TrainedModel, str(job.options["model"]).encode(), "options.model")
    return search(open_subject(job.store, job.line, dataset, model, job.report))


if __name__ == "__main__":
    serve(step)
