"""Which engine the gate uses: the one place that names one."""

from __future__ import annotations

from assets.quality.engines.contract import Engine
from assets.quality.engines.pandas_engine import PandasEngine


def open_engine() -> Engine:
    """The engine for one batch; enter it as a context."""
    return PandasEngine()
