"""What the demo ends with: `summary.json`, a table, and where to look next."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from assets.compilation.documents import Engine, Engines
from assets.compression.documents import Candidate, Candidates, ChosenModel
from assets.storage import layout
from assets.storage.store import Store
from assets.training.documents import TrainedModel
from edge.contracts import Evidence
from platform_defs.demo.loop import DEVICE, LINE, Step


def summarize(store: Store, steps: Sequence[Step], seconds: float) -> dict[str, Any]:
    """Everything the demo showed, as plain JSON; also written to `demo/summary.json`.

    Running the demo again finds everything done: the seconds stay those of the run that did the work, and those of this
    run stand beside them.
    """
    model = store.newest(LINE, TrainedModel)
    candidates = store.newest(LINE, Candidates)
    chosen = store.newest(LINE, ChosenModel)
    engines = store.newest(LINE, Engines)
    summary = {
        "line": LINE,
        "seconds": round(seconds, 1),
        "this_run_seconds": round(seconds, 1),
        "batches": [_batch(step) for step in steps],
        "stages": _stages(model, candidates, chosen),
        "chosen": _chosen(chosen),
        "targets": [_target(store, engine) for engine in engines.engines],
        "device": _device(steps),
    }
    _keep_first_seconds(store, summary)
    store.write(layout.DEMO_SUMMARY, json.dumps(summary, indent=2).encode())
    return summary


def _keep_first_seconds(store: Store, summary: dict[str, Any]) -> None:
    """Take the seconds from the last summary where it is of the same batches."""
    try:
        last = json.loads(store.read(layout.DEMO_SUMMARY))
        if [row["batch"] for row in last["batches"]] != [row["batch"] for row in summary["batches"]]:
            return
        summary["seconds"] = last["seconds"]
        for row, before in zip(summary["batches"], last["batches"], strict=True):
            row["seconds"] = before["seconds"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return  # there is none, or one of another version


def _batch(step: Step) -> dict[str, Any]:
    verdict = step.verdict
    return {
        "name": step.name,
        "batch": verdict.batch,
        "state": verdict.state,
        "why": verdict.why,
        "seen": verdict.seen,
        "accepted": verdict.accepted,
        "quarantined": verdict.quarantined,
        "refused": verdict.refused,
        "reasons": [vars(reason) for reason in verdict.reasons],
        "report": verdict.report,
        "seconds": round(step.seconds, 1),
    }


def _stages(model: TrainedModel, candidates: Candidates, chosen: ChosenModel) -> list[dict[str, Any]]:
    rows = [_stage("teacher", model.evidence, model.onnx.size)]
    for candidate in candidates.candidates:
        for dialect, ref in candidate.onnx.items():
            if ref.sha256 != model.onnx.sha256:  # the teacher stands above already
                row = _stage(f"{candidate.name} {dialect}", candidate.evidence[dialect], ref.size)
                rows.append({**row, "chosen": candidate.name == chosen.candidate.name})
    return rows


def _stage(name: str, evidence: Evidence, size: int) -> dict[str, Any]:
    accuracy = evidence.metric("accuracy", "test")
    return {
        "stage": name,
        "artifact": evidence.artifact,
        "accuracy": accuracy.value,
        "low": accuracy.low,
        "high": accuracy.high,
        "test_records": accuracy.records,
        "bytes": size,
        "latency_ms": evidence.latency.median_ms if evidence.latency else None,
        "seconds": evidence.seconds,
    }


def _chosen(chosen: ChosenModel) -> dict[str, Any]:
    candidate: Candidate = chosen.candidate
    drop = candidate.evidence["cpu"].metric("accuracy_drop", "test")
    return {
        "name": candidate.name,
        "why": chosen.why,
        "accuracy_drop": drop.value,
        "accuracy_drop_low": drop.low,
        "accuracy_drop_high": drop.high,
        "size_of_teacher": candidate.onnx["cpu"].size / chosen.teacher_size,
        "speedup_over_float": candidate.speedup,
        "rejected": dict(chosen.rejected),
    }


def _target(store: Store, engine: Engine) -> dict[str, Any]:
    return {
        "target": engine.target.name,
        "path": store.path(engine.file.uri),
        "sha256": engine.file.sha256,
        "bytes": engine.file.size,
        "verdict": _kind(engine, "compile"),
        "on_device": _kind(engine, "device"),
        "plan": vars(engine.plan) if engine.plan else None,
    }


def _kind(engine: Engine, stage: str) -> str | None:
    """What kind the engine's last verdict of that stage is; None without one."""
    kinds = [verdict.kind for verdict in engine.parity if verdict.stage == stage]
    return kinds[-1] if kinds else None


