"""The table of rules: names, why each is there, what to do where it is broken; what asks them is in `*_checks.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MAX_MODEL_BYTES = 512 * 1024 * 1024
MAX_NODES = 50_000
MAX_GRAPHS = 200
MAX_NAME = 500
MAX_TENSOR_BYTES = 1024**3
OPEN_AXIS = 64
"""How long an open axis is taken to be where tensors are counted; a batch of a foreign file is taken to be 1."""
MAX_TRIPS = 10_000
MIN_OPSET, MAX_OPSET = 13, 22
"""Per-channel Q/DQ came with 13; ONNX Runtime 1.23, the last for JetPack 6's Python, has no QuantizeLinear of 23."""
MAX_IR_VERSION = 10
STANDARD_DOMAINS = ("", "ai.onnx")


@dataclass(frozen=True)
class Rule:
    """One rule: what was met without it, and what to do about a file that breaks it.

    Attributes:
        scope: "file" any ONNX file; "device" the interface that devices have; "any" the interface of a foreign file;
            "tensorrt", "cpu" files of that dialect.
    """

    name: str
    scope: str
    why: str
    remedy: str


@dataclass(frozen=True)
class Finding:
    """One broken rule: its name, the node or tensor ("" for the whole file), the reason, and what to do."""

    rule: str
    node: str
    reason: str
    remedy: str

    def __str__(self) -> str:
        place = f" at {self.node!r}" if self.node else ""
        return f"{self.rule}{place}: {self.reason}; {self.remedy}"


