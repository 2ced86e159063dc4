"""Fifty of the thousand broken files of `make bench-mutations`: each is refused with one reason, or built."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.engine.library import installed_version
from tests.benchmarks.mutate import mutated
from tests.benchmarks.mutations import followed, sound_files, summary


@pytest.mark.skipif(not installed_version("tensorrt_rtx"), reason="TensorRT-RTX is not installed here")
def test_broken_files_are_refused_or_built(tmp_path: Path) -> None:
    files = sound_files(big=False)
    rows = list(followed(files, range(50), tmp_path, follow=1))
    assert [row.number for row in rows] == list(range(50))
    assert [row.bad for row in rows if row.bad] == []
    assert all(row.reason for row in rows if row.outcome == "refused")
    assert {row.outcome for row in rows} >= {"refused", "built"}
    assert len({row.reason for row in rows if row.stage == "lint"}) >= 5
    assert sum(line["files"] for line in summary(rows)) == 50


@pytest.mark.nightly
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not installed_version("tensorrt_rtx"), reason="TensorRT-RTX is not installed here")
def test_more_broken_files_are_refused_or_built(tmp_path: Path) -> None:
    rows = list(followed(sound_files(), range(50, 300), tmp_path))
    assert [row.bad for row in rows if row.bad] == []
    assert sum(row.outcome == "built" for row in rows) >= 5


def test_a_number_always_gives_the_same_broken_file() -> None:
    files = {"one": sound_files(big=False)["own tensorrt"]}
    for number in range(40):
        assert mutated(files, number) == mutated(files, number)
    assert len({mutated(files, number)[2] for number in range(40)}) >= 39
