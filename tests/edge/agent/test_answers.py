"""Models of every kind on a device: fetched, proved on their golden records, and asked from the command line."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from assets.records.line_store import LineStore
from assets.release.repository import publish
from edge.agent.cli import main
from edge.agent.enrol import enrol
from edge.agent.home import Home
from edge.contracts import AnswerSpec, Evidence, GoldenRecord, GoldenSet, InputSpec, to_bytes
from edge.runtime.onnx import OnnxSession
from edge.runtime.preprocess import golden_tensor
from tests.edge.agent.toy_releases import GROUP, LINE, Platform, reference, toy_release


@dataclass(frozen=True)
class Kind:
    """A kind of model: what it reads and answers, how it computes that, one golden input."""

    spec: InputSpec
    answer: AnswerSpec
    nodes: tuple[onnx.NodeProto, ...]
    shape: tuple[int, ...]
    golden: str
    labels: tuple[str, ...] = ()
    constants: tuple[tuple[str, Any], ...] = ()


def node(operator: str, *names: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(operator, list(names[:-1]), [names[-1]], **attributes)


COLUMNS = ((0.0, 0.0), (1.0, 1.0), ("a", "b"))
KINDS = {
    "number": Kind(
        InputSpec("series", "x", (3, 2), *COLUMNS),
        AnswerSpec("number"),
        (node("Flatten", "x", "flat"), node("ReduceSum", "flat", "axis", "y", keepdims=1)),
        (1,),
        "[[1, 2], [3, 4]]",
        constants=(("axis", np.asarray([1])),),
    ),
    "anomaly": Kind(
        InputSpec("table", "x", (2,), *COLUMNS),
        AnswerSpec("anomaly", 2.5),
        (node("ReduceMax", "x", "axis", "y", keepdims=1),),
        (1,),
        '{"a": 1, "b": 2}',
        constants=(("axis", np.asarray([1])),),
    ),
    "text": Kind(
        InputSpec("text", "x", (4,), (), (), buckets=50),
        AnswerSpec("class"),
        (node("Gather", "table", "x", "found"), node("ReduceSum", "found", "axis", "y", keepdims=0)),
        (2,),
        "free prize",
        ("ham", "spam"),
        (("table", np.arange(102, dtype=np.float32).reshape(51, 2) % 7), ("axis", np.asarray([1]))),
    ),
    "image": Kind(
        InputSpec("noise", "x", (12,), (), ()),
        AnswerSpec("image"),
        (node("Sigmoid", "x", "shares"), node("Reshape", "shares", "picture", "y")),
        (3, 2, 2),
        "[0, 1, 2, 3, 4, 5, -1, -2, -3, -4, -5, -6]",
        constants=(("picture", np.asarray([-1, 3, 2, 2])),),
    ),
}


def released(platform: Platform, kind: Kind, folder: Path) -> None:
    """Publish a release of this kind and point the group at it."""
    reads = TensorProto.INT64 if kind.spec.kind == "text" else TensorProto.FLOAT
    graph = helper.make_graph(
        list(kind.nodes),
        "toy",
        [helper.make_tensor_value_info("x", reads, ["batch", *kind.spec.shape])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", *kind.shape])],
        [numpy_helper.from_array(values, name) for name, values in kind.constants],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    data = bytes(model.SerializeToString())
    (folder / "model.onnx").write_bytes(data)
    expected = OnnxSession(folder / "model.onnx").run(golden_tensor(kind.spec, kind.golden)[np.newaxis])
    record = GoldenRecord(kind.golden, tuple(map(float, expected.ravel())), "")
    golden = to_bytes(GoldenSet((record,), max_abs_diff=1e-4, min_agreement=1.0))
    manifest, _ = toy_release(1, 1.0)
    (artifact,) = manifest.artifacts
    file = reference("cpu-x86.onnx", data, "onnx")
    manifest = replace(
        manifest,
        input=kind.spec,
        output="y",
        labels=kind.labels,
        answer=kind.answer,
        golden=reference("golden.json", golden, "json"),
        artifacts=(replace(artifact, file=file, evidence=Evidence(hashlib.sha256(data).hexdigest())),),
    )
    platform.deploy(publish(LineStore(platform.store, LINE), manifest, {"golden.json": golden, "cpu-x86.onnx": data}))


def ready(platform: Platform, home: Home, folder: Path, kind: str) -> list[str]:
    """A device that runs a release of this kind, and how `predict` begins there."""
    released(platform, KINDS[kind], folder)
    enrol(home, platform.url, "gate-7", LINE, GROUP, None)
    assert main(["--home", str(home.path), "poll", "--json"]) == 0
    return ["--home", str(home.path), "predict"]


def test_every_record_of_a_file_or_folder_is_answered_and_a_bad_one_stops_no_other(
    platform: Platform, home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ask = ready(platform, home, tmp_path, "anomaly")
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "many.csv").write_text("a;b\n1;2\nx;2\n1;3\n")
    (folder / "one.csv").write_text("a\tb\n0\t0\n")
    (folder / "picture.png").write_bytes(b"\x89PNG")
    capsys.readouterr()

    assert main([*ask, str(folder / "many.csv")]) == 1
    out, err = capsys.readouterr()
    assert [row.partition(": ")[2][:16] for row in out.splitlines()] == ["line 2: normal  ", "line 4: anomalou"]
    assert err.splitlines() == [
        f"{folder / 'many.csv'}: line 3: column 'a': 'x' is not a number",
        "2 of 3 records answered; 1 refused",
    ]

    assert main([*ask, str(folder), "--json"]) == 1
    told = [json.loads(row) for row in capsys.readouterr().out.splitlines()]
    assert [row["record"].removeprefix(f"{folder}/") for row in told] == [
        "many.csv: line 2",
        "many.csv: line 3",
        "many.csv: line 4",
        "one.csv",
        "picture.png",
    ]
    assert [row.get("anomalous") for row in told] == [False, None, True, False, None]
    assert ["error" in row for row in told] == [False, True, False, False, True]
    assert all("release" in row for row in told if "error" not in row)

    (folder / "picture.png").unlink()
    (folder / "many.csv").unlink()
    assert main([*ask, str(folder)]) == 0
    assert main([*ask, str(folder / "one.csv"), "--out", "x.png"]) == 0
    (folder / "one.csv").write_text("a,b\nx,1\n")
    capsys.readouterr()
    assert main([*ask, str(folder / "one.csv"), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["error"].endswith("one.csv: line 2: column 'a': 'x' is not a number")
    (folder / "one.csv").unlink()
    assert main([*ask, str(folder)]) == 1
    assert "no file in this folder" in capsys.readouterr().err
    assert main([*ask, str(folder), "--out", "x.png"]) == 2
    (folder / "two.csv").write_text("a,b\n1,1\n2,2\n")
    assert main([*ask, str(folder / "two.csv"), "--out", "x.png"]) == 2


def test_a_file_that_ends_in_rubble_keeps_the_answers_before_it(
    platform: Platform, home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ask = ready(platform, home, tmp_path, "anomaly")
    row = b"1,2," + b"x" * 10_000 + b"\n"
    (tmp_path / "cut.csv").write_bytes(b"a,b,note\n" + row * 300 + b"\xff,1,\n")
    capsys.readouterr()
    assert main([*ask, str(tmp_path / "cut.csv")]) == 1
    out, err = capsys.readouterr()
    assert len(out.splitlines()) > 2
    assert "cut.csv: not text in UTF-8" in err


def asked(home: Home, capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """What `predict --json` tells."""
    capsys.readouterr()
    assert main(["--home", str(home.path), "predict", *arguments, "--json"]) == 0
    return dict(json.loads(capsys.readouterr().out))


@pytest.mark.parametrize("name", KINDS)
def test_a_model_of_every_kind_is_proved_and_answers(
    name: str, platform: Platform, home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = ready(platform, home, tmp_path, name)
    assert json.loads(capsys.readouterr().out)["self_test"]["passed"] is True

    record = tmp_path / "record"
    if name == "number":
        record.write_text("a,b\n1,2\n3,4\n")
        assert asked(home, capsys, str(record))["value"] == 13  # the first row is repeated
        assert main([*base, str(record)]) == 0
        assert capsys.readouterr().out == "13\n"
        assert main(base) == 1
        assert "name the FILE" in capsys.readouterr().err
    elif name == "anomaly":
        record.write_text('{"a": 1, "b": 3}')
        told = asked(home, capsys, str(record))
        assert (told["score"], told["threshold"], told["anomalous"]) == (3, 2.5, True)
        assert main([*base, str(record)]) == 0
        assert capsys.readouterr().out.startswith("anomalous  (score 3")
    elif name == "text":
        record.write_text("free prize\n")
        told = asked(home, capsys, str(record))
        assert told["label"] in {"ham", "spam"}
        assert sum(told["probabilities"].values()) == pytest.approx(1)
    else:
        told = asked(home, capsys, "--seed", "5")
        picture = base64.b64decode(told["png"])
        with Image.open(io.BytesIO(picture)) as read:
            assert (read.size, read.mode) == ((2, 2), "RGB")
        out = tmp_path / "picture.png"
        assert asked(home, capsys, "--seed", "5", "--out", str(out))["file"] == str(out)
        assert out.read_bytes() == picture
        record.write_text(KINDS[name].golden)
        assert asked(home, capsys, str(record))["png"] != told["png"]
        assert main([*base, "--out", str(tmp_path / "no" / "folder.png")]) == 1
        assert "cannot be written" in capsys.readouterr().err
