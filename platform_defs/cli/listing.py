"""Commands that list: lines, batches, releases, fleet."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from assets.feedback.fleet import fleet as read_fleet
from assets.records.line_store import LineStore
from assets.records.verdict import BatchVerdict
from assets.release.published import releases as read_releases
from assets.release.repository import current_deployment
from assets.storage.store import Store
from platform_defs.catalog import find_line, list_lines
from platform_defs.cli.output import JsonFlag, LineName, Profile, print_rows, say
from platform_defs.home import find_home


def lines(
    as_json: JsonFlag = False,
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 if any line is broken.")] = False,
    profile: Profile = None,
) -> None:
    """List every line; a broken one with its error."""
    entries = list_lines()
    rows = [
        {
            "line": entry.name,
            "state": "broken" if entry.line is None else "ok",
            "description": entry.error or (entry.line.config.description if entry.line else ""),
            "profiles": list(entry.profiles),
            "targets": list(entry.line.config.targets) if entry.line else [],
            "promotion": entry.line.config.rollout.promotion if entry.line else None,
            "path": str(entry.path),
        }
        for entry in entries
    ]
    empty = "There is no line. `dg scaffold defs platform_defs.components.ModelLine NAME` makes one."
    print_rows("Lines", rows, ("line", "state", "description", "promotion"), as_json=as_json, empty=empty)
    if check and any(entry.line is None for entry in entries):
        raise typer.Exit(1)


def batches(line: LineName, as_json: JsonFlag = False, profile: Profile = None) -> None:
    """List a line's batches: what landed, and what the gate said."""
    find_line(line)
    store = Store(find_home())
    seen = dict.fromkeys(landing.batch for _, landing in LineStore(store, line).landings().after(0))
    rows = [_batch(batch, LineStore(store, line).verdict(batch)) for batch in seen]
    empty = f"Nothing has landed for {line}. `edgeloop land {line} FOLDER_OR_FILE` lands a batch."
    columns = ("batch", "state", "seen", "accepted", "quarantined", "refused", "warnings", "why")
    shown = rows if as_json else [{**row, "warnings": len(row["warnings"]) or ""} for row in rows]
    print_rows(f"Batches of {line}", shown, columns, as_json=as_json, empty=empty)
    for row in () if as_json else rows:  # below the table, whose narrow columns would break them word by word
        if row["warnings"]:
            say(f"{row['batch'][:12]}  {_first(row['warnings'])}", style="yellow")
        for note in row["notes"]:
            say(f"{row['batch'][:12]}  {note}")


def _batch(batch: str, verdict: BatchVerdict | None) -> dict[str, Any]:
    counts = ("seen", "accepted", "quarantined", "refused")
    if verdict is None:
        return {
            "batch": batch,
            "state": "waiting",
            "why": "not judged yet",
            **dict.fromkeys(counts),
            "warnings": [],
            "notes": [],
            "report": None,
        }
    return {
        "batch": batch,
        "state": verdict.state,
        "why": verdict.why,
        **{name: getattr(verdict, name) for name in counts},
        "warnings": [{"check": check.name, "detail": check.detail} for check in verdict.warnings],
        "notes": list(verdict.notes),
        "report": verdict.report,
    }


def _first(warnings: list[dict[str, str]]) -> str:
    """The first check that warns, and how many more do."""
    more = f" And {len(warnings) - 1} more; `--json` has all." if len(warnings) > 1 else ""
    return f"“{warnings[0]['check']}” does not hold. {warnings[0]['detail']}{more}"


def releases(line: LineName, as_json: JsonFlag = False, profile: Profile = None) -> None:
    """List a line's signed releases, newest last, and which one its group of devices is pointed at."""
    group = find_line(line).config.rollout.group
    store = Store(find_home())
    found = read_releases(LineStore(store, line))
    deployed = current_deployment(LineStore(store, line), group) if found else None
    rows = [
        {
            "release": record.release,
            "sequence": record.sequence,
            "published": time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(record.published)),
            "targets": ", ".join(artifact.target.name for artifact in record.manifest.artifacts),
            "batches": len(record.manifest.provenance.batches),
            "deployed_to": group if deployed and deployed.release == record.release else None,
            "manifest": record.manifest_path,
        }
        for record in found
    ]
    empty = f"{line} has no release yet. `edgeloop run {line}` trains on what has landed and makes one."
    columns = ("release", "sequence", "published", "targets", "deployed_to")
    print_rows(f"Releases of {line}", rows, columns, as_json=as_json, empty=empty)


def fleet(as_json: JsonFlag = False, profile: Profile = None) -> None:
    """List the devices and what each says it runs."""
    rows = [
        {
            "device": status.device,
            "line": status.line,
            "group": status.group,
            "release": status.release,
            "target": status.target,
            "event": status.event,
            "self_test": status.self_test,
            "reason": status.reason,
            "seconds_ago": round(status.age),
        }
        for status in read_fleet(Store(find_home()))
    ]
    empty = "No device is enrolled. `edgeloop-agent enroll --help` says how."
    columns = ("device", "line", "release", "target", "event", "self_test", "reason")
    print_rows("Fleet", rows, columns, as_json=as_json, empty=empty)
