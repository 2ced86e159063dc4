"""The reader of CIFAR-10: both layouts alike, and no pickle is ever run."""

from __future__ import annotations

import hashlib
import os
import pickle
import pickletools
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.errors import RejectedError
from assets.line.data import DataContract
from assets.readers import pickle_opcodes
from assets.readers.cifar import read_cifar
from assets.readers.pickle_opcodes import read_pickled
from edge.runtime.preprocess import decode_image
from tests.assets.readers.rows_of_readers import SHARED, needs_shared, read_all

NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def contract(classes: tuple[str, ...] = NAMES) -> DataContract:
    image = {"height": 32, "width": 32, "channels": 3}
    return DataContract(reader="cifar10", classes=classes, image=image)  # type: ignore[arg-type]


def rows_of(count: int = 3) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(1).integers(0, 256, (count, 3072), dtype=np.uint8)


def batch(rows: Any = None, labels: Any = (3, 0, 9), **more: Any) -> dict[Any, Any]:
    return {b"data": rows_of() if rows is None else rows, b"labels": list(labels), b"batch_label": b"one", **more}


def refused(content: bytes, name: str = "data_batch_1") -> str:
    rows, (reason,) = read_all(read_cifar, {name: content}, contract())
    assert not rows
    assert reason.file == name
    return f"{reason.reason}; {reason.remedy}"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_the_python_layout_of_every_protocol(protocol: int) -> None:
    rows, none = read_all(read_cifar, {"data_batch_2": pickle.dumps(batch(), protocol)}, contract())
    assert not none
    assert [(row["_label"], row["_split"]) for row in rows] == [
        ("cat", "train"),
        ("airplane", "train"),
        ("truck", "train"),
    ]
    assert rows[2]["_file"] == "data_batch_2#2"
    pixels = rows_of()[2].reshape(3, 32, 32).transpose(1, 2, 0)
    np.testing.assert_array_equal(decode_image(rows[2]["_input"], 3), pixels)
    assert rows[2]["_id"] == hashlib.sha256(b"32x32x3\0" + pixels.tobytes()).digest()


def test_the_form_that_python_2_wrote() -> None:
    """As the original files are: protocol 2, texts and pixels alike as byte strings."""
    pixels = rows_of()

    def text(value: bytes) -> bytes:
        return b"U" + bytes([len(value)]) + value

    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text(b"b") + b"\x87R"
    kind = b"cnumpy\ndtype\n" + text(b"u1") + b"K\x00K\x01\x87R(K\x03" + text(b"|")
    kind += b"NNN" + b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    state = b"(K\x01K\x03M\x00\x0c\x86" + kind + b"\x89T" + struct.pack("<i", pixels.size) + pixels.tobytes() + b"tb"
    content = b"\x80\x02}(" + text(b"data") + array + state + text(b"labels") + b"](K\x03K\x00K\x09eu."
    rows, none = read_all(read_cifar, {"test_batch": content}, contract())
    assert not none
    assert [(row["_label"], row["_split"]) for row in rows] == [
        ("cat", "test"),
        ("airplane", "test"),
        ("truck", "test"),
    ]
    np.testing.assert_array_equal(decode_image(rows[0]["_input"], 3), pixels[0].reshape(3, 32, 32).transpose(1, 2, 0))


def test_the_binary_layout_gives_the_same_records() -> None:
    content = b"".join(bytes([label]) + row.tobytes() for label, row in zip((3, 0, 9), rows_of(), strict=True))
    binary, none = read_all(read_cifar, {"cifar/data_batch_1.bin": content}, contract())
    assert not none
    python, _ = read_all(read_cifar, {"cifar/data_batch_1": pickle.dumps(batch())}, contract())
    assert [{**row, "_file": ""} for row in binary] == [{**row, "_file": ""} for row in python]


