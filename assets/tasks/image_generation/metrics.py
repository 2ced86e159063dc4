"""What is said about generated pictures, held against real ones that the generator has never seen.

Outputs are generated pictures, and `y` real ones, both (pictures, channels, height, width) with values 0 to 1; their
numbers may differ. Both are compared by their `features`, of which the first `MOST_PICTURES` of either are looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assets.evaluation.intervals import LEAST_RESAMPLES, Weighted, bootstrap
from assets.tasks.contract import MOST_PICTURES
from assets.tasks.image_generation.features import Pictures, features
from assets.tasks.user_metrics import Split, checked
from edge.contracts import AnswerSpec, Metric
from edge.contracts.evidence import VerdictKind

NAMES = ("frechet", "nn_precision", "nn_recall")
NEIGHBOURS = 3
"""As in Kynkäänniemi et al. 2019."""
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Gaussian:
    """The Gaussian fitted to features: mean (features,), covariance (features, features) and its square root."""

    mean: Numbers
    spread: Numbers
    root: Numbers


def gaussian(points: Numbers) -> Gaussian:
    """Fitted to features (records, features)."""
    mean, spread = _moments(points, np.full(len(points), 1 / len(points)))
    values, vectors = np.linalg.eigh(spread)
    return Gaussian(mean, spread, (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T)


def frechet_distance(points: Numbers, fitted: Gaussian, weights: Numbers | None = None) -> float:
    """Squared Frechet (2-Wasserstein) distance of two Gaussians (Heusel et al. 2017): the one of points, and another.

    Args:
        points: (records, features).
        weights: (records,) how often each of them counts.
    """
    share = np.full(len(points), 1 / len(points)) if weights is None else weights / weights.sum()
    mean, spread = _moments(points, share)
    shared = np.sqrt(np.maximum(np.linalg.eigvalsh(fitted.root @ spread @ fitted.root), 0)).sum()
    apart = ((mean - fitted.mean) ** 2).sum() + np.trace(spread) + np.trace(fitted.spread) - 2 * shared
    return float(max(0.0, apart))


def near_share(asked: Numbers, known: Numbers) -> NDArray[np.bool_]:
    """(asked,) whether each lies within reach of any known one: nearer than that one's `NEIGHBOURS`-th neighbour.

    Of generated pictures among real ones the share is their precision (they look real), of real among generated ones it
    is the recall (everything real is also made), see Kynkäänniemi et al. 2019 (NeurIPS).
    """
    if len(known) < 2:
        return np.zeros(len(asked), dtype=bool)
    own = _squares(known, known)
    np.fill_diagonal(own, np.inf)
    near = min(NEIGHBOURS, len(known) - 1)
    reach = np.partition(own, near - 1, axis=1)[:, near - 1]
    return np.asarray((_squares(asked, known) <= reach[None, :]).any(axis=1))


def weighted(outputs: Pictures, y: Pictures, names: Sequence[str]) -> Weighted:
    """What computes the named metrics by how often each generated picture counts.

    Raises:
        ValueError: an unknown name.
    """
    return _weighted(features(outputs), features(y[:MOST_PICTURES]), names)


def metrics(
    split: Split,
    outputs: Pictures,
    y: Pictures,
    classes: Sequence[str],
    kind: VerdictKind = "measured",
    threshold: float | None = None,
) -> tuple[Metric, ...]:
    """All of `NAMES`. The distance has an interval by bootstrap over the generated pictures; the real ones stay."""
    del classes, threshold
    made, real = features(checked(outputs)[:MOST_PICTURES]), features(y[:MOST_PICTURES])
    # Each resample costs a decomposition, so few are drawn.
    (found,) = bootstrap(lambda r: _weighted(made[r], real, NAMES[:1]), len(made), resamples=LEAST_RESAMPLES)
    shares = _weighted(made, real, NAMES[1:])(np.ones((len(made), 1)))[:, 0]
    return (
        Metric(NAMES[0], found.value, split, len(made), max(0.0, found.low), found.high, kind),
        *(
            Metric(name, float(share), split, len(made), kind=kind)
            for name, share in zip(NAMES[1:], shares, strict=True)
        ),
    )


def merits(outputs: Pictures, y: Pictures) -> Numbers:
    """(generated,) minus the squared distance to the nearest real picture, in features."""
    real = features(y[:MOST_PICTURES])
    nearest = [
        _squares(features(outputs[at : at + MOST_PICTURES]), real).min(axis=1)
        for at in range(0, len(outputs), MOST_PICTURES)
    ]
    return -np.concatenate(nearest)


def baseline(train_y: Pictures, y: Pictures, classes: Sequence[str]) -> Pictures:
    """As many pictures as `y`, each pixel drawn from a Gaussian of that pixel's values in training pictures."""
    del classes
    drawn = np.random.default_rng(0).normal(train_y.mean(axis=0), train_y.std(axis=0), y.shape)
    return np.clip(drawn, 0, 1).astype(np.float32)


def answer(outputs: Pictures, y: Pictures) -> AnswerSpec:
    """What the outputs stand for."""
    del outputs, y
    return AnswerSpec("image")


def _weighted(made: Numbers, real: Numbers, names: Sequence[str]) -> Weighted:
    if unknown := [name for name in names if name not in NAMES]:
        raise ValueError(f"no metric {unknown[0]!r}; there are {', '.join(NAMES)}")
    precise = near_share(made, real) if "nn_precision" in names else np.zeros(len(made), dtype=bool)
    recall = near_share(real, made).mean() if "nn_recall" in names else 0.0

    fitted = gaussian(real) if "frechet" in names else None

    def metric(name: str, weights: Numbers) -> Numbers:
        if fitted is not None and name == "frechet":
            return np.array([frechet_distance(made, fitted, one) for one in weights.T])
        if name == "nn_precision":
            return np.asarray(precise @ weights / weights.sum(axis=0))
        return np.full(weights.shape[1], recall)

    return lambda weights: np.stack([metric(name, weights) for name in names])


def _moments(points: Numbers, share: Numbers) -> tuple[Numbers, Numbers]:
    mean = share @ points
    centred = points - mean
    return mean, (centred * share[:, None]).T @ centred


def _squares(first: Numbers, second: Numbers) -> Numbers:
    """(first, second) squared distances."""
    both = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1)[None, :]
    return np.asarray(np.maximum(both - 2 * first @ second.T, 0))
