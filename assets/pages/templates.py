"""How pages for people are made: one style, templates that escape what they are given, numbers as people read them."""

from __future__ import annotations

import math
import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

PAGES = Path(__file__).parent
"""`base.html` and `style.css`, which every page has; `plots.html` and `plots.css` of pages with figures."""
MAX_TEXT = 400


def environment(folder: Path) -> Environment:
    """The templates of a room's folder; everything they are given is escaped, and a missing value is an error."""
    loader = FileSystemLoader([folder, PAGES])
    made = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.filters["short"] = cut
    made.filters["count"] = lambda value: f"{value:,}"
    made.filters["number"] = number
    made.filters["quoted"] = quoted
    made.filters |= {"measure": measure, "sentence": sentence, "words": words}
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


def measure(value: float | None) -> str:
    """A measured number with three or four digits; "-" where there is none."""
    if value is None or not math.isfinite(value):
        return "-"
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}"
    if size >= 100:
        return f"{value:.1f}"
    if size >= 10:
        return f"{value:.2f}"
    return f"{value:.3f}" if size >= 0.001 or value == 0 else f"{value:.1e}"


def sentence(text: str) -> str:
    """A text with its first letter large."""
    return text[:1].upper() + text[1:]


def words(name: str) -> str:
    """A metric's name as people say it."""
    return METRIC_WORDS.get(name, name.replace("_", " "))


def duration(seconds: float) -> str:
    """Seconds as people say them: "8 s", "2 min 10 s", "3 h 5 min"."""
    whole = round(seconds)
    if whole >= 60:
        whole = round(whole / 5) * 5
    minutes, hours = whole // 60, whole // 3600
    if hours:
        return f"{hours:,} h {minutes % 60} min" if minutes % 60 else f"{hours:,} h"
    if minutes:
        return f"{minutes} min {whole % 60} s" if whole % 60 else f"{minutes} min"
    return f"{whole} s"


METRIC_WORDS = {
    "macro_f1": "macro F1",
    "f1": "F1",
    "roc_auc": "ROC-AUC",
    "pr_auc": "PR-AUC",
    "log_loss": "log loss",
    "ece": "calibration error",
    "rmse": "RMSE",
    "mae": "MAE",
    "r2": "R²",
    "frechet": "Fréchet distance",
    "nn_precision": "looks real (precision)",
    "nn_recall": "variety (recall)",
}
