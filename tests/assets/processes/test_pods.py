"""Steps as pods: what a pod gets, what is refused, and a whole step through a cluster that is small but talks HTTP.

The cluster answers the few questions that `PipesK8sClient` asks, checks the pod's fields as the API would, and runs its
container as a process of this machine. Dagster reads annotations as they are: none are postponed here.
"""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import dagster as dg
import kubernetes
import pytest
import yaml

from assets.errors import RejectedError, StepDiedError, TransientError
from assets.line.config import Line, Resources, parse_line
from assets.processes import pods
from assets.processes.launch import run_step, torch_run
from assets.records.line_store import bind
from assets.storage.store import Store
from assets.training.triggers.documents import Claim
from tests.projects import TINY

STEP = '''
"""A step that answers, or does not."""
import os
from assets.errors import RejectedError
from assets.training.triggers.documents import Claim
from assets.processes.worker import Job, serve


def step(job: Job) -> object:
    job.send({"progress": {"text": "half way", "epoch": 3}})
    if job.options["end"] == "refuse":
        raise RejectedError("data.csv: row 3: correct it")
    if job.options["end"] == "die":
        os._exit(3)
    return Claim(job.line.name, 0, 1, ("a" * 64,) * 500, 3, "command", 0.5)


if __name__ == "__main__":
    serve(step)
'''


class Cluster:
    """Pods by name: as they were asked for, their process, their log."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.pods, self.refuse = folder, {}, 0
        self.asked: list[dict[str, Any]] = []

    def create(self, body: dict[str, Any]) -> None:
        """Start the pod's first container here; `python` is this Python."""
        self.asked.append(body)
        name, container = body["metadata"]["name"], body["spec"]["containers"][0]
        environment = os.environ | {entry["name"]: entry["value"] for entry in container["env"]}
        command = [sys.executable if part == "python" else part for part in container["command"]]
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        self.pods[name] = (process, self.folder / f"{name}.log")

    def status(self, name: str) -> dict[str, Any]:
        """What the API says of a pod."""
        code = self.pods[name][0].poll()
        state = {"running": {}} if code is None else {"terminated": {"exitCode": code, "reason": "Done"}}
        container = {"name": "dagster-pipes-execution", "state": state, "ready": True, "restartCount": 0}
        status = {"phase": "Running", "containerStatuses": [container | {"image": "i", "imageID": "i"}]}
        return {"metadata": {"name": name}, "spec": {"containers": [{"name": container["name"]}]}, "status": status}


