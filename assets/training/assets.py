"""`dataset` and `trained_model`: from accepted batches to a teacher.

No postponed annotations here: Dagster compares the annotation of `context` with the class itself.
"""

import hashlib
import json
import time
from typing import Any

import dagster as dg

from assets.evaluation.machine import machine_name
from assets.line.config import Line
from assets.pages.urls import page_url
from assets.processes.launch import refusals_fail_once, run_step, torch_run
from assets.records.dataset import DatasetVersion
from assets.records.line_store import BoundLine, bind
from assets.storage import layout
from assets.storage.store import Store
from assets.training.documents import TrainedModel
from assets.training.triggers.claims import CLAIM_TAG, find_claim, start_claim
from edge.contracts import digest, to_bytes

DATASET_REVISION = "dataset-2"
MODEL_REVISION = "trained-model-2"
"""Raise one when its step's code changes what it makes from the same inputs."""
UNTRAINED = {"checkpoint_seconds", "cache_gb", "threads"}
"""Of the section `training`: what changes how a model is trained, and not the model."""


MOST_ROWS = 50
"""Of a curve in a run's page."""


def build_assets(line: Line) -> list[dg.AssetsDefinition]:
    """The line's dataset, and its teacher where it has a model."""
    return [_dataset(line), _trained_model(line)] if line.config.model is not None else [_dataset(line)]


def _dataset(line: Line) -> dg.AssetsDefinition:
    @dg.asset(
        key=dg.AssetKey([line.name, "dataset"]),
        deps=[dg.AssetKey([line.name, "batch"])],
        group_name=line.identifier,
        kinds={"parquet"},
        description=(
            "The union of all accepted batches as a version: which records count, and in which split each is. What an "
            "earlier batch had accepted counts there, so no record ever changes split or label silently."
        ),
    )
    def dataset(context: dg.AssetExecutionContext, store: dg.ResourceParam[Store]) -> dg.MaterializeResult[None]:
        from assets.training.dataset import accepted_shards, accepted_upto, build_dataset

        bound = bind(store, line)
        start = time.monotonic()
        with refusals_fail_once():
            accepted = accepted_upto(bound, _claimed_upto(context, bound))
            shards = accepted_shards(bound, accepted[1])
            # Back in an earlier form, the same shards are a version of their own, as they stand later in the journal.
            generation = [f"generation {bound.generation()}"] if bound.generation() > 1 else []
            made_of = (*generation, *accepted[1], *(shard.sha256 for shard in shards))
            inputs = (DATASET_REVISION, line.config.digest("data"), line.config.counting, *made_of)
            version, reused = bound.cached_step(inputs, DatasetVersion, lambda: build_dataset(bound, accepted))
            store.save(layout.dataset(line.name, digest(version)), version)
        return dg.MaterializeResult(
            metadata={
                "version": digest(version),
                "position": version.position,
                "batches": len(version.batches),
                "records": sum(version.splits.values()),
                **{f"{split} records": count for split, count in version.splits.items()},
                "reused": reused,
                "seconds": time.monotonic() - start,
            }
        )

    return dataset


def _claimed_upto(context: dg.AssetExecutionContext, line: BoundLine) -> int | None:
    """The last accepted position this run is for, after making it the one run that carries its claim out.

    A run started by hand claims nothing and is for everything accepted: None.
    """
    run_key = context.run.tags.get(CLAIM_TAG)
    if not run_key:
        return None
    claim = find_claim(line, run_key)
    start_claim(line, run_key, context.run.run_id, lambda run: _ended_badly(context.instance, run))
    return claim.upto


def _ended_badly(instance: dg.DagsterInstance, run_id: str) -> bool:
    run = instance.get_run_by_id(run_id)
    return run is None or run.status in {dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}


