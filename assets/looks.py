"""How pages for people are made: one style, templates that escape what they are given, numbers as people read them."""

from __future__ import annotations

import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

PAGES = Path(__file__).parent / "pages"
"""`base.html` and `style.css`, which every page has."""
MAX_TEXT = 400


def environment(folder: Path) -> Environment:
    """The templates of a room's folder; everything they are given is escaped, and a missing value is an error."""
    loader = FileSystemLoader([folder, PAGES])
    made = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.filters["short"] = cut
    made.filters["count"] = lambda value: f"{value:,}"
    made.filters["number"] = number
    made.filters["quoted"] = quoted
    return made


def cut(text: str, most: int = MAX_TEXT) -> str:
    """A text of at most `most` characters and an ellipsis."""
    return text if len(text) <= most else f"{text[:most]}…"


def quoted(text: str) -> Markup:
    """A sentence of ours, escaped, with what stands in backticks as code."""
    return Markup(re.sub("`([^`]*)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 -- escaped just before


def number(value: float | None) -> str:
    """A number with four digits, or all of those before the point."""
    if value is None:
        return ""
    whole = abs(value) >= 1000 or value == round(value)
    return f"{value:,.0f}" if whole and abs(value) < 1e9 else f"{value:.4g}"
