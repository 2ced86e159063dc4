"""The search's stated rule: which cuts there are, how candidates are named, and which students are taught to the end.

A rule rather than a sampler of hyperparameters: the space is a handful of cuts, each costs minutes of training, and
what one training teaches about the next is its place on a front. So every cut gets a cheap proxy, the first
`proxy_share` of its distillation (a form of successive halving, Jamieson & Talwalkar 2016, with one rung), and only
proxies that no other one beats are taught on, from where they stand. The rule is the same on every run.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Mapping
from dataclasses import replace

from assets.compression.documents import Recipe
from assets.line.compression import Budget, CompressionPolicy
from assets.line.families import Cut
from assets.line.number_formats import FORMATS

HOPELESS = 3.0
"""A proxy that loses so many times what a sound conversion may is not taught on."""
TIE = 0.05
"""Costs this close (as a share) are the same, so that the noise of latencies decides nothing."""


def space(policy: CompressionPolicy, cuts: Collection[Cut]) -> tuple[Recipe, ...]:
    """Every cut of the policy that the family knows, each with each; the gentlest first. Formats are left as default.

    Args:
        cuts: of the family, see `assets.line.families.cuts_of`.
    """
    shares = (0.0, *sorted(set(policy.prune))) if "channels" in cuts else (0.0,)
    blocks = (0, *sorted(set(policy.blocks))) if "blocks" in cuts else (0,)
    heads = (0.0, *sorted(set(policy.heads))) if "heads" in cuts else (0.0,)
    halvings = (0, *sorted(set(policy.halvings))) if "resolution" in cuts else (0,)
    found = [
        Recipe(prune=share, allocate=allocate, blocks=count, heads=part, halvings=halved, epochs=policy.distill_epochs)
        for share, allocate, count, part, halved in itertools.product(shares, policy.allocate, blocks, heads, halvings)
        if (share or count or part or halved) and (share or allocate == policy.allocate[0])
    ]
    return tuple(replace(recipe, allocate="even") if not recipe.prune else recipe for recipe in found)


def proxy_epochs(policy: CompressionPolicy, cuts: int) -> int:
    """Passes after which students are compared; all of them where every student survives anyway."""
    if cuts <= policy.survivors:
        return policy.distill_epochs
    return min(policy.distill_epochs, max(1, round(policy.distill_epochs * policy.proxy_share)))


def network_name(recipe: Recipe) -> str:
    """What a recipe's network is called, whatever its numbers' format: "teacher", "pruned-0.5", "pruned-0.5-cost"."""
    parts = []
    if recipe.prune:
        parts.append(f"pruned-{recipe.prune:g}")
    if recipe.prune and recipe.allocate != "even":
        parts.append(recipe.allocate)
    if recipe.blocks:
        parts.append(f"blocks-{recipe.blocks}")
    if recipe.heads:
        parts.append(f"heads-{recipe.heads:g}")
    if recipe.halvings:
        parts.append(f"halved-{recipe.halvings}")
    return "-".join(parts) or "teacher"


def candidate_name(recipe: Recipe) -> str:
    """What a candidate is called: "teacher-int8", "pruned-0.5-int8-mixed", "teacher-int8-qat", "teacher-float"."""
    parts = [network_name(recipe), FORMATS[recipe.format].name]
    if recipe.floats:
        parts.append("mixed")
    if recipe.qat:
        parts.append("qat")
    return "-".join(parts)


def survivors(points: Mapping[str, tuple[float, ...]], most: int, hopeless: float) -> tuple[str, ...]:
    """Names of the proxies that are taught to the end: those that no other one beats, at most `most` of them.

    Where more are on the front, the one that has the nearest neighbours by drop and cost leaves it, again and again
    (the crowding distance of Deb et al. 2002): what stays is spread over the front, its ends included.

    Args:
        points: name to (drop, cost, bytes), less of each is better.
        hopeless: a drop above which a proxy is not taught on, unless all are.
    """
    hopeful = {name: point for name, point in points.items() if point[0] <= hopeless} or points
    front = sorted(
        (name for name in hopeful if not any(beats(hopeful[other], hopeful[name]) for other in hopeful)),
        key=lambda name: (hopeful[name][1], hopeful[name][0], name),
    )
    while len(front) > max(1, most):
        if len(front) == 2:  # one of two ends: the one that loses less
            front.remove(max(front, key=lambda name: (hopeful[name][0], name)))
            continue
        drops = [hopeful[name][0] for name in front]
        spread = max(drops) - min(drops) or 1.0
        ends = math.log(max(hopeful[front[-1]][1], 1e-12) / max(hopeful[front[0]][1], 1e-12)) or 1.0

        def gap(at: int, front: list[str] = front, spread: float = spread, ends: float = ends) -> float:
            before, after = hopeful[front[at - 1]], hopeful[front[at + 1]]
            return math.log(max(after[1], 1e-12) / max(before[1], 1e-12)) / ends + abs(after[0] - before[0]) / spread

        front.pop(min(range(1, len(front) - 1), key=lambda at: (gap(at), front[at])))
    return tuple(front)


def by_promise(points: Mapping[str, tuple[float, ...]], max_drop: float) -> tuple[str, ...]:
    """The order in which proxies are taught on, so that the minutes end on what matters least.

    First the cheapest of those that keep to the budget as they are; then the cheaper ones, those nearest to the budget
    first; then the dearer ones, the cheapest first: of them only a tighter budget would choose.

    Args:
        points: name to (drop, cost, ...), less of each is better.
    """
    fitting = [name for name, point in points.items() if point[0] <= max_drop]
    best = min(fitting, key=lambda name: (points[name][1], name), default=None)
    pivot = math.inf if best is None else points[best][1]

    def rank(name: str) -> tuple[float, float, str]:
        drop, cost = points[name][:2]
        if name == best:
            return 0, 0.0, name
        return (1, drop, name) if cost <= pivot else (2, cost, name)

    return tuple(sorted(points, key=rank))


def beats(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    """Whether `one` is nowhere worse and somewhere better; the second number, a cost, counts from `TIE` on.

    Args:
        one, other: (drop, cost, more numbers ...), less of each is better.
    """
    worse = one[1] > other[1] * (1 + TIE) or any(a > b for a, b in zip(_exact(one), _exact(other), strict=True))
    better = one[1] < other[1] * (1 - TIE) or any(a < b for a, b in zip(_exact(one), _exact(other), strict=True))
    return better and not worse


def _exact(point: tuple[float, ...]) -> tuple[float, ...]:
    return (point[0], *point[2:])


def loses_too_much(
    drop: float, class_drops: Mapping[str, float], budget: Budget, drops: Mapping[str, float] | None = None
) -> bool:
    """Whether a drop on validation records, or that of a class or of another metric, is more than the budget allows.

    Args:
        drops: of metrics that `budget.max_drops` names.
    """
    most = budget.max_drop_per_class
    return (
        drop > budget.max_drop
        or (most is not None and any(lost > most for lost in class_drops.values()))
        or any(lost > budget.max_drops[name] for name, lost in (drops or {}).items())
    )


def limits_in_words(budget: Budget) -> str:
    """Everything that `loses_too_much` holds a candidate against, for keys."""
    others = ",".join(f"{name}={most:g}" for name, most in sorted(budget.max_drops.items()))
    return f"{budget.max_drop:g} {budget.max_drop_per_class} {others}"
