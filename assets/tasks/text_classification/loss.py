"""Text classification's losses: those of every task with classes."""

from assets.tasks.class_losses import learns_from, objective

__all__ = ["learns_from", "objective"]
