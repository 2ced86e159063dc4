"""The formats that a network is tried in, and what helps INT8 where it loses more than the budget allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from assets.compression.documents import Candidate
from assets.compression.evidence import drops_of, limited_drops
from assets.compression.formats.mixed_precision import try_layers, try_mixed
from assets.compression.formats.network import Network, sound
from assets.compression.formats.one_format import drop_of, try_converted, try_float, try_int8
from assets.compression.quantize import StudentInt8, conversion_of
from assets.compression.rule import loses_too_much
from assets.compression.search_state import SearchState
from assets.compression.students.simulated import try_qat
from assets.line.number_formats import FORMATS, TRIED, Format


def formats_of_teacher(state: SearchState, network: Network) -> None:
    """Every format of the policy, and the float file."""
    state.add(try_float(state.trials, network))
    if "int8" in state.subject.policy.formats:
        _int8(state, network, 0.0, ask_layers=True)
    for form in _converted(state):
        state.add(try_converted(state.trials, network, form))


def formats_of_student(state: SearchState, network: Network, before: float) -> None:
    """INT8, or the float file where INT8 breaks the student; of the other formats those that are for such a student."""
    subject, stands = state.subject, False
    if tried := "int8" in subject.policy.formats:
        int8 = _int8(state, network, before)
        stands = int8 is not None and not _breaks(network, int8)
        if not stands:
            state.add(try_float(state.trials, network), before)
    known = StudentInt8(tried, stands, subject.shipped)
    for form in _converted(state):
        if conversion_of(form).for_student(known):
            state.add(try_converted(state.trials, network, form), before)


def _converted(state: SearchState) -> list[Format]:
    """The policy's formats that need no ranges, in the table's order."""
    return [form for form in TRIED if form in state.subject.policy.formats and not FORMATS[form].ranges]


def _int8(state: SearchState, network: Network, before: float, *, ask_layers: bool = False) -> Candidate | None:
    """INT8, and what helps it where the float network fits the budget and INT8 does not.

    Args:
        ask_layers: have each layer's loss found, even where nothing needs help.

    Returns:
        The INT8 candidate that fits, else the one that loses least; None where there is none.
    """
    trials, subject = state.trials, state.subject
    int8 = state.add(try_int8(trials, network), before)
    if int8 is None:
        return None
    broken = _breaks(network, int8)
    if not (broken or ask_layers):
        return int8
    if state.too_late_for(f"the layers of {int8.name}"):
        return int8
    asked = try_layers(trials, network, int8)
    state.tried += asked.tried
    if asked.layers:
        state.swap(int8, seen := replace(int8, layers=asked.layers))
        int8 = seen
    found = [int8]
    many = broken and len(asked.layers) > 1 and subject.policy.max_float_layers
    if many and not state.too_late_for(f"{int8.name}-mixed"):
        mixed = state.add(try_mixed(trials, network, int8, asked.layers), before + asked.seconds)
        found += [mixed] if mixed else []
    if subject.trainable is not None and subject.policy.qat_epochs and all(_breaks(network, one) for one in found):
        if state.too_late_for(f"{int8.name}-qat"):
            return _best(network, found)
        learned = try_qat(trials, subject.trainable, network, int8)
        state.tried += learned.tried
        if learned.made is not None:
            again = state.add(try_int8(trials, Network(subject, learned.made)), before + learned.seconds)
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
