"""How much memory answering with an ONNX file takes: a process of its own loads it, answers, and says its peak.

`python -m edge.runtime.footprint MODEL SHAPES MEMORY_MB`, where SHAPES is JSON: input name to shape, batch axis first.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import edge
from edge.errors import RejectedError

RUNS = 5
"""Calls before the peak is read: ONNX Runtime's arena grows at the first ones only."""
SECONDS = 120.0
MEMORY_MB = 4096
_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT")


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
    environment = {key: os.environ[key] for key in _PASSED_ON if key in os.environ}
    environment |= {"PYTHONPATH": str(Path(edge.__file__).parent.parent), "LC_ALL": "C.UTF-8"}
    command = [
        sys.executable,
        "-m",
        "edge.runtime.footprint",
        str(Path(path).absolute()),
        json.dumps(shapes),
        str(MEMORY_MB),
    ]
    try:
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=False
        )
        answer = json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else {}
        return Footprint(float(answer["start_mb"]), float(answer["peak_mb"]))
    except subprocess.TimeoutExpired as error:
        raise RejectedError(f"{path}: answering took longer than {SECONDS:g} s; use a smaller model") from error
    except (ValueError, LookupError) as error:
        tail = " / ".join(done.stderr.decode("utf-8", "replace").strip().splitlines()[-2:])[-500:]
        raise RejectedError(
            f"{path}: answering with it ended without a number (exit code {done.returncode}): {tail}; it may take "
            f"{MEMORY_MB} MiB"
        ) from error


def main(arguments: list[str]) -> int:
    """Load, answer, and print the peak."""
    path, shapes, memory = arguments[0], json.loads(arguments[1]), int(arguments[2]) << 20
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
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
    print(json.dumps(asdict(Footprint(start, peak_mb()))))
    return 0


def peak_mb() -> float:
    """This process's largest resident memory so far in MiB (getrusage counts the parent's before exec); 0 unknown."""
    try:
        rows = Path("/proc/self/status").read_text("utf-8").splitlines()
    except OSError:
        return 0.0
    return next((int(row.split()[1]) / 1024 for row in rows if row.startswith("VmHWM:")), 0.0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
