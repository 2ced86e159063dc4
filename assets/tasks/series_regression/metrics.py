"""Series regression's metrics: those of every task with numbers."""

from assets.tasks.number_metrics import answer, baseline, merits, metrics, score, weighted

__all__ = ["answer", "baseline", "merits", "metrics", "score", "weighted"]
