"""What a plan must take: batches by rule, every other open axis by example."""

from __future__ import annotations

import pytest

from assets.compilation.shapes import input_shapes
from assets.errors import CompileError
from edge.contracts import InputShapes
from tests.edge.onnx_models import conv_net, detector

DETECTOR = detector().SerializeToString()


def test_the_batch_is_open_by_rule_and_other_axes_by_example() -> None:
    assert input_shapes(conv_net().SerializeToString()) == (
        InputShapes("input", (1, 1, 8, 8), (1, 1, 8, 8), (32, 1, 8, 8)),
    )
    (fixed,) = input_shapes(conv_net(batch=4).SerializeToString())  # stated, so that no builder opens the batch
    assert fixed.low == fixed.usual == fixed.high == (4, 1, 8, 8)
    sizes = [(1, 3, 64, 64), (1, 3, 32, 128), (2, 3, 96, 32)]
    assert input_shapes(DETECTOR, {"picture": sizes}, max_batch=4) == (
        InputShapes("picture", (1, 3, 32, 32), (1, 3, 64, 64), (4, 3, 96, 128)),
        InputShapes("extra", (1, 2), (1, 2), (4, 2)),
    )


@pytest.mark.parametrize(
    ("examples", "reason"),
    [
        ({}, r"'picture' has an open axis 2 \('h'\), and no example tells its size"),
        ({"picture": [(1, 3, 64)]}, r"has shape \(1, 3, 64\), the model takes"),
        ({"picture": [(1, 1, 64, 64)]}, "the model takes"),
        ({"mask": [(1,)]}, "an example is given for 'mask', the model's inputs are picture, extra"),
    ],
)
def test_what_no_example_tells_is_refused(examples: dict[str, list[tuple[int, ...]]], reason: str) -> None:
    with pytest.raises(CompileError, match=reason):
        input_shapes(DETECTOR, examples)
