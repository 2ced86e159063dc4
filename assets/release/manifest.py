"""From compiled engines to the manifest that ships, refused where the proof has a gap."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePosixPath

from assets.compilation.documents import Engine, Engines
from assets.compression.documents import ChosenModel
from assets.records.dataset import DatasetVersion
from assets.records.line_store import LineStore
from assets.storage.store import Store
from edge.contracts import (
    ArtifactRef,
    ParityVerdict,
    Provenance,
    ReleaseArtifact,
    ReleaseManifest,
    chain_gap,
    digest,
    to_bytes,
)
from edge.errors import RejectedError

GOLDEN = "golden.json"


def find_gaps(engines: Engines, chosen: ChosenModel, dataset: DatasetVersion) -> tuple[str, ...]:
    """Why these do not prove one release, one sentence each; empty where they do.

    Every artifact's chain of verdicts must lead from the teacher to its bytes, each verdict passed or pending on the
    device, and the three documents must speak of the same dataset and models.
    """
    gaps = []
    if digest(dataset) != engines.dataset:
        gaps.append(f"the engines were made from dataset {engines.dataset[:12]}, this is {digest(dataset)[:12]}")
    if chosen.dataset != engines.dataset or chosen.teacher != engines.teacher:
        gaps.append("the chosen model and the engines come from different datasets or teachers")
    if _chosen_parity(chosen, engines.chosen) is None:
        gaps.append(f"the engines were made from model {engines.chosen[:12]}, which is not the chosen one")
    elif gap := chain_gap(_chosen_parity(chosen, engines.chosen) or (), engines.teacher, engines.chosen):
        gaps.append(f"chosen model: {gap}")
    if not engines.engines:
        gaps.append("there is no engine for any target")
    for engine in engines.engines:
        if gap := chain_gap(engine.parity, engines.teacher, engine.file.sha256):
            gaps.append(f"{engine.target.name}: {gap}")
        elif engine.evidence.artifact != engine.file.sha256:
            gaps.append(f"{engine.target.name}: its evidence is about {engine.evidence.artifact[:12]}, another file")
    return tuple(gaps)


def find_chosen(store: Store, engines: Engines) -> ChosenModel:
    """The chosen model that the engines were made from: the newest, or an earlier one that its step remembers.

    Someone may have chosen anew between the two steps. Where none fits, the newest is returned: `find_gaps` refuses it.

    Raises:
        RejectedError: nothing was chosen yet.
    """
    newest = store.newest(engines.line, ChosenModel)
    if _made(newest, engines):
        return newest
    earlier = (one for one in LineStore(store, engines.line).results(ChosenModel) if _made(one, engines))
    return next(earlier, newest)


def _made(chosen: ChosenModel, engines: Engines) -> bool:
    return (chosen.dataset, chosen.teacher) == (engines.dataset, engines.teacher) and any(
        file.sha256 == engines.chosen for file in chosen.candidate.onnx.values()
    )


def build_manifest(
    store: Store, engines: Engines, chosen: ChosenModel, dataset: DatasetVersion, *, demo_keys: bool
) -> tuple[ReleaseManifest, Mapping[str, bytes]]:
    """The manifest, and the bytes of the files it names by their name in the release.

    Raises:
        RejectedError: `find_gaps` finds something.
        VerificationError: a stored artifact is missing or was changed.
    """
    if gaps := find_gaps(engines, chosen, dataset):
        raise RejectedError(
            f"line {engines.line!r}: not released, its proof has a gap: {'; '.join(gaps)}. "
            "Materialize the line again from `dataset`"
        )
    golden = to_bytes(engines.golden)
    files = {GOLDEN: golden}
    artifacts = []
    for engine in engines.engines:
        name = f"{engine.target.name}{PurePosixPath(engine.file.uri).suffix}"
        files[name] = store.fetch(engine.file)
        artifacts.append(_artifact(engine, name))
    manifest = ReleaseManifest(
        line=engines.line,
        sequence=engines.position,
        input=engines.input,
        output=engines.output,
        labels=engines.labels,
        golden=ArtifactRef(GOLDEN, hashlib.sha256(golden).hexdigest(), len(golden), "json"),
        artifacts=tuple(artifacts),
        provenance=Provenance(
            batches=dataset.batches,
            dataset=engines.dataset,
            teacher=engines.teacher,
            chosen=engines.chosen,
            parity=_chosen_parity(chosen, engines.chosen) or (),
        ),
        demo_keys=demo_keys,
        answer=engines.answer,
    )
    return manifest, files


def _artifact(engine: Engine, name: str) -> ReleaseArtifact:
    """The engine as it ships: its evidence carries the whole chain from the teacher."""
    evidence = replace(engine.evidence, parity=engine.parity)
    return ReleaseArtifact(engine.target, replace(engine.file, uri=name), evidence, engine.plan, engine.recipe)


def _chosen_parity(chosen: ChosenModel, sha256: str) -> tuple[ParityVerdict, ...] | None:
    """The chain of the dialect whose file has this digest; None where there is none."""
    for dialect, file in chosen.candidate.onnx.items():
        if file.sha256 == sha256:
            return chosen.candidate.parity.get(dialect, ())
    return None
