"""The shipped code location as text: a renamed asset, a lost dependency or a schedule switched off shows as a diff."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator
from pathlib import Path

import dagster as dg

from platform_defs.definitions import definitions

SNAPSHOT = Path(__file__).parent / "definitions.txt"
UPDATE = "EDGELOOP_UPDATE_SNAPSHOT"
HOW = f"{UPDATE}=1 .venv/bin/python -m pytest tests/platform_defs/test_definitions.py"


def describe(defs: dg.Definitions) -> str:
    """Everything that people and other tools call by name, one line each, sorted."""
    repository = defs.get_repository_def()
    sections = {
        "assets": _assets(repository),
        "checks": _checks(repository),
        "jobs": _jobs(repository),
        "sensors": _sensors(repository),
        "schedules": _schedules(repository),
        "resources": iter(repository.get_top_level_resources()),
    }
    return "".join(f"{title}\n" + "".join(f"  {row}\n" for row in sorted(rows)) for title, rows in sections.items())


def _assets(repository: dg.RepositoryDefinition) -> Iterator[str]:
    for node in repository.asset_graph.asset_nodes:
        deps = ", ".join(sorted(key.to_user_string() for key in node.parent_keys)) or "nothing"
        partitions = node.partitions_def
        split = f" by {partitions.name}" if isinstance(partitions, dg.DynamicPartitionsDefinition) else ""
        kinds = ", ".join(sorted(node.kinds))
        yield f"{node.key.to_user_string()}{split} <- {deps} [group {node.group_name}; {kinds}]"


def _checks(repository: dg.RepositoryDefinition) -> Iterator[str]:
    for key in repository.asset_graph.asset_check_keys:
        blocking = " (blocking)" if repository.asset_graph.get_check_spec(key).blocking else ""
        yield f"{key.asset_key.to_user_string()}: {key.name}{blocking}"


def _jobs(repository: dg.RepositoryDefinition) -> Iterator[str]:
    for job in repository.get_all_jobs():
        if not job.name.startswith("__"):
            keys = sorted(key.to_user_string() for key in job.asset_layer.selected_asset_keys)
            tags = ", ".join(f"{key}={value}" for key, value in sorted(job.tags.items()))
            yield f"{job.name}: {', '.join(keys) or 'no asset'} [{tags}]"


def _sensors(repository: dg.RepositoryDefinition) -> Iterator[str]:
    for sensor in repository.sensor_defs:
        targets = ", ".join(target.job_name for target in sensor.targets)
        yield f"{sensor.name} -> {targets} [{sensor.default_status.value}]"


def _schedules(repository: dg.RepositoryDefinition) -> Iterator[str]:
    for schedule in repository.schedule_defs:
        when = f"{schedule.cron_schedule} {schedule.execution_timezone}"
        yield f"{schedule.name} -> {schedule.job_name} at {when} [{schedule.default_status.value}]"


def test_the_code_location_is_as_committed() -> None:
    found = describe(definitions())
    assert "broken_line" not in found, [spec.description for spec in definitions().resolve_all_asset_specs()]
    if os.environ.get(UPDATE):
        SNAPSHOT.write_text(found)
    kept = SNAPSHOT.read_text()
    difference = "".join(
        difflib.unified_diff(kept.splitlines(True), found.splitlines(True), SNAPSHOT.name, "the code location")
    )
    assert not difference, f"\n{difference}\nIf this is meant, run:  {HOW}"
