"""`fleet_health`: what the devices say of the release they were given."""

import re
import time
from collections.abc import Iterator

import dagster as dg

from assets.feedback.documents import FleetHealth
from assets.line.config import Line
from assets.processes.launch import refusals_fail_once
from assets.records.line_store import bind
from assets.storage.store import Store

MARKUP = frozenset("|<>[]()`*~!#&@$\\")
FLEET_CHECK = "devices_run_their_release"


def build_assets(line: Line) -> list[dg.AssetsDefinition]:
    """The asset `fleet_health` of a line."""

    @dg.asset(
        key=dg.AssetKey([line.name, "fleet_health"]),
        group_name=line.identifier,
        deps=[dg.AssetKey([line.name, "rollout"])],
        kinds={"device"},
        description=(
            "The line's devices by their own signed reports: which release each one runs, what happened last, and "
            "whether its self-test passed. A device that refuses a release says why, and is listed here."
        ),
        check_specs=[
            dg.AssetCheckSpec(
                FLEET_CHECK,
                asset=dg.AssetKey([line.name, "fleet_health"]),
                description="Every device of the group that answered since the rollout runs what it was given.",
            )
        ],
    )
    def fleet_health(
        context: dg.AssetExecutionContext, store: dg.ResourceParam[Store]
    ) -> Iterator[dg.MaterializeResult[None]]:
        from assets.feedback.fleet import summarize

        bound = bind(store, line)
        started = time.monotonic()
        with refusals_fail_once():
            health = summarize(bound, line.config.rollout.group)
            bound.set_newest(health)
        context.log.info("%d devices, %d wrong, %d silent", len(health.devices), len(health.wrong), len(health.silent))
        yield dg.MaterializeResult(
            metadata={
                "devices": len(health.devices),
                "release": health.release,
                "wrong": len(health.wrong),
                "silent": len(health.silent),
                "fleet": dg.MetadataValue.md(fleet_table(health)),
                "seconds": round(time.monotonic() - started, 3),
            },
            check_results=[
                dg.AssetCheckResult(
                    passed=not health.wrong,
                    check_name=FLEET_CHECK,
                    severity=dg.AssetCheckSeverity.WARN,
                    description=_verdict(health),
                    metadata={"wrong": ", ".join(health.wrong[:50]), "silent": ", ".join(health.silent[:50])},
                )
            ],
        )

    return [fleet_health]


def fleet_table(health: FleetHealth, most: int = 100) -> str:
    """The devices as a Markdown table, those that need a look first; at most `most` rows."""
    rows = ["| device | group | runs | last event | self-test | heard | reason |", "|---|---|---|---|---|---|---|"]
    order = sorted(health.devices, key=lambda status: (status.device not in health.wrong, status.device))
    for status in order[:most]:
        tested = {None: "", True: "passed", False: "failed"}[status.self_test]
        cells = (
            status.device,
            status.group,
            status.release[:12] or "nothing",
            status.event,
            tested,
            f"{status.age:.0f} s ago",
            status.reason,
        )
        rows.append(f"| {' | '.join(map(_cell, cells))} |")
    if len(order) > most:
        rows.append(f"\n… and {len(order) - most} more; see `edgeloop fleet`")
    return "\n".join(rows)


def _cell(text: str) -> str:
    """Plain text for a Markdown table: no link, picture, HTML or new cell, whatever a device says.

    Markup is replaced rather than escaped: GitHub's dialect finds links in plain text after it undoes escapes.
    """
    plain = "".join(" " if char in MARKUP or not char.isprintable() else char for char in text[:200])
    plain = re.sub(r"(?i)www\.", "www .", plain.replace("//", "/ /"))
    return " ".join(plain.split())


def _verdict(health: FleetHealth) -> str:
    if not health.release:
        return "Nothing is rolled out yet."
    if health.wrong:
        names = ", ".join(health.wrong[:5])
        return f"{len(health.wrong)} devices answered, but do not run {health.release[:12]}: {names}"
    return f"Every device that answered runs {health.release[:12]}; {len(health.silent)} have not answered yet."
