"""Breaks a sound ONNX file: number n always gives the same broken file, in bytes or in what the bytes say.

Byte changes mostly end at the parser. Changes of the parsed model go further: they keep the file readable and break its
types, shapes, attributes, names, edges and numbers, one to three at a time, as bad exporters and attackers do.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, helper, numpy_helper

SEED = 5
BYTES_SHARE = 0.35
ODD_SIZES = (0, -1, 1, 2, 3, 7, 255, 65536, 2**31 - 1, 2**31, 2**40, 2**62, -(2**63))
ODD_NUMBERS = (0.0, -1.0, float("nan"), float("inf"), float("-inf"), 1e38, -1e-45)
ODD_BYTES = (b"\0\0\0\0", b"\xff" * 4, b"\xff" * 10, b"\x80" * 10, b"\x7f\xff\xff\xff")
ODD_NAMES = ("", " ", "x" * 5000, "\x00", "a\nb", "\u202e", "input", "../../etc/passwd", "%s%n")
OPERATORS = ("Relu", "Conv", "Gemm", "MatMul", "Add", "Concat", "Reshape", "Transpose", "Slice", "Loop", "If", "LSTM",
             "QuantizeLinear", "DequantizeLinear", "Resize", "Expand", "Tile", "Range", "NonZero", "Einsum", "Scan",
             "ConstantOfShape", "Softmax", "Cast", "StringNormalizer", "NoSuchOperator", "")  # fmt: skip


def mutated(files: Mapping[str, bytes], number: int) -> tuple[str, str, bytes]:
    """The name of the sound file, what was done to it, and the broken file's bytes."""
    draw = random.Random(f"{SEED} {number}")
    name = draw.choice(sorted(files))
    if draw.random() < BYTES_SHARE:
        return name, "bytes", broken_bytes(files[name], draw, files[draw.choice(sorted(files))])
    model = onnx.load_from_string(files[name])
    done: list[str] = []
    wanted = draw.choice((1, 1, 1, 2, 3))
    while len(done) < wanted:
        change = draw.choice(CHANGES)
        try:
            change(model, draw)
        except (IndexError, ValueError, DecodeError):  # this model has no place for it; another will have one
            continue
        done.append(change.__name__.strip("_"))
    return name, "+".join(done), bytes(model.SerializeToString())


def broken_bytes(data: bytes, draw: random.Random, other: bytes) -> bytes:
    """The same bytes, changed in one to four places."""
    found = bytearray(data)
    for _ in range(draw.randint(1, 4)):
        # Half of the places are within the first kilobytes, where nodes are and no weights.
        at = draw.randrange(min(len(found), draw.choice((4096, len(data)))) + 1)
        kind = draw.randrange(7)
        if kind == 0:
            found[at : at + 1] = bytes([found[min(at, len(found) - 1)] ^ 1 << draw.randrange(8)])
        elif kind == 1:
            found[at:at] = draw.randbytes(draw.randint(1, 16))
        elif kind == 2:
            del found[at : at + draw.randint(1, 64)]
        elif kind == 3:
            del found[max(1, at) :]
        elif kind == 4:
            odd = draw.choice(ODD_BYTES)
            found[at : at + len(odd)] = odd
        elif kind == 5:
            start = draw.randrange(len(other))
            found[at:at] = other[start : start + draw.randint(1, 256)]
        else:
            found[at:at] = found[at : at + draw.randint(1, 1024)]
        found = found or bytearray(b"\x08")
    return bytes(found)


def _element_type(model: Any, draw: random.Random) -> None:
    values = [*model.graph.input, *model.graph.output, *model.graph.value_info]
    draw.choice(values).type.tensor_type.elem_type = draw.choice((*range(24), 99))


def _axis(model: Any, draw: random.Random) -> None:
    values = [*model.graph.input, *model.graph.output, *model.graph.value_info]
    axes = draw.choice(values).type.tensor_type.shape.dim
    what = draw.randrange(4)
    if what == 0:
        del axes[draw.randrange(len(axes))]
    elif what == 1:
        draw.choice(axes).dim_param = draw.choice(("n", "batch", "", "x" * 3000))
    elif what == 2:
        axes.add().dim_value = draw.choice(ODD_SIZES)
    else:
        draw.choice(axes).dim_value = draw.choice(ODD_SIZES)


