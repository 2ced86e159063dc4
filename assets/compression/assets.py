"""`candidates` and `chosen_model`: smaller models with their evidence, and the one that ships.

No postponed annotations here: Dagster compares the annotation of `context` with the class itself.
"""

import hashlib
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import dagster as dg

from assets.compression.choosing.choose import choose, conversion_limit, cost_ms, front_of, size, validation_drop
from assets.compression.documents import Candidate, Candidates, ChosenModel
from assets.compression.rule import limits_in_words
from assets.errors import BudgetError
from assets.evaluation.machine import machine_name
from assets.line.config import Line
from assets.line.tasks import change_in_words
from assets.pages.urls import page_url
from assets.processes.launch import refusals_fail_once, run_step
from assets.records.line_store import BoundLine, bind
from assets.storage import layout
from assets.storage.store import Store
from assets.training.documents import TrainedModel
from edge.contracts import TARGETS, TargetProfile, digest, to_bytes

CANDIDATES_REVISION = "candidates-4"
CHOICE_REVISION = "chosen-model-4"
"""Raise one when its step's code changes what it makes from the same inputs."""
FITS_BUDGET = "chosen_model_fits_budget"


def build_assets(line: Line) -> list[dg.AssetsDefinition]:
    """The two assets of a line."""
    return [_candidates(line), _chosen_model(line)]


def _candidates(line: Line) -> dg.AssetsDefinition:
    @dg.asset(
        key=dg.AssetKey([line.name, "candidates"]),
        deps=[dg.AssetKey([line.name, "trained_model"])],
        group_name=line.identifier,
        kinds={"pytorch", "onnx"},
        description=(
            "Smaller models made from the teacher: the teacher in INT8, FP16 and INT8 weights, and, of families that "
            "something can be taken out of, distilled students in INT8, each in both Q/DQ dialects, with the line's "
            "metric, size, latency and a parity verdict per conversion. What was tried in vain is listed with its "
            "reason. A search that was killed goes on from its trials."
        ),
    )
    def candidates(context: dg.AssetExecutionContext, store: dg.ResourceParam[Store]) -> dg.MaterializeResult[None]:
        bound = bind(store, line)
        start = time.monotonic()
        with refusals_fail_once():
            model = bound.newest(TrainedModel)
            dataset = bound.dataset(model.dataset)
            options = {"dataset": to_bytes(dataset).decode(), "model": to_bytes(model).decode()}
            policy = line.config.digest("data", "features", "training", "compress", "targets")
            budget = line.config.budget
            found, reused = bound.cached_step(
                (
                    CANDIDATES_REVISION,
                    digest(model),
                    policy,
                    f"{conversion_limit(budget):g} {limits_in_words(budget)}",
                    machine_name(),
                ),
                Candidates,
                lambda: run_step(context, "assets.compression.search", Candidates, bound, options),
            )
        return dg.MaterializeResult(
            metadata={
                "candidates": dg.MetadataValue.md(_table(found, _targets(line))),
                "tried in vain": dg.MetadataValue.md(_tried(found)),
                "front": ", ".join(front_of(found, _targets(line))),
                "count": len(found.candidates),
                "note": found.note,
                "reused": reused,
                "seconds": time.monotonic() - start,
                "seconds of all trials": found.seconds,
            }
        )

    return candidates


