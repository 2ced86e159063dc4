"""What a model file answers: outputs beside one another, record by record."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from assets.errors import RejectedError
from assets.evaluation import answers


def _two(batch: int | str, *, varying: bool = False) -> bytes:
    """A model of two inputs and two outputs; with `varying` the first output has as many rows as are above 0."""
    import onnx
    from onnx import TensorProto, helper

    nodes = [
        helper.make_node("Cast", ["count"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["x", "real"], ["product"]),
        helper.make_node("ReduceSum", ["product", "axes"], ["sum"], keepdims=1),
    ]
    if varying:
        nodes[-1:] = [
            helper.make_node("NonZero", ["product"], ["places"]),
            helper.make_node("Transpose", ["places"], ["sum"], perm=[1, 0]),
        ]
    kinds = (TensorProto.FLOAT, TensorProto.INT64)
    inputs = [
        helper.make_tensor_value_info(name, kind, [batch, 3]) for name, kind in zip(("x", "count"), kinds, strict=True)
    ]
    outputs = [
        helper.make_tensor_value_info("product", TensorProto.FLOAT, [batch, 3]),
        helper.make_tensor_value_info("sum", TensorProto.INT64 if varying else TensorProto.FLOAT, ["n", "m"]),
    ]
    axes = helper.make_tensor("axes", TensorProto.INT64, [1], [1])
    graph = helper.make_graph(nodes, "two", inputs, outputs, [axes])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


class _Pairs:
    """Records of two inputs, by name."""

    def __init__(self, records: int) -> None:
        random = np.random.default_rng(0)
        self.x = random.normal(size=(records, 3)).astype(np.float32)
        self.count = random.integers(1, 9, (records, 3))

    def __len__(self) -> int:
        return len(self.x)

    def batch(self, rows: np.ndarray[Any, np.dtype[np.int64]]) -> dict[str, Any]:
        return {"x": self.x[rows], "count": self.count[rows]}


@pytest.mark.parametrize("batch", ["n", 1, 4])
def test_several_outputs_are_one_row_whatever_batch_the_file_fixes(batch: int | str) -> None:
    records = _Pairs(10)
    found = answers.answers(answers.open_session(_two(batch)), records)
    product = records.x * records.count
    assert found.dtype == np.float32
    assert np.allclose(found, np.concatenate([product, product.sum(axis=1, keepdims=True)], axis=1), atol=1e-5)
    assert len(answers.answers(answers.open_session(_two(batch)), records, 3)) == 3


def test_outputs_that_differ_from_record_to_record_are_refused() -> None:
    with pytest.raises(
        RejectedError, match=r"'sum' has shape \(30, 2\) for 10 records: its first axis is not the batch"
    ):
        answers.answers(answers.open_session(_two("n", varying=True)), _Pairs(10))
