"""Pictures in every way they are kept: the same numbers as on the device, nothing half done, nothing in plain."""

from __future__ import annotations

import base64
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from assets.errors import RejectedError, TransientError
from assets.forgetting.forget import erase
from assets.loading import cache, sources
from assets.loading.cache import CACHE_VARIABLE
from assets.loading.pictures import normalized_batch
from assets.loading.records import RecordSet, open_split
from assets.loading.sources import PictureSource, PixelSource
from assets.records.dataset import SPLITS, DatasetVersion
from assets.records.forgotten import Tombstone
from assets.records.line_store import BoundLine, LineStore, bind
from assets.storage import layout
from assets.storage.store import Store
from assets.training.normalize import input_spec
from edge.contracts import InputSpec, to_bytes
from edge.runtime.preprocess import image_tensor, record_tensor
from tests.assets.loading.loading_parts import Stored, dataset_of, load_split, pictures, pictures_line

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def _every_set_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "SMALL", 0)


@pytest.fixture
def made() -> list[Stored]:
    return pictures()


def opened(line: BoundLine, dataset: DatasetVersion, split: str = "train") -> RecordSet:
    return open_split(line.store, dataset, split, input_spec(line.store, dataset, line.config), line.config)  # type: ignore[arg-type]


def files(root: Path) -> list[str]:
    return sorted(path.name for path in root.rglob("*") if path.is_file() and path.name != ".lock")


def never(*arguments: Any, **named: Any) -> Any:
    raise AssertionError("pictures are decoded once more")


@given(
    st.integers(0, 2**31),
    st.sampled_from([1, 3]),
    st.lists(st.floats(-1e3, 1e3, width=32), min_size=3, max_size=3),
    st.lists(st.floats(2**-10, 1e3, width=32), min_size=3, max_size=3),
)
def test_many_pictures_are_normalized_to_the_very_same_bits(
    seed: int, channels: int, mean: list[float], std: list[float]
) -> None:
    spec = InputSpec("image", "input", (channels, 5, 7), tuple(mean[:channels]), tuple(std[:channels]))
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 5, 7, channels), dtype=np.uint8)
    one_by_one = np.stack([image_tensor(spec, picture) for picture in pixels])
    together = normalized_batch(spec, np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))).numpy()
    assert together.dtype == np.float32
    assert together.tobytes() == one_by_one.tobytes()


@pytest.mark.parametrize(
    ("cache_gb", "small", "kind", "left"),
    [
        (4.0, 0, PixelSource, {".pixels"}),
        (0.0, 0, PictureSource, {".pictures"}),
        (4.0, 10**9, PixelSource, set()),
    ],
    ids=["pixels file", "pictures file", "memory"],
)
def test_every_way_gives_the_device_s_numbers(
    tmp_path: Path,
    made: list[Stored],
    monkeypatch: pytest.MonkeyPatch,
    cache_gb: float,
    small: int,
    kind: type,
    left: set[str],
) -> None:
    monkeypatch.setattr(sources, "SMALL", small)
    monkeypatch.setattr(sources, "BATCH_BYTES", 3000)  # so that there are several
    store, line = Store(str(tmp_path)), pictures_line(cache_gb)
    dataset = dataset_of(bind(store, line), made, shards=4)
    spec = input_spec(store, dataset, line.config)
    for split in SPLITS:
        records, loaded = open_split(store, dataset, split, spec, line.config), load_split(store, dataset, split, spec)
        assert isinstance(records.source, kind)
        assert (records.ids, len(records)) == (loaded.ids, len(loaded.ids))
        np.testing.assert_array_equal(records.y, loaded.y)
        backwards = np.arange(len(records))[::-1]
        batch = records.batch(backwards)
        assert batch.dtype == torch.float32
        assert batch.numpy().tobytes() == loaded.x[::-1].tobytes()
        arrays = records.arrays()
        assert arrays.inputs == loaded.inputs
        assert arrays.x.tobytes() == loaded.x.tobytes()
        batch.zero_()  # a batch is the caller's own
        assert records.batch(backwards).numpy().tobytes() == loaded.x[::-1].tobytes()
    assert {Path(name).suffix for name in files(tmp_path / "cache")} == left


