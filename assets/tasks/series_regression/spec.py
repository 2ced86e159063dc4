"""What series regression reads, answers and is judged by."""

from __future__ import annotations

from assets.line.tasks import NUMBER_LOSSES, NUMBER_METRICS, NUMBER_MODULES, TaskSpec

SPEC = TaskSpec(
    name="series_regression",
    sections={"series": ("gru", "lstm", "cnn1d", "mlp")},
    answer="number",
    regression=True,
    metric="rmse",
    metrics=NUMBER_METRICS,
    losses=NUMBER_LOSSES,
    modules=NUMBER_MODULES,
    note="Windows of a unit's readings to a number, e.g. its remaining life.",
)
