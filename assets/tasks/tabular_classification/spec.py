"""What tabular classification reads, answers and is judged by."""

from __future__ import annotations

from assets.line.tasks import CLASS_LOSSES, CLASS_METRICS, CLASS_MODULES, TaskSpec

SPEC = TaskSpec(
    name="tabular_classification",
    sections={"table": ("mlp", "mlp_plain")},
    answer="class",
    regression=False,
    metric="accuracy",
    metrics=CLASS_METRICS,
    losses=CLASS_LOSSES,
    modules=CLASS_MODULES,
    note="Rows of a table to classes, two or many.",
)
