"""ONNX files the project did not make: small PyTorch modules of standard shape, through both of PyTorch's exporters.

Each is exported once per test process. Weights are random, but BatchNorm has seen data, so that numbers stay in range.
"""

from __future__ import annotations

import functools
import io
import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

NAMES = ("resnet", "mobilenet", "vit", "lstm", "gru", "detector", "resnet_opset13", "mobilenet_opset17")
RECORDS = 8


@dataclass(frozen=True)
class Foreign:
    """A user's own ONNX file and some records for it.

    Attributes:
        model: the file's bytes; every axis 0 is open, the detector's height and width too.
        feeds: input name to `RECORDS` records.
    """

    name: str
    model: bytes
    feeds: Mapping[str, NDArray[Any]]


@functools.cache
def foreign(name: str) -> Foreign:
    """One of `NAMES`."""
    network, feeds, outputs, opset = _made(name)
    return Foreign(name, _export(network, feeds, outputs, opset, sides=name == "detector"), feeds)


def _made(name: str) -> tuple[nn.Module, dict[str, NDArray[Any]], list[str], int | None]:
    """Network, records, names of the outputs, and the opset; None is the newer exporter's own."""
    torch.manual_seed(5)
    random = np.random.default_rng(5)
    pictures = {"pixels": random.normal(size=(RECORDS, 3, 32, 32)).astype(np.float32)}
    series = {"series": random.normal(size=(RECORDS, 12, 6)).astype(np.float32)}
    words = {"words": random.integers(0, 500, (RECORDS, 12))}
    made: dict[str, tuple[type[nn.Module], dict[str, NDArray[Any]], list[str], int | None]] = {
        "resnet": (ResNet, pictures, ["scores"], 20),
        "mobilenet": (MobileNet, pictures, ["scores"], 18),
        "vit": (ViT, pictures, ["scores"], None),
        "lstm": (LstmTagger, words, ["tags"], 18),
        "gru": (GruForecast, series, ["forecast"], 17),
        "detector": (Detector, pictures, ["boxes", "classes"], 17),
        "resnet_opset13": (ResNet, pictures, ["scores"], 13),
        "mobilenet_opset17": (MobileNet, pictures, ["scores"], 17),
    }
    kind, feeds, outputs, opset = made[name]
    network = kind()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the mean of what it sees
    with torch.no_grad():
        network.train()(*map(torch.from_numpy, feeds.values()))
    return network.eval(), feeds, outputs, opset


def _export(
    network: nn.Module, feeds: Mapping[str, NDArray[Any]], outputs: list[str], opset: int | None, sides: bool
) -> bytes:
    examples = tuple(torch.from_numpy(records[:2]) for records in feeds.values())
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the older exporter warns of its age, and of recurrent layers
        if opset is None:
            program = torch.onnx.export(
                network,
                examples,
                dynamo=True,
                opset_version=20,
                input_names=list(feeds),
                output_names=outputs,
                dynamic_shapes=tuple({0: torch.export.Dim("batch")} for _ in examples),
                external_data=False,
                verbose=False,
            )
            assert program is not None
            return bytes(program.model_proto.SerializeToString())
        file = io.BytesIO()
        axes = {name: {0: "batch"} for name in (*feeds, *outputs)}
        if sides:
            for name in feeds:
                axes[name] |= {2: "height", 3: "width"}
            for name in outputs:
                axes[name] |= {1: "places"}
        torch.onnx.export(
            network,
            examples,
            file,  # type: ignore[arg-type]  # the older exporter writes to a file object
            dynamo=False,
            opset_version=opset,
            input_names=list(feeds),
            output_names=outputs,
            dynamic_axes=axes,
        )
        return file.getvalue()


def _conv(inputs: int, outputs: int, size: int = 3, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]


class Basic(nn.Module):
    """ResNet's basic block."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*_conv(inputs, outputs, 3, stride), nn.ReLU(), *_conv(outputs, outputs))
        self.shortcut = nn.Sequential(*(_conv(inputs, outputs, 1, stride) if stride > 1 else []))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x) + self.shortcut(x))


class ResNet(nn.Module):
    """With ImageNet's stem: 7x7, pooling, stages, average, linear."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(*_conv(3, 16, 7, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1))
        self.stages = nn.Sequential(Basic(16, 16, 1), Basic(16, 32, 2), Basic(32, 32, 1))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(32, 10)

    def forward(self, pixels: Tensor) -> Tensor:
        scores: Tensor = self.head(torch.flatten(self.pool(self.stages(self.stem(pixels))), 1))
        return scores


