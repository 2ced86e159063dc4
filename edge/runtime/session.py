"""Inference sessions: one interface over ONNX Runtime and TensorRT plans.

A runtime's library is loaded when its session is opened, so a device needs only the one it uses.
"""

from __future__ import annotations

from pathlib import Path

from edge.contracts import ReleaseArtifact
from edge.runtime.onnx import OnnxSession
from edge.runtime.plan import PlanSession
from edge.runtime.signature import InferenceSession


def open_session(artifact: ReleaseArtifact, path: str | Path) -> InferenceSession:
    """Open a release's artifact, whose verified bytes are at `path`, in the runtime it was made for.

    Raises:
        IncompatibleError: this machine lacks the runtime, the GPU, or the version that the artifact needs.
        RejectedError: the file is not what the artifact says.
    """
    if artifact.target.runtime == "onnxruntime":
        return OnnxSession(path)
    return PlanSession(path, artifact.target.runtime)