def _trained_model(line: Line) -> dg.AssetsDefinition:
    @dg.asset(
        key=dg.AssetKey([line.name, "trained_model"]),
        deps=[dg.AssetKey([line.name, "dataset"])],
        group_name=line.identifier,
        kinds={"pytorch", "onnx"},
        description=(
            "The teacher: trained on the newest dataset version in a process of its own, exported to ONNX, and "
            "verified as that file in ONNX Runtime. The best validation epoch is kept; test records are only reported "
            "on."
        ),
    )
    def trained_model(context: dg.AssetExecutionContext, store: dg.ResourceParam[Store]) -> dg.MaterializeResult[None]:
        bound = bind(store, line)
        start = time.monotonic()
        with refusals_fail_once():
            version = bound.newest(DatasetVersion)
            inputs = (MODEL_REVISION, digest(version), what_decides(line), machine_name())
            training = hashlib.sha256("\0".join(inputs).encode()).hexdigest()[:32]
            options = {"dataset": to_bytes(version).decode(), "training": training}
            launcher = torch_run(line.config.training.processes)
            model, reused = bound.cached_step(
                inputs,
                TrainedModel,
                lambda: run_step(context, "assets.training.train", TrainedModel, bound, options, launcher),
            )
        return dg.MaterializeResult(
            metadata={
                **_metadata(model, reused, time.monotonic() - start),
                "live page": dg.MetadataValue.url(page_url(layout.training_page(line.name, training))),
            }
        )

    return trained_model


def what_decides(line: Line) -> str:
    """A digest of everything in the line that a trained model depends on."""
    config = line.config
    body = {
        "sections": config.digest("data", "task", "features", "model"),
        "training": config.training.model_dump(mode="json", exclude=UNTRAINED),
        "minutes": config.retrain.max_minutes,
    }
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _metadata(
    model: TrainedModel, reused: bool, seconds: float
) -> dict[str, dg.MetadataValue[Any] | str | float | bool | None]:
    metric = model.metric
    test = model.evidence.metric(metric, "test")
    within = "unknown" if test.low is None or test.high is None else f"{test.low:.4f} to {test.high:.4f}"
    found: dict[str, dg.MetadataValue[Any] | str | float | bool | None] = {
        "dataset": model.dataset,
        f"test {metric}": test.value,
        f"test {metric}, 95 %": f"{within} on {test.records} records",
        f"validation {metric}": model.evidence.metric(metric, "validation").value,
        "baseline": _baseline(model),
        "against the model in use": model.versus or "it is the first",
        "started": model.start.why or f"from {model.start.kind}",
        "ended by": model.ended,
        "parameters": model.parameters,
        "onnx bytes": model.onnx.size,
        "onnx": model.onnx.uri,
        "median ms": model.evidence.latency.median_ms if model.evidence.latency else None,
        "curve": dg.MetadataValue.md(_curve(model)),
        "reused": reused,
        "seconds": seconds,
    }
    if model.card:
        found["card"] = dg.MetadataValue.url(page_url(model.card))
    if model.cost is not None:
        found |= {
            "training seconds": model.cost.seconds,
            "training CPU seconds": model.cost.cpu_seconds,
            "peak memory, MB": model.cost.peak_memory_mb,
            "energy, Wh": model.cost.energy_wh,
            "energy is": model.cost.energy_note,
        }
    if model.epsilon is not None:
        found["privacy spent (epsilon)"] = model.epsilon
    if model.folds:
        found["folds"] = ", ".join(f"{score:.4f}" for score in model.folds)
    if model.settings:
        found["search found"] = ", ".join(f"{name} {value:g}" for name, value in model.settings.items())
    return found


def _baseline(model: TrainedModel) -> str:
    """What answering without looking would reach."""
    reached = [metric.value for metric in model.baseline if (metric.name, metric.split) == (model.metric, "test")]
    return f"{reached[0]:.4f} of {model.metric} without looking at the records" if reached else "unknown"


def _curve(model: TrainedModel) -> str:
    """The curve as a table: of a long one every so many epochs."""
    metric = f"validation_{model.metric}"
    rows = [f"| epoch | training loss | validation loss | validation {model.metric} |", "|---|---|---|---|"]
    step = -(-len(model.curve) // MOST_ROWS)
    for row in (*model.curve[:-1:step], *model.curve[-1:]):
        cells = (f"{row[name]:.4f}" if name in row else "" for name in ("train_loss", "validation_loss", metric))
        rows.append(f"| {row['epoch']:.0f} | {' | '.join(cells)} |")
    return "\n".join(rows)
