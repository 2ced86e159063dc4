"""What image classification reads, answers and is judged by."""

from __future__ import annotations

from assets.line.tasks import CLASS_LOSSES, CLASS_METRICS, CLASS_MODULES, TaskSpec

SPEC = TaskSpec(
    name="image_classification",
    sections={"image": ("cnn", "cnn2", "cnn3", "resnet", "mobilenet", "vit", "mlp")},
    answer="class",
    regression=False,
    metric="accuracy",
    metrics=CLASS_METRICS,
    losses=CLASS_LOSSES,
    modules=CLASS_MODULES,
    note="Pictures to classes, two or many.",
)
