"""Commands about people and their data: audit."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from assets.audit import latest
from assets.audit import verify as verify_log
from assets.errors import RejectedError
from assets.store import Store, find_home
from platform_defs.cli.output import JsonFlag, print_json, print_rows, say

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
        for position, entry in latest(Store(find_home()), last)
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
    found = verify_log(Store(find_home()), expect or None)
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
