"""`edgeloop inspect`: a look at a source before anything lands."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from assets.errors import RejectedError
from assets.line.readers import READERS, Reader
from assets.storage.store import Store
from platform_defs.catalog import find_line
from platform_defs.cli.checked import show_checked
from platform_defs.cli.output import JsonFlag, console, print_json, print_rows, say, tell
from platform_defs.home import find_home

if TYPE_CHECKING:
    from assets.ingest.inspection.inspect import Inspection

_MOST_CLASSES = 40


def inspect(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="A folder, file or archive, or the URL of one.")],
    line: Annotated[
        str | None, typer.Option("--line", metavar="LINE", help="Read it as this line would; else the form is guessed.")
    ] = None,
    reader: Annotated[
        str | None,
        typer.Option("--reader", metavar="READER", help=f"Guess for this one: {', '.join(get_args(Reader))}."),
    ] = None,
    grid: Annotated[
        Path | None, typer.Option("--grid", metavar="FILE.png", help="Write a sheet of sample pictures here.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check/--no-check", help="Ask the gate about the proposed section, on a sample.")
    ] = True,
    as_json: JsonFlag = False,
) -> None:
    """Show what would be read and refused, before anything lands, with a `data:` section to paste into a line."""
    from assets.ingest.inspection.inspect import inspect_source
    from assets.quality.dry_run import dry_run

    if line is not None and reader is not None:
        raise typer.BadParameter("name a line or a reader, not both: a line has its own reader")
    if reader is not None and reader not in (*get_args(Reader), "csv"):
        raise typer.BadParameter(f"{reader!r} is not one of {', '.join(get_args(Reader))}", param_hint="--reader")
    _check_grid(grid)
    data = find_line(line).config.data if line is not None else None
    store = Store(find_home())
    forbidden = store.folder if store.local else None
    with Moving("looking at the source", quiet=as_json) as report:
        found = inspect_source(
            source, data, "table" if reader == "csv" else reader, forbidden, report, dry_run if check else None
        )
    written = _write_grid(found, grid)
    if as_json:
        body = asdict(found)
        del body["grid"]
        print_json({**body, "grid": str(grid) if written else None})
    else:
        _show(found)
        if grid is not None:
            say(f"samples: {grid}" if written else "there is no picture to draw, so no sheet was written")


class Moving:
    """A bar with the bytes so far, for a person who waits; silent where nobody looks."""

    def __init__(self, title: str, *, quiet: bool) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            console=console,
            transient=True,
            disable=quiet or not console.is_terminal,
        )
        self._task = self._progress.add_task(title, total=None)

    def __enter__(self) -> Any:
        self._progress.start()
        return self._report

    def __exit__(self, *arguments: object) -> None:
        self._progress.stop()

    def _report(self, what: str, done: int, total: int) -> None:
        self._progress.update(self._task, description=what, completed=done, total=total or None)


def _check_grid(grid: Path | None) -> None:
    """Before anything is read: what is asked for can be written."""
    if grid is not None and grid.suffix.lower() != ".png":
        raise RejectedError(f"{grid}: the sheet is a PNG; name it .png")
    if grid is not None and not grid.parent.is_dir():
        raise RejectedError(f"{grid}: there is no folder {grid.parent}; make it, or write the sheet elsewhere")


def _write_grid(found: Inspection, grid: Path | None) -> bool:
    if grid is None or found.grid is None:
        return False
    grid.write_bytes(found.grid)
    return True


def _show(found: Inspection) -> None:
    if found.checked is not None and found.checked.state == "blocked":
        say(f"the gate would refuse what this proposes. {found.checked.why}", style="bold red")
    form = f"reader {found.reader}" if found.reader else "nothing that a reader reads"
    say(f"{found.source}: {form}{' (guessed)' if found.guessed and found.reader else ''}", style="bold")
    records = f"{found.records:,} {'record' if found.records == 1 else 'records'}"
    files = f"{found.files:,} {'file' if found.files == 1 else 'files'}"
    say(f"{files}, {found.size:,} bytes; {records} read in {found.seconds:.1f} s")
    for text in (*found.notes, *found.limits):
        tell(text)
    _show_counts(found)
    if found.columns:
        from assets.ingest.inspection.columns import MAX_WORDS

        rows = [
            {
                "column": column.name,
                "kind": column.kind,
                "values": f"{MAX_WORDS}+" if len(column.words) > MAX_WORDS else len(column.words),
                "missing": f"{column.missing:.1%}",
                "for example": column.example,
            }
            for column in found.columns
        ]
        print_rows("Columns", rows, ("column", "kind", "values", "missing", "for example"), as_json=False, empty="")
    for name, value in found.facts.items():
        listed = ", ".join(f"{key} {count:,}" for key, count in value.items()) if isinstance(value, dict) else value
        say(f"{name}: {listed}")
    if found.rows and READERS[found.reader].form != "files":
        columns = [name for name in found.rows[0] if name != "split" or any(row["split"] for row in found.rows)][:7]
        print_rows("First records", list(found.rows), columns, as_json=False, empty="")
    for written, meant in found.aliases.items():
        say(f"label {written!r} may be another spelling of {meant!r}: say so below `aliases` if it is")
    if found.unknown:
        listed = ", ".join(f"{label!r} ({count:,})" for label, count in list(found.unknown.items())[:20])
        say(f"labels that are no class of the line, so quarantined: {listed}")
    _show_refusals(found)
    if found.data:
        say("\nready to paste:", style="bold")
        say(found.data.rstrip())
    if found.checked is not None:
        show_checked(found.checked)


def _show_counts(found: Inspection) -> None:
    splits = list(found.counts)
    labels = sorted({label for counts in found.counts.values() for label in counts})
    rows = [
        {
            "class": label if label == label.strip() and label else repr(label),
            **{split or "no split": found.counts[split].get(label, 0) for split in splits},
        }
        for label in labels[:_MOST_CLASSES]
    ]
    if rows:
        columns = ["class", *(split or "no split" for split in splits)]
        print_rows("Records by class", rows, columns, as_json=False, empty="")
    if len(labels) > _MOST_CLASSES:
        tell(f"and {len(labels) - _MOST_CLASSES:,} more classes; --json has all of them")


def _show_refusals(found: Inspection) -> None:
    if found.ignored:
        tell(f"{found.ignored:,} ignored: a system's own files, or no records")
    if not found.refused:
        return
    say(f"{found.refused:,} would be refused:", style="bold")
    for reason in found.reasons:
        say(f"  {reason.file}, {reason.place}: {reason.reason}; {reason.remedy}")
    if found.refused > len(found.reasons):
        tell(f"  and {found.refused - len(found.reasons):,} more")
