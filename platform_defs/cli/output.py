"""How commands print: tables for people, one JSON document for programs."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import rich.progress
import typer
from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TextColumn
from rich.table import Column, Table
from rich.text import Text

from assets.line.profiles import choose_profile

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Profile = Annotated[
    str | None,
    typer.Option(
        "--profile",
        metavar="PROFILE",
        help="The lines' profile, e.g. debug, with a state of its own; EDGELOOP_PROFILE does so for every command.",
        is_eager=True,
        callback=lambda name: choose_profile(name) if name else None,
        expose_value=False,
    ),
]
LineName = Annotated[str, typer.Argument(metavar="LINE", help="Name of a line; `edgeloop lines` lists them.")]
console = Console()
_DIGEST = re.compile(r"\b[0-9a-f]{64}\b")
_ONE_LINE = Column(no_wrap=True, overflow="ellipsis")
_FLEETING = re.compile(r"epoch \d+/\d+")


def print_rows(
    title: str, rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, as_json: bool, empty: str
) -> None:
    """Print rows: everything in them as JSON, or `columns` as a table, or the sentence `empty`."""
    if as_json:
        print_json(list(rows))
        return
    if not rows:
        say(empty)
        return
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row[column]) for column in columns))
    console.print(table)


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def say(text: str, style: str = "") -> None:
    """One line for people, as it is: text from data is never read as markup, nor broken where a pipe has no width."""
    console.print(Text(printable(text), style=style), soft_wrap=True)


def tell(text: str) -> None:
    """One line of progress."""
    say(text, style="dim")


def printable(text: str) -> str:
    """Text with the escape sequences that data may hold made visible, so that none reaches a terminal."""
    return "".join(
        character if character.isprintable() or character == "\n" else "\N{REPLACEMENT CHARACTER}" for character in text
    )


@contextlib.contextmanager
def progress(title: str) -> Iterator[Telling]:
    """A spinner with the seconds so far, what tells what happens, and a bar while something says how far it is."""
    columns = (
        SpinnerColumn(),
        _Bar(bar_width=24),
        TextColumn("{task.description}", markup=False, table_column=_ONE_LINE),
    )
    shown = rich.progress.Progress(*columns, console=console, transient=True)
    with shown if console.is_interactive else contextlib.nullcontext():  # elsewhere it would leave an empty line
        yield Telling(title, shown)


class Telling:
    """Tells people what happens.

    What comes many times a second (a line per epoch) only moves the spinner; the rest stays on the screen.
    """

    def __init__(self, title: str, shown: rich.progress.Progress) -> None:
        self._title, self._shown, self._began = title, shown, time.monotonic()
        self._task = shown.add_task(printable(title), total=1.0, far=False)

    def __call__(self, text: str) -> None:
        """One line."""
        elapsed = time.monotonic() - self._began
        self._shown.update(self._task, description=printable(f"{self._title}, {elapsed:.0f} s: {text}"))
        if not _FLEETING.search(text):
            tell(f"{elapsed:5.0f} s  {text}")

    def moved(self, done: float, total: float, text: str) -> None:
        """How far the work is, which the bar shows until it is done."""
        elapsed = time.monotonic() - self._began
        self._shown.update(
            self._task,
            completed=min(done / max(total, 1), 0.999),  # a finished task's spinner stands still
            far=done < total,
            description=printable(f"{self._title}, {elapsed:.0f} s: {text}"),
        )


class _Bar(BarColumn):
    """A bar where it is known how much there is to do, else nothing."""

    def render(self, task: rich.progress.Task) -> Any:
        return super().render(task) if task.fields["far"] else Text("")


def _cell(value: Any) -> Text:
    """What a cell shows; of a digest the first digits do, `--json` has all of them."""
    return Text(_DIGEST.sub(lambda match: match.group()[:12], "" if value is None else printable(str(value))))