def _no_shape(model: Any, draw: random.Random) -> None:
    draw.choice([*model.graph.input, *model.graph.output]).type.tensor_type.ClearField("shape")


def _other_kind_of_value(model: Any, draw: random.Random) -> None:
    value = draw.choice([*model.graph.input, *model.graph.output])
    inner = value.type.tensor_type.__class__()
    inner.CopyFrom(value.type.tensor_type)
    kind = draw.choice(("sequence_type", "optional_type"))
    getattr(value.type, kind).elem_type.tensor_type.CopyFrom(inner)


def _weight_size(model: Any, draw: random.Random) -> None:
    tensor = draw.choice(model.graph.initializer)
    if draw.random() < 0.3:
        tensor.dims.append(draw.choice(ODD_SIZES))
    else:
        tensor.dims[draw.randrange(len(tensor.dims))] = draw.choice(ODD_SIZES)


def _weight_type(model: Any, draw: random.Random) -> None:
    draw.choice(model.graph.initializer).data_type = draw.choice((*range(24), 99))


def _weight_numbers(model: Any, draw: random.Random) -> None:
    tensor = draw.choice([one for one in model.graph.initializer if one.data_type == TensorProto.FLOAT])
    values = numpy_helper.to_array(tensor).copy()
    values.reshape(-1)[draw.randrange(values.size)] = draw.choice(ODD_NUMBERS)
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def _all_scales(model: Any, draw: random.Random) -> None:
    names = {node.input[1] for node in model.graph.node if node.op_type in {"QuantizeLinear", "DequantizeLinear"}}
    tensor = draw.choice([one for one in model.graph.initializer if one.name in names])
    values = np.full(tuple(tensor.dims), draw.choice(ODD_NUMBERS), np.float32)
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def _weight_cut(model: Any, draw: random.Random) -> None:
    tensor = draw.choice([one for one in model.graph.initializer if one.raw_data])
    tensor.raw_data = tensor.raw_data[: draw.randrange(len(tensor.raw_data))]


def _weight_elsewhere(model: Any, draw: random.Random) -> None:
    tensor = draw.choice(model.graph.initializer)
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", draw.choice(("/etc/passwd", "../x", "w.bin"))), ("length", str(2**62))):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value


def _weight_lost(model: Any, draw: random.Random) -> None:
    del model.graph.initializer[draw.randrange(len(model.graph.initializer))]


def _weight_twice(model: Any, draw: random.Random) -> None:
    model.graph.initializer.append(draw.choice(model.graph.initializer))


def _attribute(model: Any, draw: random.Random) -> None:
    attribute = draw.choice([one for node in model.graph.node for one in node.attribute])
    what = draw.randrange(4)
    if what == 0:
        attribute.type = draw.randrange(15)
    elif what == 1:
        attribute.name = draw.choice((*ODD_NAMES, "axis", "pads"))
    elif attribute.ints:
        attribute.ints[draw.randrange(len(attribute.ints))] = draw.choice(ODD_SIZES)
        if draw.random() < 0.3:
            attribute.ints.extend([draw.choice(ODD_SIZES)] * draw.randint(1, 9))
    elif attribute.type == onnx.AttributeProto.FLOAT:
        attribute.f = draw.choice(ODD_NUMBERS)
    else:
        attribute.i = draw.choice(ODD_SIZES)


def _attribute_added(model: Any, draw: random.Random) -> None:
    name = draw.choice(("axis", "group", "to", "perm", "block_size", "allowzero", "mode", "hidden_size", "foo"))
    value = draw.choice((draw.choice(ODD_SIZES), draw.choice(ODD_NUMBERS), "text", [2**40, -1]))
    draw.choice(model.graph.node).attribute.append(helper.make_attribute(name, value))


def _attribute_lost(model: Any, draw: random.Random) -> None:
    node = draw.choice([node for node in model.graph.node if node.attribute])
    del node.attribute[draw.randrange(len(node.attribute))]


def _node_lost(model: Any, draw: random.Random) -> None:
    del model.graph.node[draw.randrange(len(model.graph.node))]


def _node_twice(model: Any, draw: random.Random) -> None:
    model.graph.node.append(draw.choice(model.graph.node))


