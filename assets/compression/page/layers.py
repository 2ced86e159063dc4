"""What quantizing each layer alone costs, as bars, the worst first."""

from __future__ import annotations

import math
from collections.abc import Collection

from assets.compression.choosing.wording import amount, kilobytes, unit
from assets.compression.documents import Candidate, Candidates, LayerLoss
from assets.compression.page.data import Bar, Layers
from assets.pages.templates import cut

MOST_BARS = 20
MOST_ROWS = 480
MOST_LOOKS = 3
NAME = 90


def layers_of(found: Candidates, subject: Candidate | None) -> tuple[Layers, ...]:
    """The looks at layers that were had, the subject's first; one that was had twice is shown once."""
    order = [*([subject] if subject is not None else []), *found.candidates]
    seen: set[tuple[LayerLoss, ...]] = set()
    looks: list[Layers] = []
    for candidate in order:
        if candidate.layers and candidate.layers not in seen and len(looks) < MOST_LOOKS:
            seen.add(candidate.layers)
            looks.append(_look(found.metric, candidate, MOST_ROWS if not looks else MOST_BARS))
    return tuple(looks)


def _look(metric: str, candidate: Candidate, most_rows: int) -> Layers:
    layers = sorted(candidate.layers, key=lambda layer: (-layer.drop, -layer.error, layer.layer))
    drop = max((layer.drop for layer in layers), default=0.0)
    error = max((layer.error for layer in layers), default=0.0)
    in_float = frozenset(candidate.recipe.floats)
    shown, rest = layers[:MOST_BARS], layers[MOST_BARS : MOST_BARS + most_rows]
    return Layers(
        cut(candidate.name, NAME),
        tuple(_bar(metric, layer, drop, error, in_float) for layer in shown),
        tuple((cut(f"{layer.layer} ({layer.op})", NAME), _loss(metric, layer), _error(layer)) for layer in rest),
        len(layers) - len(shown) - len(rest),
    )


def _bar(metric: str, layer: LayerLoss, drop: float, error: float, in_float: Collection[str]) -> Bar:
    return Bar(
        cut(layer.layer, NAME),
        _width(layer.drop, drop),
        f"{_loss(metric, layer)}, {_error(layer)}",
        _width(layer.error, error),
        note=f"{layer.op}, {kilobytes(layer.bytes)}",
        tag="stays in float" if layer.layer in in_float else "",
    )


def _width(value: float, most: float) -> float:
    return min(100.0, 100 * max(value, 0.0) / most) if 0 < most < math.inf and math.isfinite(value) else 0.0


def _loss(metric: str, layer: LayerLoss) -> str:
    return f"{amount(layer.drop)} {unit(metric)}"


def _error(layer: LayerLoss) -> str:
    return f"{100 * layer.error:.2g} %"
