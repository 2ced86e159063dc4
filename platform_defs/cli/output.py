"""How commands print: tables for people, one JSON document for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
LineName = Annotated[str, typer.Argument(metavar="LINE", help="Name of a line; `edgeloop lines` lists them.")]
console = Console()


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


def _cell(value: Any) -> Text:
    return Text("" if value is None else printable(str(value)))
