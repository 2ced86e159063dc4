"""Small models of each kind, trained for a second on made records, with all that a card is made from."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from assets.line.config import Line, parse_line
from assets.records.dataset import DatasetVersion
from assets.records.line_store import BoundLine, bind
from assets.storage.store import Store
from assets.tasks.task import Task, load_task
from assets.training.card import Facts, GanEvidence
from assets.training.documents import Cost, Start, TrainedModel
from edge.contracts import AnswerSpec, ArtifactRef, Evidence, InputSpec, Latency

Encode = Callable[[int], bytes]


@dataclass
class Made:
    """Records in memory, with what a set of records offers besides."""

    x: NDArray[Any]
    y: NDArray[Any]
    encode: Encode
    groups: tuple[str, ...] = ()
    name: str = "test"
    ids: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.ids = tuple(f"{self.name}-{number}" for number in range(len(self.x)))

    def __len__(self) -> int:
        return len(self.x)

    def batch(self, rows: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(self.x[rows])

    def input_of(self, row: int) -> bytes:
        return self.encode(row)


@dataclass
class CardCase:
    """Everything that `make_card` takes."""

    store: Store
    line: Line
    dataset: DatasetVersion
    model: TrainedModel
    task: Task
    records: Made
    spec: InputSpec
    outputs: NDArray[np.float32]
    network: nn.Module
    gan: GanEvidence | None = None

    def facts(self, **more: Any) -> Facts:
        """What its card is made from."""
        names = ("store", "line", "dataset", "model", "task", "records", "spec", "outputs", "network", "gan")
        return Facts(**{name: getattr(self, name) for name in names} | more)


LINES: dict[str, dict[str, Any]] = {
    "pictures": {
        "data": {
            "reader": "image_folder",
            "classes": ["ring", "cross", "bar"],
            "image": {"width": 24, "height": 24, "channels": 3},
        },
        "model": "cnn",
    },
    "rows": {
        "data": {
            "reader": "table",
            "classes": ["works", "fails"],
            "table": {
                "target": "state",
                "columns": ["torque", "speed", "wear", "kind"],
                "categories": {"kind": ["L", "M", "H"]},
            },
        },
        "model": "mlp",
    },
    "numbers": {
        "data": {"reader": "table", "table": {"target": "price", "columns": ["size", "rooms", "age"]}},
        "model": "mlp",
    },
    "series": {
        "data": {
            "reader": "series",
            "series": {"unit": "engine", "time": "cycle", "remaining": True, "columns": ["heat", "speed", "noise"]},
        },
        "model": "gru",
    },
    "texts": {
        "data": {"reader": "text", "classes": ["ham", "spam"], "text": {"column": "text", "target": "label"}},
        "model": "embedding_gru",
    },
    "anomalies": {
        "data": {
            "reader": "table",
            "classes": ["fine", "odd"],
            "table": {"target": "state", "columns": ["a", "b", "c", "d"]},
        },
        "task": "anomaly_detection",
        "model": "autoencoder",
    },
    "generator": {
        "data": {
            "reader": "image_folder",
            "classes": ["ring", "cross", "bar"],
            "image": {"width": 24, "height": 24, "channels": 3},
        },
        "task": "image_generation",
        "model": "dcgan",
    },
}
KINDS = tuple(LINES)
WORDS = ("call", "now", "prize", "free", "lunch", "home", "meet", "later", "win", "cash", "train", "see", "you", "at")


def make_case(kind: str, store: Store, records: int = 240, **privacy: Any) -> CardCase:
    """A line with a model of that kind; training, validation and test records are drawn from the same source."""
    attributes = {**LINES[kind], "description": f"Made {kind}, to look at."}
    attributes["data"] = {**attributes["data"], **({"privacy": privacy} if privacy else {})}
    line = parse_line(kind, attributes, "made")
    assert line.config.task_spec is not None
    task = load_task(line.config.task_spec.name)
    draw = np.random.default_rng(7)
    torch.manual_seed(7)
    return _CASES[kind](bind(store, line), task, draw, records)


def _pictures(draw: np.random.Generator, records: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    y = draw.integers(0, 3, records)
    x = draw.uniform(0, 0.55, (records, 3, 24, 24)).astype(np.float32)
    rows, columns = np.mgrid[0:24, 0:24]
    for at, label in enumerate(y):
        middle = draw.integers(8, 16, 2)
        far = np.hypot(rows - middle[0], columns - middle[1])
        shape = [
            abs(far - 6) < 1.3,
            (abs(rows - middle[0]) < 2) | (abs(columns - middle[1]) < 2),
            abs(rows - middle[0]) < 3,
        ]
        x[at, draw.integers(0, 3)][shape[label]] += draw.uniform(0.25, 0.5)
    return np.clip(x, 0, 1), y


def _png(pictures: NDArray[np.float32]) -> Encode:
    def encode(row: int) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(np.moveaxis((pictures[row] * 255).astype(np.uint8), 0, -1)).save(buffer, "PNG")
        return buffer.getvalue()

    return encode


def _picture_case(line: BoundLine, task: Task, draw: np.random.Generator, records: int) -> CardCase:
    spec = InputSpec("image", "input", (3, 24, 24), (0.3,) * 3, (0.25,) * 3)
    (train, train_y), (raw, y) = _pictures(draw, 400), _pictures(draw, records)
    network = nn.Sequential(
        nn.Conv2d(3, 12, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(12, 16, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(3),
        nn.Flatten(),
        nn.Linear(144, 3),
    )
    x = ((raw - 0.3) / 0.25).astype(np.float32)
    curve = _fit(network, torch.from_numpy((train - 0.3) / 0.25), train_y, nn.functional.cross_entropy, 6)
    made = Made(x, y, _png(raw))
    return _case(line, task, spec, network, made, curve, train_y)


def _row_case(line: BoundLine, task: Task, draw: np.random.Generator, records: int) -> CardCase:
    def rows(many: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        x = np.c_[
            draw.normal(40, 10, many),
            draw.normal(1500, 180, many),
            draw.uniform(0, 250, many),
            draw.integers(0, 3, many),
        ]
        risk = (x[:, 0] - 40) / 10 + (x[:, 2] > 200) * 2.5 - (x[:, 3] == 2) + draw.normal(0, 0.7, many)
        return x, (risk > 1.2).astype(np.int64)

    (train, train_y), (raw, y) = rows(600), rows(records)
    mean, std = train.mean(axis=0), train.std(axis=0)
    spec = InputSpec(
        "table", "input", (4,), tuple(mean), tuple(std), ("torque", "speed", "wear", "kind"), {"kind": ("L", "M", "H")}
    )
    network = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))
    curve = _fit(network, _scaled(train, mean, std), train_y, nn.functional.cross_entropy, 20)
    made = Made(_scaled(raw, mean, std).numpy(), y, lambda row: raw[row].astype("<f8").tobytes())
    return _case(line, task, spec, network, made, curve, train_y)


def _number_case(line: BoundLine, task: Task, draw: np.random.Generator, records: int) -> CardCase:
    def rows(many: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        x = np.c_[draw.uniform(30, 200, many), draw.integers(1, 7, many), draw.uniform(0, 90, many)]
        price = 2.1 * x[:, 0] + 9 * x[:, 1] - 0.8 * x[:, 2] + draw.normal(0, 14, many) * (0.4 + x[:, 0] / 120)
        return x, price

    (train, train_y), (raw, y) = rows(600), rows(records)
    mean, std = train.mean(axis=0), train.std(axis=0)
    spec = InputSpec("table", "input", (3,), tuple(mean), tuple(std), ("size", "rooms", "age"))
    network = _Scaled(nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 1)), train_y)
    curve = _fit(network, _scaled(train, mean, std), train_y, nn.functional.mse_loss, 30)
    made = Made(_scaled(raw, mean, std).numpy(), y, lambda row: raw[row].astype("<f8").tobytes())
    return _case(line, task, spec, network, made, curve, train_y)


def _series_case(line: BoundLine, task: Task, draw: np.random.Generator, records: int) -> CardCase:
    def windows(many: int) -> tuple[NDArray[np.float32], NDArray[np.float64], tuple[str, ...]]:
        left = np.concatenate([np.arange(29, -1, -1)] * (many // 30 + 1))[:many].astype(np.float64) * 4
        steps = np.arange(12)[None, :] / 12
        heat = 1 - (left[:, None] / 60) + 0.4 * steps + draw.normal(0, 0.25, (many, 12))
        x = np.stack([heat, draw.normal(0, 1, (many, 12)), -0.5 * heat + draw.normal(0, 0.5, (many, 12))], axis=2)
        return x.astype(np.float32), left, tuple(f"engine {1 + at // 30}" for at in range(many))

    (train, train_y, _), (x, y, groups) = windows(600), windows(records)
    spec = InputSpec("series", "input", (12, 3), (0.0,) * 3, (1.0,) * 3, ("heat", "speed", "noise"))
    network = _Scaled(_Recurrent(nn.Identity(), 3, 1), train_y)
    curve = _fit(network, torch.from_numpy(train), train_y, nn.functional.mse_loss, 12)
    made = Made(x, y, lambda row: x[row].astype("<f8").tobytes(), groups)
    return _case(line, task, spec, network, made, curve, train_y)


def _text_case(line: BoundLine, task: Task, draw: np.random.Generator, records: int) -> CardCase:
    from edge.runtime.preprocess import text_tensor

    spec = InputSpec("text", "input", (16,), (), (), buckets=512)

    def texts(many: int) -> tuple[list[str], NDArray[np.int64]]:
        y = (draw.uniform(size=many) < 0.3).astype(np.int64)
        found = []
        for label in y:
            odds = np.asarray(
                [1, 1, 6, 5, 1, 1, 1, 1, 6, 6, 1, 1, 2, 1] if label else [2, 2, 0.4, 1, 2, 3, 2, 2, 1, 0.3, 2, 2, 3, 2],
                float,
            )
            found.append(" ".join(draw.choice(WORDS, int(draw.integers(3, 12)), p=odds / odds.sum())))
        return found, y

    (train, train_y), (raw, y) = texts(600), texts(records)
    network = _Recurrent(nn.Embedding(513, 12, padding_idx=0), 12, 2)
    tokens = [np.stack([text_tensor(spec, text) for text in part]) for part in (train, raw)]
    curve = _fit(network, torch.from_numpy(tokens[0]), train_y, nn.functional.cross_entropy, 10)
    return _case(line, task, spec, network, Made(tokens[1], y, lambda row: raw[row].encode()), curve, train_y)


def _anomaly_case(line: BoundLine, task: Task, draw: np.random.Generator, records: int) -> CardCase:
    y = (draw.uniform(size=records) < 0.15).astype(np.int64)
    x = draw.normal(0, 1, (records, 4)).astype(np.float32)
    x[:, 3] = x[:, 0] + 0.4 * x[:, 3] + y * draw.normal(0, 1.6, records)
    train = draw.normal(0, 1, (600, 4)).astype(np.float32)
    train[:, 3] = train[:, 0] + 0.4 * train[:, 3]
    spec = InputSpec("table", "input", (4,), (0.0,) * 4, (1.0,) * 4, ("a", "b", "c", "d"))
    network = _Rebuilt()
    curve = _fit(network, torch.from_numpy(train), np.zeros(600), lambda out, y: out.mean(), 20)
    made = Made(x, y, lambda row: x[row].astype("<f8").tobytes())
    return _case(line, task, spec, network, made, curve, np.zeros(600, np.int64))


def _generator_case(line: BoundLine, task: Task, draw: np.random.Generator, records: int) -> CardCase:
    spec = InputSpec("image", "input", (3, 24, 24), (0.0,) * 3, (1.0,) * 3)
    (train, _), (real, _) = _pictures(draw, 300), _pictures(draw, records)
    pictures = np.clip(0.7 * train[:records] + 0.3 * train[::-1][:records], 0, 1).astype(np.float32)
    noise = Made(draw.normal(0, 1, (len(pictures), 8)).astype(np.float32), real, lambda row: b"")
    curve = tuple(
        {
            "epoch": float(e),
            "step": 10.0 * e,
            "train_loss": 1 + 1 / e,
            "validation_frechet": 80 / e + 3,
            "learning_rate": 2e-4,
            "seconds": 1.0,
        }
        for e in range(1, 11)
    )
    case = _case(line, task, spec, nn.Identity(), noise, curve, train, outputs=pictures)
    case.gan = GanEvidence(None, Made(train, np.zeros(len(train), np.int64), _png(train), name="train"))
    return case


class _Scaled(nn.Module):
    def __init__(self, inner: nn.Module, y: NDArray[np.float64]) -> None:
        super().__init__()
        self.inner, self.mean, self.std = inner, float(y.mean()), float(y.std())

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x) * self.std + self.mean


class _Recurrent(nn.Module):
    def __init__(self, first: nn.Module, width: int, outputs: int) -> None:
        super().__init__()
        self.first, self.gru, self.last = first, nn.GRU(width, 16, batch_first=True), nn.Linear(16, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.gru(self.first(x))[0].mean(dim=1))


class _Rebuilt(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 4))

    def reconstruct(self, x: Tensor) -> Tensor:
        return self.inner(x)

    def forward(self, x: Tensor) -> Tensor:
        return ((self.inner(x) - x) ** 2).mean(dim=1, keepdim=True)


def _scaled(x: NDArray[np.float64], mean: NDArray[np.float64], std: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(((x - mean) / std).astype(np.float32))


def _fit(
    network: nn.Module, x: Tensor, y: NDArray[Any], loss: Callable[..., Tensor], epochs: int
) -> tuple[dict[str, float], ...]:
    """A few epochs of Adam, and their curve: the validation part is the last fifth."""
    labels = torch.from_numpy(np.asarray(y))
    labels = labels if labels.dtype == torch.int64 else labels.float()[:, None]
    cut = len(x) * 4 // 5
    scale = 1.0 if labels.dtype == torch.int64 else float(labels.var()) or 1.0
    optimizer = torch.optim.Adam(network.parameters(), 0.02)
    rows = []
    for epoch in range(1, epochs + 1):
        network.train()
        losses = []
        for part in torch.randperm(cut).split(50):
            optimizer.zero_grad()
            value = loss(network(x[part]), labels[part]) / scale
            value.backward()
            optimizer.step()
            losses.append(float(value.detach()))
        network.eval()
        with torch.no_grad():
            out = network(x[cut:])
            told = float(loss(out, labels[cut:])) / scale
            right = float((out.argmax(1) == labels[cut:]).float().mean()) if labels.dtype == torch.int64 else 0.0
            off = float(((out - labels[cut:]) ** 2).mean().sqrt()) if labels.dtype != torch.int64 else 0.0
        row = {
            "epoch": float(epoch),
            "step": epoch * cut / 50,
            "train_loss": float(np.mean(losses)),
            "validation_loss": told,
        }
        rows.append(
            {
                **row,
                "validation_accuracy": right,
                "validation_macro_f1": right,
                "validation_rmse": off,
                "validation_roc_auc": 1 - told,
                "learning_rate": 0.02,
                "seconds": 0.1,
            }
        )
    return tuple(rows)


def _case(
    line: BoundLine,
    task: Task,
    spec: InputSpec,
    network: nn.Module,
    records: Made,
    curve: Sequence[dict[str, float]],
    train_y: NDArray[Any],
    outputs: NDArray[np.float32] | None = None,
) -> CardCase:
    if outputs is None:
        with torch.no_grad():
            outputs = network.eval()(torch.from_numpy(records.x)).numpy()
    classes = line.config.data.classes
    answer = AnswerSpec("image") if task.spec.answer == "image" else task.metrics.answer(outputs, records.y)
    metrics = task.metrics.metrics("test", outputs, records.y, classes, threshold=answer.threshold)
    base_outputs = task.metrics.baseline(train_y, records.y, classes)
    base = task.metrics.metrics("test", base_outputs, records.y, classes)
    dataset = DatasetVersion(
        line.name,
        2,
        ("a" * 64, "b" * 64),
        (),
        classes,
        {"train": 600, "validation": 120, "test": len(records)},
        0.15,
        0.2,
    )
    onnx = ArtifactRef("store/x.onnx", "c" * 64, 48_211, "onnx", ())
    model = TrainedModel(
        line=line.name,
        dataset="d" * 64,
        position=2,
        family=line.config.model.family if line.config.model else "",
        parameters=sum(part.numel() for part in network.parameters()),
        input=spec,
        output="output",
        labels=classes if answer.kind == "class" else (),
        weights=onnx,
        onnx=onnx,
        evidence=Evidence("c" * 64, metrics, latency=Latency(0.214, 0.3, 1, 1, "made"), seconds=4.0),
        architecture={},
        curve=tuple(curve),
        task=task.name,
        answer=answer,
        metric=line.config.metric,
        baseline=base,
        start=Start("last", "e" * 64, "after two trial epochs it was ahead: accuracy 0.81 against 0.74"),
        cost=Cost(
            12.4, 21.9, 812.0, 0.0487, "CPU seconds times 8 W per busy core, an assumption; it may be half or twice"
        ),
    )
    return CardCase(line.store, line.line, dataset, model, task, records, spec, outputs, network)


_CASES: dict[str, Callable[[BoundLine, Task, np.random.Generator, int], CardCase]] = {
    "pictures": _picture_case,
    "rows": _row_case,
    "numbers": _number_case,
    "series": _series_case,
    "texts": _text_case,
    "anomalies": _anomaly_case,
    "generator": _generator_case,
}