def test_mean_and_spread_are_those_of_training_pixels(tmp_path: Path, made: list[Stored]) -> None:
    store, line = Store(str(tmp_path)), pictures_line()
    dataset = dataset_of(bind(store, line), made)
    spec = input_spec(store, dataset, line.config)
    x = load_split(store, dataset, "train", spec).x
    np.testing.assert_allclose(x.mean(axis=(0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(x.std(axis=(0, 2, 3)), 1, atol=1e-5)
    again = input_spec(store, dataset, pictures_line(0.0).config)
    assert again == spec  # decoded for it alone


def test_later_epochs_and_runs_decode_nothing(
    tmp_path: Path, made: list[Stored], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, line = Store(str(tmp_path)), pictures_line()
    dataset = dataset_of(bind(store, line), made)
    first = opened(bind(store, line), dataset).arrays()
    monkeypatch.setattr(sources, "decoded", never)
    again = opened(bind(store, line), dataset)
    assert again.arrays().x.tobytes() == first.x.tobytes()
    assert (tmp_path / "cache/pets").stat().st_mode & 0o777 == 0o700
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "cache/pets").iterdir())


@pytest.mark.parametrize("cache_gb", [4.0, 0.0], ids=["pixels file", "pictures file"])
@pytest.mark.parametrize("damage", ["cut", "changed header", "emptied", "another"])
def test_a_damaged_file_is_made_again(tmp_path: Path, made: list[Stored], cache_gb: float, damage: str) -> None:
    store, line = Store(str(tmp_path)), pictures_line(cache_gb)
    dataset = dataset_of(bind(store, line), made)
    expected = opened(bind(store, line), dataset).arrays()
    (path,) = [path for path in (tmp_path / "cache/pets").iterdir() if path.name != ".lock"]
    data = path.read_bytes()
    changed = {
        "cut": data[:-200],
        "changed header": data.replace(b"train", b"tests"),
        "emptied": b"",
        "another": b"\0" * len(data),
    }
    path.write_bytes(changed[damage])
    assert opened(bind(store, line), dataset).arrays().x.tobytes() == expected.x.tobytes()
    assert path.read_bytes() == data


def test_a_changed_pixel_is_found(tmp_path: Path, made: list[Stored]) -> None:
    store, line = Store(str(tmp_path)), pictures_line()
    dataset = dataset_of(bind(store, line), made)
    expected = opened(bind(store, line), dataset).arrays()
    (path,) = (tmp_path / "cache/pets").glob("*.pixels")
    data = bytearray(path.read_bytes())
    data[5000] ^= 1
    path.write_bytes(data)
    assert opened(bind(store, line), dataset).arrays().x.tobytes() == expected.x.tobytes()


KILLED = """
import os, signal, sys
from tests.assets.loading.loading_parts import pictures_line
from assets.loading import sources
from assets.loading.records import open_split
from assets.storage.store import Store
from assets.records.dataset import DatasetVersion
store, line = Store(sys.argv[1]), pictures_line()
dataset = store.load("dataset.json", DatasetVersion)
sources.SMALL = 0
sources.cache.write_header = lambda *parts: os.kill(os.getpid(), signal.SIGKILL)
from edge.contracts import InputSpec
open_split(store, dataset, "train", InputSpec("image", "input", (3, 8, 8), (0.0,) * 3, (1.0,) * 3), line.config)
"""


def test_a_killed_build_leaves_nothing_that_looks_finished(tmp_path: Path, made: list[Stored]) -> None:
    store, line = Store(str(tmp_path)), pictures_line()
    dataset = dataset_of(bind(store, line), made)
    store.save("dataset.json", dataset)
    arguments = [sys.executable, "-c", KILLED, str(tmp_path)]
    assert subprocess.run(arguments, cwd=ROOT, check=False).returncode == -signal.SIGKILL
    (left,) = files(tmp_path / "cache")
    assert left.startswith(".tmp-")
    opened(bind(store, line), dataset)
    (found,) = files(tmp_path / "cache")
    assert not found.startswith(".tmp-")


def _no_space(*parts: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(("cache_gb", "call"), [(4.0, "posix_fallocate"), (0.0, "fsync")])
def test_a_full_disk_is_said_and_leaves_nothing(
    tmp_path: Path, made: list[Stored], monkeypatch: pytest.MonkeyPatch, cache_gb: float, call: str
) -> None:
    store, line = Store(str(tmp_path)), pictures_line(cache_gb)
    dataset = dataset_of(bind(store, line), made)
    monkeypatch.setattr(os, call, _no_space)
    with pytest.raises(TransientError, match="No space left on device"):
        opened(bind(store, line), dataset)
    assert files(tmp_path / "cache") == []


def test_pixels_that_do_not_fit_the_disk_are_decoded_in_each_epoch(
    tmp_path: Path, made: list[Stored], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, line = Store(str(tmp_path)), pictures_line()
    dataset = dataset_of(bind(store, line), made)
    monkeypatch.setattr(cache, "room_for", lambda folder, size: False)
    assert isinstance(opened(bind(store, line), dataset).source, PictureSource)


def test_a_picture_that_cannot_be_read_is_named(tmp_path: Path, made: list[Stored]) -> None:
    bad = Stored("f" * 64, "cat", b"<html>", "train")
    for cache_gb in (4.0, 0.0):
        store, line = Store(str(tmp_path / str(cache_gb))), pictures_line(cache_gb)
        dataset = dataset_of(bind(store, line), [*made, bad])
        with pytest.raises(RejectedError, match="line 'pets': train record ffffffffffff…: not a readable picture"):
            opened(bind(store, line), dataset)
        assert not any(name.endswith(".pixels") for name in files(tmp_path))


@pytest.mark.parametrize("cache_gb", [4.0, 0.0], ids=["pixels file", "pictures file"])
def test_what_is_forgotten_leaves_the_cache(tmp_path: Path, made: list[Stored], cache_gb: float) -> None:
    store, line = Store(str(tmp_path)), pictures_line(cache_gb)
    dataset = dataset_of(bind(store, line), made)
    before = opened(bind(store, line), dataset)
    kept = files(tmp_path / "cache")
    gone = before.ids[3]
    stone = Tombstone("pets", gone, 0.0, "me", "asked")
    store.write(layout.tombstone("pets", gone), to_bytes(stone))
    if cache_gb:
        cache.drop_before(LineStore(store, "pets"))  # what `forget` calls
        assert files(tmp_path / "cache") == []
    after = opened(bind(store, line), dataset)  # and whoever trains next, on other machines
    assert gone not in after.ids
    assert len(after) == len(before) - 1
    assert not set(kept) & set(files(tmp_path / "cache"))
    np.testing.assert_array_equal(
        np.delete(before.batch(np.arange(len(before))).numpy(), 3, axis=0),
        _as(before.spec, after).batch(np.arange(len(after))).numpy(),
    )


def _as(spec: InputSpec, records: RecordSet) -> Any:
    return type(records.source)(**{**vars(records.source), "spec": spec})


def test_forgetting_calls_the_cache(tmp_path: Path, made: list[Stored]) -> None:
    store, line = Store(str(tmp_path)), pictures_line()
    dataset = dataset_of(bind(store, line), made)
    gone = opened(bind(store, line), dataset).ids[0]
    store.write(layout.tombstone("pets", gone), to_bytes(Tombstone("pets", gone, 0.0, "me", "asked")))
    erase(bind(store, line))
    assert files(tmp_path / "cache") == []


def test_encrypted_pictures_lie_nowhere_in_plain(
    tmp_path: Path, made: list[Stored], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGELOOP_DATA_KEY", "env:PICTURE_KEY")
    monkeypatch.setenv("PICTURE_KEY", base64.b64encode(bytes(range(32))).decode())
    seen: list[bytes] = []
    opener: Callable[..., Any] = sources._mapped
    monkeypatch.setattr(
        sources, "_mapped", lambda path, content: (seen.append(path.read_bytes()), opener(path, content))[1]
    )
    for cache_gb, kind in ((4.0, PixelSource), (0.0, PictureSource)):
        store, line = Store(str(tmp_path / str(cache_gb))), pictures_line(cache_gb, encrypt=True)
        dataset = dataset_of(bind(store, line), made)
        records = opened(bind(store, line), dataset)
        assert isinstance(records.source, kind)
        assert files(tmp_path / str(cache_gb) / "cache") == []
        assert records.arrays().x.tobytes() == load_split(store, dataset, "train", records.spec).x.tobytes()
        assert records.input_of(4) in {record.input for record in made}
        assert "key" not in repr(records.source)
    assert seen  # the file without a name was looked into while it had one
    needles = [record.input[40:80] for record in made]
    assert not any(needle in data for needle in needles for data in seen)
    for path in (path for path in tmp_path.rglob("*") if path.is_file()):
        assert not any(needle in path.read_bytes() for needle in needles)


def test_of_older_datasets_the_longest_unused_go_first(tmp_path: Path, made: list[Stored]) -> None:
    size = 36 * 3 * 8 * 8
    line = pictures_line(cache_gb=10 * size / 1e9)
    store = Store(str(tmp_path))
    found = []
    for round_ in range(3):
        dataset = dataset_of(bind(store, line), pictures(60 if not round_ else 5, seed=round_))
        opened(bind(store, line), dataset)
        found.append({name for name in files(tmp_path / "cache") if name.startswith(cache.digest(dataset)[:16])})
    assert all(found)
    small = pictures_line(cache_gb=6 * size / 1e9)
    dataset = dataset_of(bind(store, small), pictures(5, seed=9))
    os.utime(tmp_path / "cache/pets" / next(iter(found[1])), (1, 1))
    cache.evict(tmp_path / "cache/pets", cache.Content(cache.digest(dataset), "train", "", 1, ()), 2.2 * size + 9000)
    left = set(files(tmp_path / "cache"))
    assert not left & found[1]
    assert left >= found[2]


def test_the_cache_is_where_it_is_told(tmp_path: Path, made: list[Stored], monkeypatch: pytest.MonkeyPatch) -> None:
    store, line = Store(str(tmp_path / "home")), pictures_line()
    dataset = dataset_of(bind(store, line), made)
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "elsewhere"))
    opened(bind(store, line), dataset)
    assert files(tmp_path / "elsewhere/pets")
    assert not (tmp_path / "home/cache").exists()
    monkeypatch.delenv(CACHE_VARIABLE)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    assert cache.cache_folder(Store("memory://somewhere")) == tmp_path / f"temporary/edgeloop-cache-{os.getuid()}"


def test_a_build_says_how_far_it_is(tmp_path: Path, made: list[Stored], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "REPORT_SECONDS", 0.0)
    store, line = Store(str(tmp_path)), pictures_line()
    dataset = dataset_of(bind(store, line), made)
    said: list[str] = []
    plain = InputSpec("image", "input", (3, 8, 8), (0.0,) * 3, (1.0,) * 3)
    open_split(store, dataset, "train", plain, line.config, report=said.append)
    assert said[-1].startswith("decoding train pictures: 36 of 36")


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_set_that_was_opened_before_a_fork_answers_after_it(tmp_path: Path, made: list[Stored]) -> None:
    store, line = Store(str(tmp_path)), pictures_line(0.0)
    dataset = dataset_of(bind(store, line), made)
    records = opened(bind(store, line), dataset)
    expected = record_tensor(records.spec, records.input_of(2))
    records.batch(np.asarray([0]))
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        os.write(write, records.batch(np.asarray([2])).numpy().tobytes())
        os._exit(0)
    os.close(write)
    assert os.waitpid(child, 0)[1] == 0
    with os.fdopen(read, "rb") as pipe:
        assert pipe.read() == expected.tobytes()
