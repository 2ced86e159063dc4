"""Formats of one network's numbers: INT8 by the ranges that lose least, layers back in float, FP16, INT8 weights."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal

import numpy as np

from assets.compression.documents import Candidate, LayerLoss, Recipe, Tried
from assets.compression.evidence import answers_of
from assets.compression.network import QUANTIZED, Look, Network, candidate_of, look, refused, spread
from assets.compression.quantize import quantizable, sensitivity, to_float16, weights_to_int8
from assets.compression.rule import candidate_name, limits_in_words, loses_too_much
from assets.compression.subject import Outputs, Subject
from assets.compression.trials import Trial, Trials
from assets.errors import RejectedError
from assets.fitting.contract import Part
from assets.line.compression import Ranges
from assets.line.tasks import change_in_words, metric_drop

LOOK_RECORDS = 512
"""Most validation records on which single layers are looked at; what comes of it is judged on all."""
LOOK_LAYERS = 200
"""Most layers that are looked at, those with the most weights: each is a file of its own."""
LOOK_ANSWERS = 20_000
"""Most answers that a look takes: of many layers each is looked at on fewer records, but on `LEAST_RECORDS`."""
LEAST_RECORDS = 64
LEAST_SAVED = 0.05
"""Share of the float file that weight-only INT8 must save to be worth a candidate."""


def try_float(trials: Trials, network: Network) -> Trial:
    """The network as it is, in the place of every dialect."""
    recipe = replace(network.made.recipe, format="float32")

    def make() -> Trial:
        files = _both(network.file)
        return _trial(network, recipe, files, {})

    return trials.take(candidate_name(recipe), recipe, network.decides, lambda _: make())


def try_int8(trials: Trials, network: Network) -> Trial:
    """INT8 by each way of finding ranges; the one that loses least becomes a candidate."""
    subject = network.subject
    recipe = replace(network.made.recipe, format="int8", ranges=subject.policy.ranges[0])

    def make() -> Trial:
        start = time.monotonic()
        if not quantizable(network.file):
            return _failed(recipe, start, "it has no layer that INT8 takes")
        try:
            ranges = network.calibrated(subject.policy.ranges)
            looks: dict[Ranges, Look] = {}
            for method in subject.policy.ranges:
                began = time.monotonic()
                looks[method] = look(network, network.quantized(ranges[method], network.dialects), began)
        except RejectedError as error:
            return _failed(recipe, start, refused(error))
        best = min(looks, key=lambda method: (looks[method].lost, looks[method].error))
        rest = [dialect for dialect in QUANTIZED if dialect not in network.dialects]
        files = {**looks[best].files, **network.quantized(ranges[best], rest)}
        made = _trial(network, replace(recipe, ranges=best), files, looks[best].held)
        others = tuple(
            Tried(
                f"{candidate_name(recipe)}-{method}",
                replace(recipe, ranges=method),
                seen.lost,
                None,
                f"INT8 with {method} ranges {_told(network, seen.lost)}, an output error of {seen.error:.3g}; with "
                f"{best} ranges it {_told(network, looks[best].lost)}, an output error of {looks[best].error:.3g}",
                seen.seconds,
            )
            for method, seen in looks.items()
            if method != best
        )
        return replace(made, tried=(*others, *made.tried))

    decides = (*network.decides, ",".join(subject.policy.ranges))
    return trials.take(candidate_name(recipe), recipe, decides, lambda _: make())


def try_layers(trials: Trials, network: Network, int8: Candidate) -> Trial:
    """What quantizing each layer alone costs, on a share of the validation records."""
    subject, recipe = network.subject, int8.recipe
    dialect = _worst(network, int8)
    records = _looked_at(subject, len(quantizable(network.file)))
    rows = spread(len(subject.validation), records)
    part, y = Part(subject.validation, rows), subject.validation.y[rows]

    def lost(before: Outputs, after: Outputs) -> float:
        return subject.task.drop(subject.metric, before, after, y) if np.isfinite(after).all() else 1.0

    def make() -> Trial:
        calibration = network.calibrated((recipe.ranges,))[recipe.ranges]
        layers = sensitivity(
            network.file, calibration, dialect, lambda file: answers_of(dialect, file, part), lost, most=LOOK_LAYERS
        )
        return Trial(name, recipe, 0.0, layers=layers)

    name = f"{int8.name}-layers"
    return trials.take(name, recipe, (*network.decides, dialect, f"{records} {LOOK_LAYERS}"), lambda _: make())


def try_mixed(trials: Trials, network: Network, int8: Candidate, layers: tuple[LayerLoss, ...]) -> Trial:
    """INT8 with the most sensitive layers back in float, one after another, until it fits or there are enough.

    Args:
        layers: of the network, at least two.
    """
    subject, base = network.subject, int8.recipe
    noise = 1 / max(1, min(_looked_at(subject, len(quantizable(network.file))), len(subject.validation)))
    ranked = sorted(layers, key=lambda layer: (-round(layer.drop / noise), -layer.error, layer.layer))
    most = min(subject.policy.max_float_layers, len(ranked) - 1)  # of none in INT8 it would be another format
    order = tuple(layer.layer for layer in ranked)[:most]
    recipe = replace(base, floats=order)

    def make() -> Trial:
        start = time.monotonic()
        calibration = network.calibrated((base.ranges,))[base.ranges]
        best: tuple[Look, tuple[str, ...]] | None = None
        for count in range(1, len(order) + 1):
            floats = order[:count]
            seen = look(network, network.quantized(calibration, network.dialects, floats), start)
            if best is None or (seen.lost, seen.error) < (best[0].lost, best[0].error):
                best = seen, floats
            if not loses_too_much(seen.lost, seen.class_drops, subject.budget, seen.drops):
                best = seen, floats
                break
        assert best is not None, "there is a layer to give up"
        before = drop_of(network, int8)
        if best[0].lost >= before:
            why = (
                f"with {len(order)} layers in float it {_told(network, best[0].lost)}, no less than INT8 in all layers"
            )
            return _failed(recipe, start, why, best[0].lost)
        rest = [dialect for dialect in QUANTIZED if dialect not in network.dialects]
        files = {**best[0].files, **network.quantized(calibration, rest, best[1])}
        return _trial(network, replace(recipe, floats=best[1]), files, best[0].held, layers)

    decides = (*network.decides, limits_in_words(subject.budget))
    return trials.take(candidate_name(recipe), recipe, decides, lambda _: make())


def try_float16(trials: Trials, network: Network) -> Trial:
    """All numbers in 16 bits for TensorRT, the weights alone for a CPU, which computes in float32 anyway."""
    return _converted(trials, network, "float16", to_float16)


def try_weights8(trials: Trials, network: Network) -> Trial:
    """Weights alone in 8 bits: for recurrent layers and embeddings, which no runtime computes in INT8."""
    return _converted(trials, network, "weights8", weights_to_int8, LEAST_SAVED)


def _converted(
    trials: Trials,
    network: Network,
    form: Literal["float16", "weights8"],
    convert: Callable[[bytes, Literal["cpu", "tensorrt"]], bytes],
    least_saved: float = 0.0,
) -> Trial:
    """A format that needs no ranges; why not, where it cannot be, or saves less than a share of the float file."""
    recipe = replace(network.made.recipe, format=form)

    def make() -> Trial:
        start = time.monotonic()
        try:
            files: dict[str, bytes] = {dialect: convert(network.file, dialect) for dialect in QUANTIZED}
        except RejectedError as error:
            return _failed(recipe, start, refused(error))
        saved = 1 - len(files["cpu"]) / len(network.file)
        if saved < least_saved:
            return _failed(recipe, start, f"weights alone in INT8 save {max(saved, 0):.0%} of the file, too little")
        return _trial(network, recipe, files, {})

    return trials.take(candidate_name(recipe), recipe, network.decides, lambda _: make())


def drop_of(network: Network, candidate: Candidate) -> float:
    """What the worst dialect that decides lost of the metric against the teacher on validation records."""
    subject = network.subject
    before = subject.evidence.metric(subject.metric, "validation").value
    return max(
        metric_drop(subject.metric, before, candidate.evidence[dialect].metric(subject.metric, "validation").value)
        for dialect in network.dialects
    )


def _looked_at(subject: Subject, layers: int) -> int:
    """Records on which each of so many layers is looked at."""
    share = LOOK_ANSWERS // max(1, min(layers, LOOK_LAYERS))
    return min(LOOK_RECORDS, max(LEAST_RECORDS, share))


def _worst(network: Network, candidate: Candidate) -> Literal["cpu", "tensorrt"]:
    metric, sign = network.subject.metric, network.subject.task.spec.sign(network.subject.metric)
    values = {
        dialect: sign * candidate.evidence[dialect].metric(metric, "validation").value for dialect in network.dialects
    }
    return min(values, key=lambda dialect: values[dialect])


def _trial(
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
        return _failed(recipe, start, refused(error))
    return Trial(name, recipe, 0.0, candidates=(candidate,))


def _failed(recipe: Recipe, start: float, why: str, drop: float | None = None) -> Trial:
    name = candidate_name(recipe)
    return Trial(name, recipe, 0.0, tried=(Tried(name, recipe, drop, None, why, time.monotonic() - start),))


def _both(file: bytes) -> dict[str, bytes]:
    """The same file in the place of both quantized dialects."""
    return dict.fromkeys(QUANTIZED, file)


def _told(network: Network, drop: float) -> str:
    return f"{change_in_words(network.subject.metric, drop)} on validation records"
