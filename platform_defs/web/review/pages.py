"""What the pages below `/review/` show. Everything from the data is escaped; each page is bounded in size."""

from __future__ import annotations

import base64
import contextlib
import time
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request

from assets.errors import RejectedError
from assets.line.config import Line
from assets.records.line_store import LineStore, bind
from assets.records.verdict import BatchVerdict
from assets.review.decisions import locate
from assets.review.documents import waivable
from assets.review.held import find_batch, held_batches
from assets.review.returns import unfinished
from assets.review.state import State
from assets.review.summary import (
    HIDDEN,
    STATUSES,
    THUMBNAIL,
    Shown,
    fields,
    history,
    label_shown,
    picture,
    show_rows,
)
from assets.review.summary import (
    page as records_page,
)
from assets.review.waivers import waivers_of
from platform_defs.catalog import LineEntry
from platform_defs.web.review.quarantines import Quarantine, Quarantines
from platform_defs.web.review.render import Page, Refusal, render

PAGE_SIZE = 24
MAX_BATCHES = 40
MAX_WAIVERS = 50
MAX_RECENT = 20
MAX_CELLS = 60
_LARGE = 720


def lines(quarantines: Quarantines, entries: Sequence[LineEntry], page: Page) -> str:
    """Every line, with how much of it is undecided."""
    shown = []
    for entry in entries:
        row: dict[str, Any] = {"name": entry.name, "error": entry.error.splitlines()[0] if entry.error else ""}
        if entry.line is not None:
            with quarantines.enter(entry.name) as quarantine:
                found = [
                    group
                    for verdict in held_batches(LineStore(quarantine.state.store, entry.name))
                    for group in quarantine.groups(verdict)
                ]
            row["held"] = sum(group.held for group in found)
            row["undecided"] = sum(group.counts["undecided"] for group in found)
        shown.append(row)
    return render("lines.html", page, entries=shown)


def line(quarantine: Quarantine, request: Request, page: Page) -> str:
    """A line's batches with quarantined records, its waivers and latest decisions."""
    state, name = quarantine.state, quarantine.line.name
    verdicts = list(reversed(list(held_batches(LineStore(state.store, name)))))
    everything = [group for verdict in verdicts for group in quarantine.groups(verdict)]
    counts = {status: sum(group.counts[status] for group in everything) for status in STATUSES}
    start = _number(request, "start")
    shown = verdicts[start : start + MAX_BATCHES]
    older = len(verdicts) - start - len(shown)
    waivers = waivers_of(state, time.time()).waivers
    rules = sorted({group.rule for group in everything if group.rule and waivable(group.rule)})
    recent = list(enumerate(state.entries, 1))[-MAX_RECENT:]
    return render(
        "line.html",
        page,
        flash=_flash(state, page.done),
        line=name,
        description=quarantine.line.config.description,
        totals={
            "undecided": counts["undecided"],
            "waiting": counts["accepted"] + counts["fixed"] + counts["waived"],
            "released": counts["released"],
            "rejected": counts["rejected"],
        },
        cut_short=unfinished(state),
        batches=[{"batch": v.batch, "state": v.state, "groups": quarantine.groups(v)} for v in shown],
        older=max(0, older),
        following=start + MAX_BATCHES,
        waivers=waivers[:MAX_WAIVERS],
        waivers_more=max(0, len(waivers) - MAX_WAIVERS),
        rules=rules,
        recent=recent[::-1],
    )


def batch(quarantine: Quarantine, request: Request, page: Page) -> str:
    """A batch's quarantined records, a page of them, with a form to decide about those that are chosen."""
    state, data = quarantine.state, quarantine.line.config.data
    verdict = verdict_of(quarantine, request)
    query = request.query_params
    by_rule = query.get("by", "") == "rule"
    rule = query.get("rule", "") if by_rule else ""
    status = query.get("status", "undecided")
    status = status if status in STATUSES else "any"
    start = _number(request, "start")
    counted = quarantine.groups(verdict)
    chosen = [group for group in counted if not by_rule or group.rule == rule]
    shown, following = records_page(
        state,
        verdict,
        rule=rule if by_rule else None,
        status=None if status == "any" else status,
        start=start,
        size=PAGE_SIZE,
    )
    return render(
        "batch.html",
        page,
        flash=_flash(state, page.done),
        line=quarantine.line.name,
        batch=verdict.batch,
        here=f"/review/{quarantine.line.name}/{verdict.batch}",
        why=verdict.why,
        groups=counted,
        by_rule=by_rule,
        rule=rule,
        status=status,
        counts={name: sum(group.counts[name] for group in chosen) for name in STATUSES},
        undecided=sum(group.counts["undecided"] for group in chosen),
        waivable=waivable(rule),
        records=[_card(quarantine, item, THUMBNAIL) for item in shown],
        pictures=data.image is not None,
        start=start,
        following=following,
        classes=data.classes,
        number=data.regression,
    )


