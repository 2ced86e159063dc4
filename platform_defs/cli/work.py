"""Commands that do something: demo, land, run, promote, ui."""

from __future__ import annotations

import contextlib
import time
from typing import Annotated

import typer

from assets.errors import RejectedError, TransientError
from assets.ingest.landing import land as land_batch
from assets.ingest.user_source import land_user_source
from assets.records.line_store import bind
from platform_defs.catalog import find_line
from platform_defs.cli.data import Moving
from platform_defs.cli.output import JsonFlag, LineName, Profile, console, print_json, progress, say, tell
from platform_defs.local.instance import open_instance, prepare_home
from platform_defs.local.runner import run_line

_SHOWN = 50


def demo(as_json: JsonFlag = False) -> None:
    """Close the whole loop once, on handwritten digits, with a daemon and a device on this machine."""
    from platform_defs.demo.loop import close_the_loop
    from platform_defs.demo.summary import show, summarize

    began = time.monotonic()
    store = prepare_home()
    if as_json:
        steps = close_the_loop(store, lambda text: None)
    else:
        with progress("closing the loop") as report:
            steps = close_the_loop(store, report)
    summary = summarize(store, steps, time.monotonic() - began)
    if as_json:
        print_json(summary)
    else:
        show(summary, console)


def land(
    line: LineName,
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="[SOURCE]",
            help="A folder, file or archive, or the URL of one; `edgeloop inspect` shows it. Without it the line's own "
            "`data.source` writes one.",
        ),
    ] = None,
    corrections: Annotated[
        bool,
        typer.Option(
            "--corrections",
            help="Its labels are right: they replace others under which the line accepted the same inputs.",
        ),
    ] = False,
    as_json: JsonFlag = False,
    profile: Profile = None,
) -> None:
    """Put a batch into the line's landing zone; its manifest is written last, then the sensors see it."""
    store = prepare_home()
    config = find_line(line)
    with Moving("looking at the source", quiet=as_json) as report:
        if source is None:
            landed = land_user_source(bind(store, config), report, corrections)
        else:
            landed = land_batch(bind(store, config), source, report, corrections)
    if as_json:
        print_json(
            {
                "batch": landed.batch,
                "drop": landed.drop,
                "files": landed.files,
                "new": landed.new,
                "again": landed.again,
                "repaired": list(landed.repaired),
                "skipped": [vars(reason) for reason in landed.skipped],
            }
        )
        return
    for reason in landed.skipped[:_SHOWN]:
        tell(f"skipped {reason.file}: {reason.reason}; {reason.remedy}")
    if len(landed.skipped) > _SHOWN:
        tell(f"skipped {len(landed.skipped) - _SHOWN:,} more; the batch's report has them")
    known = "landed" if landed.new else "is known already, nothing to do"
    if landed.again or landed.repaired:
        known = f"is known, {_count(len(landed.repaired), 'damaged file')} repaired; it will be judged again"
    say(f"batch {landed.batch} {known} ({_count(landed.files, 'file')})")


def run(
    line: LineName,
    now: Annotated[
        bool, typer.Option("--now", help="Retrain on all that waits, whatever the line's `retrain` section waits for.")
    ] = False,
    as_json: JsonFlag = False,
    profile: Profile = None,
) -> None:
    """Judge what landed and retrain on what was accepted, in this process, and never twice.

    When to retrain is said by the line's `retrain` section, as for the sensors; --now does not wait for it.
    """
    store = prepare_home()
    config = find_line(line)
    with contextlib.ExitStack() as stack:
        instance = stack.enter_context(open_instance())
        if as_json:
            outcome = run_line(bind(store, config), instance, lambda text: None, now=now)
        else:
            report = stack.enter_context(progress(f"running {line}"))
            outcome = run_line(bind(store, config), instance, report, report.moved, now=now)
    if as_json:
        told = {
            batch: [{"check": check.name, "detail": check.detail} for check in checks]
            for batch, checks in outcome.warnings.items()
        }
        body = {"judged": outcome.judged, "retrained": list(outcome.retrained), "note": outcome.note}
        print_json({**body, "failed": outcome.failed, "warnings": told, "notes": outcome.notes})
    else:
        states = list(outcome.judged.values())
        shares = f"{states.count('accepted')} accepted, {states.count('blocked')} blocked"
        say(f"judged {_count(len(states), 'new batch', 'new batches')}: {shares}")
        if outcome.warnings:
            warned = _count(sum(map(len, outcome.warnings.values())), "check warns", "checks warn")
            say(f"{warned} (above); `edgeloop batches {line} --json` and the report have every word", style="yellow")
        if outcome.retrained:
            batches = _count(len(outcome.retrained), "new batch", "new batches")
            if config.config.model is None:
                say(f"a dataset was made with {batches}; the line has no model to train")
            else:
                say(f"retrained on {batches}; `edgeloop releases {line}` shows the release")
        else:
            say(f"nothing was retrained: {outcome.note}{_how_to_go_on(outcome.note)}")
    if outcome.failed:
        raise (RejectedError if outcome.refused else TransientError)("; ".join(outcome.failed))


def _how_to_go_on(note: str) -> str:
    """Where a rule of the line's `retrain` section said no: what takes no notice of it."""
    return "; --now does not wait for that" if "retrain." in note else ""


def promote(
    line: LineName,
    release: Annotated[
        str,
        typer.Argument(
            metavar="RELEASE", help="A release's id, or its first digits; `edgeloop releases LINE` lists them."
        ),
    ],
    as_json: JsonFlag = False,
    profile: Profile = None,
) -> None:
    """Point the line's group of devices at a release."""
    from assets.rollout.promote import promote as promote_release

    record = promote_release(bind(prepare_home(), find_line(line)), release)
    if as_json:
        print_json(
            {
                "line": record.line,
                "group": record.group,
                "decision": record.decision,
                "release": record.release,
                "why": record.why,
            }
        )
    else:
        say(f"{record.group}: {record.decision}, {record.why}")


def ui(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the Dagster UI.")] = 3000,
    reports_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the data-quality reports.")] = 3001,
    devices_port: Annotated[
        int, typer.Option(min=1, max=65535, help="Port that devices fetch from and report to.")
    ] = 3002,
    profile: Profile = None,
) -> None:
    """Run the Dagster UI with its daemon, the reports and the device gateway, until Ctrl-C. All on loopback."""
    from platform_defs.local.ui import serve_all

    serve_all(prepare_home(), port, reports_port, devices_port, tell)


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
