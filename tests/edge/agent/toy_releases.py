"""Small real ONNX releases, and a platform with a real repository to publish them in."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from assets.records.line_store import LineStore
from assets.release.documents import ReleaseRecord
from assets.release.metadata import Editor, Expiries
from assets.release.repository import deploy, ensure_repository, publish
from assets.storage.store import Store
from edge.contracts import (
    TARGETS,
    ArtifactRef,
    Deployment,
    Evidence,
    GoldenRecord,
    GoldenSet,
    InputSpec,
    Provenance,
    ReleaseArtifact,
    ReleaseManifest,
    to_bytes,
)

LINE, GROUP = "toy", "canary"
SPEC = InputSpec("table", "input", (2,), (0.0, 0.0), (1.0, 1.0), ("a", "b"))


def toy_onnx(scale: float) -> bytes:
    """logits = scale * [a - b, b - a]."""
    weights = (scale * np.array([[1, -1], [-1, 1]])).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["input", "weights"], ["logits"])],
        "toy",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 2])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 2])],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def toy_golden(scale: float) -> GoldenSet:
    """What `toy_onnx(scale)` answers to three rows."""
    rows = [(1.0, 0.0), (0.0, 2.0), (3.0, 1.0)]
    return GoldenSet(
        tuple(
            GoldenRecord(json.dumps({"a": a, "b": b}), (scale * (a - b), scale * (b - a)), "a" if a > b else "b")
            for a, b in rows
        ),
        max_abs_diff=0.01,
        min_agreement=0.99,
    )


def reference(name: str, data: bytes, kind: str) -> ArtifactRef:
    return ArtifactRef(name, hashlib.sha256(data).hexdigest(), len(data), kind)


def toy_release(
    sequence: int, scale: float, golden_scale: float | None = None
) -> tuple[ReleaseManifest, dict[str, bytes]]:
    """A release of one CPU artifact; with another `golden_scale` its self-test fails."""
    model = toy_onnx(scale)
    golden = to_bytes(toy_golden(scale if golden_scale is None else golden_scale))
    artifact = ReleaseArtifact(
        TARGETS["cpu-x86"],
        reference("cpu-x86.onnx", model, "onnx"),
        Evidence(hashlib.sha256(model).hexdigest()),
    )
    digest = artifact.file.sha256
    manifest = ReleaseManifest(
        line=LINE,
        sequence=sequence,
        input=SPEC,
        output="logits",
        labels=("a", "b"),
        golden=reference("golden.json", golden, "json"),
        artifacts=(artifact,),
        provenance=Provenance((), digest, digest, digest, ()),
        demo_keys=True,
    )
    return manifest, {"golden.json": golden, "cpu-x86.onnx": model}


@dataclass
class Platform:
    """The platform's side: a store with a repository, and the server's URL."""

    store: Store
    url: str

    def release(self, sequence: int, scale: float, golden_scale: float | None = None) -> ReleaseRecord:
        """Publish a toy release and point the group at it."""
        record = publish(LineStore(self.store, LINE), *toy_release(sequence, scale, golden_scale))
        self.deploy(record)
        return record

    def deploy(self, record: ReleaseRecord) -> Deployment:
        return deploy(LineStore(self.store, LINE), GROUP, record)

    def target_file(self, record: ReleaseRecord, name: str) -> Path:
        """Where the server keeps a release's file."""
        folder = Path(self.store.path(f"tuf/targets/releases/{LINE}/{record.release}"))
        (found,) = folder.glob(f"*.{name}")
        return found

    def let_timestamp_expire(self) -> None:
        """Sign a timestamp that ended an hour ago, as if the schedule had stopped."""
        ensure_repository(self.store, (), replace(Expiries(), timestamp=timedelta(days=300)))
        Editor.open(self.store, replace(Expiries(), timestamp=timedelta(hours=-1))).sign_timestamp()
