"""Runs rules as one Great Expectations suite on one frame.

Great Expectations 1.24: an ephemeral context, nothing written, nothing sent. `result.success` is False for a broken
check and for bad data alike, so the two are told apart here.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from assets.quality.contract import CheckOutcome
from assets.quality.rules import Rule

RESULT_FORMAT = {"result_format": "COMPLETE", "return_unexpected_index_query": False}


@dataclass(frozen=True)
class Ruling:
    """What a rule found.

    Attributes:
        outcome: "errored" where the check itself broke.
        rows: positions of the records that break it, ascending; empty for a rule about the whole batch.
        detail: one sentence.
    """

    rule: Rule
    outcome: Literal["passed", "failed", "errored"]
    rows: tuple[int, ...]
    detail: str

    def check(self) -> CheckOutcome:
        """As it is written in the verdict."""
        return CheckOutcome(self.rule.name, self.outcome, self.rule.severity, self.detail)


def run_suite(frame: pd.DataFrame, rules: Sequence[Rule]) -> list[Ruling]:
    """Every rule's ruling on a frame with index 0, 1, 2, …, in the rules' order.

    A rule that Great Expectations cannot even set up, or gives no result for, is errored.
    """
    gx, gxe = _great_expectations()
    context = _context(gx)
    asset = context.data_sources.add_pandas("records").add_dataframe_asset("records")
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})
    errored: dict[int, str] = {}
    expectations = []
    for position, rule in enumerate(rules):
        try:
            common = {"severity": rule.severity, "description": rule.description, "meta": {"rule": position}}
            expectations.append(getattr(gxe, rule.expectation)(**rule.settings, **common))
        except Exception as error:  # a check that breaks must never look like one that passes
            errored[position] = _first_line(error)
    result = batch.validate(gx.ExpectationSuite(name="gate", expectations=expectations), result_format=RESULT_FORMAT)
    found = {item.expectation_config.meta["rule"]: item for item in result.results}
    rulings = []
    for position, rule in enumerate(rules):
        if position in errored or position not in found:
            text = errored.get(position, "it gave no result")
            rulings.append(Ruling(rule, "errored", (), f"the check itself broke: {text}"))
        else:
            rulings.append(_ruling(rule, found[position], len(frame)))
    return rulings


def _great_expectations() -> tuple[Any, Any]:
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # its own imports warn of the standard library
        import great_expectations as gx
        import great_expectations.expectations as gxe
    return gx, gxe


def _context(gx: Any) -> Any:
    """An ephemeral context without docs site, progress bars and analytics; nothing outlives it."""
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


def _ruling(rule: Rule, item: Any, records: int) -> Ruling:
    if problem := _exception(item.exception_info):
        return Ruling(rule, "errored", (), f"the check itself broke: {problem}")
    rows = tuple(sorted(int(row) for row in item.result.get("unexpected_index_list") or ()))
    if item.success:
        return Ruling(rule, "passed", (), rule.description)
    if rows:
        return Ruling(rule, "failed", rows, f"{len(rows):,} of {records:,} records. {rule.description}")
    if missing := item.result.get("partial_missing_list"):
        return Ruling(rule, "failed", (), f"Missing: {', '.join(map(str, missing))}. {rule.description}")
    return Ruling(rule, "failed", (), f"Found {item.result.get('observed_value')}. {rule.description}")


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
