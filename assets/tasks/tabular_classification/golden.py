"""Tabular classification's golden records: those of every task with classes."""

from assets.tasks.class_golden import agrees, pick

__all__ = ["agrees", "pick"]
