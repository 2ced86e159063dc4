"""Mixed precision: the layers that INT8 harms most back in float, found by quantizing each layer alone."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Literal

import numpy as np

from assets.compression.documents import Candidate, LayerLoss
from assets.compression.evidence import answers_of
from assets.compression.formats.network import QUANTIZED, Assessed, Network, assess, spread
from assets.compression.formats.one_format import drop_of, failed, lost_in_words, trial_of
from assets.compression.quantize import quantizable, sensitivity
from assets.compression.rule import candidate_name, limits_in_words, loses_too_much
from assets.compression.trials import Trial, Trials
from assets.evaluation.parity import Outputs
from assets.fitting.contract import Part

MOST_RECORDS = 512
"""Most validation records on which single layers are quantized alone; what comes of it is measured on all."""
MOST_LAYERS = 200
"""Most layers that are quantized alone, those with the most weights: each is a file of its own."""
MOST_ANSWERS = 20_000
"""Most answers of all layers together: of many layers each answers fewer records, but `LEAST_RECORDS`."""
LEAST_RECORDS = 64


def try_layers(trials: Trials, network: Network, int8: Candidate) -> Trial:
    """What quantizing each layer alone costs, on a share of the validation records."""
    subject, recipe = network.subject, int8.recipe
    dialect = _worst(network, int8)
    records = _records_for(len(quantizable(network.file)))
    rows = spread(len(subject.validation), records)
    part, y = Part(subject.validation, rows), subject.validation.y[rows]

    def lost(before: Outputs, after: Outputs) -> float:
        return subject.task.drop(subject.metric, before, after, y) if np.isfinite(after).all() else 1.0

    def make() -> Trial:
        calibration = network.calibrated((recipe.ranges,))[recipe.ranges]
        layers = sensitivity(
            network.file, calibration, dialect, lambda file: answers_of(dialect, file, part), lost, most=MOST_LAYERS
        )
        return Trial(name, recipe, 0.0, layers=layers)

    name = f"{int8.name}-layers"
    return trials.take(name, recipe, (*network.decides, dialect, f"{records} {MOST_LAYERS}"), lambda _: make())


def try_mixed(trials: Trials, network: Network, int8: Candidate, layers: tuple[LayerLoss, ...]) -> Trial:
    """INT8 with the most sensitive layers back in float, one after another, until it fits or there are enough.

    Args:
        layers: of the network, at least two.
    """
    subject, base = network.subject, int8.recipe
    noise = 1 / max(1, min(_records_for(len(quantizable(network.file))), len(subject.validation)))
    ranked = sorted(layers, key=lambda layer: (-round(layer.drop / noise), -layer.error, layer.layer))
    most = min(subject.policy.max_float_layers, len(ranked) - 1)  # of none in INT8 it would be another format
    order = tuple(layer.layer for layer in ranked)[:most]
    recipe = replace(base, floats=order)

    def make() -> Trial:
        start = time.monotonic()
        calibration = network.calibrated((base.ranges,))[base.ranges]
        best: tuple[Assessed, tuple[str, ...]] | None = None
        for count in range(1, len(order) + 1):
            floats = order[:count]
            seen = assess(network, network.quantized(calibration, network.dialects, floats), start)
            if best is None or (seen.lost, seen.error) < (best[0].lost, best[0].error):
                best = seen, floats
            if not loses_too_much(seen.lost, seen.class_drops, subject.budget, seen.drops):
                best = seen, floats
                break
        assert best is not None, "there is a layer to give up"
        before = drop_of(network, int8)
        if best[0].lost >= before:
            lost = lost_in_words(network, best[0].lost)
            why = f"with {len(order)} layers in float it {lost}, no less than INT8 in all layers"
            return failed(recipe, start, why, best[0].lost)
        rest = [dialect for dialect in QUANTIZED if dialect not in network.dialects]
        files = {**best[0].files, **network.quantized(calibration, rest, best[1])}
        return trial_of(network, replace(recipe, floats=best[1]), files, best[0].held, layers)

    decides = (*network.decides, limits_in_words(subject.budget))
    return trials.take(candidate_name(recipe), recipe, decides, lambda _: make())


def _records_for(layers: int) -> int:
    """Validation records on which each of so many layers is quantized alone."""
    share = MOST_ANSWERS // max(1, min(layers, MOST_LAYERS))
    return min(MOST_RECORDS, max(LEAST_RECORDS, share))


def _worst(network: Network, candidate: Candidate) -> Literal["cpu", "tensorrt"]:
    metric, sign = network.subject.metric, network.subject.task.spec.sign(network.subject.metric)
    values = {
        dialect: sign * candidate.evidence[dialect].metric(metric, "validation").value for dialect in network.dialects
    }
    return min(values, key=lambda dialect: values[dialect])
