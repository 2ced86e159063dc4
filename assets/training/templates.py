"""Training's templates, and how numbers and names read on its pages."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

from jinja2 import Environment

from assets import looks


@cache
def environment() -> Environment:
    """The templates of training's `pages/`."""
    made = looks.environment(Path(__file__).parent / "pages")
    made.filters |= {"measure": measure, "sentence": sentence, "words": words}
    return made


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