def _node_moved(model: Any, draw: random.Random) -> None:
    node = onnx.NodeProto()
    at = draw.randrange(len(model.graph.node))
    node.CopyFrom(model.graph.node[at])
    del model.graph.node[at]
    model.graph.node.insert(draw.randrange(len(model.graph.node) + 1), node)


def _operator(model: Any, draw: random.Random) -> None:
    draw.choice(model.graph.node).op_type = draw.choice(OPERATORS)


def _domain(model: Any, draw: random.Random) -> None:
    draw.choice(model.graph.node).domain = draw.choice(("com.acme", "com.microsoft", "ai.onnx.ml", "\x00"))
    if draw.random() < 0.5:
        model.opset_import.append(helper.make_opsetid("com.microsoft", 1))


def _edge(model: Any, draw: random.Random) -> None:
    names = [name for node in model.graph.node for name in (*node.input, *node.output)]
    node = draw.choice(model.graph.node)
    if draw.random() < 0.3:
        node.input.append(draw.choice(names))
    else:
        node.input[draw.randrange(len(node.input))] = draw.choice((*names, *ODD_NAMES))


def _edge_lost(model: Any, draw: random.Random) -> None:
    node = draw.choice(model.graph.node)
    del node.input[draw.randrange(len(node.input))]


def _name(model: Any, draw: random.Random) -> None:
    thing = draw.choice((model.graph, *model.graph.node, *model.graph.initializer, *model.graph.input))
    thing.name = draw.choice(ODD_NAMES)


def _output_name(model: Any, draw: random.Random) -> None:
    node = draw.choice(model.graph.node)
    node.output[draw.randrange(len(node.output))] = draw.choice((*ODD_NAMES, node.input[0]))


def _output_added(model: Any, draw: random.Random) -> None:
    name = draw.choice(draw.choice(model.graph.node).output)
    model.graph.output.append(helper.make_tensor_value_info(name, draw.choice((1, 3, 7, 8, 11)), None))


def _outputs_lost(model: Any, _: random.Random) -> None:
    del model.graph.output[:]


def _inputs_lost(model: Any, _: random.Random) -> None:
    del model.graph.input[:]


def _opset(model: Any, draw: random.Random) -> None:
    model.opset_import[0].version = draw.choice((-1, 0, 1, 7, 12, 13, 15, 18, 21, 22, 23, 99, 2**40))


def _ir(model: Any, draw: random.Random) -> None:
    model.ir_version = draw.choice((-1, 0, 1, 3, 7, 9, 10, 11, 14, 2**40))


def _huge_constant(model: Any, draw: random.Random) -> None:
    """A shape that only running, or folding constants, would fill: 4 TB, or more than can be counted."""
    sizes = np.array([draw.choice(ODD_SIZES[6:]) for _ in range(draw.randint(1, 3))], np.int64)
    model.graph.initializer.append(numpy_helper.from_array(sizes, "bomb_shape"))
    model.graph.node.insert(0, helper.make_node("ConstantOfShape", ["bomb_shape"], ["bomb"], name="bomb"))
    if draw.random() < 0.7:
        node = draw.choice(model.graph.node[1:])
        node.input[draw.randrange(len(node.input))] = "bomb"


def _huge_operation(model: Any, draw: random.Random) -> None:
    value = model.graph.input[0]
    rank, size = len(value.type.tensor_type.shape.dim), draw.choice((2**12, 2**20, 2**31, 2**40))
    kind = draw.choice(("Tile", "Expand", "Pad", "Resize"))
    sizes = [size] * rank if kind != "Pad" else [size] * (2 * rank)
    constant = np.array(sizes, np.float32 if kind == "Resize" else np.int64)
    model.graph.initializer.append(numpy_helper.from_array(constant, "bomb_sizes"))
    inputs = [value.name, "", "bomb_sizes"] if kind == "Resize" else [value.name, "bomb_sizes"]
    model.graph.node.insert(0, helper.make_node(kind, inputs, ["bomb"], name="bomb"))
    for node in model.graph.node[1:]:
        node.input[:] = ["bomb" if name == value.name else name for name in node.input]


