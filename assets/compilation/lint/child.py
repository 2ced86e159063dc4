"""The child process of `supervised`: `python -m assets.compilation.lint.child MEMORY_MB`.

Answers each line of JSON on its standard input with one line on its standard output, until that closes.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from assets.compilation.lint.graph import free_inputs
from assets.compilation.lint.rules import OPEN_AXIS, Finding, found
from assets.compilation.lint.run import lint_model
from assets.evaluation.answers import open_session
from edge.child import answer_pipe, die_with_parent, limit_memory, send_line


def main(arguments: list[str]) -> int:
    """Serve until the parent is done."""
    die_with_parent()
    answers = answer_pipe()
    import onnxruntime as ort

    ort.disable_telemetry_events()
    limit_memory(int(arguments[0]) << 20)
    stage = Path("stage")
    for line in sys.stdin:
        request = json.loads(line)
        findings: tuple[Finding, ...] = ()
        if request:
            data = Path(request["path"]).read_bytes()
            stage.write_text("the checker", "utf-8")
            try:
                findings = lint_model(data, request["dialect"], request["interface"], request["sms"])
                if not findings and request["load"]:
                    stage.write_text("ONNX Runtime", "utf-8")
                    findings = tuple(_opened(data, request["dialect"] == "tensorrt", request["interface"] == "device"))
            except MemoryError:
                findings = (found("survives-checking", "", f"it needs more than {arguments[0]} MiB to be read"),)
        send_line(answers, {"findings": [asdict(finding) for finding in findings]})
    return 0


def _opened(data: bytes, literally: bool, strict: bool) -> Iterator[Finding]:
    """Open and run once, on zeros, the TensorRT dialect as written: so it is simulated here.

    Open axes are guessed, so that only a strict interface must answer to them.
    """
    import numpy as np
    import onnx

    try:
        session = open_session(data, as_written=literally)
    except Exception as error:  # ONNX Runtime's own classes, RuntimeError, MemoryError
        yield _refused("open", error)
        return
    types = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64,
             "tensor(bool)": np.bool_}  # fmt: skip
    types |= {f"tensor({name})": getattr(np, name) for name in ("int8", "uint8", "int16", "uint16", "int32", "uint32")}
    types |= {f"tensor({name})": getattr(np, name) for name in ("int64", "uint64")}
    feeds: dict[str, Any] = {}
    for one, value in zip(session.get_inputs(), free_inputs(onnx.load_from_string(data).graph), strict=False):
        axes = [
            dim.dim_value if dim.HasField("dim_value") else 1 if axis == 0 else OPEN_AXIS
            for axis, dim in enumerate(value.type.tensor_type.shape.dim)
        ]
        if one.type not in types:
            return
        feeds[one.name] = np.zeros(axes, types[one.type])
    try:
        session.run(None, feeds)
    except Exception as error:
        if strict or "bad_alloc" in str(error) or isinstance(error, MemoryError):
            yield _refused("run", error)


def _refused(what: str, error: Exception) -> Finding:
    """With the node that ONNX Runtime names, where it does."""
    text = str(error) or type(error).__name__
    named = re.search(r"Name:'([^']*)'|with name '([^']*)'|[Nn]ode:? ?\(([^)]*)\)", text)
    return found(
        "loads", next(filter(None, named.groups()), "") if named else "", f"ONNX Runtime cannot {what} it ({text})"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
