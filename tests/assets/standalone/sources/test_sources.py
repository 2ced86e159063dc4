"""Held-out records of a standalone run: arrays, pictures and tables, and what is refused of them."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from assets.errors import RejectedError
from assets.standalone import heldout
from assets.standalone.fidelity import fidelity_task
from assets.standalone.heldout import hold_out, judge_by
from assets.standalone.signature import Port, Signature
from assets.standalone.sources import SHARES, Raw, Reading, read_source
from assets.standalone.sources import raw as sources_raw
from assets.tasks.compare import compare
from edge.contracts import InputSpec
from edge.runtime.preprocess import record_tensor

ROWS = Signature((Port("rows", "float32", (None, 3)),), (Port("scores", "float32", (None, 2)),))
PICTURES = Signature((Port("pixels", "float32", (None, 3, 4, 6)),), (Port("scores", "float32", (None, 2)),))
TWO = Signature(
    (Port("left", "float32", (None, 3)), Port("words", "int64", (None, None))), (Port("scores", "float32", (None, 2)),)
)
RANDOM = np.random.default_rng(0)


def _rows(records: int, columns: int = 3) -> NDArray[np.float32]:
    return RANDOM.normal(size=(records, columns)).astype(np.float32)


def _npz(folder: Path, **arrays: Any) -> Path:
    path = folder / "held.npz"
    np.savez(path, **arrays)
    return path


def _read(path: Path, signature: Signature = ROWS, **how: Any) -> Raw:
    return read_source(path, signature, Reading(**how))


def test_a_damaged_compressed_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "held.npz"
    np.savez_compressed(path, x=np.random.default_rng(1).normal(size=(200, 3)).astype(np.float32))
    damaged = bytearray(path.read_bytes())
    damaged[150:1500] = b"\xff" * 1350
    path.write_bytes(damaged)
    with pytest.raises(RejectedError, match=r"held\.npz: not readable as \.npz .*save it again"):
        _read(path)


def test_arrays_are_split_by_the_hash_of_each_record(tmp_path: Path) -> None:
    x = _rows(200)
    x[199] = x[0]
    raw = _read(_npz(tmp_path, x=x, y=np.arange(200) % 2))
    truth = judge_by(raw.y, (), (), [(2,)], 2)
    held = hold_out(raw, truth, 2)
    sets = (held.calibration, held.validation, held.test)
    assert sum(map(len, sets)) == 200
    assert [len(one) / 200 for one in sets] == pytest.approx([0.2, 0.4, 0.4], abs=0.1)
    assert held.test.batch(np.array([0, 2])).shape == (2, 3)
    sides = [name for name, one in zip(SHARES, sets, strict=True) for record in one.ids if record == raw.ids[0]]
    assert len(sides) == 2 and len(set(sides)) == 1  # equal records are on one side
    more = _read(_npz(tmp_path, x=np.concatenate([x, _rows(50)]), y=np.zeros(250, np.int64)))
    larger = hold_out(more, judge_by(more.y, (), (), [(2,)], 2), 2)
    assert set(held.test.ids) <= set(larger.test.ids)
    assert hold_out(raw, truth, 2).digest == held.digest
    assert larger.digest != held.digest


def test_shares_that_the_arrays_declare_are_kept(tmp_path: Path) -> None:
    arrays = {f"x_{name}": _rows(9) for name in ("train", "val", "test")}
    raw = _read(_npz(tmp_path, **arrays))
    held = hold_out(raw, judge_by(raw.y, (), (), [(2,)], 2), 2)
    assert np.array_equal(held.validation.batch(np.arange(9)).numpy(), arrays["x_val"])
    assert "as declared" in held.note


def test_several_inputs_come_by_name(tmp_path: Path) -> None:
    left, words = _rows(60), RANDOM.integers(0, 9, (60, 5)).astype(np.int32)
    raw = _read(_npz(tmp_path, left=left, words=words), TWO)
    held = hold_out(raw, judge_by(raw.y, (), (), [(2,)], 2), 2)
    batch: Any = held.calibration.batch(np.arange(3))
    assert {name: (tuple(part.shape), str(part.dtype)) for name, part in batch.items()} == {
        "left": ((3, 3), "torch.float32"),
        "words": ((3, 5), "torch.int64"),
    }


@pytest.mark.parametrize(
    ("arrays", "why"),
    [
        ({"x": np.array([{"a": 1}] * 9, dtype=object)}, "pickled Python objects, which are never loaded"),
        ({"x": _rows(9, 4)}, r"array of \(9, 4\) was given, the model reads 'rows': float32 of \(records, 3\)"),
        (
            {"x": np.zeros((9, 3), np.uint8)},
            r"type uint8 were given.*x\.astype\('float32'\), normalized as in training",
        ),
        ({"x": np.full((9, 3), np.nan, np.float32)}, "record 0 for input 'rows' holds NaN or infinity"),
        ({"x": np.full((9, 3), 1e300)}, "NaN or infinity"),
        ({"x": _rows(9), "y": np.arange(8)}, "x?rows has 9, y has 8 records"),
        ({"x": _rows(9), "extra": np.zeros(2)}, "'extra' is not one that is read"),
        ({"x_train": _rows(9), "x_test": _rows(9)}, "all three"),
        ({"y": np.arange(9)}, "nothing for input 'rows'"),
        ({}, "nothing"),
        ({"x": np.zeros(9, dtype=[("a", "f4")])}, "is of type"),
    ],
)
def test_arrays_that_the_model_does_not_read_are_refused(tmp_path: Path, arrays: dict[str, Any], why: str) -> None:
    with pytest.raises(RejectedError, match=why):
        _read(_npz(tmp_path, **arrays))


def test_hostile_archives_are_refused_before_they_are_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _npz(tmp_path, x=_rows(9))
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    with pytest.raises(RejectedError, match=r"not readable as \.npz"):
        _read(path)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (10**12, 3)})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", header.getvalue() + b"\0" * 12)
    with pytest.raises(RejectedError, match=r"cut off, or says a wrong shape"):
        _read(path)
    monkeypatch.setattr("assets.standalone.sources.arrays.MAX_BYTES", 10_000)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", header.getvalue() + b"\0" * 20_000)
    assert path.stat().st_size < 1000
    with pytest.raises(RejectedError, match="unpacked, at most 10,000 are read"):
        _read(path)


@pytest.mark.parametrize(
    ("y", "shapes", "why"),
    [
        ([0, 1, 2], [(2,)], "record 2 has label 2, the model answers 2 classes: 0 to 1 are allowed"),
        ([0, -1, 1], [(2,)], "record 1 has label -1"),
        ([0.5, 1, 0], [(2,)], "not whole"),
        (["a", "b", "c"], [(2,)], "3 classes"),
        ([[0, 1], [1, 0], [1, 0]], [(2,)], "argmax"),
        ([0, 1, 1], [(1,)], "a score of two classes"),
        ([np.nan, 1, 1], [(1,)], "finite numbers"),
        ([0, 1, 1], [(3, 8, 8)], "one label cannot judge"),
    ],
)
def test_labels_that_do_not_fit_the_output_are_refused(y: Any, shapes: list[tuple[int, ...]], why: str) -> None:
    with pytest.raises(RejectedError, match=why):
        judge_by(np.array(y), (), (), shapes, 2)


def test_labels_choose_the_task() -> None:
    def named(y: Any, shapes: Sequence[tuple[int, ...]], axes: int = 2, given: Sequence[str] = ()) -> Any:
        truth = judge_by(None if y is None else np.array(y), given, (), shapes, axes)
        return truth.task.name, truth.classes, None if truth.y is None else truth.y.tolist()

    assert named([0.0, 1.0], [(2,)], 4) == ("image_classification", ("0", "1"), [0, 1])
    assert named(["b", "a"], [(2,)]) == ("tabular_classification", ("a", "b"), [1, 0])
    assert named(["b", "a"], [(2,)], given=("b", "a")) == ("tabular_classification", ("b", "a"), [0, 1])
    assert named([3, 5], [(1,)]) == ("tabular_regression", (), [3.0, 5.0])
    assert named(None, [(2,)]) == ("fidelity", (), None)
    assert named([0, 1], [(2,), (4, 3)]) == ("fidelity", (), None)


def test_too_few_records_are_told_with_what_is_needed(tmp_path: Path) -> None:
    raw = _read(_npz(tmp_path, x=_rows(12)))
    with pytest.raises(RejectedError, match="at least 8 are needed; give more records"):
        hold_out(raw, judge_by(None, (), (), [(2,)], 2), 2)


def test_answers_that_do_not_fit_in_memory_are_of_fewer_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heldout, "MOST_ANSWER_BYTES", 400)
    raw = _read(_npz(tmp_path, x=_rows(100)))
    held = hold_out(raw, judge_by(None, (), (), [(2,)], 2), 10)
    assert (len(held.validation), len(held.test)) == (10, 10)
    assert "the first 10 are used" in held.note


def _draw(folder: Path, names: Sequence[str], each: int = 10) -> None:
    for number in range(each):
        for name in names:
            (folder / name).mkdir(parents=True, exist_ok=True)
            pixels = RANDOM.integers(0, 255, (9, 9, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")


def test_pictures_come_as_a_device_prepares_them(tmp_path: Path) -> None:
    _draw(tmp_path, ("10", "9", "0"), 30)
    (tmp_path / "9" / "notes.txt").write_text("no picture")
    raw = _read(tmp_path, PICTURES, mean=(0.5,), std=(0.25, 0.5, 1.0))
    assert raw.classes == ("0", "10", "9") and raw.y is not None
    spec = InputSpec("image", "pixels", (3, 4, 6), (0.5,) * 3, (0.25, 0.5, 1.0))
    assert raw.spec == spec
    held = hold_out(raw, judge_by(raw.y, (), raw.classes, [(3,)], 4), 3)
    found = held.validation.batch(np.arange(1)).numpy()[0]
    files = {
        record: path for path in tmp_path.rglob("*.png") for record in [hashlib.sha256(path.read_bytes()).hexdigest()]
    }
    assert np.array_equal(found, record_tensor(spec, files[held.validation.ids[0]].read_bytes()))
    assert raw.classes[held.validation.y[0]] == files[held.validation.ids[0]].parent.name
    whole = _read(tmp_path, PICTURES, scale=1.0).spec  # the model reads 0 to 255
    assert whole is not None
    assert record_tensor(whole, files[held.validation.ids[0]].read_bytes()).max() > 50


def test_folders_may_declare_shares_and_have_no_classes(tmp_path: Path) -> None:
    _draw(tmp_path, ("train", "val", "test"))
    raw = _read(tmp_path, PICTURES)
    assert raw.y is None and raw.shares is not None
    assert set(raw.shares.tolist()) == set(SHARES)


@pytest.mark.parametrize(
    ("signature", "how", "why"),
    [
        (ROWS, {}, "give arrays in an .npz"),
        (Signature((Port("x", "float32", (None, 3, None, None)),), ()), {}, "pictures of any size"),
        (PICTURES, {"mean": (0.1, 0.2)}, "--mean 0.1,0.2: give one, or 3"),
        (PICTURES, {"std": (0.0,)}, "numbers above 0"),
        (PICTURES, {"scale": -1.0}, "above 0"),
    ],
)
def test_pictures_that_the_model_does_not_read_are_refused(
    tmp_path: Path, signature: Signature, how: dict[str, Any], why: str
) -> None:
    _draw(tmp_path, ("a",), 1)
    with pytest.raises(RejectedError, match=why):
        _read(tmp_path, signature, **how)


def test_a_damaged_picture_is_named(tmp_path: Path) -> None:
    _draw(tmp_path, ("a",), 1)
    (tmp_path / "a" / "bad.png").write_bytes(b"\x89PNG\r\n")
    with pytest.raises(RejectedError, match=r"bad\.png"):
        _read(tmp_path, PICTURES)
    with pytest.raises(RejectedError, match="there is no picture in it"):
        _read(_empty(tmp_path), PICTURES)


def _empty(folder: Path) -> Path:
    (folder / "empty").mkdir()
    return folder / "empty"


def test_tables_give_their_columns_in_order(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    table = pa.table({"a": [1.0, 2.0], "kind": ["x", "y"], "b": [3, 4], "c": [True, False]})
    parquet.write_table(table, tmp_path / "t.parquet")
    raw = _read(tmp_path / "t.parquet", target="kind")
    assert raw.feeds["rows"].tolist() == [[1, 3, 1], [2, 4, 0]]
    assert raw.y is not None and raw.y.tolist() == ["x", "y"]
    (tmp_path / "t.csv").write_text("a,b,c,label\n1,2,3,0\n4,5,6,1\n")
    raw = _read(tmp_path / "t.csv")
    assert raw.feeds["rows"].tolist() == [[1, 2, 3], [4, 5, 6]]
    assert raw.y is not None and raw.y.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("text", "how", "why"),
    [
        ("a,b,c,d\n1,2,3,4\n", {}, "4 columns beside the target, the model reads 3.*--target-column"),
        ("a,b,c\n1,2,x\n", {}, "column 'c' holds string"),
        ("a,b,c\n1,2,\n3,4,5\n", {}, "1 empty cells"),
        ("a,b,c,y\n1,2,3,\n3,4,5,6\n", {}, "target column has 1 empty cells"),
        ("a,b,c\n1,2,3\n", {"target": "z"}, "no column 'z'; there are a, b, c"),
        ("a,a,c\n1,2,3\n", {}, "two columns have one name"),
        ("a,b,c\n1,2\n", {}, "not readable as a table"),
    ],
)
def test_tables_that_the_model_does_not_read_are_refused(tmp_path: Path, text: str, how: Any, why: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(RejectedError, match=why):
        _read(tmp_path / "t.csv", **how)
    (tmp_path / "t.parquet").write_bytes(b"PAR1 no table PAR1")
    with pytest.raises(RejectedError, match="not readable as a table"):
        _read(tmp_path / "t.parquet")


def test_fidelity_is_one_minus_the_relative_error_of_each_output_alike() -> None:
    truth = np.concatenate([100 * _rows(50, 4), _rows(50, 2)], axis=1)
    task = fidelity_task((4, 2))
    assert task.score("fidelity", truth, truth) == 1
    off = truth.copy()
    off[:, 4:] *= 1.1  # the small output counts as much as the large one
    assert task.score("fidelity", off, truth) == pytest.approx(1 - 0.1 / np.sqrt(2), abs=1e-6)
    assert task.drop("fidelity", truth, off, truth) == pytest.approx(0.1 / np.sqrt(2), abs=1e-6)
    noisy = truth + RANDOM.normal(size=truth.shape).astype(np.float32) * 0.1
    found = compare(task, "fidelity", truth, noisy, truth)
    assert found.gain.low < found.gain.value < found.gain.high < 0
    one = task.metrics.metrics("test", noisy, truth, ())[0]
    assert one.low is not None and one.high is not None and one.low < one.value < one.high
    assert task.score("fidelity", np.zeros((3, 6), np.float32), np.zeros((3, 6), np.float32)) == 1
    with pytest.raises(RejectedError, match="NaN or infinity"):
        task.score("fidelity", np.full_like(truth, np.nan), truth)
    assert (
        task.golden.agrees(truth, truth * np.float32(1.01)).all()
        and not task.golden.agrees(truth, truth * np.float32(1.2)).any()
    )


def test_agreement_is_the_share_of_equal_choices() -> None:
    truth = np.eye(4, dtype=np.float32)
    off = truth.copy()
    off[0] = (0, 1, 0, 0)
    assert fidelity_task((4,), ranked=True).score("agreement", off, truth) == 0.75
    with pytest.raises(ValueError, match="no metric 'agreement'"):
        fidelity_task((4,)).score("agreement", off, truth)


def test_no_source_and_no_such_kind_of_file(tmp_path: Path) -> None:
    assert sources_raw.MAX_BYTES == 2**31
    (tmp_path / "x.pkl").write_bytes(b"\x80\x04.")
    with pytest.raises(RejectedError, match=r"\.pkl is not read here"):
        _read(tmp_path / "x.pkl")
    with pytest.raises(RejectedError, match="no such file or folder"):
        _read(tmp_path / "nothing.npz")
