"""`edgeloop lines`: the lines there are, and whether one holds together before anything lands."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Annotated

import typer

from assets.ingest.generations import foreseen
from assets.line.config import Line
from assets.records.line_store import bind
from assets.storage.store import Store
from platform_defs.catalog import find_line
from platform_defs.cli import listing
from platform_defs.cli.output import JsonFlag, LineName, Profile, print_rows, progress
from platform_defs.home import find_home

if TYPE_CHECKING:
    from assets.families.check_network import Finding

lines = typer.Typer(
    name="lines",
    help="List every line, a broken one with its error; `lines check LINE` tries what a line is made of.",
    invoke_without_command=True,
)


@lines.callback()
def every(
    context: typer.Context,
    as_json: JsonFlag = False,
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 if any line is broken.")] = False,
    profile: Profile = None,
) -> None:
    """List every line, a broken one with its error; `lines check LINE` tries what a line is made of."""
    if context.invoked_subcommand is None:
        listing.lines(as_json, check)
    elif as_json or check:
        raise typer.BadParameter(f"write the options after `{context.invoked_subcommand}`")


@lines.command("check")
def check_line(line: LineName, as_json: JsonFlag = False, profile: Profile = None) -> None:
    """Try a line's model, loss, metrics and data source on made records; exit with 1 if one breaks its contract."""
    found = find_line(line)
    with contextlib.nullcontext(_silent) if as_json else progress(f"checking {line}") as report:
        if found.config.data.source is not None:
            report("writing and reading the data source")
        rows = [*_source(found), *_generation(found)]
        report("building, training and exporting the model")
        rows += _model(found)
    table = [{"clause": row.clause, "state": "ok" if row.ok else "wrong", "note": row.note} for row in rows]
    print_rows(f"Line {line}", table, ("clause", "state", "note"), as_json=as_json, empty="")
    if not all(row.ok for row in rows):
        raise typer.Exit(1)


def _silent(_: str) -> None:
    """Programs read JSON only."""


def _model(line: Line) -> tuple[Finding, ...]:
    from assets.tasks.check_line import check_model

    return check_model(line.config)


def _generation(line: Line) -> tuple[Finding, ...]:
    """What the contract, as it is now, will do to the records that the line has; nothing without a change."""
    from assets.families.check_network import Finding

    said = foreseen(bind(Store(find_home()), line))
    return (Finding("its records fit", True, said),) if said else ()


def _source(line: Line) -> tuple[Finding, ...]:
    """What the line's own data source writes, read by the line's reader; nothing where it has none."""
    from assets.families.check_network import Finding
    from assets.ingest.inspection.check import check_source

    if line.config.data.source is None:
        return ()
    return (Finding("writes its data", *check_source(line)),)
