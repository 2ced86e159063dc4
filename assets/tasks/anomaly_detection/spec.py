"""What anomaly detection reads, answers and is measured by."""

from __future__ import annotations

from assets.line.tasks import TaskSpec

SPEC = TaskSpec(
    name="anomaly_detection",
    sections={"table": ("autoencoder",), "image": ("autoencoder",), "series": ("autoencoder",)},
    answer="anomaly",
    regression=False,
    metric="roc_auc",
    metrics={"roc_auc": "higher", "pr_auc": "higher"},
    losses=("reconstruction",),
    note="Learns the line's first class, the normal one, and scores how far a record is from it.",
    default=False,
)
