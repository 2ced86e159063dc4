"""Where people open the pages below the store's `reports/`."""

from __future__ import annotations

import os

from assets.storage import layout

REPORTS_VARIABLE = "EDGELOOP_REPORTS_URL"
REPORTS_DEFAULT = "http://127.0.0.1:3001"


def page_url(key: str) -> str:
    """The URL of a page below `reports/`, which $EDGELOOP_REPORTS_URL serves."""
    base = os.environ.get(REPORTS_VARIABLE, REPORTS_DEFAULT).rstrip("/")
    return f"{base}/{layout.page_path(key)}"
