"""What text classification reads, answers and is judged by."""

from __future__ import annotations

from assets.line.tasks import CLASS_LOSSES, CLASS_METRICS, CLASS_MODULES, TaskSpec

SPEC = TaskSpec(
    name="text_classification",
    sections={"text": ("embedding_gru", "transformer")},
    answer="class",
    regression=False,
    metric="macro_f1",
    metrics=CLASS_METRICS,
    losses=CLASS_LOSSES,
    modules=CLASS_MODULES,
    note="Texts to classes.",
)
