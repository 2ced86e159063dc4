"""Every task's folder is held to the same contract, also one that is added tomorrow."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from numpy.typing import NDArray

from assets.errors import LineError
from assets.line.config import parse_line
from assets.line.data import SECTIONS
from assets.line.families import FAMILIES
from assets.line.tasks import TaskSpec, task_specs
from assets.line.training import TrainingPolicy
from assets.tasks.compare import compare
from assets.tasks.task import Task, load_task

FOLDER = Path(__file__).parents[3] / "assets/tasks"
NAMES = sorted(task_specs())
CLASSES = ("a", "b")
RECORDS = 24


def _labels(spec: TaskSpec, seed: int) -> NDArray[Any]:
    rng = np.random.default_rng(seed)
    if spec.answer == "image":
        return rng.random((RECORDS, 1, 8, 8)).astype(np.float32)
    return rng.normal(50, 10, RECORDS) if spec.regression else np.arange(RECORDS) % 2


def _outputs(spec: TaskSpec, seed: int) -> NDArray[np.float32]:
    shape = {"class": (2,), "image": (1, 8, 8)}.get(spec.answer, (1,))
    outputs = np.random.default_rng(seed).random((RECORDS, *shape))
    return (outputs * (100 if spec.regression else 1)).astype(np.float32)


def _case(name: str) -> tuple[Task, NDArray[Any], NDArray[np.float32]]:
    task = load_task(name)
    return task, _labels(task.spec, 0), _outputs(task.spec, 1)


def test_there_are_the_tasks_of_the_platform() -> None:
    assert len(NAMES) >= 8


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_has_the_same_files_as_the_others(name: str) -> None:
    files = {path.name for path in (FOLDER / name).iterdir()}
    assert {"README.md", "__init__.py", "spec.py"} <= files
    parts = {"loss", "metrics", "golden"}
    modules = task_specs()[name].modules
    assert {path.removesuffix(".py") for path in files} & parts == parts - set(modules)
    assert {f"{module}.py" for module in modules.values()} <= {path.name for path in FOLDER.iterdir()}
    text = (FOLDER / name / "README.md").read_text()
    sections = re.findall(r"^## (.*)$", text, re.MULTILINE)
    wanted = ["Data", "Answer", "Loss", "Metrics", "Sanity baseline", "Golden records", "Families", "Example"]
    assert sections == wanted
    spec = task_specs()[name]
    families = {family for names in spec.sections.values() for family in names}
    assert [word for word in (*families, *spec.metrics, *spec.losses) if f"`{word}`" not in text] == []
    assert families <= set(FAMILIES)


@pytest.mark.parametrize("name", NAMES)
def test_the_example_in_its_readme_is_a_line_of_this_task(name: str) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", (FOLDER / name / "README.md").read_text(), re.DOTALL)
    config = parse_line("example", yaml.safe_load(example)["attributes"], f"{name}/README.md").config
    spec = config.task_spec
    assert spec is not None
    assert spec.name == name
    assert SECTIONS[config.data.reader] in spec.sections


@pytest.mark.parametrize("name", NAMES)
def test_metrics_are_finite_and_inside_their_intervals(name: str) -> None:
    task, y, outputs = _case(name)
    answer = task.metrics.answer(outputs, y)
    assert answer.kind == task.spec.answer
    found = task.metrics.metrics("test", outputs, y, CLASSES, "simulated", answer.threshold)
    named = {metric.name: metric for metric in found}
    assert set(task.spec.metrics) <= set(named)
    assert len(named) == len(found)
    for metric in found:
        assert (metric.split, metric.kind) == ("test", "simulated")
        assert np.isfinite(metric.value)
        assert metric.low is None or metric.low <= metric.value <= (metric.high or 0.0)
    for metric_name in task.spec.metrics:
        assert task.score(metric_name, outputs, y) == pytest.approx(named[metric_name].value)
    assert found == task.metrics.metrics("test", outputs, y, CLASSES, "simulated", answer.threshold)


@pytest.mark.parametrize("name", NAMES)
def test_unknown_metrics_are_refused(name: str) -> None:
    task, y, outputs = _case(name)
    with pytest.raises(ValueError, match="no metric 'glamour'; there are"):
        task.score("glamour", outputs, y)


@pytest.mark.parametrize("name", NAMES)
def test_the_loss_falls_where_the_network_learns(name: str) -> None:
    task, y, outputs = _case(name)
    targets: NDArray[Any] = np.arange(RECORDS) % 2 if task.spec.answer == "image" else y
    answers = outputs[:, 0, 0, :1] if task.spec.answer == "image" else outputs
    rows = np.flatnonzero(task.loss.learns_from(targets))
    assert len(rows)
    guess = torch.from_numpy(answers[rows].copy()).requires_grad_()
    truth = torch.from_numpy(targets[rows].astype(np.int64 if task.spec.answer == "class" else np.float32))
    for loss in task.spec.losses:
        objective = task.loss.objective(TrainingPolicy(loss=loss), targets[rows], len(CLASSES))
        before = objective(guess, truth, guess)
        assert before.ndim == 0
        (slope,) = torch.autograd.grad(before, guess)
        scale = 1e-2 * guess.abs().max() / slope.abs().max()
        assert objective(guess, truth, guess - scale * slope).item() < before.item()


@pytest.mark.parametrize("name", NAMES)
def test_the_loss_of_a_batch_is_the_mean_of_its_parts(name: str) -> None:
    task, y, outputs = _case(name)
    targets: NDArray[Any] = np.arange(RECORDS) % 2 if task.spec.answer == "image" else y
    answers = torch.from_numpy(outputs[:, 0, 0, :1] if task.spec.answer == "image" else outputs)
    truth = torch.from_numpy(targets.astype(np.int64 if task.spec.answer == "class" else np.float32))
    weighs = task.spec.answer == "class"
    policy = TrainingPolicy(imbalance="weights" if weighs else "none", label_smoothing=0.1 if weighs else 0)
    objective = task.loss.objective(policy, np.repeat([0, 1], [20, 4]) if weighs else targets, len(CLASSES))
    half = RECORDS // 2
    parts = [objective(answers[at], truth[at], answers[at]) for at in (slice(half), slice(half, None))]
    assert float(sum(parts) / 2) == pytest.approx(float(objective(answers, truth, answers)), rel=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_the_baseline_answers_as_the_model_would(name: str) -> None:
    task, y, outputs = _case(name)
    naive = task.metrics.baseline(_labels(task.spec, 2), y, CLASSES)
    assert (naive.shape, naive.dtype) == (outputs.shape, np.float32)
    assert all(np.isfinite(task.score(metric, naive, y)) for metric in task.spec.metrics)


@pytest.mark.parametrize("name", NAMES)
def test_golden_records_do_not_depend_on_the_order(name: str) -> None:
    task, y, outputs = _case(name)
    ids = [f"{number * 7919 % 1000:03d}" for number in range(RECORDS)]
    sizes = [10 if number else 2 * 1024 * 1024 for number in range(RECORDS)]
    picked = task.golden.pick(ids, sizes, y, CLASSES, 6)
    assert len(set(picked)) == 6
    assert 0 not in picked  # too large to send to every device
    turned = np.random.default_rng(3).permutation(RECORDS)
    again = task.golden.pick([ids[at] for at in turned], [sizes[at] for at in turned], y[turned], CLASSES, 6)
    assert [int(turned[at]) for at in again] == picked
    assert sorted(task.golden.pick(ids, sizes, y, CLASSES, 100)) == list(range(RECORDS))
    assert task.golden.pick([], [], y[:0], CLASSES, 6) == []
    assert task.golden.agrees(outputs, outputs).tolist() == [True] * RECORDS
    assert not task.golden.agrees(outputs, outputs[::-1]).all()


@pytest.mark.parametrize("name", NAMES)
def test_merits_are_larger_for_better_answers(name: str) -> None:
    task, y, outputs = _case(name)
    good: NDArray[Any] = {"class": np.eye(2)[y.astype(int) % 2] if y.ndim == 1 else y, "image": y}.get(
        task.spec.answer, y.reshape(RECORDS, -1)
    )
    better, worse = task.metrics.merits(good.astype(np.float32), y), task.metrics.merits(outputs, y)
    assert better.shape == (RECORDS,)
    assert better.mean() > worse.mean()
    found = compare(task, task.spec.metric, outputs, good.astype(np.float32), y)
    assert found.verdict == "better"
    assert found.sentence.startswith("better by ")
    back = compare(task, task.spec.metric, good.astype(np.float32), outputs, y)
    assert (back.verdict, back.gain.value) == ("worse", pytest.approx(-found.gain.value))
    same = compare(task, task.spec.metric, outputs, outputs, y)
    assert (same.verdict, same.gain.value) == ("undecided", 0.0)
    assert f"can be shown on {RECORDS} records" in same.sentence


def test_a_generator_is_not_cross_validated() -> None:
    text = (FOLDER / "image_generation/README.md").read_text()
    (example,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    attributes = yaml.safe_load(example)["attributes"]
    attributes["training"]["folds"] = 3
    with pytest.raises(LineError, match=r"training\.folds: a generator of pictures is not cross-validated"):
        parse_line("example", attributes, "README.md")
