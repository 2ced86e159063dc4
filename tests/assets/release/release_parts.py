"""A chosen model, its engines and its dataset as the rooms before `release` leave them, with bytes made here."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from assets.compilation.documents import Engine, Engines
from assets.compression.documents import Candidate, ChosenModel, Recipe
from assets.line.config import Line, parse_line
from assets.records.dataset import DatasetVersion
from assets.records.line_store import BoundLine
from assets.storage import layout
from edge.contracts import (
    TARGETS,
    Evidence,
    GoldenRecord,
    GoldenSet,
    InputSpec,
    ParityVerdict,
    PlanHeader,
    digest,
)

SPEC = InputSpec("table", "input", (2,), (0.0, 0.0), (1.0, 1.0), ("a", "b"))
GOLDEN = GoldenSet((GoldenRecord('{"a": 1, "b": 0}', (1.0, -1.0), "a"),), 0.1, 0.9)


def toy_line(promotion: str = "auto", name: str = "toy") -> Line:
    attributes = {
        "data": {"reader": "csv", "classes": ["a", "b"], "table": {"target": "y", "columns": ["a", "b"]}},
        "model": {"family": "mlp"},
        "targets": ["cpu-x86", "rtx-sm86"],
        "rollout": {"promotion": promotion, "group": "canary"},
    }
    return parse_line(name, attributes, "test")


def verdict(stage: str, parent: str, child: str, passed: bool | None = True) -> ParityVerdict:
    kind = "pending" if passed is None else "measured"
    number = None if passed is None else 0.0
    return ParityVerdict(stage, kind, parent, child, passed, number, number, 10, "note")  # type: ignore[arg-type]


def land_heads(line: BoundLine, position: int = 1, *, broken: str = "") -> Engines:
    """Write a dataset and the heads `chosen_model` and `engines`, and return the engines.

    Args:
        broken: "" for a sound chain; "failed" or "gap" in the plan's chain; "dataset" for another dataset
            under the version's name.
    """
    name = line.name
    dataset = DatasetVersion(name, position, tuple(f"{n:064x}" for n in range(position)), (), ("a", "b"), {}, 0.1, 0.1)
    teacher = line.store.put(name, b"teacher %d" % position, "onnx", ".onnx")
    files = {
        dialect: line.store.put(name, b"%s %d" % (dialect.encode(), position), "onnx", ".onnx")
        for dialect in ("float", "cpu", "tensorrt")
    }
    chains = {
        dialect: (verdict("distill", teacher.sha256, files["float"].sha256),)
        + (() if dialect == "float" else (verdict("quantize", files["float"].sha256, file.sha256),))
        for dialect, file in files.items()
    }
    evidence = {dialect: Evidence(file.sha256) for dialect, file in files.items()}
    candidate = Candidate("small", Recipe(prune=0.3), 10, 20, files, evidence, chains, 2.0, 1.0)
    shared: Any = {"line": name, "position": position, "dataset": digest(dataset), "teacher": teacher.sha256}
    chosen = ChosenModel(
        **shared,
        teacher_size=9,
        teacher_evidence=Evidence(teacher.sha256),
        input=SPEC,
        output="logits",
        labels=("a", "b"),
        candidate=candidate,
        why="smallest",
    )
    plan = line.store.put(name, b"vtrt plan %d" % position, "plan", ".plan")
    compiled = verdict("compile", files["tensorrt"].sha256, plan.sha256, broken != "failed")
    if broken == "gap":
        compiled = verdict("compile", "f" * 64, plan.sha256)
    on_device = verdict("device", plan.sha256, plan.sha256, None)
    engines = Engines(
        **shared,
        chosen=files["float"].sha256,
        input=SPEC,
        output="logits",
        labels=("a", "b"),
        golden=GOLDEN,
        engines=(
            Engine(TARGETS["cpu-x86"], files["cpu"], evidence["cpu"], chains["cpu"]),
            Engine(
                TARGETS["rtx-sm86"],
                plan,
                Evidence(plan.sha256),
                (*chains["tensorrt"], compiled, on_device),
                PlanHeader("vtrt", "1.7.1.116", 86),
            ),
        ),
    )
    kept = replace(dataset, position=position + 1) if broken == "dataset" else dataset
    line.store.save(layout.dataset(name, engines.dataset), kept)
    line.store.set_newest(name, chosen)
    line.store.set_newest(name, engines)
    return engines
