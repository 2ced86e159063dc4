"""What an mlp makes of a table's columns before its first layer: quantities of physics, and steps.

Both are part of the network, so that a device needs nothing new.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from assets.errors import RejectedError
from assets.line.model import ModelFamily
from edge.contracts import InputSpec

REACH = 3.0
"""Deviations from the mean, both ways, that knots are spread over."""


class Derived(nn.Module):
    """Adds products and differences of columns: power is torque times speed, and no ReLU multiplies.

    Columns come normalized; they are brought back to their own units first, and what is derived is normalized again.
    """

    mean: Tensor
    std: Tensor
    times: Tensor
    out_mean: Tensor
    out_std: Tensor
    first: Tensor
    second: Tensor

    def __init__(self, spec: InputSpec, architecture: Mapping[str, Any]) -> None:
        super().__init__()
        pairs = architecture["derived"]
        numbers = {
            "mean": spec.mean,
            "std": spec.std,
            "times": [float(operator == "*") for _, operator, _ in pairs],
            "out_mean": architecture["derived_mean"],
            "out_std": architecture["derived_std"],
        }
        for name, values in numbers.items():
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32), persistent=False)
        for name, at in (("first", 0), ("second", 2)):
            self.register_buffer(name, torch.tensor([pair[at] for pair in pairs]), persistent=False)

    def values(self, x: Tensor) -> Tensor:
        """(records, columns) normalized to (records, derived) in their own units."""
        raw = x * self.std + self.mean
        first, second = raw.index_select(1, self.first), raw.index_select(1, self.second)
        return self.times * first * second + (1 - self.times) * (first - second)

    def forward(self, x: Tensor) -> Tensor:
        """(records, columns) to (records, columns + derived)."""
        return torch.cat((x, (self.values(x) - self.out_mean) / self.out_std), 1)


class Knots(nn.Module):
    """Adds for each column where it stands between neighbouring knots, 0 to 1: a threshold becomes one weight.

    The piecewise linear encoding of Gorishniy, Rubachev and Babenko 2022 (arXiv:2203.05556), with knots that are spread
    evenly over `REACH` deviations.
    """

    starts: Tensor

    def __init__(self, knots: int) -> None:
        super().__init__()
        self.step = 2 * REACH / knots
        starts = torch.arange(knots, dtype=torch.float32) * self.step - REACH
        self.register_buffer("starts", starts, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(records, columns) to (records, columns * (1 + knots))."""
        steps = ((x.unsqueeze(2) - self.starts) / self.step).clamp(0, 1)
        return torch.cat((x, steps.flatten(1)), 1)


def encoding(model: ModelFamily, spec: InputSpec) -> dict[str, Any]:
    """What `model.derive` and `model.knots` add to an architecture; their spread as if columns were independent.

    Raises:
        RejectedError: they are asked of something else than a table, or name no column of it.
    """
    if not (model.derive or model.knots):
        return {}
    if spec.kind != "table":
        raise RejectedError(
            f"model.derive and model.knots are for tables, and this line reads {spec.kind}; take them out"
        )
    found: dict[str, Any] = {"knots": model.knots} if model.knots else {}
    if model.derive:
        names = {name: at for at, name in enumerate(spec.columns)}
        for first, _, second in model.derive:
            for name in (first, second):
                if name not in names or name in spec.categories:
                    raise RejectedError(f"model.derive: {name!r} is no column of numbers that the line reads")
        pairs = [(names[first], operator, names[second]) for first, operator, second in model.derive]
        moments = [_independent(spec, *pair) for pair in pairs]
        found["derived"] = [list(pair) for pair in pairs]
        found["derived_mean"], found["derived_std"] = [mean for mean, _ in moments], [std for _, std in moments]
    return found


def measured(architecture: Mapping[str, Any], spec: InputSpec, x: Tensor) -> dict[str, Any]:
    """`derived_mean` and `derived_std` as training records (records, columns) show them; nothing where none is derived.

    Columns are not independent: their spread would be far too large, and knots too coarse.
    """
    if "derived" not in architecture:
        return {}
    values = Derived(spec, architecture).values(x).double().numpy()
    std = values.std(axis=0)
    usual = np.asarray(architecture["derived_std"])
    return {
        "derived_mean": [float(value) for value in values.mean(axis=0)],
        "derived_std": [float(value) for value in np.where(std > 1e-6 * usual, std, usual)],
    }


def layers(spec: InputSpec, architecture: Mapping[str, Any], inputs: int) -> tuple[list[nn.Module], int]:
    """The layers before the first linear one, and how many numbers come out of them."""
    found: list[nn.Module] = []
    if "derived" in architecture:
        found.append(Derived(spec, architecture))
        inputs += len(architecture["derived"])
    if "knots" in architecture:
        found.append(Knots(architecture["knots"]))
        inputs *= 1 + architecture["knots"]
    return found, inputs


def _independent(spec: InputSpec, first: int, operator: str, second: int) -> tuple[float, float]:
    """Mean and deviation of a product or difference of two columns, as if they were independent."""
    (m1, m2), (s1, s2) = ((part[first], part[second]) for part in (spec.mean, spec.std))
    if operator == "*":
        return m1 * m2, math.sqrt((m1 * s2) ** 2 + (m2 * s1) ** 2 + (s1 * s2) ** 2)
    return m1 - m2, math.hypot(s1, s2)
