"""A line is one YAML: scaffolded it works as it is, broken it is named and takes no other down."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from assets.line.config import parse_line
from assets.line.data import SECTIONS
from assets.line.tasks import default_task
from assets.records.line_store import LineStore
from assets.release.published import releases
from assets.tasks.check_line import check_model
from platform_defs.catalog import read_line
from platform_defs.components.scaffolder import LineParams, line_attributes, options_text
from tests.projects import ROOT, TINY, Project, make_project, write_points

COMPONENT = "platform_defs.components.ModelLine"
CSV = ("--reader", "csv", "--classes", "low, high", "--target", "kind", "--columns", "x1,x2")
LOAD = """
import json
from platform_defs.definitions import definitions
repository = definitions().get_repository_def()
specs = definitions().resolve_all_asset_specs()
print(json.dumps({
    "assets": {spec.key.to_user_string(): spec.description for spec in specs},
    "automation": sorted(item.name for item in [*repository.sensor_defs, *repository.schedule_defs]),
}))
"""


@pytest.fixture(scope="module")
def scaffolded(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose only lines `dg scaffold defs` has made."""
    project = make_project(tmp_path_factory.mktemp("lines") / "project")
    project.run("dg", "scaffold", "defs", COMPONENT, "my-line")
    project.run("dg", "scaffold", "defs", COMPONENT, "my-table", *CSV)
    return project


def _defs(project: Project, line: str) -> Path:
    return project.root / "platform_defs" / "lines" / line / "defs.yaml"


