"""`edgeloop demo`, for real: three batches, a daemon, a device; then what it claims is checked from outside.

Fewer epochs than the shipped line's, which a person waits for: the promises must hold all the same.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from tuf.ngclient import Updater, UpdaterConfig

from assets.records.line_store import LineStore
from edge.contracts import Deployment, ReleaseManifest, from_bytes
from platform_defs.web.serve import Server, device_app
from tests.projects import ROOT, Project, make_project

pytestmark = pytest.mark.timeout(3600)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    made = make_project(tmp_path_factory.mktemp("demo") / "project")
    line = made.root / "platform_defs/lines/digits/defs.yaml"
    line.parent.mkdir(exist_ok=True)
    yaml = (ROOT / "platform_defs/lines/digits/defs.yaml").read_text()
    line.write_text(yaml.replace("epochs: 25", "epochs: 12").replace("distill_epochs: 60", "distill_epochs: 12"))
    yield made
    shutil.rmtree(made.root, ignore_errors=True)


@pytest.fixture(scope="module")
def summary(project: Project) -> dict[str, Any]:
    project.run("edgeloop", "demo", timeout=3000)
    return dict(json.loads(project.store.read("demo/summary.json")))


def test_two_batches_are_accepted_and_the_third_is_blocked_record_by_record(summary: dict[str, Any]) -> None:
    assert [batch["state"] for batch in summary["batches"]] == ["accepted", "accepted", "blocked"]
    for batch in summary["batches"]:
        assert batch["seen"] == batch["accepted"] + batch["quarantined"] + batch["refused"]
    reasons = summary["batches"][2]["reasons"]
    assert len(reasons) == 21, "three damaged files, six pictures of an unknown class, twelve known ones relabelled"
    assert all(reason["file"] and reason["reason"] and reason["remedy"] for reason in reasons)
    files = {reason["file"] for reason in reasons}
    assert {"3/empty.png", "3/cut-short.png", "3/web-page.png", "letter-a/0.png"} <= files


def test_the_chosen_model_keeps_its_promises(summary: dict[str, Any]) -> None:
    teacher = next(stage for stage in summary["stages"] if stage["stage"] == "teacher")
    chosen = summary["chosen"]
    assert teacher["accuracy"] >= 0.97
    assert teacher["low"] < teacher["accuracy"] < teacher["high"]
    assert chosen["accuracy_drop"] <= 0.01
    assert chosen["accuracy_drop_low"] <= chosen["accuracy_drop"] <= chosen["accuracy_drop_high"]
    assert chosen["size_of_teacher"] <= 0.4
    assert len({stage["test_records"] for stage in summary["stages"]}) == 1


def test_every_target_has_a_real_file_and_an_honest_verdict(summary: dict[str, Any]) -> None:
    targets = {target["target"]: target for target in summary["targets"]}
    assert set(targets) == {"cpu-x86", "rtx-sm86", "rtx-sm89"}
    for name, target in targets.items():
        data = Path(target["path"]).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (target["bytes"], target["sha256"])
        if name.startswith("rtx"):
            assert data[:4] == b"vtrt"
            assert (target["verdict"], target["on_device"]) == ("simulated", "pending")
    assert targets["cpu-x86"]["verdict"] == "measured"


def test_the_device_runs_what_came_of_the_second_batch(project: Project, summary: dict[str, Any]) -> None:
    device = summary["device"]
    assert device["self_test"]["passed"]
    with project.prompt() as prompt:
        fleet, releases = prompt.json("fleet"), prompt.json("releases", "digits")
    assert [(row["device"], row["release"]) for row in fleet] == [(device["device"], device["release"])]
    assert [row["release"] for row in releases][-1] == device["release"]
    assert len(releases) == 2


def test_stock_tuf_verifies_the_release(project: Project, summary: dict[str, Any], tmp_path: Path) -> None:
    store, metadata, targets = project.store, tmp_path / "metadata", tmp_path / "targets"
    metadata.mkdir()
    targets.mkdir()
    with Server(device_app(store)) as server:
        updater = Updater(
            str(metadata),
            f"{server.url}/metadata/",
            str(targets),
            f"{server.url}/targets/",
            config=UpdaterConfig(),
            bootstrap=store.read("tuf/metadata/1.root.json"),
        )

        def download(path: str) -> bytes:
            info = updater.get_targetinfo(path)
            assert info is not None, path
            return Path(updater.download_target(info)).read_bytes()

        deployment = from_bytes(Deployment, download("deploy/digits/canary.json"))
        assert deployment.release == summary["device"]["release"]
        manifest = from_bytes(ReleaseManifest, download(deployment.manifest))
        assert manifest.demo_keys
        folder = deployment.manifest.rpartition("/")[0]
        found = {artifact.target.name: download(f"{folder}/{artifact.file.uri}") for artifact in manifest.artifacts}
    expected = {target["target"]: target["sha256"] for target in summary["targets"]}
    assert {name: hashlib.sha256(data).hexdigest() for name, data in found.items()} == expected


def test_keys_are_private_and_marked(project: Project, summary: dict[str, Any]) -> None:
    del summary
    folder = Path(project.store.path("keys"))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = list(folder.iterdir())
    assert len(files) >= 6
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert "demo" in project.store.read("tuf/metadata/1.root.json").decode()


def test_the_report_of_the_blocked_batch_says_so(project: Project, summary: dict[str, Any]) -> None:
    blocked = summary["batches"][2]
    page = project.store.read(blocked["report"]).decode()
    assert "letter-a" in page
    assert "3/cut-short.png" in page
    assert "<script" not in page
    assert LineStore(project.store, "digits").verdict(blocked["batch"]) is not None


def _work(project: Project) -> set[str]:
    """The runs that judged or retrained."""
    with dg.DagsterInstance.from_config(str(project.root / ".edgeloop" / "dagster")) as instance:
        jobs = ("digits_judge", "digits_retrain")
        return {run.run_id for job in jobs for run in instance.get_runs(dg.RunsFilter(job_name=job))}


def test_running_it_again_is_safe_and_does_nothing_twice(project: Project, summary: dict[str, Any]) -> None:
    before = _work(project)
    project.run("edgeloop", "demo", timeout=1500)
    again = json.loads(project.store.read("demo/summary.json"))
    assert _work(project) == before, "work was done twice"
    for key in ("stages", "chosen", "targets"):
        assert again[key] == summary[key]
    assert again["device"]["release"] == summary["device"]["release"]
    assert len(json.loads(project.run("edgeloop", "releases", "digits", "--json").stdout)) == 2
