"""Heavy steps as pods of a Kubernetes cluster, through Dagster's `PipesK8sClient`; the same entry points as elsewhere.

`EDGELOOP_PIPES=k8s` asks for it. The image has this package installed; the state is one that a pod can reach.

    EDGELOOP_K8S_IMAGE      the image, e.g. registry.example.com/edgeloop:1.0
    EDGELOOP_K8S_NAMESPACE  where pods are started; the daemon's own without it
    EDGELOOP_K8S_POD        a YAML file with what else a pod shall have (a PodSpec: serviceAccountName, nodeSelector,
                            tolerations, volumes; its first container's env, envFrom and volumeMounts)
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import yaml
from dagster._core.pipes.context import PipesMessageHandler

from assets.errors import RejectedError, StepDiedError, TransientError
from assets.line.config import Resources
from assets.processes.messages import Progress, progress_of
from assets.storage.store import Store

PIPES, IMAGE, NAMESPACE, POD = "EDGELOOP_PIPES", "EDGELOOP_K8S_IMAGE", "EDGELOOP_K8S_NAMESPACE", "EDGELOOP_K8S_POD"
GPU = "nvidia.com/gpu"
POLL_SECONDS = 2.0
_AGAIN = frozenset({0, 408, 409, 429, 500, 502, 503, 504})
"""What the cluster's API answers where another try may help; 0 where it does not answer."""


def in_cluster() -> bool:
    """Whether heavy steps are pods. Raises RejectedError for a way to run them that there is not."""
    asked = os.environ.get(PIPES, "local")
    if asked not in {"local", "k8s"}:
        raise RejectedError(f"{PIPES}={asked}: allowed are local (child processes) and k8s (pods)")
    return asked == "k8s"


def pod_spec(resources: Resources, base: Mapping[str, Any], *, gpus: bool) -> dict[str, Any]:
    """A PodSpec as `PipesK8sClient` takes it, but for image and command.

    Requests are limits: a step neither takes from its neighbours nor is ended for what they take. Shared memory is as
    large as the pod's, because NCCL's processes exchange gradients through it.

    Args:
        base: what the cluster's people want each pod to have; what is said there stays.
        gpus: whether the step trains; others get none.
    """
    spec = copy.deepcopy(dict(base))
    containers = spec.setdefault("containers", [{}])
    container = containers[0]
    amounts: dict[str, str] = {}
    if resources.cpus is not None:
        amounts["cpu"] = f"{resources.cpus:g}"
    if resources.memory_gb is not None:
        amounts["memory"] = f"{round(resources.memory_gb * 1000)}M"
    if gpus and resources.gpus:
        amounts[GPU] = str(resources.gpus)
    if amounts:
        container.setdefault("resources", {"requests": dict(amounts), "limits": dict(amounts)})
    spec.setdefault("volumes", []).append({"name": "shared-memory", "emptyDir": {"medium": "Memory"}})
    container.setdefault("volumeMounts", []).append({"name": "shared-memory", "mountPath": "/dev/shm"})  # noqa: S108
    spec.setdefault("restartPolicy", "Never")  # Dagster tries again, and training goes on from its checkpoint
    return spec


def run_pod(
    context: dg.AssetExecutionContext,
    command: Sequence[str],
    extras: Mapping[str, Any],
    store: Store,
    resources: Resources,
    on_progress: Callable[[Progress], None],
    *,
    gpus: bool,
) -> Sequence[Any]:
    """Run a step in a pod of its own, and return the messages it sent.

    Raises:
        RejectedError: something that must be set is not, or the cluster refuses the pod.
        TransientError: the cluster does not answer now.
        StepDiedError: the pod ended badly.
    """
    try:
        import kubernetes
        from dagster_k8s import PipesK8sClient
        from dagster_k8s.client import DagsterK8sError
    except ImportError as error:
        raise RejectedError(f"{PIPES}=k8s needs dagster-k8s; install edgeloop[k8s] ({error})") from error
    image, base = os.environ.get(IMAGE), _base()
    if not image:
        raise RejectedError(f"{PIPES}=k8s: set {IMAGE} to the image that has edgeloop installed")
    if store.local and not base.get("volumes"):
        raise RejectedError(
            f"{store.root}: a pod cannot see this folder; set EDGELOOP_HOME to a bucket, or mount the folder at the "
            f"same path by the `volumes` of {POD}"
        )
    client = PipesK8sClient(message_reader=_reader(on_progress), poll_interval=POLL_SECONDS)
    try:
        done = client.run(
            context=context.op_execution_context,  # it reads what Dagster has deprecated of the other
            image=image,
            command=list(command),
            extras=dict(extras),
            namespace=os.environ.get(NAMESPACE),
            base_pod_spec=pod_spec(resources, base, gpus=gpus),
            base_pod_meta={"labels": {"app.kubernetes.io/part-of": "edgeloop"}},
        )
    except kubernetes.client.ApiException as error:
        text = f"the cluster answers {error.status} {error.reason}: {error.body}"
        raise (TransientError if error.status in _AGAIN else RejectedError)(text) from error
    except kubernetes.config.ConfigException as error:
        raise RejectedError(f"{PIPES}=k8s: no cluster is configured here ({error}); set KUBECONFIG") from error
    except DagsterK8sError as error:
        raise StepDiedError(f"the pod ended without an answer ({error}); its log is in the run's page") from error
    messages: Sequence[Any] = done.get_custom_messages()
    return messages


def _base() -> dict[str, Any]:
    path = os.environ.get(POD)
    if not path:
        return {}
    try:
        base = yaml.safe_load(Path(path).read_text())
    except (OSError, yaml.YAMLError) as error:
        raise RejectedError(f"{path}: cannot be read as the PodSpec that {POD} names ({error})") from error
    if not isinstance(base, dict):
        raise RejectedError(f"{path}: {POD} names a YAML mapping, the fields of a PodSpec")
    return base


def _reader(on_progress: Callable[[Progress], None]) -> dg.PipesMessageReader:
    """Messages come in the pod's log; progress is taken out as it comes."""
    from dagster_k8s import PipesK8sPodLogsMessageReader

    class Reader(PipesK8sPodLogsMessageReader):  # type: ignore[misc]  # the extra may be missing
        @contextmanager
        def read_messages(self, handler: PipesMessageHandler) -> Iterator[Any]:
            take = handler.handle_message

            def handle(message: Any) -> None:
                if (progress := progress_of(message)) is not None:
                    on_progress(progress)
                else:
                    take(message)

            handler.handle_message = handle  # type: ignore[method-assign]
            with super().read_messages(handler) as parameters:
                yield parameters

    return Reader()