def test_names_of_classes_hold_their_order() -> None:
    other = (*NAMES[5:], *NAMES[:5])
    meta = {"label_names": list(other), "num_vis": 3072}
    contents = {"data_batch_1": pickle.dumps(batch()), "batches.meta": pickle.dumps(meta, 0)}
    rows, (note,) = read_all(read_cifar, contents, contract())
    assert [row["_label"] for row in rows] == [other[3], other[0], other[9]]
    assert note.outcome == "ignored"
    contents = {"data_batch_1": pickle.dumps(batch()), "batches.meta.txt": b"one\ntwo\n", "readme.html": b"<html>"}
    rows, notes = read_all(read_cifar, contents, contract())
    assert [row["_label"] for row in rows] == ["cat", "airplane", "truck"]
    assert {note.outcome for note in notes} == {"ignored"}


def test_a_number_beyond_the_classes_is_no_class() -> None:
    rows, _ = read_all(read_cifar, {"data_batch_1": pickle.dumps(batch(labels=(10, -1, 0)))}, contract())
    assert [row["_label"] for row in rows] == ["10", "-1", "airplane"]


class Evil:
    """Pickled, it calls something."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self._call = (function, arguments)

    def __reduce__(self) -> Any:
        return self._call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_nothing_in_a_pickle_runs(protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for thing in (Evil(open, "pwned", "w"), Evil(os.mkdir, "pwned"), Evil(eval, "open('pwned', 'w')")):
        for content in (thing, [thing], batch(more=thing), {b"data": thing}, batch(labels=[thing])):
            assert "pickle" in refused(pickle.dumps(content, protocol))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name",
    [
        b"cnumpy.core.multiarray\n_reconstruct.x\n",
        b"cnumpy.core.multiarray\nscalar\n",
        b"cnumpy\nload\n",
        b"cnumpy.core.multiarray._reconstruct\n\n",
        b"c_codecs\ndecode\n",
        b"cbuiltins\ngetattr\n",
        b"\x8c\x05numpy\x8c\x04load\x93",
    ],
)
def test_names_are_exact(name: bytes) -> None:
    with pytest.raises(RejectedError, match="pickle names"):
        read_pickled(b"\x80\x04" + name + b".")


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x02cnumpy\ndtype\n(tR.",  # called with nothing
        b"\x80\x02cnumpy\nndarray\nK\x01\x85R.",  # an array of its own making
        b"\x80\x02cnumpy\ndtype\nX\x01\x00\x00\x00OK\x00K\x01\x87R.",  # objects
        b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x03\x00\x00\x00rot\x86R.",
        b"\x80\x02K\x01\x85K\x01b.",
        b"\x80\x02}K\x01K\x02s}b.",
        b"\x80\x02P1\n.",  # a persistent id
        b"\x80\x02i__builtin__\neval\n.",  # INST
        b"\x80\x02(cnumpy\ndtype\no.",  # OBJ
        b"\x80\x02cnumpy\ndtype\n)\x81.",  # NEWOBJ
        b"\x80\x02\x82\x01.",  # EXT1
        b"\x80\x05\x97.",  # NEXT_BUFFER
    ],
)
def test_steps_of_other_kinds_are_refused(content: bytes) -> None:
    with pytest.raises(RejectedError):
        read_pickled(content)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "damaged"),
        (b"\x80\x02", "damaged"),
        (b"hello", "damaged"),
        (b"\x80\x02].", "no dictionary"),
        (b"\x80\x02(.", "no dictionary"),
        (b"\x80\x02R.", "damaged"),
        (b"\x80\x04\x8e" + b"\xff" * 8 + b"x.", "damaged"),
        (pickle.dumps(batch())[:-500], "damaged"),
        (pickle.dumps({b"labels": [1]}), "no array"),
        (pickle.dumps(batch(rows_of().astype(np.int64))), "no array"),
        (pickle.dumps(batch(rows_of()[:, :-1])), "3x3071 bytes, expected rows of 3,072"),
        (pickle.dumps(batch(rows_of().reshape(-1))), "9216 bytes"),
        (pickle.dumps(batch(labels=(1, 2))), "3 pictures, but 2 labels"),
        (pickle.dumps(batch(labels=(1, 2, "x"))), "whole numbers"),
        (pickle.dumps(batch(labels=(1, 2, 2**70))), "whole numbers"),
        (pickle.dumps(batch(rows_of()[:0], labels=())), "no pictures"),
        (pickle.dumps({b"data": rows_of()}), "whole numbers"),
    ],
)
def test_broken_files_are_refused(content: bytes, expected: str) -> None:
    assert expected in refused(content)


@pytest.mark.parametrize("size", [0, 1, 3072, 3074, 2 * 3073 - 1])
def test_a_binary_file_has_whole_records(size: int) -> None:
    assert f"{size:,} bytes" in refused(bytes(size), "test_batch.bin")


def test_other_names_are_refused() -> None:
    assert "by its name" in refused(b"", "train")


def test_a_pickle_of_endless_steps_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickle_opcodes, "MAX_OPCODES", 1000)
    with pytest.raises(RejectedError, match="1,000 steps"):
        read_pickled(b"\x80\x02" + b"N" * 2000 + b".")


@pytest.mark.parametrize("content", [b"\x80\x02]q\x00h\x00a.", b"\x80\x02}q\x00K\x01h\x00s."])
def test_a_list_in_itself_is_harmless(content: bytes) -> None:
    try:
        read_pickled(content)
    except RejectedError:
        return


@settings(max_examples=300, deadline=None)
@given(at=st.floats(0, 1), noise=st.binary(min_size=1, max_size=6), protocol=st.integers(0, 5))
def test_mutated_pickles_are_read_or_refused(at: float, noise: bytes, protocol: int) -> None:
    content = bytearray(pickle.dumps({**batch(rows_of(1), labels=(1,)), b"filenames": [b"a.png"]}, protocol))
    start = int(at * 60) if at < 0.7 else int(at * len(content))
    content[start : start + len(noise)] = noise
    read_all(read_cifar, {"data_batch_1": bytes(content)}, contract())


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    try:
        read_pickled(b"\x80\x02" + content)
    except RejectedError as error:
        assert "; " in str(error)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([opcode.code.encode("latin-1") for opcode in pickletools.opcodes]), max_size=12))
def test_any_steps_are_read_or_refused(steps: list[bytes]) -> None:
    try:
        read_pickled(b"".join(step + b"\x01\x00\x00\x00\n" if step in b"KJIX" else step for step in steps) + b".")
    except RejectedError as error:
        assert "; " in str(error)


@needs_shared
def test_the_real_files() -> None:
    folder = SHARED / "cifar10"
    python = {path.name: path.read_bytes() for path in (folder / "cifar-10-batches-py").iterdir()}
    python = {name: python[name] for name in ("batches.meta", "test_batch")}
    rows, (note,) = read_all(read_cifar, python, contract())
    assert (len(rows), note.outcome) == (1000, "ignored")
    binary = {"test_batch.bin": (folder / "cifar-10-batches-bin" / "test_batch.bin").read_bytes()}
    same, _ = read_all(read_cifar, binary, contract())
    assert [(row["_id"], row["_label"]) for row in rows] == [(row["_id"], row["_label"]) for row in same]


@needs_shared
def test_the_real_bad_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = SHARED / "bad" / "cifar"
    rows, _ = read_all(read_cifar, {"data_batch_1": (folder / "good" / "data_batch_1").read_bytes()}, contract())
    assert len(rows) == 100
    assert "io open" in refused((folder / "malicious_open" / "data_batch_1").read_bytes())
    assert "3071" in refused((folder / "wrong_width" / "data_batch_1").read_bytes())
    assert list(tmp_path.iterdir()) == []
