"""The formats that a network is tried in, and what helps INT8 where it loses more than the budget allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from assets.compression.documents import Candidate
from assets.compression.evidence import drops_of, limited_drops
from assets.compression.formats import (
    drop_of,
    try_float,
    try_float16,
    try_int8,
    try_layers,
    try_mixed,
    try_weights8,
)
from assets.compression.network import Network, sound
from assets.compression.rule import (
    loses_too_much,
)
from assets.compression.search_state import Course
from assets.compression.students.simulated import try_qat


def formats_of_teacher(course: Course, network: Network) -> None:
    """Every format of the policy, and the float file."""
    trials, formats = course.trials, course.subject.policy.formats
    course.add(try_float(trials, network))
    if "int8" in formats:
        _int8(course, network, 0.0, look_anyway=True)
    if "float16" in formats:
        course.add(try_float16(trials, network))
    if "weights8" in formats:
        course.add(try_weights8(trials, network))


def formats_of_student(course: Course, network: Network, before: float) -> None:
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
