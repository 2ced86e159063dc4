"""Text classification's metrics: those of every task with classes."""

from assets.tasks.class_metrics import answer, baseline, merits, metrics, score, weighted

__all__ = ["answer", "baseline", "merits", "metrics", "score", "weighted"]
