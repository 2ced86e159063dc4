"""Made searches: candidates with evidence of every kind, without training anything."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from assets.compression.documents import Candidate, Candidates, ChosenModel, LayerLoss, Recipe, Tried
from edge.contracts import ArtifactRef, Evidence, InputSpec, Latency, Metric, ParityVerdict

RECORDS = 1000
TEACHER = hashlib.sha256(b"the teacher").hexdigest()
TEACHER_SIZE = 2_776_000
MACHINE = "a made processor, onnxruntime 1.23"
LABELS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def made_candidate(
    name: str,
    recipe: Recipe,
    *,
    drop: float = 0.0,
    ms: float | None = 0.2,
    size: int = 700_000,
    macs: int = 26_600_000,
    labels: Sequence[str] = LABELS,
    layers: tuple[LayerLoss, ...] = (),
    passed: bool = True,
) -> Candidate:
    """A candidate that lost `drop` of the accuracy on validation records, and about as much on test records."""
    files, evidence, parity = {}, {}, {}
    for dialect in ("float", "cpu", "tensorrt"):
        digest = hashlib.sha256(f"{name} {dialect}".encode("utf-8", "replace")).hexdigest()
        own = TEACHER if recipe.format == "float32" and not recipe.prune else digest
        files[dialect] = ArtifactRef(f"{digest}.onnx", own, size, "onnx")
        test = drop + 0.003
        evidence[dialect] = Evidence(
            own,
            (
                Metric("accuracy", 0.82 - drop, "validation", RECORDS),
                Metric("macro_f1", 0.81 - drop, "validation", RECORDS),
                Metric("accuracy", 0.81 - test, "test", RECORDS, 0.79 - test, 0.83 - test),
                Metric("accuracy_drop", test, "test", RECORDS, test - 0.007, test + 0.007),
            ),
            latency=None if ms is None or dialect == "tensorrt" else Latency(ms, 1.3 * ms, 1, 1, MACHINE),
        )
        middle = hashlib.sha256(f"{name} float student".encode("utf-8", "replace")).hexdigest()
        steps = []
        if recipe.prune:
            steps.append(ParityVerdict("distill", "measured", TEACHER, middle, True, drop, 1.31, RECORDS, "distilled"))
        if own != TEACHER:
            parent = middle if recipe.prune else TEACHER
            kind = "simulated" if dialect == "tensorrt" else "measured"
            steps.append(ParityVerdict("quantize", kind, parent, own, passed, 0.001, 0.12, RECORDS, f"INT8, {dialect}"))
        parity[dialect] = tuple(steps)
    return Candidate(
        name,
        recipe,
        max(1, size // 4),
        macs,
        files,
        evidence,
        parity,
        2.1,
        31.0,
        {label: drop * (2 if at == 3 else 0.5) - 0.0005 * (at % 3) for at, label in enumerate(labels)},
        made_confusion(len(labels), drop),
        layers,
    )


def made_confusion(classes: int, drop: float = 0.0) -> tuple[tuple[int, ...], ...]:
    """100 records per class, of which `drop` more than the teacher's are mistaken."""
    draw = np.random.default_rng(classes)
    rows = []
    for here in range(classes):
        right = round(100 * (0.82 - drop)) - here % 4
        shares = draw.dirichlet(np.full(max(1, classes - 1), 0.4))
        wrong = np.floor((100 - right) * shares).astype(int)
        row = [*wrong[:here], right, *wrong[here:]][:classes]
        rows.append(tuple(int(value) for value in row))
    return tuple(rows)


def made_layers(count: int, name: str = "/layers/{}/conv/Conv") -> tuple[LayerLoss, ...]:
    """Layers that cost less and less."""
    return tuple(
        LayerLoss(name.format(at), "Conv", 0.02 / (1 + at) - 0.001, 0.08 / (1 + at), 4_000 * (1 + at))
        for at in range(count)
    )


