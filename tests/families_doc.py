"""Writes the table in `docs/families.md` from the families themselves: `python -m tests.families_doc`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from assets.families.build import build_network, teacher_architecture
from assets.families.export import example_of
from assets.families.weights import parameters_of
from assets.line.families import FAMILIES, AnswerKind, InputKind
from assets.line.model import ModelFamily
from edge.contracts import InputSpec

DOCUMENT = Path(__file__).parent.parent / "docs/families.md"
CLASSES = 10
SPECS = {
    "image": InputSpec("image", "input", (3, 32, 32), (0.0,) * 3, (1.0,) * 3),
    "table": InputSpec("table", "input", (30,), (0.0,) * 30, (1.0,) * 30, tuple(f"c{n}" for n in range(30))),
    "series": InputSpec("series", "input", (30, 14), (0.0,) * 14, (1.0,) * 14, tuple(f"c{n}" for n in range(14))),
    "text": InputSpec("text", "input", (64,), (), (), buckets=8192),
    "noise": InputSpec("noise", "noise", (64,), (), ()),
}
PICTURE = [1, 28, 28]
ANSWERS: dict[AnswerKind, str] = {
    "class": "classes",
    "number": "a number",
    "anomaly": "how anomalous",
    "image": "a picture",
}
READS: dict[InputKind, str] = {
    "image": "pictures",
    "table": "rows of a table",
    "series": "series",
    "text": "texts",
    "noise": "noise",
}

START, END = "|---|---|---|---|---|---|---|\n", "\n## What the settings do"
"""What stands before and after the table in the document."""


def updated(text: str) -> str:
    """The document with the table as it should be."""
    head, _, rest = text.partition(START)
    _, _, tail = rest.partition(END)
    return head + START + "".join(f"{row}\n" for row in _rows()) + END + tail


def _rows() -> Iterator[str]:
    for name, family in FAMILIES.items():
        answers = " or ".join(ANSWERS[answer] for answer in sorted(family.answers))
        marks = ("narrows" if family.prunable else "", "" if family.batch_norm else "private")
        for number, kind in enumerate(sorted(family.reads)):
            parameters, macs = cost(name, kind)
            cells = (f"`{name}`: {family.note}" if number == 0 else "", READS[kind], answers, parameters, macs, *marks)
            yield f"| {' | '.join(cells)} |"


def cost(name: str, kind: str) -> tuple[str, str]:
    """Parameters and multiply-accumulates of one record, as the document says them."""
    spec = SPECS[kind]
    architecture: dict[str, Any] = teacher_architecture(ModelFamily(family=name), spec)
    if kind == "noise":
        architecture["picture"] = PICTURE
    outputs = CLASSES if "class" in FAMILIES[name].answers else 1
    network = build_network(name, spec, outputs, architecture).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(example_of(spec, 1))
    macs = counter.get_total_flops() // 2
    for cells in (part for part in network.modules() if isinstance(part, nn.LSTM)):  # which the counter leaves out
        macs += spec.shape[0] * sum(weight.numel() for weight in cells.parameters() if weight.ndim == 2)
    return f"{parameters_of(network):,}", f"{macs / 1e6:.1f} M" if macs >= 1e5 else f"{macs / 1e3:.0f} k"


if __name__ == "__main__":
    DOCUMENT.write_text(updated(DOCUMENT.read_text()))
