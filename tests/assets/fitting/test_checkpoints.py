"""A training that is ended anywhere goes on as if nothing had been; a checkpoint of no use is told."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from assets.errors import RejectedError, TransientError
from assets.fitting.checkpoints import DamagedError, from_checkpoint, to_checkpoint
from assets.storage.store import Store
from tests.assets.fitting.toy_training import (
    KeyboardError,
    Seen,
    Shelf,
    difference,
    network,
    place,
    run,
    weights_difference,
)

EACH_STEP: dict[str, Any] = {"checkpoint_seconds": 1e-9}


@pytest.mark.parametrize("ended_at", [1, 9, 10, 11, 30], ids="checkpoint-{}".format)
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"ema": 0.9, "accumulate": 2, "precision": "bf16", "clip": 1.0},
        {"optimizer": "sgd", "schedule": "plateau", "imbalance": "resample", "patience": 2},
    ],
    ids=["plain", "averaged", "plateau"],
)
def test_it_goes_on_where_it_was(settings: dict[str, Any], ended_at: int) -> None:
    whole, parts, shelf, seen = network(0.2, True), network(0.2, True), Shelf(ended_at), Seen()
    one = run(whole, **settings)
    with pytest.raises(KeyboardError):
        run(parts, place=shelf, **settings, **EACH_STEP)
    fresh = network(0.2, True)
    other = run(fresh, place=shelf, watch=seen, **settings, **EACH_STEP)
    assert other.resumed_at == ended_at
    assert difference(one, other) == 0
    assert weights_difference(whole, fresh) == 0
    assert (one.best_epoch, one.ended, one.steps) == (other.best_epoch, other.ended, other.steps)
    assert seen.notes == [f"training goes on from its last checkpoint: epoch {1 + ended_at // 10}, step {ended_at}"]


def test_a_finished_training_is_not_repeated() -> None:
    shelf, net, again = Shelf(), network(), network()
    one = run(net, place=shelf, **EACH_STEP)
    other = run(again, place=shelf, **EACH_STEP)
    assert other.resumed_at == one.steps == 30
    assert other.curve == one.curve
    assert weights_difference(net, again) == 0


@pytest.mark.parametrize("settings", [{"seed": 3}, {"epochs": 4}, {"metric": "log_loss"}], ids=str)
def test_a_checkpoint_of_another_training_is_told_and_left(settings: dict[str, Any]) -> None:
    shelf, seen, net, usual = Shelf(), Seen(), network(), network()
    run(network(), place=shelf, **EACH_STEP)
    fitted = run(net, place=shelf, watch=seen, **settings)
    assert fitted.resumed_at == 0
    assert seen.notes == ["the checkpoint found is of a training with other data or settings; training starts afresh"]
    run(usual, **settings)
    assert weights_difference(net, usual) == 0


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "other"])
def test_a_damaged_checkpoint_is_told_and_training_starts_afresh(damage: str) -> None:
    shelf, seen = Shelf(), Seen()
    run(network(), place=shelf, **EACH_STEP)
    data = shelf.kept[-1]
    middle = len(data) // 2
    shelf.kept[-1] = {
        "cut": data[:middle],
        "flipped": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :],
        "empty": b"",
        "other": b"PK\3\4" + data,
    }[damage]
    fitted = run(network(), place=shelf, watch=seen)
    assert (fitted.resumed_at, len(fitted.curve)) == (0, 3)
    (note,) = seen.notes
    assert note.startswith("the checkpoint found is damaged: it")
    assert note.endswith("; training starts afresh")


def test_a_checkpoint_runs_no_code() -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (print, ("run",))

    with pytest.raises(DamagedError, match="cannot be read"):
        from_checkpoint(to_checkpoint({"network": Evil()}))


def test_checkpoints_lie_in_the_store_until_they_are_taken_away(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    kept = place(store)
    run(network(), place=kept, **EACH_STEP)
    assert store.names("store/tiny/checkpoints") == ["toy"]
    kept.remove()
    kept.remove()
    assert store.names("store/tiny/checkpoints") == []


def test_none_is_written_before_its_time() -> None:
    shelf = Shelf()
    run(network(), place=shelf, checkpoint_seconds=60)
    assert shelf.kept == []


class _Failing(Shelf):
    """A place that can no longer be written after two checkpoints."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def write(self, data: bytes) -> None:
        if len(self.kept) == 2:
            raise OSError(self.number, os.strerror(self.number), "/state/checkpoint")
        super().write(data)


@pytest.mark.parametrize(
    ("number", "error", "text"),
    [
        (errno.ENOSPC, TransientError, "/state/checkpoint: cannot be written .No space left on device.; make room"),
        (errno.EACCES, RejectedError, "/state/checkpoint: cannot be used .Permission denied."),
    ],
)
def test_a_place_that_cannot_be_written_ends_it(number: int, error: type[Exception], text: str) -> None:
    shelf = _Failing(number)
    with pytest.raises(error, match=text):
        run(network(), place=shelf, **EACH_STEP)
    assert run(network(), place=Shelf_of(shelf)).resumed_at == 2


def Shelf_of(other: Shelf) -> Shelf:  # noqa: N802
    shelf = Shelf()
    shelf.kept = list(other.kept)
    return shelf


FULL = """
import sys
from pathlib import Path
import torch
from assets.errors import TransientError
from assets.storage.store import Store
from tests.assets.fitting.toy_training import network, place, run

torch.set_num_threads(1)
store = Store(sys.argv[1])
try:
    run(network(), place=place(store), checkpoint_seconds=1e-9, epochs=1)
    kept = place(store).read()
    filler = Path(sys.argv[1]) / "filler"
    with filler.open("wb") as file:
        while file.write(bytes(4096)):
            file.flush()
except TransientError as error:
    raise SystemExit(f"too early: {error}")
except OSError as error:
    print(error.errno)
try:
    run(network(), place=place(store), checkpoint_seconds=1e-9, epochs=2)
    raise SystemExit("there was room")
except TransientError as error:
    print(error)
assert place(store).read() == kept
assert [path.name for path in (Path(sys.argv[1]) / "store/tiny/checkpoints").iterdir()] == ["toy"]
filler.unlink()
assert run(network(), place=place(store), checkpoint_seconds=1e-9, epochs=1).resumed_at == 10
"""


def test_a_disk_that_fills_up_ends_in_a_clear_error_and_an_intact_checkpoint(tmp_path: Path) -> None:
    """A file system of 256 KiB that is really full, in a mount of the child's own."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = 'mount -t tmpfs -o size=256k tmpfs "$1" || exit 77; shift; exec "$@"'
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, "sh", str(disk)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), str(Path.cwd())])}
    done = subprocess.run(
        [*command, sys.executable, "-c", FULL, str(disk)], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip(f"this machine lets nobody mount a small disk: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first == str(errno.ENOSPC)
    assert second.endswith("cannot be written (No space left on device); make room, then try again")
    assert str(disk) in second


def test_rounding_is_the_same_on_any_number_of_checkpoints() -> None:
    nets = [network(), network()]
    run(nets[0], **EACH_STEP, place=Shelf())
    run(nets[1])
    assert weights_difference(*nets) == 0
    assert torch.is_tensor(from_checkpoint(to_checkpoint({"a": torch.ones(1)}))["a"])