def made_found(candidates: Sequence[Candidate] | None = None, **changes: object) -> Candidates:
    """A search among a teacher and its students in several formats."""
    layers = made_layers(27)
    if candidates is None:
        candidates = [
            made_candidate("teacher-float", Recipe(format="float32"), drop=0.0, ms=0.465, size=TEACHER_SIZE),
            made_candidate("teacher-float16", Recipe(format="float16"), drop=0.0001, ms=0.461, size=1_369_000),
            made_candidate(
                "teacher-int8", Recipe(ranges="entropy"), drop=-0.001, ms=0.183, size=759_000, layers=layers
            ),
            made_candidate(
                "teacher-int8-floats2",
                Recipe(floats=("/layers/0/conv/Conv", "/layers/1/conv/Conv")),
                drop=-0.002,
                ms=0.231,
                size=801_000,
            ),
            made_candidate("teacher-weights8", Recipe(format="weights8"), drop=0.002, ms=0.52, size=772_000),
            made_candidate(
                "pruned-0.3-int8", Recipe(prune=0.3, epochs=10), drop=0.004, ms=0.1, size=356_000, macs=10_100_000
            ),
            made_candidate(
                "pruned-0.3-cost-int8",
                Recipe(prune=0.3, epochs=10, allocate="cost"),
                drop=0.006,
                ms=0.094,
                size=402_000,
                macs=9_000_000,
            ),
            made_candidate(
                "pruned-0.5-int8", Recipe(prune=0.5, epochs=10), drop=0.021, ms=0.081, size=205_000, macs=5_300_000
            ),
            made_candidate(
                "pruned-0.5-float", Recipe(prune=0.5, epochs=10, format="float32"), drop=0.02, ms=0.131, size=598_000
            ),
            made_candidate(
                "pruned-0.3-blocks1-int8",
                Recipe(prune=0.3, blocks=1, epochs=10),
                drop=0.013,
                ms=0.088,
                size=299_000,
                macs=8_000_000,
            ),
            made_candidate("pruned-0.9-int8", Recipe(prune=0.9), drop=0.41, ms=0.05, size=31_000, macs=600_000),
            made_candidate("pruned-0.7-int8", Recipe(prune=0.7), drop=0.09, ms=0.06, size=91_000, passed=False),
        ]
    found = Candidates(
        line="cifar-10",
        position=4,
        dataset="0" * 64,
        teacher=TEACHER,
        teacher_size=TEACHER_SIZE,
        teacher_evidence=Evidence(
            TEACHER,
            (
                Metric("accuracy", 0.82, "validation", RECORDS),
                Metric("macro_f1", 0.81, "validation", RECORDS),
                Metric("accuracy", 0.81, "test", RECORDS, 0.79, 0.83),
            ),
        ),
        input=InputSpec("image", "input", (3, 32, 32), (0.5,) * 3, (0.25,) * 3),
        output="logits",
        labels=LABELS,
        candidates=tuple(candidates),
        tried=(
            Tried("teacher-int8-minmax", Recipe(), 0.004, None, "entropy loses less on validation records", 2.1),
            Tried(
                "teacher-int8-qat",
                Recipe(qat=1),
                0.0,
                0.184,
                "INT8 already lost nothing, so QAT had nothing to win",
                88.0,
            ),
            Tried(
                "pruned-0.8-proxy", Recipe(prune=0.8, epochs=2), 0.19, 0.055, "its proxy was beaten by pruned-0.7", 31.0
            ),
            Tried("heads-0.5", Recipe(heads=0.5), None, None, "a residual CNN has no attention heads", 0.0),
        ),
        confusion=made_confusion(len(LABELS)),
        seconds=1_873.0,
        note="Training on several threads is not deterministic in the last digit. `max_minutes` was not reached.",
    )
    return replace(found, **changes)  # type: ignore[arg-type]


def made_choice(found: Candidates, name: str, front: Sequence[str] = (), why: str = "") -> ChosenModel:
    """That candidate as the chosen one."""
    best = next(candidate for candidate in found.candidates if candidate.name == name)
    return ChosenModel(
        found.line,
        found.position,
        found.dataset,
        found.teacher,
        found.teacher_size,
        found.teacher_evidence,
        found.input,
        found.output,
        found.labels,
        best,
        why or f"{name} is the cheapest of 6 that fit the budget: it loses 0.0040 of accuracy on validation records",
        {
            one.name: "loses 0.0210 of accuracy on validation records, 0.0110 more than the 0.0100 allowed"
            for one in found.candidates
            if one is not best
        },
        front=tuple(front),
    )
