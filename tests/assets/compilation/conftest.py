"""A chosen model made by hand, so that these tests train nothing: the small conv net in every dialect."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image

from assets.compression.documents import Candidate, ChosenModel, Recipe
from assets.evaluation.answers import logits, open_session
from assets.line.config import Line, parse_line
from assets.records.dataset import DatasetVersion
from assets.records.line_store import LineStore, bind
from assets.storage import layout
from assets.storage.store import Store
from assets.tasks.class_metrics import metrics as class_metrics
from assets.training.dataset import build_dataset
from edge.contracts import ArtifactRef, Evidence, InputSpec, Latency, Metric, ParityVerdict, digest
from edge.runtime.preprocess import record_tensor

LABELS = tuple("abcd")
SPEC = InputSpec("image", "input", (1, 8, 8), (0.5,), (0.5,))


@dataclass(frozen=True)
class Made:
    """A store with a dataset and a chosen model in it."""

    store: Store
    line: Line
    dataset: DatasetVersion
    chosen: ChosenModel
    files: dict[str, bytes]

    def choose(self, files: dict[str, bytes]) -> ChosenModel:
        """Another chosen model on the same dataset."""
        return make_chosen(LineStore(self.store, self.line.name), self.chosen.dataset, files)


def small_line(targets: list[str]) -> Line:
    image = {"height": 8, "width": 8, "channels": 1}
    data = {"reader": "image_folder", "classes": list(LABELS), "image": image}
    return parse_line("shapes", {"data": data, "model": {"family": "cnn"}, "targets": targets}, "test")


def picture(seed: int) -> bytes:
    draw = np.random.default_rng(seed)
    level = draw.integers(0, 256)
    pixels = np.clip(level + draw.normal(scale=40, size=(8, 8)), 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def make_chosen(line: LineStore, dataset: str, files: dict[str, bytes]) -> ChosenModel:
    """What choosing leaves: files in the store, evidence and verdicts of an earlier step."""
    refs = {dialect: line.put(data, "onnx", ".onnx") for dialect, data in files.items()}
    teacher = refs["float"].sha256
    inputs = np.stack([record_tensor(SPEC, picture(seed)) for seed in range(20)])
    metrics = (
        *class_metrics("test", logits(open_session(files["float"]), inputs), np.zeros(20, np.int64), LABELS),
        Metric("accuracy_drop", 0.0, "test", 20, -0.01, 0.01),
    )
    latency = Latency(0.1, 0.2, 1, 1, "this machine")

    def chain(dialect: str, ref: ArtifactRef) -> tuple[ParityVerdict, ...]:
        if dialect == "float":
            return ()
        return (ParityVerdict("quantize", "measured", teacher, ref.sha256, True, 0.0, 0.1, 20),)

    evidence = {dialect: Evidence(ref.sha256, metrics, (), latency, 1.0) for dialect, ref in refs.items()}
    parity = {dialect: chain(dialect, ref) for dialect, ref in refs.items()}
    candidate = Candidate("teacher-int8", Recipe(), 100, 1000, refs, evidence, parity, 2.0, 1.0)
    size = refs["float"].size
    return ChosenModel(
        line.name, 1, dataset, teacher, size, evidence["float"], SPEC, "logits", LABELS, candidate, "it is small"
    )


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """Labels are what the float model answers, so a compiler that changes answers loses accuracy."""
    from tests.assets.accepted_records import Record, accept
    from tests.edge.onnx_models import conv_net

    store = Store(str(tmp_path_factory.mktemp("store")))
    line = small_line(["cpu-x86", "cpu-arm64", "rtx-sm86", "rtx-sm89"])
    files = {
        "float": conv_net().SerializeToString(),
        "cpu": conv_net(True, zero_type=np.uint8, zero=128).SerializeToString(),
        "tensorrt": conv_net(True).SerializeToString(),
    }
    session = open_session(files["float"])
    records: list[Record] = []
    for seed in range(90):
        data = picture(seed)
        answer = int(logits(session, record_tensor(SPEC, data)[np.newaxis])[0].argmax())
        split = ("train", "validation", "test")[seed % 3]
        records.append((hashlib.sha256(data).hexdigest(), LABELS[answer], split, f"{seed}.png", data))
    accept(LineStore(store, line.name), records, "b" * 64)
    dataset = build_dataset(bind(store, line))
    store.save(layout.dataset(line.name, digest(dataset)), dataset)
    yield Made(store, line, dataset, make_chosen(LineStore(store, line.name), digest(dataset), files), files)
