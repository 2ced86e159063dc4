"""`edgeloop compress` of a line's model, and of an ONNX file on a line's records."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from assets.errors import RejectedError
from assets.line.compression import Budget
from assets.line.config import Line
from assets.records.line_store import LineStore, bind
from assets.standalone import child, run
from assets.standalone.foreign_model import OnnxFile, check_budget, open_model
from assets.standalone.signature import read_signature
from assets.standalone.subject import records_of_line
from assets.storage.store import Store
from assets.tasks.task import load_task
from assets.training.documents import TrainedModel
from platform_defs import catalog
from platform_defs.cli.main import app
from tests.assets.accepted_records import accept, cancer_line, cancer_records
from tests.line_steps import dataset_of


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Line, TrainedModel]:
    """The breast-cancer line with a model, small."""
    from assets.training.train import train

    store, plain = Store(str(tmp_path_factory.mktemp("home"))), cancer_line()
    compress = {"prune": [0.5], "distill_epochs": 2, "formats": ["int8"], "ranges": ["minmax"], "qat_epochs": 0}
    sections = {"training": {"epochs": 4, "batch_size": 32, "learning_rate": 0.01}, "compress": compress}
    line = Line(plain.name, type(plain.config).model_validate({**plain.config.model_dump(mode="json"), **sections}))
    accept(LineStore(store, line.name), cancer_records(), "a" * 64)
    model = train(bind(store, line), dataset_of(bind(store, line)), lambda text: None)
    store.set_newest(line.name, model)
    return store, line, model


@pytest.fixture(autouse=True)
def _home(trained: tuple[Store, Line, TrainedModel], monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands find that line alone, and do their work in this process."""
    store, line, _ = trained
    monkeypatch.setenv("EDGELOOP_HOME", store.root)
    monkeypatch.setattr(catalog, "find_line", lambda name: line)
    monkeypatch.setattr(catalog, "list_lines", lambda: [catalog.LineEntry(line.name, Path(), line, "")])
    monkeypatch.setattr(run, "_try", lambda request, *_: child.work(request, lambda message: None))


def _json(*arguments: object) -> Any:
    result = CliRunner().invoke(app, ["compress", *map(str, arguments), "--json"])
    assert result.exit_code == 0, f"{result.output} {result.exception!r}"
    return json.loads(result.output)


def test_students_of_a_line_are_tried_too_and_nothing_is_written_to_its_store(
    trained: tuple[Store, Line, TrainedModel], tmp_path: Path
) -> None:
    store, line, model = trained
    before = {path for path in Path(store.root).rglob("*") if path.is_file()}
    found = _json(line.name, "--budget", "max_drop=0.2,max_drop_per_class=0.5", "--out", tmp_path / "out")
    assert {"teacher-float", "teacher-int8", "pruned-0.5-int8"} <= {row["name"] for row in found["rows"]}
    assert found["model"] == model.onnx.sha256
    assert "records of line 'breast-cancer'" in found["note"]
    assert {path for path in Path(store.root).rglob("*") if path.is_file()} == before
    by_weights = _json(store.path(model.weights.uri), "--budget", "max_drop=0.2", "--out", tmp_path / "out")
    assert by_weights["model"] == found["model"]


def test_a_lines_model_is_judged_on_other_records(trained: tuple[Store, Line, TrainedModel], tmp_path: Path) -> None:
    _, line, _ = trained
    assert line.config.data.table is not None
    columns, classes = line.config.data.table.columns, ("malignant", "benign")
    rows = [np.frombuffer(record[4], "<f8").tolist() for record in cancer_records()]
    labels = [record[1] for record in cancer_records()]
    text = [",".join(("target", "id", *columns))]
    text += [
        ",".join((label, str(at), *map(str, row))) for at, (row, label) in enumerate(zip(rows, labels, strict=True))
    ]
    (tmp_path / "t.csv").write_text("\n".join(text))
    found = _json(line.name, "--data", tmp_path / "t.csv", "--budget", "max_drop=0.2", "--out", tmp_path / "out")
    (float_,) = (row for row in found["rows"] if row["name"] == "teacher-float")
    assert float_["metric"] == "accuracy" and float_["test"] > 0.8  # normalized as in training, classes by name
    assert set(labels) == set(classes)


def test_records_without_labels_judge_a_lines_model_by_fidelity(
    trained: tuple[Store, Line, TrainedModel], tmp_path: Path
) -> None:
    _, line, _ = trained
    rows = [np.frombuffer(record[4], "<f8").tolist() for record in cancer_records()]
    assert line.config.data.table is not None
    text = [",".join(line.config.data.table.columns), *(",".join(map(str, row)) for row in rows)]
    (tmp_path / "t.csv").write_text("\n".join(text))
    found = _json(line.name, "--data", tmp_path / "t.csv", "--budget", "max_drop=0.2", "--out", tmp_path / "out")
    assert {row["metric"] for row in found["rows"]} == {"fidelity"}
    assert {row["name"] for row in found["rows"]} == {"teacher-float", "teacher-int8"}
    assert "judged by fidelity, not as line 'breast-cancer' is, so no smaller network was tried" in found["note"]


def test_records_of_a_line_are_others_where_their_numbers_are_prepared_otherwise(
    trained: tuple[Store, Line, TrainedModel],
) -> None:
    store, line, model = trained
    file = OnnxFile(store.fetch(model.onnx), "m")
    signature = read_signature(open_model(file), "m")
    specs = (model.input, model.input, replace(model.input, mean=tuple(value + 1 for value in model.input.mean)))
    first, same, other = (records_of_line(bind(store, line), spec, signature, file)[0].digest for spec in specs)
    assert first == same != other


def test_a_metric_of_ones_own_is_of_its_line_alone() -> None:
    task = load_task("tabular_classification")
    assert check_budget(task, "a:b", Budget(), ("x", "y"), ("a:b",)) == "a:b"
    with pytest.raises(RejectedError, match="--metric: 'a:b' is not said of this model"):
        check_budget(task, "a:b", Budget(), ("x", "y"))


def test_an_onnx_file_is_judged_on_a_lines_records(trained: tuple[Store, Line, TrainedModel], tmp_path: Path) -> None:
    store, line, model = trained
    (tmp_path / "model.onnx").write_bytes(store.fetch(model.onnx))
    found = _json(
        tmp_path / "model.onnx", "--data", line.name, "--budget", "max_drop=0.5", "--out", tmp_path / "out",
        "--metric", "macro_f1",
    )  # fmt: skip
    assert {row["metric"] for row in found["rows"]} == {"macro_f1"}
    assert "records of line 'breast-cancer'" in found["note"]
