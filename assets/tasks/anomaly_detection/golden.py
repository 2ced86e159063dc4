"""Anomaly detection's golden records: picked as classes are, compared as numbers are."""

from assets.tasks.class_golden import pick
from assets.tasks.number_golden import agrees

__all__ = ["agrees", "pick"]
