"""The journal of a search's trials: what is in it, with its artifacts intact, is never paid again.

A trial is a document named by the digest of everything that decides it, so a search that was killed, or that is run
again with one more cut, takes up what is there. Training inside a trial goes on from its last checkpoint.

A library may crash the whole process on a file it cannot stand. While a trial is made, `<key>.begun` stands beside
where its document will be; who started the process, and saw it crash, renames that to `<key>.crashed`, with the
signal's name in it, and starts it again: the trial is then left out. After a kill `.begun` means nothing.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import Any

from assets.compression.documents import Candidate, LayerLoss, Recipe, Tried
from assets.compression.subject import Subject
from assets.evaluation.machine import machine_name
from assets.fitting.checkpoints import StorePlace
from assets.fitting.contract import CheckpointPlace
from assets.storage import layout
from assets.storage.memo import cached
from edge.contracts import ArtifactRef, ParityVerdict, document

REVISION = "trial-1"
"""Raise it when a trial's code changes what it makes from the same inputs."""


@dataclass(frozen=True)
class Cut:
    """A smaller network before any training.

    Attributes:
        weights: those that are left of the teacher's.
        architecture: builds it again.
        parameters, macs: per record.
        verdict: what cutting alone did to the answers.
    """

    weights: ArtifactRef
    architecture: Mapping[str, Any]
    parameters: int
    macs: int
    verdict: ParityVerdict


@dataclass(frozen=True)
class Made:
    """A network in float, before its numbers' format is chosen.

    Attributes:
        onnx: its float file.
        chain: verdicts from the teacher's file to this one.
        parameters, macs: per record.
        drop: of the metric on validation records against the teacher.
        epochs: of training that this trial paid.
        architecture, weights: build it again; None of an ONNX alone.
        int8: the quick INT8 file that a proxy is timed with; `int8_drop` is what it loses.
    """

    name: str
    recipe: Recipe
    onnx: ArtifactRef
    chain: tuple[ParityVerdict, ...]
    parameters: int
    macs: int
    drop: float = 0.0
    epochs: int = 0
    architecture: Mapping[str, Any] = field(default_factory=dict)
    weights: ArtifactRef | None = None
    int8: ArtifactRef | None = None
    int8_drop: float = 0.0


@document("edgeloop.trial")
@dataclass(frozen=True)
class Trial:
    """One trial and what came of it.

    Attributes:
        name, recipe: what was tried.
        seconds: what it took, what an interrupted training took before included.
        cut, made: a network, where the trial cut or trained one.
        candidates: without their latency, which all get together at the end.
        tried: what did not become a candidate, and why.
        layers: the sensitivity of layers, where the trial looked at it.
        ms: median milliseconds by name, where the trial timed.
    """

    name: str
    recipe: Recipe
    seconds: float
    cut: Cut | None = None
    made: Made | None = None
    candidates: tuple[Candidate, ...] = ()
    tried: tuple[Tried, ...] = ()
    layers: tuple[LayerLoss, ...] = ()
    ms: Mapping[str, float] = field(default_factory=dict)


class Trials:
    """The trials of one search.

    Attributes:
        seconds: of all trials so far, those that were made before included.
        new: how many were made now.
    """

    def __init__(self, subject: Subject) -> None:
        self.subject, self.seconds, self.new = subject, 0.0, 0
        metrics = ",".join((subject.metric, *subject.own_metrics))
        versions = ",".join(f"{name} {version(name)}" for name in ("onnx", "torch"))
        self._common = (
            REVISION,
            subject.onnx.sha256,
            subject.dataset,
            metrics,
            f"{subject.limit:g}",
            machine_name(),  # other processors and libraries round, and so decide, otherwise
            versions,
        )

    def take(
        self, name: str, recipe: Recipe, decides: tuple[str, ...], make: Callable[[CheckpointPlace], Trial]
    ) -> Trial:
        """The trial, made now or taken from the journal.

        Args:
            decides: what decides it besides the teacher, the records and the recipe.
            make: makes it; the place is for checkpoints of a training inside. Its `seconds` are those of earlier,
                interrupted times; the time of this call is added.
        """
        text = chr(0).join((*self._common, *decides, name, repr(recipe)))
        key = hashlib.sha256(text.encode()).hexdigest()
        folder, store = layout.trials(self.subject.name), self.subject.store
        trial = cached(store, f"{folder}/{key}.json", Trial)
        if trial is not None:
            self.subject.report(f"trial {name} was made before")
        elif store.exists(f"{folder}/{key}.crashed"):
            how = store.read(f"{folder}/{key}.crashed").decode(errors="replace")
            why = f"it ended the process ({how}), so it was left out"
            self.subject.report(f"trial {name}: {why}")
            return Trial(name, recipe, 0.0, tried=(Tried(name, recipe, None, None, why, 0.0),))
        else:
            self.subject.report(f"trial {name}")
            place = StorePlace(store, self.subject.name, f"trial-{key}")
            store.write(f"{folder}/{key}.begun", b"")
            start = time.monotonic()
            try:
                trial = make(place)
            except BaseException:  # no crash: what is wrong is told, and the next search makes it again
                store.remove(f"{folder}/{key}.begun")
                raise
            trial = replace(trial, seconds=trial.seconds + time.monotonic() - start)
            store.save(f"{folder}/{key}.json", trial)
            store.remove(f"{folder}/{key}.begun")
            place.remove()
            self.new += 1
        self.seconds += trial.seconds
        return trial

    @property
    def late(self) -> bool:
        """Whether the policy's minutes are spent, so that no new student is begun."""
        minutes = self.subject.policy.max_minutes
        return minutes is not None and self.seconds >= 60 * minutes
