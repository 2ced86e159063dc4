"""This project's own search, as a line runs it."""

from __future__ import annotations

from collections.abc import Iterator

from assets.compression.documents import Candidates
from assets.compression.search import search
from assets.compression.subject import Subject
from tests.benchmarks.compress.contract import Made

TOOL = "edgeloop"


def searched(subject: Subject) -> tuple[Candidates, float]:
    """What the search found, and the seconds that all its trials took (those of an earlier, killed run included)."""
    found = search(subject)
    return found, found.seconds


def candidates(subject: Subject, found: Candidates) -> Iterator[Made]:
    """Every candidate, each target with its own dialect's file."""
    for candidate in found.candidates:
        files = {target.name: subject.store.fetch(candidate.onnx[target.dialect]) for target in subject.targets}
        trained = candidate.seconds if candidate.recipe.epochs or candidate.recipe.qat else 0.0
        yield Made(TOOL, candidate.name, files, candidate.seconds, trained)
