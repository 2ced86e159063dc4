"""The lines there are: every `defs.yaml` below `lines/`, each read on its own, so a broken one hides no other."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from dagster._utils.schedules import is_valid_cron_string

from assets.errors import LineError
from assets.line.config import Line, parse_line
from assets.line.profiles import FULL, chosen_profile

LINES_FOLDER = Path(__file__).parent / "lines"
LINES_VARIABLE = "EDGELOOP_LINES"
COMPONENT = "platform_defs.components.ModelLine"
MAX_YAML_BYTES = 1_000_000
MAX_YAML_ALIASES = 20
"""A few aliases spare typing; a hundred can stand for more text than fits in memory."""


@dataclass(frozen=True)
class LineEntry:
    """A line's YAML: what it says, or why it cannot be used.

    Attributes:
        name: of the line, which is its folder's.
        path: of its `defs.yaml`.
        line: as the chosen profile has it; None where the YAML is broken.
        error: "" where it is not.
        profiles: those it has, `full` first.
    """

    name: str
    path: Path
    line: Line | None
    error: str
    profiles: tuple[str, ...] = ()


def list_lines(folder: Path = LINES_FOLDER) -> list[LineEntry]:
    """Every line as the chosen profile has it, sorted by name, broken ones included."""
    entries: list[LineEntry] = []
    for path in sorted(folder.rglob("defs.yaml")):
        twin = next((entry for entry in entries if entry.name == path.parent.name), None)
        entries.append(_read_entry(path, twin, folder))
    return sorted(entries, key=lambda entry: entry.name)


def served_lines() -> list[LineEntry]:
    """The lines of this code location: all of them, or those that $EDGELOOP_LINES names, apart by commas.

    Each line has two sensors, so a daemon that works for one line only, such as the demo's, is spared the others'.
    """
    wanted = {name.strip() for name in os.environ.get(LINES_VARIABLE, "").split(",")} - {""}
    return [entry for entry in list_lines() if not wanted or entry.name in wanted]


def find_line(name: str, folder: Path = LINES_FOLDER) -> Line:
    """The line of that name. Raises LineError where it does not exist or is broken."""
    entries = list_lines(folder)
    for entry in entries:
        if entry.name == name:
            if entry.line is None:
                raise LineError(entry.error)
            return entry.line
    known = ", ".join(entry.name for entry in entries) or "none"
    raise LineError(f"there is no line {name!r}; there are: {known}. `edgeloop lines` shows them")


def _read_entry(path: Path, twin: LineEntry | None, root: Path) -> LineEntry:
    name = path.parent.name
    try:
        if twin is not None:
            raise LineError(f"{_short(path)}: line {name!r} also stands in {_short(twin.path)}; rename one folder")
        if any((folder / "defs.yaml").exists() for folder in path.parent.parents if folder.is_relative_to(root)):
            raise LineError(f"{_short(path)}: line {name!r} lies in another line's folder; move it out")
        line = read_line(path)
        return LineEntry(name, path, line.in_profile(chosen_profile()), "", (FULL, *line.config.profiles))
    except LineError as error:
        return LineEntry(name, path, None, str(error))


def read_line(path: Path) -> Line:
    """Read and validate one line's YAML with all its profiles, none of them chosen.

    Raises:
        LineError: names line, profile, field, value and what is allowed.
    """
    name, shown = path.parent.name, _short(path)
    try:
        if path.stat().st_size > MAX_YAML_BYTES:
            raise LineError(f"{shown}: line {name!r}: larger than {MAX_YAML_BYTES:,} bytes; a line is one short YAML")
        text = path.read_text(encoding="utf-8")
        if sum(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text)) > MAX_YAML_ALIASES:
            raise LineError(f"{shown}: line {name!r}: more than {MAX_YAML_ALIASES} YAML aliases; write the values out")
        body = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise LineError(f"{shown}: line {name!r}: not readable as YAML: {_one_line(error)}") from error
    if not isinstance(body, dict) or body.get("type") != COMPONENT:
        raise LineError(f"{shown}: line {name!r}: a line's YAML says `type: {COMPONENT}` and `attributes:`")
    unknown = sorted(str(key) for key in set(body) - {"type", "attributes", "template_vars_module", "requirements"})
    if unknown:
        raise LineError(f"{shown}: line {name!r}: {', '.join(unknown)} is not allowed beside type and attributes")
    attributes: Any = body.get("attributes")
    line = parse_line(name, {} if attributes is None else attributes, shown)
    for profile in (FULL, *line.config.profiles):
        nightly = line.in_profile(profile).config.retrain.nightly
        if not is_valid_cron_string(nightly):
            place = "" if profile == FULL else f"profiles.{profile}."
            raise LineError(
                f"{shown}: line {name!r} is broken\n  {place}retrain.nightly = {nightly!r}: not a cron line; allowed "
                "are minute (0-59), hour (0-23), day (1-31), month (1-12) and weekday (0-7), e.g. '0 2 * * *'"
            )
    return line


def _short(path: Path) -> str:
    """The path from the repository's root on."""
    return (
        str(path.relative_to(LINES_FOLDER.parent.parent))
        if path.is_relative_to(LINES_FOLDER.parent.parent)
        else str(path)
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