def record(quarantine: Quarantine, request: Request, page: Page) -> str:
    """One quarantined record with everything known of it, and every way to correct it."""
    state, data = quarantine.state, quarantine.line.config.data
    verdict = verdict_of(quarantine, request)
    _, rows, identity = locate(bind(state.store, quarantine.line), request.path_params["record"], verdict)
    shown = show_rows(state, verdict, rows[:10])
    position = shown[0].position
    return render(
        "record.html",
        page,
        flash=_flash(state, page.done),
        line=quarantine.line.name,
        batch=verdict.batch,
        here=f"/review/{quarantine.line.name}/{verdict.batch}",
        identity=identity,
        position=position,
        records=[_card(quarantine, item, _LARGE) for item in shown],
        decided=history(state, verdict.batch, identity),
        waivable=all(item.held.rule and waivable(item.held.rule) for item in shown),
        classes=data.classes,
        number=data.regression,
        cells=_cells(quarantine.line, shown[0]),
        files=data.inputs is None and data.text is None,
    )


def refused(refusal: Refusal, page: Page) -> str:
    """Why a form was not taken."""
    return render(
        "refused.html",
        page,
        title=refusal.title,
        reason=refusal.reason,
        back=refusal.back,
        others=refusal.others,
        again=refusal.again,
        action=refusal.action,
    )


def verdict_of(quarantine: Quarantine, request: Request) -> BatchVerdict:
    """The verdict on the batch that the address names. Raises RejectedError where it names none."""
    return find_batch(LineStore(quarantine.state.store, quarantine.line.name), request.path_params["batch"])


def _card(quarantine: Quarantine, item: Shown, longest: int) -> dict[str, Any]:
    data, held = quarantine.line.config.data, item.held
    shown = list(fields(data, held))
    image = None
    if data.image is not None:
        with contextlib.suppress(RejectedError):
            image = f"data:image/png;base64,{base64.b64encode(picture(data, held, longest)).decode()}"
    cells = ", ".join(f"{name} = {value}" for name, value in shown[:12]) + (" …" if len(shown) > 12 else "")
    return {
        "held": held,
        "status": item.status,
        "position": item.position,
        "sentence": quarantine.state.entry(item.position).sentence() if item.position else "",
        "label": label_shown(data, held),
        "picture": image,
        "text": shown[0][1] if data.text is not None else "",
        "cells": cells if data.text is None else "",
        "fields": shown,
    }


def _cells(line: Line, item: Shown) -> list[dict[str, Any]]:
    """The cells that a form offers to correct; not those of private columns."""
    data = line.config.data
    values = dict(fields(data, item.held))
    if data.text is not None:
        names: tuple[str, ...] = (data.text.column,)
    elif data.inputs is not None:
        names = data.inputs.columns
    else:
        return []
    words = data.inputs.categories if data.inputs is not None else {}
    return [
        {
            "number": number,
            "name": name,
            "value": values[name],
            "words": words.get(name, ()),
            "long": data.text is not None,
        }
        for number, name in enumerate(names)
        if values.get(name, HIDDEN) != HIDDEN
    ][:MAX_CELLS]


def _flash(state: State, done: str) -> str:
    """What the decision just made says; nothing for an address that somebody made up."""
    if not done.isdecimal() or not 1 <= int(done[:12]) <= state.position:
        return ""
    position = int(done[:12])
    entry = state.entry(position)
    count = f" ({entry.count:,} {'record' if entry.count == 1 else 'records'})" if entry.count else ""
    where = f", as batch {entry.returned[:12]}" if entry.returned else ""
    return f"On record as decision {position}: {entry.sentence()}{count}{where}."


def _number(request: Request, name: str) -> int:
    text = request.query_params.get(name, "0")
    return int(text[:12]) if text.isdecimal() and text.isascii() else 0
