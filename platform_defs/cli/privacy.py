"""Commands about people and their data: audit, forget, data-key."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from assets.errors import RejectedError
from assets.forgetting.pseudonyms import forget_pseudonyms
from assets.records.line_store import LineStore, bind
from assets.storage.audit import AuditLog
from assets.storage.data_keys import new_data_key
from assets.storage.store import Store
from platform_defs.catalog import find_line
from platform_defs.cli.output import JsonFlag, LineName, print_json, print_rows, say, tell
from platform_defs.home import find_home

audit = typer.Typer(name="audit", help="Who did what to the data: a log that can only grow.", no_args_is_help=True)


@audit.command("list")
def list_entries(
    line: Annotated[str, typer.Option("--line", help="Only what was done to this line.")] = "",
    last: Annotated[int, typer.Option("--last", min=1, max=1_000_000, help="Look at the last so many entries.")] = 100,
    as_json: JsonFlag = False,
) -> None:
    """List the newest entries of the audit log, oldest first."""
    rows = [
        {
            "position": position,
            "time": time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(entry.time)),
            "who": entry.who,
            "action": entry.action,
            "line": entry.line,
            "subject": entry.subject,
            "why": entry.why,
        }
        for position, entry in AuditLog(Store(find_home())).latest(last)
        if not line or entry.line == line
    ]
    columns = ("position", "time", "who", "action", "line", "subject", "why")
    print_rows("Audit log", rows, columns, as_json=as_json, empty="Nothing was done to any data yet.")


@audit.command("verify")
def verify(
    expect: Annotated[
        str, typer.Option("--expect", metavar="DIGEST", help="A head's digest noted earlier: it must still be there.")
    ] = "",
    as_json: JsonFlag = False,
) -> None:
    """Check that no entry of the audit log was changed, swapped or taken out; prints the head's digest to note."""
    found = AuditLog(Store(find_home())).verify(expect or None)
    if as_json:
        print_json({**vars(found), "holds": found.broken_at is None})
        if found.broken_at is not None:
            raise typer.Exit(1)
        return
    if found.broken_at is not None:
        raise RejectedError(
            f"audit log: broken at entry {found.broken_at}: {found.why}; compare it with a backup of the folder audit/"
        )
    say(f"{found.entries} entries, {found.why}; head {found.head or 'none'}: note it where nobody can change it")


def forget(
    line: LineName,
    record: Annotated[
        str, typer.Argument(metavar="RECORD", help="A record's id, or its first digits (at least 6).")
    ] = "",
    why: Annotated[str, typer.Option("--why", help="The reason, for the audit log.")] = "",
    pseudonym_key: Annotated[
        bool, typer.Option("--pseudonym-key", help="Forget the key of the line's pseudonyms: every person at once.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Forget a record: its bytes go, from everything kept; names what was trained on it. Repeating it is harmless."""
    config, store = find_line(line), Store(find_home())
    if pseudonym_key == bool(record):
        raise RejectedError("name one record, or say --pseudonym-key; `edgeloop forget --help` explains both")
    if pseudonym_key:
        _forget_key(LineStore(store, line), why, as_json=as_json)
        return
    from assets.forgetting.forget import forget as forget_record

    outcome = forget_record(bind(store, config), record, why)
    if as_json:
        print_json({**vars(outcome), "line": line})
        return
    say(
        f"record {outcome.record} {'is forgotten' if outcome.new else f'was forgotten on {outcome.date}, and still is'}"
    )
    made = (("batch", outcome.batches), ("dataset", outcome.datasets), ("model", outcome.models))
    for what, names in (*made, ("release", outcome.releases)):
        for name in names:
            tell(f"it was in {what} {name}{', which devices are pointed at' if name in outcome.serving else ''}")
    for place in outcome.still:
        say(f"still there: {place}", style="bold")
    if outcome.models:
        say("these models learned from it; `edgeloop run` trains one that did not, once something new is accepted")


def _forget_key(line: LineStore, why: str, *, as_json: bool) -> None:
    gone = forget_pseudonyms(line, why)
    if as_json:
        print_json({"line": line.name, "pseudonym_key": "forgotten" if gone else "none"})
    elif gone:
        say(f"the key of {line.name}'s pseudonyms is forgotten: no token leads to a person any more (backups apart)")
    else:
        say(f"{line.name} has no key of pseudonyms; nothing to do")


def data_key(
    service: Annotated[
        str, typer.Argument(metavar="SERVICE", help="kms+NAME:ADDRESS, e.g. kms+file:/path/to/master.key.")
    ],
) -> None:
    """Make a data key that a key management service wraps; prints what to set EDGELOOP_DATA_KEY to."""
    typer.echo(new_data_key(service))
