"""The asset `batch`: one partition per landed batch, judged by the gate in a child process.

Dagster reads the annotations of asset functions as they are: no `from __future__ import annotations` here.
"""

import re
from collections.abc import Iterable, Iterator

import dagster as dg

from assets.line.config import Line
from assets.pages.urls import page_url
from assets.processes.launch import refusals_fail_once, run_step
from assets.records.line_store import BoundLine, LineStore, bind
from assets.records.verdict import BLOCKED_REMEDY, BatchVerdict, partitions_name
from assets.storage.store import Store

_BATCH = re.compile(r"[0-9a-f]{64}")
_NAMED = 5
_SHOWN_REASONS = 20


def build_assets(line: Line) -> list[dg.AssetsDefinition]:
    """The line's `batch` asset, partitioned by batch id."""
    key = dg.AssetKey([line.name, "batch"])
    checks = [
        dg.AssetCheckSpec("batch_is_accepted", asset=key, blocking=True, description="The gate let the batch through."),
        dg.AssetCheckSpec("suite_passed", asset=key, description="Every check of the suite holds, warnings too."),
    ]

    @dg.asset(
        key=key,
        group_name=line.identifier,
        partitions_def=dg.DynamicPartitionsDefinition(name=partitions_name(line)),
        check_specs=checks,
        kinds={"greatexpectations", "parquet"},
        output_required=False,
        description=(
            "One landed batch, judged record by record against the line's data contract. Good records are accepted; "
            "each of the others is quarantined or refused with its reason. A batch with too many bad records is "
            "blocked as a whole, and nothing of it is trained on."
        ),
    )
    def batch(
        context: dg.AssetExecutionContext, store: dg.ResourceParam[Store]
    ) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        bound = bind(store, line)
        name = _partition(context, line)
        with refusals_fail_once():
            verdict = _verdict(context, bound, name)
        results = _check_results(verdict, key)
        if verdict.state == "blocked":
            yield from results
            why = f"{verdict.why} {BLOCKED_REMEDY} Report: {report_url(verdict)}"
            context.log.error(why)  # Dagster's own line only says that the step failed
            raise dg.Failure(
                description=why,
                metadata=_metadata(verdict),
                allow_retries=False,
            )
        for check in verdict.warnings:
            context.log.warning(f"“{check.name}” does not hold. {check.detail}")
        yield dg.MaterializeResult(asset_key=key, metadata=_metadata(verdict))
        yield from results

    return [batch]


def report_url(verdict: BatchVerdict) -> str:
    """Where people open the batch's report: $EDGELOOP_REPORTS_URL serves the store's `reports/`."""
    return page_url(verdict.report)


def _partition(context: dg.AssetExecutionContext, line: Line) -> str:
    if not context.has_partition_key:
        text = f"{line.name}/batch was started without a partition: pick the batch to judge as its partition"
        raise dg.Failure(description=text, allow_retries=False)
    key = str(context.partition_key)
    if not _BATCH.fullmatch(key):
        text = f"{key[:80]!r} is no batch id (64 hex digits); land a batch, and pick its partition"
        raise dg.Failure(description=text, allow_retries=False)
    return key


def _verdict(context: dg.AssetExecutionContext, line: BoundLine, name: str) -> BatchVerdict:
    verdict = line.verdict(name)
    if verdict is not None and line.stands(verdict) and _is_finished(line.store, verdict):
        context.log.info("the batch was judged before; its verdict stands")
        return verdict
    return run_step(context, "assets.quality.gate", BatchVerdict, line, {"batch": name})


def _is_finished(store: Store, verdict: BatchVerdict) -> bool:
    """Whether nothing after the verdict was cut short: its page is there, and the journal lists an accepted batch."""
    if not store.exists(verdict.report):
        return False
    if verdict.state == "blocked":
        return True
    behind = LineStore(store, verdict.line).accepted().after(verdict.since)
    return any((entry.batch, entry.generation) == (verdict.batch, verdict.generation) for _, entry in behind)


def _metadata(verdict: BatchVerdict) -> dict[str, dg.MetadataValue | str | int | float]:
    classes = "\n".join(f"| {_cell(name)} | {count:,} |" for name, count in sorted(verdict.per_class.items())[:200])
    return {
        "report": dg.MetadataValue.url(report_url(verdict)),
        "verdict": verdict.state,
        "why": verdict.why,
        "seen": verdict.seen,
        "accepted": verdict.accepted,
        "new": verdict.new,
        "quarantined": verdict.quarantined,
        "refused": verdict.refused,
        "seconds": round(verdict.seconds, 3),
        "warnings": dg.MetadataValue.md(_warnings_table(verdict)),
        "notes": dg.MetadataValue.text("\n".join(verdict.notes) or "none"),
        "reasons": dg.MetadataValue.md(_reasons_table(verdict)),
        "classes": dg.MetadataValue.md(f"| class | accepted records |\n|---|---|\n{classes}"),
    }


def _check_results(verdict: BatchVerdict, key: dg.AssetKey) -> list[dg.AssetCheckResult]:
    report = dg.MetadataValue.url(report_url(verdict))
    rows = _rows((check.outcome, check.severity, check.name, check.detail) for check in verdict.checks[:200])
    table = dg.MetadataValue.md(f"| outcome | severity | check | detail |\n|---|---|---|---|\n{rows}")
    failed = sum(check.outcome != "passed" for check in verdict.checks)
    return [
        dg.AssetCheckResult(
            passed=verdict.state == "accepted",
            asset_key=key,
            check_name="batch_is_accepted",
            severity=dg.AssetCheckSeverity.ERROR,
            description=verdict.why if verdict.state == "accepted" else f"{verdict.why} {BLOCKED_REMEDY}",
            metadata={"report": report, "reasons": dg.MetadataValue.md(_reasons_table(verdict))},
        ),
        dg.AssetCheckResult(
            passed=failed == 0,
            asset_key=key,
            check_name="suite_passed",
            severity=dg.AssetCheckSeverity.WARN,
            description=f"{failed} of {len(verdict.checks)} checks do not hold{_named(verdict)}.",
            metadata={"report": report, "checks": table},
        ),
    ]


def _named(verdict: BatchVerdict) -> str:
    """The first checks that do not hold, by name."""
    names = [check.name for check in verdict.checks if check.outcome != "passed"]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f": {', '.join(names[:_NAMED])}{more}" if names else ""


def _warnings_table(verdict: BatchVerdict) -> str:
    if not verdict.warnings:
        return "None."
    rows = _rows((check.name, check.outcome, check.detail) for check in verdict.warnings)
    return f"| check | outcome | detail |\n|---|---|---|\n{rows}"


def _reasons_table(verdict: BatchVerdict) -> str:
    if not verdict.reasons:
        return "None."
    shown = verdict.reasons[:_SHOWN_REASONS]
    rows = _rows((reason.file, reason.place, reason.outcome, reason.reason, reason.remedy) for reason in shown)
    more = len(verdict.reasons) - len(shown)
    tail = f"\n\n… and {more:,} more in the report." if more else ""
    return "| file | place | outcome | reason | what to do |\n|---|---|---|---|---|\n" + rows + tail


def _rows(rows: Iterable[Iterable[str]]) -> str:
    return "\n".join(f"| {' | '.join(map(_cell, row))} |" for row in rows)


def _cell(text: str) -> str:
    """Text of strangers as one plain cell of a Markdown table."""
    flat = " ".join(text.split())[:200]
    return re.sub(r"([\\`*_{}\[\]<>()#|!~])", r"\\\1", flat).replace("\\<", "&lt;").replace("\\>", "&gt;")