def _device(steps: Sequence[Step]) -> dict[str, Any]:
    report = next(step.device for step in reversed(steps) if step.device)
    test = report.self_test
    return {
        "device": DEVICE,
        "release": report.release,
        "target": report.target,
        "event": report.event,
        "self_test": {"passed": test.passed, "agreement": test.agreement, "max_abs_diff": test.max_abs_diff}
        if test
        else None,
    }


def show(summary: dict[str, Any], console: Console) -> None:
    """The tables people see at the end."""
    batches = Table(title="Batches", title_justify="left")
    for column in ("batch", "state", "seen", "accepted", "quarantined", "refused", "why"):
        batches.add_column(column, overflow="fold")
    for row in summary["batches"]:
        colour = "green" if row["state"] == "accepted" else "red"
        counts = [str(row[key]) for key in ("seen", "accepted", "quarantined", "refused")]
        batches.add_row(row["name"], f"[{colour}]{row['state']}[/]", *counts, escape(row["why"]))
    stages = Table(title="Models, on the same test records; bold is chosen", title_justify="left")
    for column in ("model", "accuracy", "95 % interval", "kB", "ms"):
        stages.add_column(column)
    for row in summary["stages"]:
        latency = "on the device" if row["latency_ms"] is None else f"{row['latency_ms']:.3f}"
        interval = f"{row['low']:.4f} to {row['high']:.4f}" if row["low"] is not None else ""
        name = f"[bold]{row['stage']}[/]" if row.get("chosen") else row["stage"]
        stages.add_row(name, f"{row['accuracy']:.4f}", interval, f"{row['bytes'] / 1000:.1f}", latency)
    targets = Table(title="Released artifacts", title_justify="left")
    for column in ("target", "bytes", "compiled", "on the device", "sha256"):
        targets.add_column(column)
    for row in summary["targets"]:
        device = row["on_device"] or "self-tested there"
        targets.add_row(row["target"], f"{row['bytes']:,}", row["verdict"], device, row["sha256"][:16])
    for table in (batches, stages, targets):
        console.print(table)
    chosen, device = summary["chosen"], summary["device"]
    speed = "unknown" if chosen["speedup_over_float"] is None else f"{chosen['speedup_over_float']:.2f} times as fast"
    console.print(
        f"Chosen: [bold]{chosen['name']}[/], {_difference(chosen['accuracy_drop'])} the teacher "
        f"(95 %: {chosen['accuracy_drop_low'] * 100:+.2f} to {chosen['accuracy_drop_high'] * 100:+.2f} points lost), "
        f"{chosen['size_of_teacher']:.2f} of its size, {speed} as its own FP32."
    )
    tested = device["self_test"]
    console.print(
        f"Device: [bold]{device['device']}[/] runs release {device['release'][:12]} ({device['target']}), "
        f"self-test {'passed' if tested and tested['passed'] else 'not run'}."
    )
    console.print(f"The loop was closed in {summary['seconds']} s (this run: {summary['this_run_seconds']} s).")
    console.print("Next: [bold]make ui[/] for Dagster and the reports, [bold]edgeloop fleet[/] for the device.")


def _difference(drop: float) -> str:
    if abs(drop) < 5e-5:
        return "as accurate as"
    return f"{abs(drop) * 100:.2f} points {'below' if drop > 0 else 'above'}"
