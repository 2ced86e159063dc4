"""The asset `rollout`: points the line's group at a release, where its policy allows that.

Dagster reads the annotations of asset functions as they are: no `from __future__ import annotations` here.
"""

import time

import dagster as dg

from assets.line.config import Line
from assets.processes.launch import refusals_fail_once
from assets.records.line_store import bind
from assets.release.documents import ReleaseRecord
from assets.storage.store import Store


def build_assets(line: Line) -> list[dg.AssetsDefinition]:
    """The line's asset `rollout`."""

    @dg.asset(
        key=dg.AssetKey([line.name, "rollout"]),
        group_name=line.identifier,
        deps=[dg.AssetKey([line.name, "release"])],
        kinds={"tuf"},
        description=(
            f"Points the devices of group `{line.config.rollout.group}` at the release, as the line's policy says "
            f"(`{line.config.rollout.promotion}`): a signed file that each device reads for itself. An older sequence "
            "never replaces a newer one, and a release that was rolled back comes again only by hand."
        ),
    )
    def rollout(context: dg.AssetExecutionContext, store: dg.ResourceParam[Store]) -> dg.MaterializeResult[None]:
        from assets.release.repository import refresh_timestamp
        from assets.rollout.promote import pending_targets, roll_out

        bound = bind(store, line)
        started = time.monotonic()
        with refusals_fail_once():
            record = bound.newest(ReleaseRecord)
            done = roll_out(bound, record)
            bound.set_newest(done)
            refresh_timestamp(store)
        context.log.info("%s: %s", done.decision, done.why)
        return dg.MaterializeResult(
            metadata={
                "decision": done.decision,
                "why": done.why,
                "group": done.group,
                "release": done.release,
                "serial": done.deployment.serial if done.deployment else 0,
                "deployed": done.deployment.release if done.deployment else "",
                "pending_on_device": ", ".join(pending_targets(record.manifest)) or "none",
                "seconds": round(time.monotonic() - started, 3),
            }
        )

    return [rollout]