def _handler(cluster: Cluster) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Say nothing."""

        def _answer(self, body: Any, code: int = 200) -> None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(code)
            self.send_header("Content-Type", "text/plain" if isinstance(body, bytes) else "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if cluster.refuse:
                self._answer({"message": "quota exceeded"}, cluster.refuse)
                return
            cluster.create(body)
            self._answer(body, 201)

        def do_DELETE(self) -> None:
            name = urlparse(self.path).path.rsplit("/", 1)[1]
            cluster.pods[name][0].kill()
            self._answer({"kind": "Status", "status": "Success"})

        def do_GET(self) -> None:
            where = urlparse(self.path)
            if where.path.endswith("/log"):
                process, log = cluster.pods[where.path.split("/")[-2]]
                process.wait()
                lines = log.read_text().splitlines()
                self._answer("".join(f"2026-01-01T00:00:00.{i:09d}Z {line}\n" for i, line in enumerate(lines)).encode())
            elif where.path.endswith("/pods"):
                name = parse_qs(where.query)["fieldSelector"][0].removeprefix("metadata.name=")
                self._answer({"kind": "PodList", "items": [cluster.status(name)]})
            else:
                self._answer({"kind": "EventList", "items": []})

    return Handler


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    made = Cluster(tmp_path)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(made))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me", "namespace": "lab"}}],
        "clusters": [{"name": "here", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
        "users": [{"name": "me", "user": {}}],
    }
    (tmp_path / "config").write_text(yaml.safe_dump(config))
    (tmp_path / "toy_pod.py").write_text(STEP)
    pod = {"serviceAccountName": "trainer", "volumes": [{"name": "state", "hostPath": {"path": str(tmp_path)}}]}
    (tmp_path / "pod.yaml").write_text(yaml.safe_dump(pod))
    monkeypatch.setattr(kubernetes.config.kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "config"))
    monkeypatch.setattr(pods, "POLL_SECONDS", 0.05)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{Path.cwd()}")
    monkeypatch.setenv(pods.PIPES, "k8s")
    monkeypatch.setenv(pods.IMAGE, "registry.example.com/edgeloop:1.0")
    monkeypatch.setenv(pods.POD, str(tmp_path / "pod.yaml"))
    yield made
    server.shutdown()
    server.server_close()
    for process, _ in made.pods.values():
        process.kill()
        process.wait()


@pytest.fixture
def line() -> Line:
    return parse_line("tiny", TINY | {"resources": {"gpus": 2, "cpus": 6, "memory_gb": 24}}, "test")


def _run(tmp_path: Path, line: Line, end: str, **more: Any) -> tuple[list[Claim], list[Exception], list[str]]:
    """A run whose step ends so: its answers, its errors, and the observations that it made."""
    answers: list[Claim] = []
    errors: list[Exception] = []

    @dg.asset
    def heavy(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        try:
            answers.append(run_step(context, "toy_pod", Claim, bind(Store(str(tmp_path)), line), {"end": end}, **more))
        except (RejectedError, TransientError) as error:
            errors.append(error)
        return dg.MaterializeResult()

    with dg.DagsterInstance.ephemeral() as instance:
        done = dg.materialize([heavy], instance=instance)
    seen = [event.asset_observation_data.asset_observation for event in done.get_asset_observation_events()]
    return answers, errors, [str(observation.description) for observation in seen]


def _refused_fields(body: dict[str, Any]) -> list[str]:
    """Fields of a pod that the API does not know, by the client's models, which are made from the API's schema."""
    wrong: list[str] = []

    def check(value: Any, kind: str, place: str) -> None:
        if (inner := re.fullmatch(r"list\[(.+)\]", kind)) is not None:
            for number, item in enumerate(value):
                check(item, inner[1], f"{place}[{number}]")
        elif kind.startswith("dict("):
            wrong.extend(f"{place}.{key}" for key, item in value.items() if not isinstance(item, str))
        elif kind.startswith("V1"):
            model = getattr(kubernetes.client, kind)
            kinds = {model.attribute_map[name]: inner for name, inner in model.openapi_types.items()}
            wrong.extend(f"{place}.{key}" for key in value if key not in kinds)
            for key, item in value.items():
                check(item, kinds.get(key, "str"), f"{place}.{key}")

    check(body, "V1Pod", "pod")
    return wrong


def test_a_training_step_runs_as_a_pod_with_gpus(cluster: Cluster, tmp_path: Path, line: Line) -> None:
    answers, errors, seen = _run(tmp_path, line, "answer", launcher=torch_run(1))
    assert errors == []
    assert answers == [Claim("tiny", 0, 1, ("a" * 64,) * 500, 3, "command", 0.5)]
    assert seen == ["half way"]
    (body,) = cluster.asked
    assert _refused_fields(body) == []
    assert _refused_fields({"spec": {"containers": [{"resorces": {}}]}}) == ["pod.spec.containers[0].resorces"]
    (container,) = body["spec"]["containers"]
    amounts = {"cpu": "6", "memory": "24000M", "nvidia.com/gpu": "2"}
    assert container["resources"] == {"requests": amounts, "limits": amounts}
    assert container["image"] == "registry.example.com/edgeloop:1.0"
    assert container["command"][:6] == [
        "python",
        "-m",
        "assets.processes.supervisor",
        "python",
        "-m",
        "torch.distributed.run",
    ]
    assert body["spec"]["serviceAccountName"] == "trainer"
    assert [volume["name"] for volume in body["spec"]["volumes"]] == ["state", "shared-memory"]
    assert body["spec"]["restartPolicy"] == "Never"


def test_other_steps_get_no_gpus_and_a_refusal_comes_back(cluster: Cluster, tmp_path: Path, line: Line) -> None:
    _, (error,), _ = _run(tmp_path, line, "refuse")
    assert str(error) == "data.csv: row 3: correct it"
    assert "nvidia.com/gpu" not in cluster.asked[0]["spec"]["containers"][0]["resources"]["limits"]


def test_a_pod_that_dies_is_told(cluster: Cluster, tmp_path: Path, line: Line) -> None:
    answers, (error,), _ = _run(tmp_path, line, "die")
    assert answers == []
    assert isinstance(error, StepDiedError)
    assert "the pod ended without an answer" in str(error)


@pytest.mark.parametrize(("code", "kind"), [(403, RejectedError), (503, TransientError)])
def test_what_the_cluster_says_comes_back(
    cluster: Cluster, tmp_path: Path, line: Line, code: int, kind: type[Exception]
) -> None:
    cluster.refuse = code
    _, (error,), _ = _run(tmp_path, line, "answer")
    assert type(error) is kind
    assert f"the cluster answers {code}" in str(error)
    assert "quota exceeded" in str(error)


def test_what_is_missing_is_refused(
    cluster: Cluster, tmp_path: Path, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusal() -> str:
        _, (error,), _ = _run(tmp_path, line, "answer")
        assert isinstance(error, RejectedError)
        return str(error)

    with monkeypatch.context() as patch:
        patch.delenv(pods.POD)
        assert "a pod cannot see this folder; set EDGELOOP_HOME to a bucket" in refusal()
        patch.setenv(pods.POD, str(tmp_path / "nothing.yaml"))
        assert "nothing.yaml: cannot be read as the PodSpec" in refusal()
        (tmp_path / "list.yaml").write_text("- 1")
        patch.setenv(pods.POD, str(tmp_path / "list.yaml"))
        assert "names a YAML mapping" in refusal()
    with monkeypatch.context() as patch:
        patch.delenv(pods.IMAGE)
        assert "set EDGELOOP_K8S_IMAGE" in refusal()
        patch.setitem(sys.modules, "dagster_k8s", None)
        assert "needs dagster-k8s; install edgeloop[k8s]" in refusal()
    with monkeypatch.context() as patch:
        patch.setenv(pods.PIPES, "cluster")
        assert "EDGELOOP_PIPES=cluster: allowed are local" in refusal()
    (tmp_path / "config").unlink()
    assert "no cluster is configured here" in refusal()


def test_what_the_clusters_people_say_stays() -> None:
    base = {"containers": [{"resources": {"limits": {"cpu": "1"}}, "env": [{"name": "A", "value": "b"}]}]}
    spec = pods.pod_spec(Resources(gpus=4), base, gpus=True)
    assert spec["containers"][0]["resources"] == {"limits": {"cpu": "1"}}
    assert spec["containers"][0]["env"] == [{"name": "A", "value": "b"}]
    assert "volumes" not in base
    assert "resources" not in pods.pod_spec(Resources(), {}, gpus=True)["containers"][0]