def _endless_loop(model: Any, draw: random.Random) -> None:
    value = model.graph.input[0]
    kind = value.type.tensor_type.elem_type
    inner = [helper.make_tensor_value_info("i", TensorProto.INT64, []),
             helper.make_tensor_value_info("go", TensorProto.BOOL, []),
             helper.make_tensor_value_info("carried", kind, None)]  # fmt: skip
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go_on"]), helper.make_node("Identity", ["carried"], ["carried_on"])],
        "body", inner,
        [helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
         helper.make_tensor_value_info("carried_on", kind, None)],
    )  # fmt: skip
    model.graph.initializer.append(numpy_helper.from_array(np.array(draw.choice((2**31, 2**62)), np.int64), "trips"))
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "yes"))
    loop = helper.make_node("Loop", ["trips", "yes", value.name], ["looped"], name="loop", body=body)
    model.graph.node.insert(0, loop)
    for node in model.graph.node[1:]:
        node.input[:] = ["looped" if name == value.name else name for name in node.input]


def _deep_graphs(model: Any, draw: random.Random) -> None:
    value = model.graph.input[0]
    output = helper.make_tensor_value_info("inner", value.type.tensor_type.elem_type, None)
    graph = helper.make_graph([helper.make_node("Identity", [value.name], ["inner"])], "leaf", [], [output])
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "deep"))
    for depth in range(draw.choice((3, 12, 28))):
        output = helper.make_tensor_value_info(f"o{depth}", value.type.tensor_type.elem_type, None)
        node = helper.make_node("If", ["deep"], [f"o{depth}"], then_branch=graph, else_branch=graph)
        if depth > 12:  # both branches would double it each time
            node.attribute[1].g.CopyFrom(node.attribute[1].g.__class__(name="e"))
        graph = helper.make_graph([node], "g", [], [output])
    model.graph.node.insert(0, graph.node[0])


def _many_nodes(model: Any, draw: random.Random) -> None:
    last = model.graph.input[0].name
    for number in range(draw.choice((100, 3000))):
        model.graph.node.insert(number, helper.make_node("Identity", [last], [f"chain{number}"]))
        last = f"chain{number}"


def _endless_function(model: Any, draw: random.Random) -> None:
    domain = draw.choice(("", "local"))
    node = helper.make_node("Mine", ["a"], ["b"], domain=domain)
    model.functions.append(
        helper.make_function(domain, "Mine", ["a"], ["b"], [node], [helper.make_opsetid(domain, 20)])
    )
    draw.choice(model.graph.node).op_type = "Mine"
    model.graph.node[0].domain = domain
    model.opset_import.append(helper.make_opsetid(domain, 20))


def _bad_text(model: Any, draw: random.Random) -> None:
    """A name that is not UTF-8: written in place of one as long."""
    node = draw.choice([node for node in model.graph.node if len(node.name) > 2 and isinstance(node.name, str)])
    data = model.SerializeToString()
    name = node.name.encode()
    changed = data.replace(name, b"\xff\xfe" + name[2:])
    model.ParseFromString(changed)


def _packed_floats(model: Any, draw: random.Random) -> None:
    """Numbers twice, raw and in a list, or in a list of another type."""
    tensor = draw.choice(model.graph.initializer)
    what = draw.randrange(3)
    if what == 0:
        tensor.float_data.extend([1.0] * draw.randint(1, 40))
    elif what == 1:
        tensor.ClearField("raw_data")
        tensor.int64_data.extend([1] * draw.randint(1, 40))
    else:
        tensor.raw_data += struct.pack("<d", 1.0)


CHANGES: tuple[Callable[[Any, random.Random], None], ...] = (
    _element_type, _axis, _axis, _no_shape, _other_kind_of_value, _weight_size, _weight_type, _weight_numbers,
    _weight_numbers, _all_scales, _weight_cut, _weight_elsewhere, _weight_lost, _weight_twice, _attribute, _attribute,
    _attribute, _attribute_added, _attribute_added, _attribute_lost, _node_lost, _node_twice, _node_moved, _operator,
    _operator, _domain, _edge, _edge, _edge_lost, _name, _output_name, _output_added, _outputs_lost, _inputs_lost,
    _opset, _ir, _huge_constant, _huge_operation, _endless_loop, _deep_graphs, _many_nodes, _endless_function,
    _bad_text, _packed_floats,
)  # fmt: skip
