"""What `edgeloop compress` leaves in its folder: the page, the front as rows, and the chosen model for each target."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from assets.compilation.build import Built, build_targets
from assets.compilation.documents import Engine
from assets.compilation.verify import Source, Verifier
from assets.compression.choosing.rows import front_rows
from assets.compression.choosing.wording import recipe_in_words
from assets.compression.documents import Candidate, Candidates, ChosenModel
from assets.compression.page import EngineFacts, make_page
from assets.compression.subject import Subject
from assets.errors import CompileError
from assets.evaluation.answers import feeds, fixed_batch, open_session
from assets.storage.store import Store
from edge.contracts import (
    AnswerSpec,
    Evidence,
    InputSpec,
    ParityVerdict,
    PlanHeader,
    TargetProfile,
    chain_gap,
    document,
    to_bytes,
)

CHOSEN, PAGE, FRONT, MANIFEST = "chosen", "index.html", "front.json", "chosen.json"


@dataclass(frozen=True)
class TargetFile:
    """The chosen model for one target.

    Attributes:
        target: the profile, with a builder's exact version filled in.
        file: its name beside the manifest; `sha256` and `bytes` are of it.
        recipe: name of the file that says how the device builds its own plan; "" where the file is what it loads.
        parity: verdicts from the float model to the file, no gaps; the last is pending where only the device can tell.
        evidence: about the file.
        plan: the header read back from a plan's bytes; None for ONNX.
        builder, flags, warnings: of the builder; empty where nothing was built.
        note: one sentence for people.
    """

    target: TargetProfile
    file: str
    sha256: str
    bytes: int
    parity: tuple[ParityVerdict, ...]
    evidence: Evidence
    recipe: str = ""
    plan: PlanHeader | None = None
    builder: str = ""
    flags: str = ""
    warnings: tuple[str, ...] = ()
    note: str = ""


@document("edgeloop.compressed_model")
@dataclass(frozen=True)
class CompressedModel:
    """The manifest beside the chosen files: what they are, what was proven of them, and how they are fed.

    Attributes:
        model: digest of the float ONNX; `source` is where it came from.
        dataset: digest of the records and their shares; `note` says how they were split and judged.
        why: why this candidate.
        failed: target name to why there is no file for it.
    """

    model: str
    source: str
    dataset: str
    metric: str
    candidate: Candidate
    why: str
    input: InputSpec
    answer: AnswerSpec
    labels: tuple[str, ...]
    files: tuple[TargetFile, ...]
    failed: Mapping[str, str] = field(default_factory=dict)
    note: str = ""


def write_result(
    out: Path,
    subject: Subject,
    found: Candidates,
    chosen: ChosenModel | None,
    why_not: str,
    source: str,
    report: Callable[[str], None],
    drawing: Callable[[], None],
) -> dict[str, Any]:
    """Compile what was chosen, and write everything; what an earlier run left is replaced, file by file in one step.

    Args:
        chosen: None where nothing fits the budget, as `why_not` says: then no model is written.
        source: of the model, in words.
        drawing: called when all is compiled.

    Returns:
        Plain JSON, see `assets.standalone.folder.Finished`; "written" has each file's digest.
    """
    place = Store(str(out))
    files, failed, facts = _files(place, subject, chosen, report) if chosen is not None else ((), {}, {})
    drawing()
    written: dict[str, str] = {}

    def write(name: str, data: bytes) -> None:
        place.write(name, data)
        written[name] = hashlib.sha256(data).hexdigest()

    kept = {name for one in files for name in (one.file, one.recipe) if name}
    written |= {f"{CHOSEN}/{name}": hashlib.sha256(place.read(f"{CHOSEN}/{name}")).hexdigest() for name in kept}
    if chosen is not None:
        manifest = CompressedModel(
            model=subject.onnx.sha256,
            source=source,
            dataset=subject.dataset,
            metric=subject.metric,
            candidate=chosen.candidate,
            why=chosen.why,
            input=subject.input,
            answer=subject.answer,
            labels=subject.labels,
            files=files,
            failed=failed,
            note=found.note,
        )
        write(f"{CHOSEN}/{MANIFEST}", json.dumps(json.loads(to_bytes(manifest)), indent=2, sort_keys=True).encode())
    _remove_others(out / CHOSEN, {name.removeprefix(f"{CHOSEN}/") for name in written})
    rows = front_rows(found, chosen, why_not, subject.targets, facts)
    tried = [{**dataclasses.asdict(one), "recipe": recipe_in_words(one.recipe), "tried": True} for one in found.tried]
    write(FRONT, json.dumps([*({**row, "tried": False} for row in rows), *tried], indent=2).encode())
    write(PAGE, make_page(found, chosen, why_not, subject.targets, facts, budget=subject.budget))
    return {
        "model": subject.onnx.sha256,
        "chosen": None if chosen is None else chosen.candidate.name,
        "why": why_not if chosen is None else chosen.why,
        "note": found.note,
        "failed": failed,
        "files": {one.target.name: f"{CHOSEN}/{one.file}" for one in files},
        "rows": rows,
        "written": written,
    }


def _files(
    place: Store, subject: Subject, chosen: ChosenModel, report: Callable[[str], None]
) -> tuple[tuple[TargetFile, ...], dict[str, str], dict[str, EngineFacts]]:
    """The chosen model for each target, written; why there is none for some; and what the page tells of them."""
    candidate = chosen.candidate
    files: list[TargetFile] = []
    failed: dict[str, str] = {}
    facts: dict[str, EngineFacts] = {}
    verifier = Verifier(
        subject.task,
        subject.metric,
        subject.classes,
        subject.answer,
        subject.validation,
        subject.test,
        subject.evidence.metric(subject.metric, "test").value,
        subject.own_metrics,
    )
    for target, built in _built(subject, candidate, report):
        if isinstance(built, CompileError):
            failed[target.name] = str(built)
            facts[target.name] = EngineFacts(note=str(built), failed=True)
            report(f"{target.name}: {built}")
            continue
        source = Source(
            candidate.onnx[target.dialect],
            subject.store.fetch(candidate.onnx[target.dialect]),
            candidate.evidence[target.dialect],
            candidate.parity[target.dialect],
        )
        engine = verifier.engine(subject.store, built, source)
        if gap := chain_gap(engine.parity, subject.onnx.sha256, engine.file.sha256):
            failed[target.name] = gap
        else:
            files.append(_file(place, subject, built, engine))
        facts[target.name] = EngineFacts(
            bytes=None if built.recipe is not None else built.file.size,
            builder=built.builder,
            flags=tuple(filter(None, built.flags.split(";"))),
            peak_memory_mb=built.peak_mb or built.build_mb,
            latency=engine.evidence.latency,
            note=gap or built.note,
            failed=bool(gap),
        )
        report(f"{target.name}: {gap or built.note}")
    return tuple(files), failed, facts


def _built(
    subject: Subject, candidate: Candidate, report: Callable[[str], None]
) -> Iterator[tuple[TargetProfile, Built | CompileError]]:
    """What each target gets: all at once, and one by one where one of them is refused."""
    examples = _examples(subject)

    def build(targets: tuple[TargetProfile, ...]) -> dict[str, Built]:
        return build_targets(
            subject.store, subject.name, candidate.onnx, targets, examples=examples, foreign=True, report=report
        )

    try:
        built = build(subject.targets)
    except CompileError as error:
        if len(subject.targets) == 1:
            yield subject.targets[0], error
            return
        built = {}
    for target in subject.targets:
        try:
            yield target, built.get(target.name) or build((target,))[target.name]
        except CompileError as error:
            yield target, error


def _file(place: Store, subject: Subject, built: Built, engine: Engine) -> TargetFile:
    """Write one target's file, and the recipe beside it where the device builds its own plan."""
    name, recipe = f"{built.target.name}{Path(built.file.uri).suffix}", ""
    place.write(f"{CHOSEN}/{name}", subject.store.fetch(built.file))
    if built.recipe is not None:
        recipe = f"{built.target.name}.recipe.json"
        place.write(f"{CHOSEN}/{recipe}", to_bytes(built.recipe))
    return TargetFile(
        target=built.target,
        file=name,
        sha256=built.file.sha256,
        bytes=built.file.size,
        parity=engine.parity,
        evidence=engine.evidence,
        recipe=recipe,
        plan=built.plan,
        builder=built.builder,
        flags=built.flags,
        warnings=built.warnings,
        note=built.note,
    )


def _examples(subject: Subject) -> dict[str, list[tuple[int, ...]]]:
    """The shapes of one real record, or of as many as the file fixes: open axes are compiled for them."""
    session = open_session(subject.file)
    fed = feeds(session, subject.test.batch(np.zeros(fixed_batch(session) or 1, dtype=np.int64)))
    return {name: [tuple(value.shape)] for name, value in fed.items()}


def _remove_others(folder: Path, kept: set[str]) -> None:
    """What an earlier run with another budget left."""
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        if path.name not in kept:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    if not kept:
        folder.rmdir()
