"""The order of proposed classes: anomaly detection reads the first one as the normal one, all others as anomalous."""

from __future__ import annotations

import re
from collections.abc import Iterable

from assets.ingest.inspection.spellings import label_order
from assets.records.paths import shown

NORMAL = (
    "normal",
    "good",
    "ok",
    "okay",
    "healthy",
    "nominal",
    "intact",
    "sound",
    "pass",
    "passed",
    "fine",
    "regular",
    "benign",
    "negative",
    "io",
    "none",
    "no defect",
    "no defects",
    "no failure",
    "no fault",
    "no anomaly",
    "defect free",
    "fault free",
)
"""Names of what is as it should be, the plainest first."""
SECTIONS = ("table", "image", "series")
"""Those that anomaly detection reads."""


def ordered(labels: Iterable[str]) -> list[str]:
    """Labels as people sort them, but the one that names the normal case first."""
    classes = sorted(labels, key=label_order)
    normal = normal_class(classes)
    return classes if normal is None else [normal, *(label for label in classes if label != normal)]


def normal_class(classes: Iterable[str]) -> str | None:
    """The class whose name says that it is the normal one; None where none does."""
    ranks = {name: rank for rank, name in enumerate(NORMAL)}
    found = [(ranks[name], label) for label in classes if (name := _plain(label)) in ranks]
    return min(found)[1] if found else None


def told(classes: list[str], section: str) -> str:
    """A comment on the order, for a section whose records anomaly detection reads; "" for others."""
    if not classes or section not in SECTIONS:
        return ""
    if normal_class(classes) == classes[0]:
        return f"# Anomaly detection takes the first class, {shown(classes[0])}, for the normal one.\n"
    return f"# Only anomaly detection minds their order: it takes the first, {shown(classes[0])}, for the normal one.\n"


def _plain(label: str) -> str:
    return " ".join(re.findall(r"[^\W_]+", label.casefold().replace("i.o.", "io")))
