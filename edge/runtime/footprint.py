"""How much memory answering with an ONNX file takes: a process of its own loads it, answers, and says its peak.

`python -m edge.runtime.footprint MODEL SHAPES MEMORY_MB`, where SHAPES is JSON: input name to shape, batch axis first.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from edge.child import (
    answer_pipe,
    bare_environment,
    die_with_parent,
    limit_memory,
    peak_mb,
    python_module,
    run_child,
    send_line,
)
from edge.errors import RejectedError

RUNS = 5
"""Calls before the peak is read: ONNX Runtime's arena grows at the first ones only."""
SECONDS = 120.0
MEMORY_MB = 4096


@dataclass(frozen=True)
class Footprint:
    """Largest resident memory in MiB.

    Attributes:
        start_mb: before the model is opened: Python, numpy and ONNX Runtime.
        peak_mb: after `RUNS` calls; everything together, as a device must find it.
    """

    start_mb: float
    peak_mb: float


def footprint(path: str | Path, shapes: Mapping[str, tuple[int, ...]]) -> Footprint:
    """Measure a model in ONNX Runtime with one thread, on zeros of these shapes.

    Raises:
        RejectedError: the process ends otherwise than with an answer, takes more than `MEMORY_MB`, or `SECONDS`.
    """
    arguments = (str(Path(path).absolute()), json.dumps(shapes), str(MEMORY_MB))
    ended = run_child(python_module("edge.runtime.footprint", *arguments), SECONDS, environment=bare_environment())
    if ended.late:
        raise RejectedError(f"{path}: answering took longer than {SECONDS:g} s; use a smaller model")
    try:
        answer = json.loads(ended.output) if ended.code == 0 else {}
        return Footprint(float(answer["start_mb"]), float(answer["peak_mb"]))
    except (ValueError, LookupError) as error:
        tail = " / ".join(ended.errors.strip().splitlines()[-2:])[-500:]
        raise RejectedError(
            f"{path}: answering with it ended without a number (exit code {ended.code}): {tail}; it may take "
            f"{MEMORY_MB} MiB"
        ) from error


def main(arguments: list[str]) -> int:
    """Load, answer, and say the peak."""
    path, shapes = arguments[0], json.loads(arguments[1])
    die_with_parent()
    limit_memory(int(arguments[2]) << 20)
    pipe = answer_pipe()
    import numpy as np
    import onnxruntime as ort

    ort.disable_telemetry_events()
    start = peak_mb()
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    types = {"tensor(float)": "float32", "tensor(double)": "float64", "tensor(bool)": "bool"}
    fed = {
        value.name: np.zeros(shapes[value.name], types.get(value.type, value.type.removeprefix("tensor(").rstrip(")")))
        for value in session.get_inputs()
    }
    for _ in range(RUNS):
        session.run(None, fed)
    send_line(pipe, asdict(Footprint(start, peak_mb())))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