class Inverted(nn.Module):
    """MobileNetV2's block: widen, depthwise, narrow."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        wide = 4 * inputs
        self.same = stride == 1 and inputs == outputs
        self.body = nn.Sequential(
            *_conv(inputs, wide, 1),
            nn.ReLU6(),
            *_conv(wide, wide, 3, stride, groups=wide),
            nn.ReLU6(),
            *_conv(wide, outputs, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.body(x)
        return x + out if self.same else out


class MobileNet(nn.Module):
    """MobileNetV2-like, with HardSwish of the third version at its end."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *_conv(3, 16, 3, 2),
            nn.ReLU6(),
            Inverted(16, 16, 1),
            Inverted(16, 24, 2),
            Inverted(24, 24, 1),
            *_conv(24, 64, 1),
            nn.Hardswish(),
        )
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(64, 10))

    def forward(self, pixels: Tensor) -> Tensor:
        scores: Tensor = self.classifier(self.features(pixels).mean([2, 3]))
        return scores


class ViT(nn.Module):
    """Patches, a class token, two encoder blocks, the token's answer."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 32, 8, 8)
        self.token = nn.Parameter(torch.randn(1, 1, 32) * 0.02)
        self.places = nn.Parameter(torch.randn(1, 17, 32) * 0.02)
        block = nn.TransformerEncoderLayer(32, 4, 64, 0.0, "gelu", batch_first=True, norm_first=True)
        self.blocks = nn.TransformerEncoder(block, 2, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(32)
        self.head = nn.Linear(32, 10)

    def forward(self, pixels: Tensor) -> Tensor:
        x = self.patches(pixels).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.places
        scores: Tensor = self.head(self.norm(self.blocks(x))[:, 0])
        return scores


class LstmTagger(nn.Module):
    """An embedding, a bidirectional LSTM, and a tag for the whole."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(500, 32)
        self.lstm = nn.LSTM(32, 24, batch_first=True, bidirectional=True)
        self.head = nn.Linear(48, 5)

    def forward(self, words: Tensor) -> Tensor:
        tags: Tensor = self.head(self.lstm(self.embed(words))[0].mean(1))
        return tags


class GruForecast(nn.Module):
    """Two GRU layers and the next values."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(6, 32, 2, batch_first=True)
        self.head = nn.Linear(32, 6)

    def forward(self, series: Tensor) -> Tensor:
        forecast: Tensor = self.head(self.gru(series)[0][:, -1])
        return forecast


class Detector(nn.Module):
    """A backbone, a pyramid of two levels with an upsampling and a concatenation, boxes and classes for each place."""

    def __init__(self) -> None:
        super().__init__()
        self.early = nn.Sequential(*_conv(3, 16, 3, 2), nn.SiLU(), *_conv(16, 32, 3, 2), nn.SiLU())
        self.late = nn.Sequential(*_conv(32, 64, 3, 2), nn.SiLU())
        self.up = nn.Upsample(scale_factor=2.0, mode="nearest")
        self.mix = nn.Sequential(*_conv(96, 32, 1), nn.LeakyReLU(0.1))
        self.boxes = nn.ModuleList([nn.Conv2d(32, 4, 1), nn.Conv2d(64, 4, 1)])
        self.classes = nn.ModuleList([nn.Conv2d(32, 3, 1), nn.Conv2d(64, 3, 1)])

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        fine = self.early(pixels)
        coarse = self.late(fine)
        fine = self.mix(torch.cat([fine, self.up(coarse)], 1))
        levels = (fine, coarse)
        boxes = [head(x).flatten(2).transpose(1, 2) for head, x in zip(self.boxes, levels, strict=True)]
        classes = [head(x).flatten(2).transpose(1, 2) for head, x in zip(self.classes, levels, strict=True)]
        return torch.cat(boxes, 1), torch.cat(classes, 1).sigmoid()
