"""Every line there is, in its `debug` profile, from made data of the original format to an INT8 file that runs."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from assets.compilation.compile import compile_targets
from assets.compression.choosing.choose import choose
from assets.compression.documents import ChosenModel
from assets.compression.search import search
from assets.compression.subject import open_subject
from assets.records.line_store import BoundLine, LineStore, bind
from assets.release.published import releases
from assets.storage.store import Store
from assets.training.documents import TrainedModel
from assets.training.train import train
from edge.contracts import TARGETS, chain_gap
from edge.contracts.model import InputSpec
from platform_defs.catalog import LINES_FOLDER, list_lines, read_line
from platform_defs.made import pictures
from tests.line_steps import accepted, dataset_of
from tests.projects import Project, make_project

EXPECTED = 9
YAMLS = sorted(LINES_FOLDER.rglob("defs.yaml"))
BETTER_THAN_GUESSING = {
    "breast-cancer": ("accuracy", 0.85),
    "cats-vs-dogs": ("accuracy", 0.7),
    "cifar10": ("accuracy", 0.6),
    "digits": ("accuracy", 0.6),
    "fashion-mnist": ("accuracy", 0.6),
    "machine-failure": ("pr_auc", 0.4),
    "sms-spam": ("f1", 0.8),
}
"""What seconds of training on made data reach on test records, with room; a tenth or a half would be guessing."""


def test_no_line_got_lost() -> None:
    entries = list_lines()
    assert len(entries) == len(YAMLS) >= EXPECTED
    assert {entry.name for entry in entries if "debug" not in entry.profiles} == set()
    by_itself = {entry.name for entry in entries if entry.line is not None and entry.line.config.data.source}
    assert by_itself == {"digits", "breast-cancer"}, "the others wait for a folder of the user's"


LIKE_ANOTHER = {"cats-vs-dogs", "cifar10", "fashion-mnist"}
"""Lines of pictures with the task and the networks of `digits`: nightly."""


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=[pytest.mark.nightly] * (path.parent.name in LIKE_ANOTHER)) for path in YAMLS],
    ids=lambda path: path.parent.name,
)
def test_the_debug_profile_reaches_an_int8_file(path: Path, tmp_path: Path) -> None:
    line = read_line(path).in_profile("debug")
    store = Store(str(tmp_path))
    accepted(bind(store, line))
    dataset = dataset_of(bind(store, line))
    model = train(bind(store, line), dataset, lambda text: None)
    _check_model(bind(store, line), model)
    targets = [TARGETS[name] for name in line.config.targets]
    chosen = choose(
        search(open_subject(bind(store, line), dataset, model, lambda text: None)), line.config.budget, targets
    )
    engines = compile_targets(bind(store, line), chosen, lambda text: None)
    assert [engine.target.name for engine in engines.engines] == list(line.config.targets)
    for engine in engines.engines:
        assert chain_gap(engine.parity, engines.teacher, engine.file.sha256) is None
        _check_file(store.fetch(engine.file), chosen)
    assert engines.golden.records


def _check_model(line: BoundLine, model: TrainedModel) -> None:
    assert len(model.curve) == line.config.training.epochs
    assert line.store.exists(model.card), "there is a model card"
    if line.name in BETTER_THAN_GUESSING:
        metric, least = BETTER_THAN_GUESSING[line.name]
        assert model.evidence.metric(metric, "test").value >= least


def _check_file(data: bytes, chosen: ChosenModel) -> None:
    """It loads in ONNX Runtime, answers batches of any size, and is quantized, or says why it is not."""
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    (taken,) = session.get_inputs()
    for records in (1, 3):
        (answer,) = session.run(None, {taken.name: _example(chosen.input, records)})
        assert len(answer) == records
        assert np.isfinite(answer).all()
    operators = {node.op_type for node in onnx.load_from_string(data).graph.node}
    if not {"QuantizeLinear", "DequantizeLinear"} <= operators:
        assert "int8" not in chosen.candidate.name
        assert chosen.rejected, f"{chosen.line}: a float file was chosen, and nothing says why not INT8"


def _example(spec: InputSpec, records: int) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    draw = np.random.default_rng(0)
    if spec.kind == "text":
        return draw.integers(0, spec.buckets + 1, (records, *spec.shape))
    return draw.normal(size=(records, *spec.shape)).astype(np.float32)


def test_cifar10_reads_the_python_layout_as_well(tmp_path: Path) -> None:
    line = read_line(LINES_FOLDER / "cifar10" / "defs.yaml").in_profile("full")
    binary, python = tmp_path / "binary", tmp_path / "python"
    binary.mkdir()
    python.mkdir()
    pictures.write_things(binary)
    for path in binary.iterdir():
        rows = np.frombuffer(path.read_bytes(), np.uint8).reshape(-1, 3073)
        body = {b"labels": rows[:, 0].tolist(), b"data": rows[:, 1:].copy(), b"batch_label": b"made"}
        (python / path.stem).write_bytes(pickle.dumps(body, 2))
    found = [accepted(bind(Store(str(tmp_path / f"{folder.name}-home")), line), folder) for folder in (binary, python)]
    assert found[0].accepted == found[1].accepted == 520
    assert found[0].per_class == found[1].per_class


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    made = make_project(tmp_path_factory.mktemp("lines") / "project")
    shutil.copytree(LINES_FOLDER / "breast-cancer", made.root / "platform_defs/lines/breast-cancer")
    yield made
    shutil.rmtree(made.root, ignore_errors=True)


@pytest.mark.nightly
def test_one_line_by_command_and_its_state_apart_from_the_full_one(project: Project) -> None:
    command = ("breast-cancer", "--profile", "debug", "--json")
    landed = json.loads(project.run("edgeloop", "land", *command).stdout)
    ran = json.loads(project.run("edgeloop", "run", *command).stdout)
    assert (ran["judged"], ran["failed"]) == ({landed["batch"]: "accepted"}, [])
    assert [path.name for path in (project.root / ".edgeloop").iterdir()] == ["dagster", "profiles"]
    store = Store(str(project.root / ".edgeloop" / "profiles" / "debug"))
    (release,) = releases(LineStore(store, "breast-cancer"))
    assert release.manifest.provenance.batches == (landed["batch"],)
    assert len(store.newest("breast-cancer", TrainedModel).curve) == 6


def test_a_profile_has_a_state_of_its_own_and_a_name_that_is_known(project: Project) -> None:
    landed = json.loads(project.run("edgeloop", "land", "breast-cancer", "--profile", "debug", "--json").stdout)
    store = Store(str(project.root / ".edgeloop" / "profiles" / "debug"))
    assert [batch.batch for _, batch in LineStore(store, "breast-cancer").landings().after(0)] == [landed["batch"]]
    assert not (project.root / ".edgeloop" / "landing").exists()
    wrong = project.run("edgeloop", "run", "breast-cancer", "--profile", "debgu", check=False)
    assert wrong.returncode == 1
    assert "has no profile 'debgu'; it has full, debug" in wrong.stderr
