"""What series classification reads, answers and is judged by."""

from __future__ import annotations

from assets.line.tasks import CLASS_LOSSES, CLASS_METRICS, CLASS_MODULES, TaskSpec

SPEC = TaskSpec(
    name="series_classification",
    sections={"series": ("gru", "lstm", "cnn1d", "mlp")},
    answer="class",
    regression=False,
    metric="accuracy",
    metrics=CLASS_METRICS,
    losses=CLASS_LOSSES,
    modules=CLASS_MODULES,
    note="Windows of a unit's readings to classes.",
)
