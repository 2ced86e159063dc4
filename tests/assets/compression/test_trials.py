"""A search that is killed goes on: the same candidates, no trial and no epoch paid twice."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from assets.compression.documents import Candidates
from assets.compression.search import search
from assets.compression.subject import Subject, open_subject
from assets.errors import RejectedError
from assets.line.compression import CompressionPolicy
from assets.line.config import Line
from assets.records.dataset import DatasetVersion
from assets.records.line_store import bind
from assets.storage.store import Store
from assets.training.documents import TrainedModel

POLICY = CompressionPolicy(
    prune=(0.3, 0.7),
    survivors=1,
    distill_epochs=3,
    proxy_share=0.5,
    formats=("int8",),
    ranges=("minmax",),
    qat_epochs=0,
)
EPOCHS = 2 + 2 + 1
"""Of two proxies, and of the one that survives, which goes on from its second."""
CHILD = """
import os, signal, sys
from tests.assets.compression.test_trials import subject_of
from assets.compression.search import search
from assets.storage.store import Store

def report(text):
    print(text, flush=True)
    if text.startswith("pruned-0.7-proxy: epoch 1/2"):
        os.kill(os.getpid(), signal.SIGKILL)

search(subject_of(Store(sys.argv[1]), report))
"""


def subject_of(store: Store, report: Any) -> Subject:
    """The small line's teacher, with a checkpoint after every step and cuts of its own."""
    from tests.assets.accepted_records import digits_line

    plain = digits_line().config
    often = plain.training.model_copy(update={"checkpoint_seconds": 0.001})
    line = Line("digits", plain.model_copy(update={"training": often, "compress": POLICY}))
    dataset = store.load("dataset.json", DatasetVersion)
    return open_subject(bind(store, line), dataset, store.load("model.json", TrainedModel), report)


def _said(candidates: Candidates) -> list[tuple[Any, ...]]:
    """What must not depend on when a search was killed: all but seconds and latencies."""
    return [
        (one.name, one.recipe, one.onnx, one.parity, one.class_drops, one.confusion) for one in candidates.candidates
    ] + [
        (one.name, {dialect: evidence.metrics for dialect, evidence in one.evidence.items()})
        for one in candidates.candidates
    ]


def test_a_killed_search_goes_on_where_it_was(made: Any, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    shutil.copytree(made.store.root, store.root)
    for folder in ("trials", "checkpoints"):
        shutil.rmtree(tmp_path / "store" / "store" / "digits" / folder, ignore_errors=True)
    store.save("dataset.json", made.dataset)
    store.save("model.json", made.model)
    untouched = Store(str(tmp_path / "untouched"))
    shutil.copytree(store.root, untouched.root)

    command = [sys.executable, "-c", CHILD, store.root]
    killed = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    told = killed.stdout.splitlines()
    made_before = len(_documents(store))
    assert made_before > 0
    (begun,) = [name for name in store.names("store/digits/trials") if name.endswith(".begun")]
    assert store.names("store/digits/checkpoints")

    again: list[str] = []
    found = search(subject_of(store, again.append))
    assert any("training goes on from its last checkpoint: epoch 1" in text for text in again)
    assert len([text for text in again if text.endswith("was made before")]) == made_before
    assert (
        len({*_epochs(told), *_epochs(again)}) == EPOCHS
    )  # the one it was killed in is told again, from its last step
    assert not store.exists(f"store/digits/trials/{begun}")
    assert store.names("store/digits/checkpoints") == []

    for name in _documents(store):  # latencies are noise, so both decide by the same ones
        data = store.read(f"store/digits/trials/{name}")
        if b"proxies' paces" in data or b'"paces"' in data:
            untouched.write(f"store/digits/trials/{name}", data)
    whole: list[str] = []
    assert _said(found) == _said(search(subject_of(untouched, whole.append)))
    assert len(_epochs(whole)) == EPOCHS
    assert _documents(store) == _documents(untouched)
    names = [candidate.name for candidate in found.candidates]
    assert names[:2] == ["teacher-float", "teacher-int8"]
    assert set(names[2:]) < {"pruned-0.3-int8", "pruned-0.7-int8"}  # one survives
    (lost,) = [tried for tried in found.tried if tried.name.endswith("-proxy")]
    assert "its proxy loses" in lost.why

    third: list[str] = []
    again_found = search(subject_of(store, third.append))
    assert _epochs(third) == []
    longest = max(one.seconds for one in found.candidates)
    assert again_found.seconds > longest / 2  # it made none of them, and yet their seconds count


def _documents(store: Store) -> list[str]:
    return [name for name in store.names("store/digits/trials") if name.endswith(".json")]


def _epochs(told: list[str]) -> list[str]:
    return [text for text in told if re.search(r": epoch \d+/", text)]


def test_a_trial_that_crashed_the_process_is_left_out(made: Any, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    for ref in (made.model.onnx, made.model.weights):
        store.write(ref.uri, made.store.read(ref.uri))
    subject = open_subject(bind(made.store, made.line), made.dataset, made.model, lambda _: None)
    policy = CompressionPolicy(prune=(), formats=("float16",), qat_epochs=0)
    subject = replace(subject, store=store, policy=policy)
    assert [one.name for one in search(subject).candidates] == ["teacher-float", "teacher-float16"]
    folder = tmp_path / "store" / "store" / "digits" / "trials"
    (document,) = [path for path in folder.glob("*.json") if b"teacher-float16" in path.read_bytes()]
    document.unlink()
    document.with_suffix(".crashed").write_text("SIGSEGV")
    found = search(subject)
    assert [one.name for one in found.candidates] == ["teacher-float"]
    assert [(one.name, one.why) for one in found.tried] == [
        ("teacher-float16", "it ended the process (SIGSEGV), so it was left out")
    ]


def test_an_error_is_no_crash_and_a_student_that_diverges_is_left_out(
    made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(str(tmp_path / "store"))
    for ref in (made.model.onnx, made.model.weights):
        store.write(ref.uri, made.store.read(ref.uri))
    subject = open_subject(bind(made.store, made.line), made.dataset, made.model, lambda _: None)
    policy = CompressionPolicy(prune=(0.5,), formats=("weights8",), qat_epochs=0, distill_epochs=1)
    subject = replace(subject, store=store, policy=policy)

    def gone(*arguments: Any) -> None:
        raise OSError("the disk is gone")

    with monkeypatch.context() as broken:
        broken.setattr("assets.compression.students.teach.teach", gone)
        with pytest.raises(OSError, match="the disk is gone"):
            search(subject)
    assert not [name for name in store.names("store/digits/trials") if name.endswith(".begun")]

    def diverges(*arguments: Any) -> None:
        raise RejectedError("the loss is not finite")

    monkeypatch.setattr("assets.compression.students.teach.teach", diverges)
    found = search(subject)
    assert ("pruned-0.5", "the loss is not finite") in [(one.name, one.why) for one in found.tried]
    assert "teacher-float" in [one.name for one in found.candidates]
    keys = _documents(store)
    monkeypatch.setattr("assets.compression.trials.machine_name", lambda: "another machine")
    search(subject)
    assert len(_documents(store)) == 2 * len(keys)
