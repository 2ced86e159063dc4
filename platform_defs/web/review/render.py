"""How the pages below `/review/` are made: their style, headers and templates, and what each of them is handed."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from assets.pages.templates import PAGES

_TEMPLATES = Path(__file__).parent / "templates"


@cache
def style() -> str:
    """The style of the reports, and what forms need besides."""
    return (PAGES / "style.css").read_text() + (_TEMPLATES / "review.css").read_text()


def _policy() -> str:
    digest = base64.b64encode(hashlib.sha256(style().encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    )


HEADERS = {
    "Content-Security-Policy": _policy(),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True)
class Page:
    """What every page needs: the token its forms carry, the reviewer's name, and which decision was just made."""

    token: str
    who: str
    done: str


class Refusal(Exception):  # noqa: N818 - not an error of ours: what the reviewer reads
    """Why a form was not taken.

    Attributes:
        back: where to go from there.
        others: what others decided.
        again: fields of a form that decides all the same; empty where that is not possible.
        action: where that form goes.
    """

    def __init__(
        self,
        title: str,
        reason: str,
        back: str,
        others: Sequence[str] = (),
        again: Sequence[tuple[str, str]] = (),
        action: str = "",
    ) -> None:
        super().__init__(reason)
        self.title, self.reason, self.back = title, reason, back
        self.others, self.again, self.action = others, again, action


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(template: str, page: Page, **values: Any) -> str:
    """A page; every value is escaped."""
    from markupsafe import Markup

    return (
        _environment()
        .get_template(template)
        .render(
            **{"flash": "", **values},
            page=page,
            style=Markup(style()),  # noqa: S704 - our own files
        )
    )
