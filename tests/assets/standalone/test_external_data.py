"""Models whose values are in a file beside them."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from assets.compilation.lint import check_model
from assets.errors import CompileError, RejectedError
from assets.standalone.external_data import digest_with_values, whole_model
from tests.assets.foreign_models import foreign


def _saved(path: Path, location: str) -> Path:
    model = onnx.load_model_from_string(foreign("gru").model)
    onnx.save(model, path, save_as_external_data=True, location=location, size_threshold=0)
    return path


@pytest.mark.parametrize("location", ["net.onnx.data", "net.onnx_data", "net.bin"])
def test_values_beside_the_model_are_read_with_it(tmp_path: Path, location: str) -> None:
    path = _saved(tmp_path / "net.onnx", location)
    with pytest.raises(CompileError, match="no-external-data"):
        check_model(path.read_bytes(), "float", str(path), interface="any")
    check_model(whole_model(path), "float", str(path), interface="any")
    before = digest_with_values(path, "0")
    (tmp_path / location).write_bytes((tmp_path / location).read_bytes()[:-4] + b"1234")
    assert digest_with_values(path, "0") != before  # another model


def test_one_file_comes_as_it_is(tmp_path: Path) -> None:
    for data in (foreign("gru").model, b"", b"not a model", foreign("gru").model[:500]):
        path = tmp_path / "one.onnx"
        path.write_bytes(data)
        assert whole_model(path) == data
        assert digest_with_values(path, "0") == "0"


def test_values_that_are_missing_or_cut_off_are_refused(tmp_path: Path) -> None:
    path = _saved(tmp_path / "net.onnx", "net.data")
    values = tmp_path / "net.data"
    kept = values.read_bytes()
    values.unlink()
    with pytest.raises(RejectedError, match=r"'net\.data', which is missing beside it; copy it there"):
        whole_model(path)
    (tmp_path / "secret").write_bytes(kept)
    values.symlink_to(tmp_path / "secret")
    with pytest.raises(RejectedError, match="Make one file of both"):
        whole_model(path)
    values.unlink()
    values.write_bytes(kept[:10])
    with pytest.raises(RejectedError):
        check_model(whole_model(path), "float", str(path), interface="any")


@pytest.mark.parametrize("location", ["../net.data", "/etc/passwd", "other.data"])
def test_no_other_file_is_read(tmp_path: Path, location: str) -> None:
    (tmp_path / "in").mkdir()
    path = _saved(tmp_path / "in" / "net.onnx", "net.data")
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    path.write_bytes(model.SerializeToString())
    (tmp_path / "net.data").write_bytes(b"0")
    (tmp_path / "in" / "other.data").write_bytes(b"0")
    with pytest.raises(RejectedError, match="only a file in its folder is read"):
        whole_model(path)


def test_values_that_claim_the_same_part_again_and_again_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _saved(tmp_path / "net.onnx", "net.data")
    model = onnx.load(path, load_external_data=False)
    lengths = [
        int(entry.value) for one in model.graph.initializer for entry in one.external_data if entry.key == "length"
    ]
    whole_model(path)  # sound as it is
    model.graph.initializer.extend(list(model.graph.initializer) * 9)
    path.write_bytes(model.SerializeToString())
    most = path.stat().st_size + 2 * sum(lengths)
    monkeypatch.setattr("assets.standalone.external_data.MAX_MODEL_BYTES", most)
    with pytest.raises(RejectedError, match="bytes with its values"):
        whole_model(path)


def test_the_values_of_another_model_are_not_this_ones(tmp_path: Path) -> None:
    path = _saved(tmp_path / "net.onnx", "net.data")
    before = digest_with_values(path, "0")
    _saved(tmp_path / "net2.onnx", "net2.data")
    assert digest_with_values(path, "0") == before
