"""One format of a network: as it is, INT8 by the ranges that lose least, or converted; and what its files become."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

from assets.compression.documents import Candidate, LayerLoss, Recipe, Tried
from assets.compression.formats.network import QUANTIZED, Assessed, Network, assess, candidate_of, refused
from assets.compression.quantize import conversion_of, quantizable
from assets.compression.rule import candidate_name
from assets.compression.trials import Trial, Trials
from assets.errors import RejectedError
from assets.evaluation.parity import Outputs
from assets.line.compression import Ranges
from assets.line.number_formats import Format
from assets.line.tasks import change_in_words, metric_drop


def try_float(trials: Trials, network: Network) -> Trial:
    """The network as it is, in the place of every dialect."""
    recipe = replace(network.made.recipe, format="float32")

    def make() -> Trial:
        return trial_of(network, recipe, dict.fromkeys(QUANTIZED, network.file), {})

    return trials.take(candidate_name(recipe), recipe, network.decides, lambda _: make())


def try_int8(trials: Trials, network: Network) -> Trial:
    """INT8 by each way of finding ranges; the one that loses least becomes a candidate."""
    subject = network.subject
    recipe = replace(network.made.recipe, format="int8", ranges=subject.policy.ranges[0])

    def make() -> Trial:
        start = time.monotonic()
        if not quantizable(network.file):
            return failed(recipe, start, "it has no layer that INT8 takes")
        try:
            ranges = network.calibrated(subject.policy.ranges)
            seen_by: dict[Ranges, Assessed] = {}
            for method in subject.policy.ranges:
                began = time.monotonic()
                seen_by[method] = assess(network, network.quantized(ranges[method], network.dialects), began)
        except RejectedError as error:
            return failed(recipe, start, refused(error))
        best = min(seen_by, key=lambda method: (seen_by[method].lost, seen_by[method].error))
        rest = [dialect for dialect in QUANTIZED if dialect not in network.dialects]
        files = {**seen_by[best].files, **network.quantized(ranges[best], rest)}
        made = trial_of(network, replace(recipe, ranges=best), files, seen_by[best].held)
        kept = f"with {best} ranges it {_loss(network, seen_by[best])}"
        others = tuple(
            Tried(
                f"{candidate_name(recipe)}-{method}",
                replace(recipe, ranges=method),
                seen.lost,
                None,
                f"INT8 with {method} ranges {_loss(network, seen)}; {kept}",
                seen.seconds,
            )
            for method, seen in seen_by.items()
            if method != best
        )
        return replace(made, tried=(*others, *made.tried))

    decides = (*network.decides, ",".join(subject.policy.ranges))
    return trials.take(candidate_name(recipe), recipe, decides, lambda _: make())


def try_converted(trials: Trials, network: Network, form: Format) -> Trial:
    """A format that needs no ranges; why not, where it cannot be, or saves too little."""
    recipe = replace(network.made.recipe, format=form)
    convert = conversion_of(form).convert

    def make() -> Trial:
        start = time.monotonic()
        try:
            files: dict[str, bytes] = {dialect: convert(network.file, dialect) for dialect in QUANTIZED}
        except RejectedError as error:
            return failed(recipe, start, refused(error))
        return trial_of(network, recipe, files, {})

    return trials.take(candidate_name(recipe), recipe, network.decides, lambda _: make())


def drop_of(network: Network, candidate: Candidate) -> float:
    """What the worst dialect that decides lost of the metric against the teacher on validation records."""
    subject = network.subject
    before = subject.evidence.metric(subject.metric, "validation").value
    return max(
        metric_drop(subject.metric, before, candidate.evidence[dialect].metric(subject.metric, "validation").value)
        for dialect in network.dialects
    )


def trial_of(
    network: Network,
    recipe: Recipe,
    files: Mapping[str, bytes],
    held: Mapping[str, Outputs],
    layers: tuple[LayerLoss, ...] = (),
) -> Trial:
    """The trial of files that become a candidate, or say why they do not."""
    start, name = time.monotonic(), candidate_name(recipe)
    try:
        candidate = candidate_of(network, recipe, files, held, layers)
    except RejectedError as error:
        return failed(recipe, start, refused(error))
    return Trial(name, recipe, 0.0, candidates=(candidate,))


def failed(recipe: Recipe, start: float, why: str, drop: float | None = None) -> Trial:
    """The trial of a recipe that gives no candidate; begun at `start`, and what it lost where that is known."""
    name = candidate_name(recipe)
    return Trial(name, recipe, 0.0, tried=(Tried(name, recipe, drop, None, why, time.monotonic() - start),))


def lost_in_words(network: Network, drop: float) -> str:
    """What a drop on validation records is, as a sentence's verb."""
    return f"{change_in_words(network.subject.metric, drop)} on validation records"


def _loss(network: Network, seen: Assessed) -> str:
    return f"{lost_in_words(network, seen.lost)}, an output error of {seen.error:.3g}"
