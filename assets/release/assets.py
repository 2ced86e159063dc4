"""The asset `release`: what ships."""

import time
from collections.abc import Iterator

import dagster as dg

from assets.compilation.documents import Engines
from assets.line.config import Line
from assets.processes.launch import refusals_fail_once
from assets.records.line_store import bind
from assets.release.documents import ReleaseRecord
from assets.release.manifest import build_manifest, find_chosen, find_gaps
from assets.storage.store import Store

CHAIN_CHECK = "release_chain_has_no_gap"


def build_assets(line: Line) -> list[dg.AssetsDefinition]:
    """The line's asset `release`."""
    return [_release(line)]


def _release(line: Line) -> dg.AssetsDefinition:
    key = dg.AssetKey([line.name, "release"])

    @dg.asset(
        key=key,
        group_name=line.identifier,
        deps=[dg.AssetKey([line.name, "engines"])],
        kinds={"tuf"},
        description=(
            "The signed manifest: one artifact per target with its evidence, the golden set every device tests itself "
            "with, and the provenance down to the batches. Published as static files in the line's TUF repository; "
            "refused where the chain of parity verdicts from the teacher to any artifact has a gap."
        ),
        check_specs=[
            dg.AssetCheckSpec(
                CHAIN_CHECK,
                asset=key,
                description="Every conversion from the teacher to each artifact passed, or waits for a device.",
            )
        ],
    )
    def release(
        context: dg.AssetExecutionContext, store: dg.ResourceParam[Store]
    ) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        from assets.release.repository import ensure_repository, publish, renewal_notes, uses_demo_keys

        bound = bind(store, line)
        started = time.monotonic()
        with refusals_fail_once():
            engines = bound.newest(Engines)
            chosen = find_chosen(store, engines)
            dataset = bound.dataset(engines.dataset)
            if gaps := find_gaps(engines, chosen, dataset):
                yield dg.AssetCheckResult(
                    passed=False, asset_key=key, check_name=CHAIN_CHECK, description="; ".join(gaps)
                )
            ensure_repository(store, (line.name,))
            manifest, files = build_manifest(store, engines, chosen, dataset, demo_keys=uses_demo_keys(store))
            record = publish(bound, manifest, files)
            bound.set_newest(record)
            notes = renewal_notes(store)
        for note in notes:
            context.log.warning("%s", note)
        context.log.info("release %s, sequence %d", record.release[:12], record.sequence)
        yield dg.MaterializeResult(
            metadata={
                "release": record.release,
                "sequence": record.sequence,
                "manifest": record.manifest_path,
                "batches": len(manifest.provenance.batches),
                "demo_keys": manifest.demo_keys,
                "bytes": sum(len(data) for data in files.values()),
                "artifacts": dg.MetadataValue.md(_artifacts_table(record)),
                "renew_by_hand": "; ".join(notes) or "nothing",
                "seconds": round(time.monotonic() - started, 3),
            },
            data_version=dg.DataVersion(record.release),
            check_results=[dg.AssetCheckResult(passed=True, check_name=CHAIN_CHECK)],
        )

    return release


def _artifacts_table(record: ReleaseRecord) -> str:
    rows = ["| target | runtime | file | bytes | SHA-256 | last verdict |", "|---|---|---|---|---|---|"]
    for artifact in record.manifest.artifacts:
        last = artifact.evidence.parity[-1].kind if artifact.evidence.parity else "none"
        target, file = artifact.target, artifact.file
        rows.append(f"| {target.name} | {target.runtime} | {file.uri} | {file.size} | {file.sha256[:12]} | {last} |")
    return "\n".join(rows)
