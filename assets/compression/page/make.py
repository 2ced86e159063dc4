"""From a search and its choice to the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from jinja2 import Environment

from assets.compression.choosing.rows import EngineFacts, rows_of
from assets.compression.choosing.wording import kilobytes, unit
from assets.compression.documents import Candidate, Candidates, ChosenModel
from assets.compression.page.classes import class_bars, confusion_of
from assets.compression.page.data import Fact, PageData
from assets.compression.page.front_plot import fronts_of, legend_of, unnamed
from assets.compression.page.head import limits_of, nearest_of, teacher_latency, tiles_of, title_of
from assets.compression.page.layers import layers_of
from assets.compression.page.proof import chains_of, engines_of
from assets.compression.page.tables import MOST_TRIED, ended, entries_of, numbered, tried_of
from assets.line.compression import Budget
from assets.pages import templates
from assets.pages.templates import cut, duration, words
from edge.contracts import TargetProfile

MOST_CLEAR = 24
MOST_BEATEN = 200
MOST_IN_FLOAT = 64
MOST_NEAREST = 5
MOST_SAID = 1000


def make_page(
    found: Candidates,
    chosen: ChosenModel | None,
    why_not: str,
    targets: Sequence[TargetProfile],
    engines: Mapping[str, EngineFacts] | None = None,
    *,
    budget: Budget | None = None,
    linked: bool = False,
) -> bytes:
    """The page that a search ends with: one file of HTML, no script, nothing fetched; the same inputs give the same.

    Args:
        chosen: None where nothing fits the budget; `why_not` is then what `choose` said, and "" otherwise.
        targets: what the models are for, at least one.
        engines: target name to what was built of the chosen model.
        budget: None: no limits are drawn.
        linked: whether it is kept below `reports/<line>/<folder>/`, so that it can link to the line's other pages.

    Raises:
        ValueError: no target was given.
    """
    if not targets:
        raise ValueError("a search has at least one target")
    data = collect(found, chosen, why_not, targets, engines or {}, budget, linked=linked)
    return environment().get_template("search.html").render(page=data).encode("utf-8", "replace")


def collect(
    found: Candidates,
    chosen: ChosenModel | None,
    why_not: str,
    targets: Sequence[TargetProfile],
    engines: Mapping[str, EngineFacts],
    budget: Budget | None,
    *,
    linked: bool,
) -> PageData:
    """Everything on the page."""
    rows = rows_of(found, chosen, why_not, targets, engines)
    numbers = numbered(found, rows)
    entries = entries_of(found, rows, numbers)
    said, nearest, remedy = nearest_of(why_not)
    subject = chosen.candidate if chosen is not None else _nearest(found, nearest)
    own = [row for row in rows if subject is not None and row.name == subject.name]
    teacher_ms = teacher_latency(found, targets)
    fits = chosen is not None and bool(own)
    clear = [entry for entry in entries if entry.state in {"chosen", "front"}]
    clear += [entry for entry in entries if entry not in clear][: max(0, MOST_CLEAR - len(clear))]
    beaten = [entry for entry in entries if entry not in clear]
    bars, classes_more = class_bars(
        subject.class_drops if subject is not None else {}, None if budget is None else budget.max_drop_per_class
    )
    in_float = subject.recipe.floats if subject is not None else ()
    metric = words(found.metric)
    fronts = fronts_of(found, rows, numbers, targets, budget)
    return PageData(
        line=cut(found.line, 120),
        linked=linked,
        fits=fits,
        title=title_of(found, own, teacher_ms) if fits else "Nothing fits the budget",
        sentences=tuple(ended(text, MOST_SAID) for text in ([chosen.why] if chosen is not None else [said]) if text),
        limits=limits_of(found, subject, own, budget, targets) if budget is not None else (),
        tiles=tuple(tiles_of(found, own, teacher_ms)) if own else (),
        nearest=tuple((cut(name, 120), cut(why)) for name, why in nearest[:MOST_NEAREST]) if not fits else (),
        remedy=cut(remedy) if not fits else "",
        metric=metric,
        scale=_scale(found),
        unit="points" if unit(found.metric) == "points" else "% of the teacher's",
        test_records=max((row.test_records for row in rows), default=0),
        targets=", ".join(cut(target.name, 60) for target in targets),
        legend=legend_of(fronts),
        fronts=unnamed(fronts),
        clear=tuple(clear),
        beaten=tuple(beaten[:MOST_BEATEN]),
        beaten_more=max(0, len(beaten) - MOST_BEATEN),
        tried=tried_of(found),
        tried_more=max(0, len(found.tried) - MOST_TRIED),
        subject="the chosen model" if fits else f"{cut(subject.name, 60)}, the nearest miss" if subject else "",
        layers=layers_of(found, subject),
        in_float=tuple(cut(name, 90) for name in in_float[:MOST_IN_FLOAT]),
        in_float_more=max(0, len(in_float) - MOST_IN_FLOAT),
        confusion=confusion_of(found.confusion, subject.confusion, found.labels) if subject is not None else None,
        classes=bars,
        classes_more=classes_more,
        chains=chains_of(found, subject, targets) if subject is not None else (),
        engines=engines_of(engines),
        note=cut(found.note, 2000),
        facts=(
            Fact("line" if linked else "model", cut(found.line, 120)),
            Fact("dataset", found.dataset[:12] + (f" (version {found.position})" if found.position else "")),
            Fact("teacher", f"{found.teacher[:12]}, {kilobytes(found.teacher_size)}"),
            Fact("candidates", f"{len(found.candidates):,}"),
            Fact("tried besides", f"{len(found.tried):,}"),
            Fact("all trials took", duration(found.seconds)),
        ),
    )


def _nearest(found: Candidates, nearest: Sequence[tuple[str, str]]) -> Candidate | None:
    by_name = {candidate.name: candidate for candidate in found.candidates}
    return next((by_name[name] for name, _ in nearest if name in by_name), None)


def _scale(found: Candidates) -> str:
    if unit(found.metric) == "%":
        return f"A loss is the share by which the {words(found.metric)} grew."
    return "One point is a hundredth: from 0.90 to 0.89."


@cache
def environment() -> Environment:
    """The templates beside this file."""
    return templates.environment(Path(__file__).parent)
