"""Runs rules as one Great Expectations suite on one frame.

Great Expectations 1.24: an ephemeral context, nothing written, nothing sent. `result.success` is False for a broken
check and for bad data alike, so the two are told apart here.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from assets.quality.engines.contract import NO_ROWS, Answer, Question

RESULT_FORMAT = {"result_format": "COMPLETE", "return_unexpected_index_query": False}


def ask(frame: pd.DataFrame, questions: Sequence[Question]) -> list[Answer]:
    """Every expectation's answer on a frame with index 0, 1, 2, …, in their order.

    One that Great Expectations cannot even set up, or gives no result for, has a `problem`.
    """
    gxe, context = _great_expectations(), _context()
    from great_expectations.execution_engine import PandasExecutionEngine
    from great_expectations.validator.validator import Validator

    broken: dict[int, str] = {}
    configurations = []
    for position, question in enumerate(questions):
        try:
            made = getattr(gxe, question.expectation)(**question.settings, meta={"asked": position})
            configurations.append(made.configuration)
        except Exception as error:  # a check that breaks must never look like one that passes
            broken[position] = _first_line(error)
    found = {}
    if configurations:
        # Not by `batch.validate`: it takes a digest of the whole frame twice, which costs more than all questions.
        engine = PandasExecutionEngine(batch_data_dict={"records": frame})
        validator = Validator(execution_engine=engine, data_context=context)
        results = validator.graph_validate(configurations, runtime_configuration={"result_format": RESULT_FORMAT})
        found = {item.expectation_config.meta["asked"]: item for item in results}
    return [
        _answer(found[position], len(frame))
        if position in found
        else Answer(False, NO_ROWS, 0, "", broken.get(position, "it gave no result"), {})
        for position in range(len(questions))
    ]


def warm_up() -> None:
    """Load Great Expectations now, so that it need not be loaded when there is work."""
    _context()


def _great_expectations() -> Any:
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # its own imports warn of the standard library
        import great_expectations.expectations as gxe
    return gxe


@cache
def _context() -> Any:
    """An ephemeral context without docs site, progress bars and analytics; nothing outlives it."""
    _great_expectations()
    import great_expectations as gx
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )

    config = DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
        progress_bars=ProgressBarsConfig(globally=False),
        analytics_enabled=False,
    )
    return gx.get_context(mode="ephemeral", project_config=config)


def _answer(item: Any, records: int) -> Answer:
    result = item.result
    rows = np.asarray(result.get("unexpected_index_list") or (), dtype=np.int64)
    rows.sort()
    seen = int(result.get("element_count", records) or 0) - int(result.get("missing_count") or 0)
    if missing := result.get("partial_missing_list") or result.get("details", {}).get("missing"):
        found = f"missing: {', '.join(map(str, missing))}"
    else:
        found = f"found {result.get('observed_value')}" if "observed_value" in result else ""
    return Answer(bool(item.success), rows, seen, found[:500], _exception(item.exception_info), _raw(item))


def _raw(item: Any) -> Mapping[str, Any]:
    """The result as JSON, without the lists that grow with the data: their numbers are added up over chunks."""
    import json

    body = item.to_json_dict()
    for name in ("unexpected_index_list", "unexpected_list", "partial_unexpected_index_list"):
        body.get("result", {}).pop(name, None)
    return dict(json.loads(json.dumps(body, default=str)))


def _exception(info: Any) -> str | None:
    """The first exception in an `exception_info`, which is one entry or one per metric; None where there is none."""
    if not isinstance(info, Mapping):
        return None
    for entry in [info, *info.values()]:
        if isinstance(entry, Mapping) and entry.get("raised_exception"):
            return _first_line(entry.get("exception_message") or "unknown error")
    return None


def _first_line(error: object) -> str:
    return (str(error).strip().splitlines() or ["unknown error"])[0][:200]
