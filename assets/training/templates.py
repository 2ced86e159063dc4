"""Training's templates."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Environment

from assets.pages import templates


@cache
def environment() -> Environment:
    """The templates of training's `pages/`."""
    return templates.environment(Path(__file__).parent / "pages")
