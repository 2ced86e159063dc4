"""Small inputs of every kind, and small models of every family."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from assets.families.build import teacher_architecture
from assets.families.check_network import Subject
from assets.families.network import TARGET_MEAN, TARGET_STD
from assets.line.model import ModelFamily
from edge.contracts import InputSpec

PICTURE = [1, 9, 12]
SPECS = {
    "image": InputSpec("image", "input", (3, 10, 12), (0.0,) * 3, (1.0,) * 3),
    "table": InputSpec("table", "input", (4,), (0.0,) * 4, (1.0,) * 4, ("a", "b", "c", "d")),
    "series": InputSpec("series", "input", (6, 3), (0.0,) * 3, (1.0,) * 3, ("a", "b", "c")),
    "text": InputSpec("text", "input", (8,), (), (), buckets=50),
    "noise": InputSpec("noise", "noise", (5,), (), ()),
}


def subject(family: str, kind: str, answer: str, **model: Any) -> Subject:
    """A family as the contract checks it, answering 3 classes, a number around 50, a score or a picture."""
    spec = SPECS[kind]
    depth = 2 if family in {"mlp", "cnn", "lstm"} else 1  # exporting takes most of the time
    small = {"width": 8, "depth": depth, "heads": 2, "latent": 4, "dropout": 0.1} | model
    architecture = teacher_architecture(ModelFamily(family=family, **small), spec)
    if answer == "class":
        return Subject(family, spec, 3, architecture, (3,), classes)
    if answer == "number":
        return Subject(family, spec, 1, architecture | {TARGET_MEAN: 50.0, TARGET_STD: 20.0}, (1,), mean)
    if answer == "image":
        return Subject(family, spec, 1, architecture | {"picture": PICTURE}, tuple(PICTURE), mean)
    return Subject(family, spec, 1, architecture, (1,), mean)


def classes(x: Tensor, outputs: Tensor) -> Tensor:
    """Cross entropy with the classes in turn."""
    return functional.cross_entropy(outputs, torch.arange(len(x)) % outputs.shape[1])


def mean(x: Tensor, outputs: Tensor) -> Tensor:
    """The mean answer."""
    del x
    return outputs.mean()