_ROWS = (
    # An ONNX file, whoever reads it.
    ("size-limit", "file", "a parser takes several times a file's size in memory", "compress the model"),
    (
        "valid-protobuf",
        "file",
        "TensorRT's `parse` takes an empty file or plain text for a model and says True",
        "export it again",
    ),
    (
        "graph-limit",
        "file",
        "onnx's checker took 11 s on branches nested 28 deep, most of them twice",
        f"export without nested branches; {MAX_GRAPHS} graphs and {MAX_NODES:,} nodes at most",
    ),
    (
        "readable-names",
        "file",
        "TensorRT's error accessors raise UnicodeDecodeError on names that are not UTF-8; C code stops at a zero byte",
        "name nodes and tensors with printable characters, 500 at most",
    ),
    (
        "known-ir-version",
        "file",
        "`onnx.helper` writes IR 14, which ONNX Runtime 1.23 on devices refuses",
        f"set `ir_version` to {MAX_IR_VERSION} when exporting",
    ),
    ("known-opset", "file", "TensorRT builds opset 99 without a word", "export with opset_version=20"),
    (
        "standard-operators",
        "file",
        "an operator of another domain is a plugin that no device has",
        "write it with standard ONNX operators",
    ),
    (
        "no-local-functions",
        "file",
        "a function may call itself, or be named as a standard operator and do something else",
        "inline functions with `onnx.inliner.inline_local_functions`",
    ),
    (
        "no-external-data",
        "file",
        "the values are in another file, whose place the model names: any file of this machine",
        "export with external_data=False",
    ),
    (
        "tensors-only",
        "file",
        "sequences, optionals, maps and sparse tensors are read by no TensorRT",
        "pass plain tensors in and out",
    ),
    ("no-strings", "file", "text inside a model is read by no TensorRT", "turn text into numbers before the model"),
    (
        "valid-graph",
        "file",
        "TensorRT crashed on 3 of 1,100 damaged files; onnx.checker refuses them all",
        "export the model again",
    ),
    (
        "unique-names",
        "file",
        "of two tensors with one name, each reader takes another",
        "export again; each tensor has a name of its own",
    ),
    (
        "bounded-loops",
        "file",
        "RTX builds a loop of 2^40 rounds, which never ends",
        f"loop over an axis, or at most {MAX_TRIPS:,} times, a constant",
    ),
    (
        "tensor-size",
        "file",
        "TensorRT builds activations far larger than any memory without a word",
        "use smaller inputs, fewer channels, no constants made by a shape",
    ),
    (
        "finite-weights",
        "file",
        "a NaN among weights makes every answer NaN, and every calibrated range",
        "train again with a smaller learning rate, and look at the loss",
    ),
    (
        "positive-scales",
        "file",
        "RTX takes infinite and denormal scales, ONNX Runtime any: all answers are constants then",
        "calibrate with records whose activations differ; leave that layer in float",
    ),
    (
        "one-scale-each",
        "file",
        "RTX builds one scale along a wrong axis without a word",
        "one scale per tensor for activations, one per output channel along `axis` for weights",
    ),
    (
        "loads",
        "file",
        "some files keep every rule of ONNX and still end ONNX Runtime's process",
        "export the model again, with another opset or exporter",
    ),
    (
        "survives-checking",
        "file",
        "the checker itself is native code: a crash, a hang or all memory taken is the file's fault",
        "the file is damaged or made to do harm; export it again from its source",
    ),
    # What a line ships, and devices run one record at a time.
    ("one-input-one-output", "device", "devices feed one tensor and read one", "export the network with one of each"),
    (
        "float32-interface",
        "device",
        "TensorRT takes float64 inputs without a word; sessions pass float32 (texts int64)",
        "cast inside the network",
    ),
    ("known-rank", "device", "TensorRT takes an unknown rank without a word", "export with (batch, ...) shapes"),
    ("dynamic-batch", "device", "sessions pass batches of other sizes", "export with dynamic_shapes for axis 0"),
    (
        "only-batch-dynamic",
        "device",
        "a plan is optimized for stated sizes; a record has the shape that its line states",
        "fix every axis but the first",
    ),
    # A foreign file.
    ("known-shape", "any", "an unknown rank or an axis of no length cannot be fed", "export with true shapes"),
    (
        "numeric-interface",
        "any",
        "inputs are fed as arrays of float16, float32, integers or booleans",
        "cast inside the network",
    ),
    # The TensorRT dialect.
    (
        "explicit-qdq",
        "tensorrt",
        "QLinearConv and its like are ONNX Runtime's own form of INT8",
        "quantize in QDQ format",
    ),
    ("float-bias", "tensorrt", "TensorRT refuses a dequantized int32 bias", "quantize with QuantizeBias=False"),
    (
        "s8-quantization",
        "tensorrt",
        "TensorRT reads u8 as s8 with a mere warning: 78.5 % became 72.8 % (NNCF's u8 after a Relu)",
        "quantize activations and weights to QInt8",
    ),
    (
        "symmetric-quantization",
        "tensorrt",
        "TensorRT refuses zero points other than 0",
        "use ActivationSymmetric and WeightSymmetric",
    ),
    (
        "tensor-activations",
        "tensorrt",
        "TensorRT documents one scale per activation; RTX builds several without a word",
        "quantize activations per tensor",
    ),
    (
        "paired-quantization",
        "tensorrt",
        "what reads a Q without its DQ computes with 8-bit codes; RTX builds it without a word",
        "follow each Q by its DQ",
    ),
    (
        "no-float64",
        "tensorrt",
        "TensorRT takes float64 without a word and cuts its constants to float32",
        "export the network in float32",
    ),
    (
        "sm75-gemm",
        "tensorrt",
        "TensorRT-RTX has no FP32 Gemm, MatMul or recurrent layer for SM75, those after Q/DQ included",
        "use the FP16 file for SM75, or take that target out",
    ),
    # The CPU dialect.
    (
        "no-int8-in-float16",
        "cpu",
        "INT8 within FP16 was 5 times slower in ONNX Runtime than either",
        "quantize the float32 model",
    ),
)

RULES: Mapping[str, Rule] = {name: Rule(name, scope, why, remedy) for name, scope, why, remedy in _ROWS}
_SCOPES: Mapping[str, str] = {
    "file": "every file",
    "device": "what a line ships to devices",
    "any": "a foreign file",
    "tensorrt": "the TensorRT dialect",
    "cpu": "the CPU dialect",
}


def found(rule: str, node: str, reason: str) -> Finding:
    """A finding with its rule's remedy; names of nodes may be anything, so they are cut."""
    return Finding(rule, node[:200], " ".join(reason.split())[:400], RULES[rule].remedy)


def rules_table() -> str:
    """All rules as a table in Markdown, as the room's README shows it."""
    rows = [f"| `{rule.name}` | {_SCOPES[rule.scope]} | {rule.why} | {rule.remedy} |" for rule in RULES.values()]
    return "\n".join(("| rule | holds for | why | remedy |", "|---|---|---|---|", *rows))
