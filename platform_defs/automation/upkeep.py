"""What the platform does for all lines together: keeps the repository's metadata fresh."""

import dagster as dg

from assets.storage import layout
from assets.storage.store import Store


@dg.op(name="sign_fresh_metadata", out=dg.Out(dg.Nothing))
def _sign_fresh_metadata(store: dg.ResourceParam[Store]) -> None:
    from assets.release.repository import refresh_timestamp  # TUF waits until something is signed

    refresh_timestamp(store)


@dg.job(name="sign_fresh_metadata_job", description="Sign timestamp and snapshot again before they expire.")
def _sign_job() -> None:
    _sign_fresh_metadata()


@dg.schedule(
    name="sign_fresh_metadata_hourly",
    job=_sign_job,
    cron_schedule="17 * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Devices refuse stale metadata, so it is signed again long before it expires.",
)
def _hourly(store: dg.ResourceParam[Store]) -> dg.RunRequest | dg.SkipReason:
    if not store.exists(layout.TUF_TIMESTAMP):
        return dg.SkipReason("nothing was released yet")
    return dg.RunRequest()


def build_upkeep() -> dg.Definitions:
    """The job and its schedule."""
    return dg.Definitions(jobs=[_sign_job], schedules=[_hourly])