def _loaded(project: Project) -> dict[str, Any]:
    """Assets with descriptions, sensors and schedules of the project's code location."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LOAD],
        cwd=project.root,
        env=project.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("reader", sorted(SECTIONS))
def test_every_reader_can_be_scaffolded(reader: str) -> None:
    attributes = line_attributes(LineParams.model_validate({"reader": reader}))
    config = parse_line("made", attributes, "test").config
    assert config.data.reader == reader
    if (spec := default_task(config.data)) is None:
        assert config.model is None
        assert SECTIONS[reader] == "audio"
        return
    assert config.model is not None
    assert config.model.family in spec.sections[SECTIONS[reader]]
    assert [finding for finding in check_model(config) if not finding.ok] == []


@pytest.mark.parametrize("reader", ["table", "series"])
def test_without_classes_a_number_is_predicted(reader: str) -> None:
    attributes = line_attributes(LineParams.model_validate({"reader": reader, "classes": "", "target": "price"}))
    config = parse_line("made", attributes, "test").config
    assert config.task_spec is not None
    assert (config.data.regression, config.task_spec.answer) == (True, "number")


def test_every_option_is_on_the_help_page() -> None:
    told = options_text()
    for name, field in LineParams.model_fields.items():
        assert f"--{name} " in told
        assert f"Default: {field.default}" in told
        assert str(field.description) in told
    assert all(reader in told for reader in SECTIONS)
    assert "Undefined" not in told
    for arguments, asks in (
        (("ARGS=--help",), True),
        (("ARGS=--classes a,b -h",), True),
        (("ARGS=--classes a,b",), False),
    ):
        command = ["make", "-n", "line", "NAME=x", *arguments]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        assert ("options_text" in done.stdout) == asks
        assert ("dg scaffold" in done.stdout) != asks


def test_a_scaffolded_line_says_what_it_was_told(scaffolded: Project) -> None:
    pictures = read_line(_defs(scaffolded, "my-line")).config
    assert (pictures.data.reader, pictures.data.classes) == ("image_folder", ("negative", "positive"))
    table = read_line(_defs(scaffolded, "my-table")).config
    assert (table.data.reader, table.data.classes) == ("table", ("low", "high"))
    assert table.data.table is not None
    assert (table.data.table.target, table.data.table.columns) == ("kind", ("x1", "x2"))
    assert table.rollout.promotion == "manual", "people promote by default"
    assert "edgeloop land my-table" in _defs(scaffolded, "my-table").read_text()


@pytest.mark.parametrize(
    "command",
    [
        ("dg", "check", "defs"),
        ("dg", "check", "yaml"),
        ("dagster", "definitions", "validate", "-w", "workspace.yaml"),
        ("edgeloop", "lines", "--check"),
    ],
    ids=" ".join,
)
def test_a_scaffolded_line_passes_every_check(scaffolded: Project, command: tuple[str, ...]) -> None:
    scaffolded.run(*command)


def test_a_scaffolded_line_works(scaffolded: Project) -> None:
    points = write_points(scaffolded.root / "points.csv", seed=1)
    scaffolded.run("edgeloop", "land", "my-table", str(points))
    outcome = json.loads(scaffolded.run("edgeloop", "run", "my-table", "--json").stdout)
    assert list(outcome["judged"].values()) == ["accepted"]
    assert len(outcome["retrained"]) == 1
    (record,) = releases(LineStore(scaffolded.store, "my-table"))
    assert [artifact.target.name for artifact in record.manifest.artifacts] == ["cpu-x86"]


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("Bad_Name", (), "line 'Bad_Name': a line's name has lower-case letters, digits and hyphens only"),
        ("narrow", ("--classes", "one"), "data.classes = ['one']: one class alone teaches nothing"),
        ("twice", (*CSV[:-1], "kind"), "the target 'kind' is also listed as an input column"),
    ],
)
def test_a_line_that_cannot_be_is_refused_and_leaves_nothing(
    scaffolded: Project, name: str, options: tuple[str, ...], told: str
) -> None:
    done = scaffolded.run("dg", "scaffold", "defs", COMPONENT, name, *options, check=False)
    assert done.returncode == 1
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert not _defs(scaffolded, name).parent.exists(), "its name would be taken"


def _aliases() -> str:
    """Ten rows of YAML that stand for a billion words."""
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    return "\n".join([f"type: {COMPONENT}", "attributes:", *(f"  {row}" for row in rows)])


def _yaml(**changes: Any) -> str:
    return yaml.safe_dump({"type": COMPONENT, "attributes": {**TINY, **changes}})


BROKEN = {
    "value": (_yaml(budget={"max_drop": 1.7}), "budget.max_drop = 1.7: Input should be less than or equal to 0.5"),
    "unknown-field": (_yaml(surprise=1), "surprise = 1: Extra inputs are not permitted"),
    "missing-field": (_yaml(data=None), "data = None: Input should be a valid dictionary"),
    "target": (_yaml(targets=["toaster"]), "'toaster' is not a known target; allowed are cpu-x86"),
    "night": (_yaml(retrain={"nightly": "61 2 * * *"}), "retrain.nightly = '61 2 * * *': not a cron line; allowed are"),
    "syntax": ("type: [", "not readable as YAML"),
    "bytes": ("\udcff\udcfe", "not readable as YAML"),
    "aliases": (_aliases(), "more than 20 YAML aliases"),
    "other-type": ("type: dagster.DefsFolderComponent\nattributes: {}\n", f"says `type: {COMPONENT}`"),
    "tiny/within": (_yaml(), "line 'within' lies in another line's folder; move it out"),
    "shouting/LINE": (_yaml(), "line 'LINE': a line's name has lower-case letters"),
}


def test_broken_lines_are_listed_with_their_errors_and_stop_no_other(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    project.add_line("tiny", TINY)
    for name, (text, _) in BROKEN.items():
        _defs(project, name).parent.mkdir(parents=True)
        _defs(project, name).write_text(text, encoding="utf-8", errors="surrogateescape")
    found = _loaded(project)
    broken = {key: text for key, text in found["assets"].items() if key.endswith("/broken_line")}
    for name, (_, told) in BROKEN.items():
        line = name.rpartition("/")[2]
        text = broken.pop(f"{line}/broken_line")
        assert f"platform_defs/lines/{name}/defs.yaml: line {line!r}" in text
        assert told in text
    assert broken == {}
    assert {key for key in found["assets"] if key.startswith("tiny/")} >= {"tiny/batch", "tiny/release"}
    automation = [
        "sign_fresh_metadata_hourly",
        "tiny_new_batch_sensor",
        "tiny_nightly_retrain",
        "tiny_reconcile_sensor",
    ]
    assert found["automation"] == automation
