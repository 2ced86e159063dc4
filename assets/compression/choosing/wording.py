"""A search in words: recipes, losses and limits as people read them."""

from __future__ import annotations

import math

from assets.compression.documents import Recipe
from assets.line.number_formats import FORMATS
from assets.line.tasks import CLASS_METRICS, lower_is_better
from assets.pages import templates
from assets.pages.templates import measure, words

RANGES = {"minmax": "min-max", "entropy": "entropy", "percentile": "percentile"}


def recipe_in_words(recipe: Recipe) -> str:
    """How a candidate is made of its teacher, in the order it happens; e.g. "30 % of channels removed; INT8"."""
    parts = []
    if recipe.prune:
        how = ", more where the work is" if recipe.allocate == "cost" else ""
        parts.append(f"{100 * recipe.prune:g} % of channels removed{how}")
    if recipe.blocks:
        parts.append(f"{recipe.blocks} block{'s' if recipe.blocks > 1 else ''} removed")
    if recipe.heads:
        parts.append(f"{100 * recipe.heads:g} % of attention heads removed")
    if recipe.halvings:
        parts.append(f"pictures halved {'once' if recipe.halvings == 1 else 'twice'} by the first layer")
    if recipe.epochs:
        parts.append(f"{_epochs(recipe.epochs)} of distillation")
    if recipe.qat:
        parts.append(f"{_epochs(recipe.qat)} with INT8 simulated")
    form = FORMATS[recipe.format]
    parts.append(f"{form.words} ({RANGES[recipe.ranges]} ranges)" if form.ranges else form.words)
    if recipe.floats:
        parts.append(f"{len(recipe.floats)} layer{'s' if len(recipe.floats) > 1 else ''} left in float")
    return "; ".join(parts)


def unit(metric: str) -> str:
    """What `amount` counts in: percentage points, or per cent of the teacher's error."""
    return "%" if lower_is_better(metric) else "points"


def amount(drop: float | None) -> str:
    """The number of a `metric_drop` in its `unit`, with a sign where it is a gain; "unknown" where there is none."""
    if drop is None or not math.isfinite(drop):
        return "unknown"
    scaled = 100 * drop
    text = f"{scaled:,.2f}" if abs(scaled) < 100 else f"{scaled:,.0f}"
    return "0.00" if text == "-0.00" else text.replace("-", "\N{MINUS SIGN}")


def change(metric: str, drop: float | None) -> str:
    """What the model did to the metric, after its name: "loses 0.42 points of accuracy", "has 3.10 % more rmse"."""
    if drop is None or not math.isfinite(drop):
        return f"has an unknown {words(metric)}"
    size = amount(abs(drop))
    if size == "0.00":
        return f"keeps the teacher's {words(metric)}"
    if lower_is_better(metric):
        return f"has {size} % {'more' if drop > 0 else 'less'} {words(metric)}"
    return f"{'loses' if drop > 0 else 'gains'} {size} points of {words(metric)}"


def score(metric: str, value: float | None) -> str:
    """A metric's value: a share in per cent, other numbers as they are."""
    if value is None or not math.isfinite(value):
        return "unknown"
    if CLASS_METRICS.get(metric) == "higher" or metric == "agreement":
        return f"{100 * value:.2f} %"
    return measure(value)


def milliseconds(value: float | None) -> str:
    """With three digits, as a timing has no more."""
    if value is None or not math.isfinite(value):
        return "unknown"
    return f"{value:#.3g} ms" if value < 100 else f"{value:,.0f} ms"


def kilobytes(size: float | None) -> str:
    """Bytes in kB of 1,000."""
    if size is None:
        return "unknown"
    thousands = size / 1000
    return f"{thousands:,.1f} kB" if thousands < 100 else f"{thousands:,.0f} kB"


def thousands(number: int) -> str:
    """A large count with its power in words: "26.6 M"."""
    for power, name in ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")):
        if number >= power:
            return f"{number / power:.3g} {name}"
    return f"{number:,}"


def against(ratio: float | None, more: str, less: str) -> str:
    """How a cost compares: "2.4 times as fast", "1.2 times as slow"; "" where it is about the same, or unknown."""
    if ratio is None or not math.isfinite(ratio) or ratio <= 0:
        return ""
    if ratio < 1:
        return f"{times(1 / ratio)} times as {less}" if times(1 / ratio) else ""
    return f"{times(ratio)} times as {more}" if times(ratio) else ""


def times(ratio: float | None) -> str:
    """How many times: "2.4"; "" where it is unknown or nothing to speak of."""
    if ratio is None or not math.isfinite(ratio) or ratio < 1.05:
        return ""
    return f"{ratio:.1f}" if ratio < 20 else f"{ratio:,.0f}"


def duration(seconds: float) -> str:
    """A trial's time: short ones with a digit more than on other pages."""
    return f"{seconds:.1f} s" if seconds < 10 else templates.duration(seconds)


def _epochs(number: int) -> str:
    return f"{number} epoch{'s' if number > 1 else ''}"
