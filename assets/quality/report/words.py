"""What every page of the gate needs: the templates, and what a reviewer calls a feature."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Environment

from assets.pages import templates
from assets.pages.templates import cut, number
from assets.quality.drift.profile import LABEL

__all__ = ["cut", "environment", "number", "title"]


@cache
def environment() -> Environment:
    """The templates of `pages/`."""
    made = templates.environment(Path(__file__).parent.parent / "pages")
    made.filters["feature"] = title
    return made


def title(name: str) -> str:
    """What a reviewer calls a feature of a profile."""
    return "label" if name == LABEL else cut(name, 120)
