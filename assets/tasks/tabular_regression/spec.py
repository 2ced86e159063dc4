"""What tabular regression reads, answers and is judged by."""

from __future__ import annotations

from assets.line.tasks import NUMBER_LOSSES, NUMBER_METRICS, NUMBER_MODULES, TaskSpec

SPEC = TaskSpec(
    name="tabular_regression",
    sections={"table": ("mlp", "mlp_plain")},
    answer="number",
    regression=True,
    metric="rmse",
    metrics=NUMBER_METRICS,
    losses=NUMBER_LOSSES,
    modules=NUMBER_MODULES,
    note="Rows of a table to a number.",
)
