"""What latencies were measured on. No numpy: the code location asks for it when nothing is measured yet."""

from __future__ import annotations

import functools

from edge.engine.library import installed_version
from edge.runtime import machine


@functools.cache
def machine_name() -> str:
    """What latencies were measured on: the processor and ONNX Runtime's version, which is not loaded for this.

    Steps that measure latencies are remembered under this name too: another machine or version measures its own.
    """
    return f"{machine.machine_name()}, onnxruntime {installed_version('onnxruntime')}"
