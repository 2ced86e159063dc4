"""Tabular regression's losses: those of every task with numbers."""

from assets.tasks.number_losses import learns_from, objective

__all__ = ["learns_from", "objective"]
