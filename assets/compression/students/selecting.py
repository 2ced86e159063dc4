"""Which students there are: cut, taught a little, and those that no other beats taught to the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from assets.compression.documents import Recipe, Tried
from assets.compression.formats.every_format import formats_of_student
from assets.compression.formats.network import Network
from assets.compression.prune import cuts_of
from assets.compression.rule import (
    HOPELESS,
    beats,
    by_promise,
    network_name,
    proxy_epochs,
    space,
    survivors,
)
from assets.compression.search_state import SearchState
from assets.compression.students.teach import same_network, try_cut, try_paces, try_student
from assets.compression.subject import Subject, Trainable
from assets.compression.trials import Cut, Trial
from assets.line.tasks import change_in_words


def taught_students(state: SearchState, teacher: Trainable) -> None:
    """Cut, teach a little, and teach the survivors to the end."""
    trials, policy = state.trials, state.subject.policy
    cuts = _cuts(state, teacher)
    epochs = proxy_epochs(policy, len(cuts))
    begun: list[tuple[Recipe, Cut, Trial]] = []
    for recipe, cut in cuts:
        if state.too_late_for(network_name(recipe)):
            continue
        begun.append((recipe, cut, try_student(trials, teacher, replace(recipe, epochs=epochs), cut)))
        state.tried += begun[-1][2].tried
    stays = _survivors(state, begun) if epochs < policy.distill_epochs else None
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
            if state.too_late_for(made.name):
                continue
            full = try_student(trials, teacher, recipe, cut, proxy=made)
            state.tried += full.tried
            if full.made is None:
                continue
            made, seconds = full.made, seconds + full.seconds
        formats_of_student(state, Network(state.subject, made), seconds)


def _cuts(state: SearchState, teacher: Trainable) -> list[tuple[Recipe, Cut]]:
    """The networks that the policy's cuts leave, each once."""
    found: dict[str, tuple[Recipe, Cut]] = {}
    for recipe in space(state.subject.policy, cuts_of(teacher.family)):
        trial = try_cut(state.trials, teacher, recipe)
        state.tried += trial.tried
        if trial.cut is None:
            continue
        twin = found.setdefault(same_network(trial.cut), (recipe, trial.cut))
        if twin[0] is not recipe:
            why = f"it leaves the same network as {network_name(twin[0])}"
            state.tried.append(Tried(network_name(recipe), recipe, None, None, why, trial.seconds))
    return list(found.values())


def _survivors(state: SearchState, begun: Sequence[tuple[Recipe, Cut, Trial]]) -> tuple[str, ...]:
    """Names of the proxies that are taught to the end, in the order they are; the others are told why not."""
    subject = state.subject
    made = {trial.made.name: trial.made for _, _, trial in begun if trial.made is not None}
    if not made:
        return ()
    on_cpu = any(target.runtime == "onnxruntime" for target in subject.targets)
    ms = try_paces(state.trials, {name: one.int8 or one.onnx for name, one in made.items()}).ms if on_cpu else {}
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
        state.tried.append(Tried(f"{one.name}-proxy", one.recipe, one.int8_drop, ms.get(one.name), why, trial.seconds))
    return by_promise({name: points[name] for name in stay}, subject.budget.max_drop)


def _point(subject: Subject, point: tuple[float, ...], *, on_cpu: bool) -> str:
    drop, cost, size = point
    spent = f"takes {cost:.4f} ms" if on_cpu else f"takes {cost:,.0f} multiplications"
    return f"{change_in_words(subject.metric, drop)} in INT8, {spent} and has {size / 1000:.1f} kB"
