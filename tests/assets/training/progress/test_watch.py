"""What people see while a model is trained: lines, observations, the live page, TensorBoard; nothing stops it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from assets.errors import RejectedError
from assets.fitting.contract import Progress
from assets.pages.templates import duration
from assets.records.line_store import LineStore
from assets.storage import layout
from assets.storage.store import Store
from assets.training.progress.live import eta_words
from assets.training.progress.watch import RunWatch

KEY = layout.training_page("digits", "run-1")


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Seen:
    """A watch with what it told."""

    def __init__(self, store: Store, line: str = "digits") -> None:
        self.lines: list[str] = []
        self.sent: list[Mapping[str, Any]] = []
        self.clock = Clock()
        self.watch = RunWatch(
            LineStore(store, line),
            "run-1",
            report=self.lines.append,
            send=self.sent.append,
            metric="accuracy",
            clock=self.clock,
        )

    def epochs(self, first: int, last: int, seconds: float = 10.0) -> None:
        for epoch in range(first, last + 1):
            progress = Progress(epoch, 20, 50 * epoch, 1000, 1240.4, 6.5 * (20 - epoch))
            self.watch.progress(progress, 0.41)
            self.watch.epoch(row(epoch), progress)
            self.clock.now += seconds


def row(epoch: int) -> dict[str, float]:
    loss = 2 / epoch
    told = {"train_loss": loss, "validation_loss": loss + 0.1, "validation_accuracy": 1 - 0.5 / epoch}
    return {"epoch": float(epoch), "step": 50.0 * epoch, **told, "learning_rate": 1e-3, "seconds": 10.0}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "home"))


def test_lines_and_observations_say_how_far_it_is(store: Store) -> None:
    seen = Seen(store)
    with seen.watch:
        assert seen.lines == [f"watch it live: {seen.watch.url}"]
        seen.epochs(1, 3)
    assert seen.lines[-1] == "epoch 3/20, loss 0.41, accuracy 0.75, 1,240 records/s, about 1 min 50 s left"
    last = seen.sent[-1]["progress"]
    assert last["page"] == seen.watch.url == "http://127.0.0.1:3001/digits/training/run-1.html"
    assert (last["step"], last["steps"], last["epoch"]) == (150, 1000, 3)
    assert last["validation accuracy"] == pytest.approx(1 - 0.5 / 2)  # of the last epoch that has ended
    assert all(isinstance(value, (str, int, float)) for value in last.values())
    json.dumps(seen.sent)


def test_a_long_training_says_no_more_than_a_page_can_hold(store: Store) -> None:
    seen = Seen(store)
    with seen.watch:
        for second in range(20_000):
            seen.clock.now += 1.0
            seen.watch.progress(Progress(1, 1, second, 20_000, 10.0, 20_000.0 - second), 0.5)
    assert len(seen.sent) < 230
    assert len(seen.lines) <= 4_001


def test_the_live_page_has_curves_and_asks_for_itself(store: Store) -> None:
    seen = Seen(store)
    with seen.watch:
        seen.epochs(1, 12)
        seen.watch.note("a checkpoint of <b>step 50</b> was taken up")
    page = store.read(KEY).decode()
    assert "digits training ended" in page
    assert 'http-equiv="refresh"' not in page
    assert page.count('<svg viewBox="0 0 320 200"') == 3
    assert "a checkpoint of &lt;b&gt;step 50&lt;/b&gt; was taken up" in page
    assert "tensorboard --logdir" in page
    assert "<script" not in page
    assert len(page) < 60_000


def test_it_is_running_until_it_is_not(store: Store) -> None:
    seen = Seen(store)
    with seen.watch:
        seen.epochs(1, 1)
        seen.watch._write(seen.watch._live)
        page = store.read(KEY).decode()
        assert '<meta http-equiv="refresh" content="2">' in page
        assert "About 2 min 5 s left" in page
        seen.watch.say("exporting")
        seen.watch.done("reports/digits/models/abc.html")
    page = store.read(KEY).decode()
    assert 'href="http://127.0.0.1:3001/digits/models/abc.html"' in page
    assert "digits was trained" in page
    assert 'style="width: 100.0%"' in page


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RejectedError("the loss is not finite; lower it"), "the loss is not finite; lower it"),
        (KeyError("x"), "the run"),
    ],
)
def test_a_failure_is_told(store: Store, error: Exception, told: str) -> None:
    with pytest.raises(type(error)), Seen(store).watch:
        raise error
    page = store.read(KEY).decode()
    assert "digits training failed" in page
    assert told in page


def test_curves_go_on_after_a_crash(store: Store) -> None:
    first = Seen(store)
    first.watch.__enter__()
    first.epochs(1, 5)
    first.watch._page.stop()  # its last state is written; then it is killed: nothing is closed, epoch 5 is done again
    first.watch._scalars.close()
    second = Seen(store)
    with second.watch:
        second.epochs(5, 8)
    rows = json.loads(store.read(KEY.removesuffix(".html") + ".json"))["rows"]
    assert [one["epoch"] for one in rows] == [1, 2, 3, 4, 5, 6, 7, 8]


def test_tensorboard_reads_its_logs(store: Store) -> None:
    seen = Seen(store)
    with seen.watch:
        seen.epochs(1, 4)
    found = EventAccumulator(store.path("logs/tensorboard/digits/run-1"))
    found.Reload()
    assert {"loss/train", "loss/validation", "accuracy/validation", "learning_rate"} <= set(found.Tags()["scalars"])
    assert [event.step for event in found.Scalars("loss/train")] == [1, 2, 3, 4]
    assert found.Scalars("accuracy/validation")[-1].value == pytest.approx(0.875)


def test_logs_reach_a_state_that_is_no_folder() -> None:
    store = Store("memory://watched")
    seen = Seen(store)
    with seen.watch:
        seen.epochs(1, 2)
    assert len(store.names("logs/tensorboard/digits/run-1")) == 1
    assert "memory://watched/logs/tensorboard/digits" in store.read(KEY).decode()


def test_a_full_disk_stops_no_training(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Store, key: str, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Store, "write", full)
    seen = Seen(store)
    with seen.watch:
        seen.epochs(1, 3)
    assert seen.lines[-1].startswith("epoch 3/20")


def test_numbers_that_are_not_finite_are_left_out(store: Store) -> None:
    seen = Seen(store)
    with seen.watch:
        progress = Progress(1, 2, 5, 10, 3.0, None)
        seen.watch.progress(progress, math.nan)
        seen.watch.epoch({"epoch": 1.0, "train_loss": math.nan, "validation_accuracy": 0.5}, progress)
    assert seen.lines[1] == "epoch 1/2, 3 records/s"
    assert not any(
        math.isnan(value) for sent in seen.sent for value in sent["progress"].values() if isinstance(value, float)
    )
    assert json.loads(store.read(KEY.removesuffix(".html") + ".json"))["rows"] == [
        {"epoch": 1.0, "validation_accuracy": 0.5}
    ]


def test_seconds_as_people_say_them() -> None:
    texts = [duration(seconds) for seconds in (0, 8.4, 59, 61, 130, 600, 3600, 11_100)]
    assert texts == ["0 s", "8 s", "59 s", "1 min", "2 min 10 s", "10 min", "1 h", "3 h 5 min"]
    assert [eta_words(seconds) for seconds in (0.2, 130)] == ["almost done", "about 2 min 10 s left"]
    assert not re.search(r"\d s left s", eta_words(5))
