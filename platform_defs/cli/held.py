"""Commands that show what is in quarantine: list, show, waivers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from assets.line.config import Line
from assets.records.line_store import LineStore, bind
from assets.records.verdict import BatchVerdict
from assets.review.decisions import locate
from assets.review.documents import Decision, moment
from assets.review.held import find_batch, held_batches
from assets.review.returns import unfinished
from assets.review.state import State
from assets.review.summary import STATUSES, fields, groups, history, label_shown, page, picture, show_rows
from assets.review.waivers import active_waivers
from assets.storage.store import Store
from platform_defs.catalog import find_line
from platform_defs.cli.output import JsonFlag, LineName, print_json, print_rows, say
from platform_defs.home import find_home

Batch = Annotated[str, typer.Option("--batch", metavar="BATCH", help="Only this batch; its first digits will do.")]
Record = Annotated[str, typer.Argument(metavar="RECORD", help="First digits of a record's id, or its file.")]
GOOD = "(good, but its batch was blocked)"


def opened(line: str, batch: str = "") -> tuple[State, Line, Sequence[BatchVerdict]]:
    """The line's decisions, the line, and the verdicts on its batches with quarantined records (or on one batch)."""
    config, store = find_line(line), Store(find_home())
    verdicts = [find_batch(LineStore(store, line), batch)] if batch else list(held_batches(LineStore(store, line)))
    return State(LineStore(store, line)), config, verdicts


def list_held(
    line: LineName,
    batch: Batch = "",
    rule: Annotated[str, typer.Option("--rule", help="Only what this rule set aside.")] = "",
    records: Annotated[
        int, typer.Option("--records", min=0, max=10_000, metavar="N", help="List the first N records themselves.")
    ] = 0,
    as_json: JsonFlag = False,
) -> None:
    """List what is in quarantine by batch and rule, and what was decided about it; or single records."""
    state, config, verdicts = opened(line, batch)
    if records:
        _list_records(state, config, verdicts, rule, records, as_json)
        return
    found = [group for verdict in verdicts for group in groups(state, verdict) if rule in ("", group.rule)]
    rows = [
        {
            "batch": group.batch,
            "rule": group.rule if as_json else group.rule or GOOD,
            "held": group.held,
            **group.counts,
            "decided": ", ".join(f"{count:,} {name}" for name, count in group.counts.items() if count),
        }
        for group in found
    ]
    empty = f"Nothing of {line} is in quarantine."
    print_rows(f"Quarantine of {line}", rows, ("batch", "rule", "held", "decided"), as_json=as_json, empty=empty)
    if as_json or not rows:
        return
    if undecided := sum(group.counts["undecided"] for group in found):
        say(f"{undecided:,} undecided: `--records 20` lists them, `edgeloop quarantine show {line} RECORD` shows one")
        say("accept, fix, waive or reject them, here or below /review/ of the reports")
    if waiting := sum(group.counts[name] for group in found for name in STATUSES[1:4]):
        say(f"{waiting:,} decided: `edgeloop quarantine release {line}` sends them back as a new batch")
    if cut := unfinished(state):
        say(f"release {cut[0]} was cut short: `edgeloop quarantine release {line}` completes it")


def _list_records(
    state: State, line: Line, verdicts: Sequence[BatchVerdict], rule: str, most: int, as_json: bool
) -> None:
    rows: list[dict[str, Any]] = []
    for verdict in verdicts:
        found, _ = page(state, verdict, rule=rule or None, size=most - len(rows))
        rows += [
            {
                "record": shown.held.id if as_json else shown.held.id[:12],
                "batch": verdict.batch,
                "file": shown.held.file,
                "label": label_shown(line.config.data, shown.held),
                "reason": shown.held.reason,
                "status": shown.status,
            }
            for shown in found
        ]
        if len(rows) >= most:
            break
    columns = ("record", "file", "reason", "status")
    empty = f"Nothing of {line.name} is in quarantine."
    print_rows(f"Quarantined records of {line.name}", rows, columns, as_json=as_json, empty=empty)


def show(
    line: LineName,
    record: Record,
    batch: Batch = "",
    save: Annotated[Path | None, typer.Option("--save", metavar="FILE.png", help="Save its picture there.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Show everything known of one quarantined record; the values of private columns stay hidden."""
    state, config, verdicts = opened(line, batch)
    data = config.config.data
    verdict, rows, identity = locate(bind(state.store, config), record, verdicts[0] if batch else None)
    shown = show_rows(state, verdict, rows)
    bodies: list[dict[str, Any]] = [
        {
            "batch": verdict.batch,
            "id": identity,
            "file": item.held.file,
            "label": label_shown(data, item.held),
            "split": item.held.split,
            "rule": item.held.rule,
            "reason": item.held.reason,
            "remedy": item.held.remedy,
            "status": item.status,
            "values": dict(fields(data, item.held)),
        }
        for item in shown
    ]
    decided = history(state, verdict.batch, identity)
    if save is not None:
        save.write_bytes(picture(data, shown[0].held))
    if as_json:
        print_json({"records": bodies, "decisions": [_decision(position, entry) for position, entry in decided]})
        return
    for body in bodies:
        for name, value in body.items():
            if value and name != "values":
                say(f"{name:<8}{value}")
        for name, value in body["values"].items():
            say(f"        {name} = {value}")
    for position, entry in decided:
        say(f"decision {position}: {entry.sentence()}")
    if not decided:
        say("nobody has decided about it yet")
    if save is not None:
        say(f"its picture is in {save}")


def waivers(line: LineName, as_json: JsonFlag = False) -> None:
    """List the waivers in force: rules that are not asked, for whom, until when and why."""
    find_line(line)
    found = active_waivers(LineStore(Store(find_home()), line), time.time()).waivers
    rows = [
        {
            "position": waiver.position,
            "rule": waiver.rule,
            "for": f"{waiver.count:,} records"
            if not waiver.whole
            else f"batch {waiver.batch}"
            if waiver.batch
            else "line",
            "until": None if waiver.until is None else waiver.until if as_json else moment(waiver.until),
            "who": waiver.who,
            "why": waiver.why,
        }
        for waiver in found
    ]
    columns = ("position", "rule", "for", "until", "who", "why")
    print_rows(f"Waivers of {line}", rows, columns, as_json=as_json, empty=f"No rule of {line} is waived.")


def _decision(position: int, entry: Decision) -> dict[str, Any]:
    return {
        "position": position,
        "action": entry.action,
        "who": entry.who,
        "why": entry.why,
        "time": entry.time,
        "label": entry.label,
        "changed": sorted(entry.changes),
        "rule": entry.rule,
        "until": entry.until,
        "replaces": entry.replaces,
        "returned": entry.returned,
    }
