"""The candidates and what was tried as rows of tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from assets.compression.choosing.rows import FrontRow
from assets.compression.choosing.wording import (
    amount,
    duration,
    kilobytes,
    milliseconds,
    recipe_in_words,
    score,
    thousands,
    unit,
)
from assets.compression.documents import Candidates, Tried
from assets.compression.page.data import Entry, State, TriedEntry
from assets.compression.page.front_plot import is_teacher
from assets.pages.templates import cut

NAME = 120
WHY = 300
MOST_TRIED = 200


def numbered(found: Candidates, rows: Sequence[FrontRow]) -> Mapping[str, int]:
    """Each candidate's number on the page: the chosen one, the front by what it costs, then the rest by their loss."""
    by_name: dict[str, list[FrontRow]] = {}
    for row in rows:
        by_name.setdefault(row.name, []).append(row)

    def order(name: str) -> tuple[float, ...]:
        own = by_name.get(name, [])
        if not own:
            return (3.0, 0.0, 0.0)
        lost = max((row.validation_drop if row.validation_drop is not None else 9e9) for row in own)
        taken = max((row.ms_b1 if row.ms_b1 is not None else 0.0) for row in own)
        group = 0.0 if own[0].chosen else 1.0 if own[0].on_front else 2.0
        return (group, taken or own[0].macs, max(row.onnx_kb for row in own)) if group < 2 else (group, lost, taken)

    names = sorted((candidate.name for candidate in found.candidates), key=lambda name: (*order(name), name))
    return {name: number for number, name in enumerate(names, 1)}


def entries_of(found: Candidates, rows: Sequence[FrontRow], numbers: Mapping[str, int]) -> list[Entry]:
    """One entry per candidate, in the order of their numbers; of several dialects the worst one's losses."""
    own: dict[str, list[FrontRow]] = {}
    for row in rows:
        own.setdefault(row.name, []).append(row)
    teachers = {candidate.name for candidate in found.candidates if is_teacher(found, candidate)}
    return [_entry(numbers[name], own[name], name in teachers) for name in numbers if name in own]


def tried_of(found: Candidates) -> tuple[TriedEntry, ...]:
    """What did not become a candidate, in the order it was tried."""
    return tuple(_tried(one) for one in found.tried[:MOST_TRIED])


def ended(text: str, most: int) -> str:
    """A text of at most so many characters that ends like a sentence; "" for none."""
    short = cut(text.strip(), most)
    return short if not short or short.endswith((".", "!", "?", "\N{HORIZONTAL ELLIPSIS}")) else f"{short}."


def worst_row(rows: Sequence[FrontRow]) -> FrontRow:
    """The row of the dialect that lost most on validation records; an unknown loss is the worst."""
    return max(rows, key=lambda row: float("inf") if row.validation_drop is None else row.validation_drop)


def with_unit(metric: str, drop: float | None) -> str:
    """A loss with what it counts in."""
    text = amount(drop)
    return text if text == "unknown" else f"{text} {unit(metric)}"


def lost_in_words(drop: float | None, low: float | None = None, high: float | None = None) -> str:
    """A loss without its unit, with its interval: "lost 0.90 (0.20 to 1.60)"."""
    if drop is None or not math.isfinite(drop):
        return "loss unknown"
    within = "" if low is None or high is None else f" ({amount(low)} to {amount(high)})"
    return f"lost {amount(drop)}{within}" if drop > -0.00005 else f"gained {amount(-drop)}{_turned(low, high)}"


def _turned(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f" ({amount(-high)} to {amount(-low)})"


def reach(metric: str, low: float | None, high: float | None, *, drop: bool = False) -> str:
    """An interval in words; "" where there is none."""
    if low is None or high is None:
        return ""
    if drop:
        return f"{amount(low)} to {amount(high)}"
    return f"{score(metric, low).removesuffix(' %')} to {score(metric, high)}"


def _entry(number: int, rows: Sequence[FrontRow], teacher: bool) -> Entry:
    row = worst_row(rows)
    state: State = "front" if row.on_front else "beaten"
    state = "chosen" if row.chosen else state if all(one.proven for one in rows) else "unproven"
    timed = [one.ms_b1 for one in rows if one.ms_b1 is not None]
    return Entry(
        number=number,
        name=cut(row.name, NAME),
        state=state,
        teacher=teacher,
        recipe=row.recipe,
        validation=score(row.metric, row.validation),
        lost=lost_in_words(row.validation_drop),
        test=score(row.metric, row.test),
        test_reach=reach(row.metric, row.test_low, row.test_high),
        test_lost=lost_in_words(row.test_drop, row.test_drop_low, row.test_drop_high),
        ms=milliseconds(max(timed)) if timed else "unknown",
        kb=kilobytes(1000 * max(one.onnx_kb for one in rows)),
        macs=thousands(row.macs),
        parameters=thousands(row.parameters),
        why=ended(row.why, WHY),
    )


def _tried(one: Tried) -> TriedEntry:
    return TriedEntry(
        cut(one.name, NAME),
        recipe_in_words(one.recipe),
        "" if one.drop is None else lost_in_words(one.drop),
        "" if one.ms is None else milliseconds(one.ms),
        duration(one.seconds) if one.seconds >= 0.05 else "",
        cut(one.why, WHY),
    )
