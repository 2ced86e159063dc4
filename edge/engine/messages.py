"""What TensorRT says while it reads and builds: which node it is at, what it refuses, and what it changes silently."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Any

CHANGES = (
    ("Defaulting to INT8", "u8 is read as s8: quantize to s8 with zero point 0"),
    ("will use INT8 instead", "u8 is read as s8: quantize to s8 with zero point 0"),
    ("outside the range of FLOAT was clamped", "float64 constants are cut to the range of float32: export in float32"),
    ("TensorRT currently ignores", "a random operator loses its seed: take the drawing out of the model"),
    ("Defaulting to FP8", "a type that is not stated becomes 8 bits: state it"),
)
"""Part of a warning to what it means for the model. Each leaves a plan that answers otherwise than its ONNX file.

Other warnings are kept with the plan: they tell of speed or of rounding (a sum done in float32, int64 numbers of shapes
that become int32), or of plugins that no model of this project has."""
_NODE = re.compile(r"(?:Static check for p|P)arsing node: (.*) \[([^\]]*)\]$")
_SOURCE = re.compile(r"^\S+\.cpp:\d+: | In \w+ at /_src/\S+?:\d+|IBuilder::buildSerializedNetwork: |Error Code \d+: ")
"""Places in the library's own code, which say nothing about the model."""
_NOISE = ("catchCudaError", "--- Begin node", "--- End node")
_MOST, _LONGEST = 500, 500


class Messages:
    """Warnings and errors in order, each with the node that was being read; at most 500 of 500 characters.

    Args:
        place: where the node that is being read is written, so that it is known after a crash; None for nowhere.
    """

    def __init__(self, place: Path | None = None) -> None:
        self._found: list[tuple[bool, str, str]] = []
        self._node, self._place = "", place

    def reading(self, message: str) -> None:
        """Take note of the node that a message of the parser names, if it does."""
        if found := _NODE.search(message):
            self._at(f"node {found[1][:_LONGEST]!r} ({found[2][:80]})")

    def parsed(self) -> None:
        """No node is being read any more."""
        self._at("")

    def add(self, severe: bool, message: str) -> None:
        """Keep an error (severe) or a warning."""
        if len(self._found) < _MOST:
            text = _SOURCE.sub("", " ".join(message.split()))
            self._found.append((severe, self._node, text[:_LONGEST]))

    def changed(self) -> str:
        """The first warning that means another model than the file's: node, message and remedy; "" without one."""
        for _, node, message in self._found:
            for text, meaning in CHANGES:
                if text in message:
                    return f"{f'at {node}' if node else ''} ({message}): {meaning}".strip()
        return ""

    def errors(self) -> str:
        """The first three different errors."""
        found = [
            message for severe, _, message in self._found if severe and not any(part in message for part in _NOISE)
        ]
        return "; ".join(dict.fromkeys(found[:3])) or "the builder gives no reason"

    def warnings(self) -> list[str]:
        """Different warnings, each with its node; at most 50."""
        told = [f"{node}: {message}" if node else message for severe, node, message in self._found if not severe]
        return list(dict.fromkeys(told))[:50]

    def _at(self, node: str) -> None:
        if node != self._node and self._place is not None:
            with contextlib.suppress(OSError):  # a full disk is found when the plan is written
                self._place.write_bytes(node.encode("utf-8", "replace"))
        self._node = node


def logger_of(trt: Any, messages: Messages) -> Any:
    """A TensorRT logger that fills `messages`."""
    severity = trt.ILogger.Severity

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()

        def log(self, level: Any, message: str) -> None:
            if level <= severity.WARNING:
                messages.add(bool(level <= severity.ERROR), message)
            elif "arsing node: " in message:
                messages.reading(message)

    return Logger()


def parser_error(parser: Any, messages: Messages) -> str:
    """Node and reason of the parser's first error; its accessors raise UnicodeDecodeError on some damaged files."""
    try:
        error = parser.get_error(0)
        node, operator, text = error.node_name(), error.node_operator(), " ".join(error.desc().split())
    except (UnicodeDecodeError, IndexError, RuntimeError):
        return messages.errors() or "the file is damaged"
    place = f"node {node!r} ({operator}): " if node or operator else ""
    text = _SOURCE.sub("", text.split(" [checkMacros.cpp")[0])[:400]
    return place + (text if text not in ("", "false") else "it does not support this operator so")
