"""`dataset` and `trained_model`: from accepted batches to a teacher.

No postponed annotations here: Dagster compares the annotation of `context` with the class itself.
"""

import time
from typing import Any

import dagster as dg

from assets.line import Line
from assets.measure import machine_name
from assets.process import TORCH_RUN, refusals_fail_once, run_step
from assets.steps import remembered
from assets.store import Store
from assets.training.contract import DatasetVersion, TrainedModel, dataset_key
from assets.training.dataset import accepted_shards, accepted_upto, build_dataset
from assets.training.retrain import CLAIM_TAG, find_claim, start_claim
from edge.contracts import digest, to_bytes

DATASET_REVISION = "dataset-2"
MODEL_REVISION = "trained-model-1"
"""Raise one when its step's code changes what it makes from the same inputs."""


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
            "The union of all accepted batches as a version: which records count, and on which side each is. Where a "
            "record was accepted twice its first acceptance counts, so no record ever changes side or label silently."
        ),
    )
    def dataset(context: dg.AssetExecutionContext, store: dg.ResourceParam[Store]) -> dg.MaterializeResult[None]:
        start = time.monotonic()
        with refusals_fail_once():
            accepted = accepted_upto(store, line, _claimed_upto(context, store, line))
            shards = accepted_shards(store, line, accepted[1])
            inputs = (DATASET_REVISION, line.config.digest("data"), *accepted[1], *(shard.sha256 for shard in shards))
            version, reused = remembered(
                store, line.name, "dataset", inputs, DatasetVersion, lambda: build_dataset(store, line, accepted)
            )
            store.save(dataset_key(line.name, digest(version)), version)
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


def _claimed_upto(context: dg.AssetExecutionContext, store: Store, line: Line) -> int | None:
    """The last accepted position this run is for, after making it the one run that carries its claim out.

    A run started by hand claims nothing and is for everything accepted: None.
    """
    run_key = context.run.tags.get(CLAIM_TAG)
    if not run_key:
        return None
    claim = find_claim(store, line.name, run_key)
    start_claim(store, line.name, run_key, context.run.run_id, lambda run: _ended_badly(context.instance, run))
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
            "The teacher: trained on the newest dataset version in a process of its own, exported to ONNX, and judged "
            "as that file in ONNX Runtime. The best validation epoch is kept; test records are only reported on."
        ),
    )
    def trained_model(context: dg.AssetExecutionContext, store: dg.ResourceParam[Store]) -> dg.MaterializeResult[None]:
        start = time.monotonic()
        with refusals_fail_once():
            version = store.head(line.name, "dataset", DatasetVersion)
            options = {"dataset": to_bytes(version).decode()}
            model, reused = remembered(
                store,
                line.name,
                "trained_model",
                (MODEL_REVISION, digest(version), line.config.digest("data", "model", "training"), machine_name()),
                TrainedModel,
                lambda: run_step(context, "assets.training.train", TrainedModel, store, line, options, TORCH_RUN),
            )
        return dg.MaterializeResult(metadata=_metadata(model, reused, time.monotonic() - start))

    return trained_model


def _metadata(
    model: TrainedModel, reused: bool, seconds: float
) -> dict[str, dg.MetadataValue[Any] | str | float | bool | None]:
    test = model.evidence.metric("accuracy", "test")
    rows = ["| epoch | loss | validation accuracy |", "|---|---|---|"]
    rows += [
        f"| {row['epoch']:.0f} | {row['train_loss']:.4f} | {row['validation_accuracy']:.4f} |" for row in model.curve
    ]
    return {
        "dataset": model.dataset,
        "test accuracy": test.value,
        "test accuracy, 95 %": f"{test.low:.4f} to {test.high:.4f} on {test.records} records",
        "validation accuracy": model.evidence.metric("accuracy", "validation").value,
        "parameters": model.parameters,
        "onnx bytes": model.onnx.size,
        "onnx": model.onnx.uri,
        "median ms": model.evidence.latency.median_ms if model.evidence.latency else None,
        "curve": dg.MetadataValue.md("\n".join(rows)),
        "reused": reused,
        "seconds": seconds,
    }