def _chosen_model(line: Line) -> dg.AssetsDefinition:
    key = dg.AssetKey([line.name, "chosen_model"])

    @dg.asset(
        key=key,
        deps=[dg.AssetKey([line.name, "candidates"])],
        group_name=line.identifier,
        kinds={"onnx"},
        check_specs=[
            dg.AssetCheckSpec(
                FITS_BUDGET,
                asset=key,
                description="The chosen model loses no more than the line allows, and is no larger or slower.",
            )
        ],
        description=(
            "The candidate that fits the line's budget and costs least. Chosen on validation records; its test numbers "
            "are for reporting only. Where nothing fits, nothing is chosen and the model in use stays."
        ),
    )
    def chosen_model(
        context: dg.AssetExecutionContext, store: dg.ResourceParam[Store]
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[None]]:
        bound = bind(store, line)
        with refusals_fail_once():
            found, targets = bound.newest(Candidates), _targets(line)
            inputs = (CHOICE_REVISION, digest(found), line.config.digest("budget", "targets"))
            key = layout.search(line.name, hashlib.sha256(chr(0).join(inputs).encode()).hexdigest())
            try:
                chosen, reused = bound.cached_step(
                    inputs,
                    ChosenModel,
                    lambda: replace(choose(found, line.config.budget, targets), page=key),
                )
            except BudgetError as error:
                _write_page(bound, found, None, str(error), key)
                page = dg.MetadataValue.url(page_url(key))
                yield dg.AssetCheckResult(
                    passed=False, check_name=FITS_BUDGET, metadata={"why": str(error), "page": page}
                )
                raise
            if not reused or not store.exists(key):
                _write_page(bound, found, chosen, "", key)
        yield dg.MaterializeResult(metadata=_metadata(chosen, targets, reused))
        yield dg.AssetCheckResult(
            passed=True,
            check_name=FITS_BUDGET,
            metadata={
                "why": chosen.why,
                "validation drop": validation_drop(chosen.candidate, found, targets),
                "page": dg.MetadataValue.url(page_url(key)),
            },
        )

    return chosen_model


def _targets(line: Line) -> list[TargetProfile]:
    return [TARGETS[name] for name in line.config.targets]


def _write_page(line: BoundLine, found: Candidates, chosen: ChosenModel | None, why_not: str, key: str) -> None:
    """The page is written where nothing fits too: it shows by how much."""
    from assets.compression.page import make_page, write_index  # draws, which the code location need not load for

    data = make_page(found, chosen, why_not, _targets(line.line), budget=line.config.budget, linked=True)
    line.store.write(key, data)
    write_index(line.store, found, chosen, why_not, key)


def _tried(found: Candidates) -> str:
    rows = ["| tried | why it went no further | seconds |", "|---|---|---|"]
    rows += [f"| {one.name} | {one.why.replace('|', '/')} | {one.seconds:.1f} |" for one in found.tried]
    return "\n".join(rows)


def _table(found: Candidates, targets: list[TargetProfile]) -> str:
    rows = [
        f"| candidate | parameters | test {found.metric} | change on test | kB | of teacher | ms | faster than float |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for candidate in found.candidates:
        reached = candidate.evidence["cpu"].metric(found.metric, "test")
        cost = cost_ms(candidate, targets)
        taken = "unknown" if cost is None else f"{cost:.4f}"
        faster = "unknown" if candidate.speedup is None else f"{candidate.speedup:.2f} times"
        rows.append(
            f"| {candidate.name} | {candidate.parameters:,} | {reached.value:.4f} "
            f"| {_change(candidate, found.metric)} | {size(candidate, targets) / 1000:.1f} "
            f"| {size(candidate, targets) / found.teacher_size:.2f} | {taken} | {faster} |"
        )
    return "\n".join(rows)


def _change(candidate: Candidate, metric: str) -> str:
    """What the candidate lost on test records, with its interval where there is one."""
    drop = candidate.evidence["cpu"].metric(f"{metric}_drop", "test")
    within = "" if drop.low is None or drop.high is None else f" (95 %: a drop of {drop.low:+.4f} to {drop.high:+.4f})"
    return f"{change_in_words(metric, drop.value)}{within}"


def _metadata(
    chosen: ChosenModel, targets: list[TargetProfile], reused: bool
) -> dict[str, dg.MetadataValue[Any] | str | float | bool | None]:
    candidate, metric = chosen.candidate, chosen.metric
    drop = candidate.evidence["cpu"].metric(f"{metric}_drop", "test")
    rows = ["| candidate | why not |", "|---|---|"]
    rows += [f"| {name} | {why.replace('|', '/')} |" for name, why in chosen.rejected.items()]
    return {
        "chosen": candidate.name,
        "why": chosen.why,
        "rejected": dg.MetadataValue.md("\n".join(rows)),
        f"test {metric}": candidate.evidence["cpu"].metric(metric, "test").value,
        "change on test": f"{_change(candidate, metric)}, on {drop.records} records",
        "onnx bytes": size(candidate, targets),
        "of the teacher's size": size(candidate, targets) / chosen.teacher_size,
        "faster than float": candidate.speedup,
        "front": ", ".join(chosen.front),
        "page": dg.MetadataValue.url(page_url(chosen.page)),
        "reused": reused,
    }
