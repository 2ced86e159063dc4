"""Training's templates."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Environment

from assets import looks


@cache
def environment() -> Environment:
    """The templates of training's `pages/`."""
    return looks.environment(Path(__file__).parent / "pages")
