"""Tabular regression's golden records: those of every task with numbers."""

from assets.tasks.number_golden import agrees, pick

__all__ = ["agrees", "pick"]
