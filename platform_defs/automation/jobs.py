"""The runs of a line, and the tags that say what each run is for."""

from __future__ import annotations

from typing import NamedTuple

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from assets.line.config import Line
from assets.training.triggers.claims import CLAIM_TAG
from assets.training.triggers.documents import Claim

LINE_TAG = "edgeloop/line"
BATCH_TAG = "edgeloop/batch"
BATCHES_TAG = "edgeloop/batches"
RUN_KEY_TAG = "dagster/run_key"
TRAINING_TAG = "edgeloop/training_line"
"""Carried by training runs only; dagster.yaml allows one run per value at a time."""

RETRAIN_ASSETS = ("dataset", "trained_model", "candidates", "chosen_model", "engines", "release", "rollout")
"""What a retrain makes; a line without a model makes its dataset only."""


class LineJobs(NamedTuple):
    """judge: one batch. retrain: from the accepted batches to a rollout. observe: the fleet's health."""

    judge: UnresolvedAssetJobDefinition
    retrain: UnresolvedAssetJobDefinition
    observe: UnresolvedAssetJobDefinition


def job_names(line: Line) -> tuple[str, str, str]:
    """Names of the judge, retrain and observe jobs."""
    return f"{line.identifier}_judge", f"{line.identifier}_retrain", f"{line.identifier}_observe"


def build_jobs(line: Line) -> LineJobs:
    """The line's jobs."""
    tags = {LINE_TAG: line.name}
    judge, retrain, observe = job_names(line)
    made = RETRAIN_ASSETS if line.config.model is not None else RETRAIN_ASSETS[:1]
    return LineJobs(
        judge=dg.define_asset_job(
            judge,
            selection=dg.AssetSelection.assets([line.name, "batch"]),
            tags=tags,
            description="Judge one landed batch.",
        ),
        retrain=dg.define_asset_job(
            retrain,
            selection=dg.AssetSelection.assets(*([line.name, asset] for asset in made)),
            tags={**tags, TRAINING_TAG: line.name},
            description="Train on every accepted batch, compress, compile, sign and roll out.",
        ),
        observe=dg.define_asset_job(
            observe,
            selection=dg.AssetSelection.assets([line.name, "fleet_health"]),
            tags=tags,
            description="Read what the devices report.",
        ),
    )


def judge_request(jobs: LineJobs, batch: str, retry: int = 0, again: str = "") -> dg.RunRequest:
    """The run that judges `batch`; its key is the manifest's digest, and says where it is a retry or judged `again`."""
    key = ":".join(part for part in (batch, again, f"retry{retry}" if retry else "") if part)
    return dg.RunRequest(run_key=key, job_name=jobs.judge.name, partition_key=batch, tags={BATCH_TAG: batch})


def retrain_request(jobs: LineJobs, claim: Claim, retry: int = 0) -> dg.RunRequest:
    """The run that trains on a claim's batches."""
    key = claim.run_key if not retry else f"{claim.run_key}:retry{retry}"
    return dg.RunRequest(run_key=key, job_name=jobs.retrain.name, tags=claim_tags(claim))


def claim_tags(claim: Claim) -> dict[str, str]:
    """What a training run says it is for; batches by their first digits, as the tag is for people."""
    shown = ",".join(batch[:12] for batch in claim.batches[:16]) + (",…" if len(claim.batches) > 16 else "")
    return {CLAIM_TAG: claim.run_key, BATCHES_TAG: shown}
