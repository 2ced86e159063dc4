"""Loads TensorRT's Python bindings, and says clearly where they are missing."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from importlib import metadata
from typing import Any

from edge.engine.versions import modules_of
from edge.errors import IncompatibleError

PACKAGES: Mapping[str, tuple[str, ...]] = {
    "onnxruntime": ("onnxruntime", "onnxruntime-gpu"),
    "tensorrt": ("tensorrt", "tensorrt-cu13", "tensorrt-cu12"),
    "tensorrt_rtx": (
        "tensorrt-rtx-cu13-libs",
        "tensorrt-rtx-cu12-libs",
        "tensorrt-rtx",
        "tensorrt-rtx-cu13",
        "tensorrt-rtx-cu13-bindings",
    ),
}
"""Runtime to the packages that may bring it; the first that is installed says its version."""


def load_tensorrt(runtime: str) -> Any:
    """The bindings module of "tensorrt" or "tensorrt_rtx".

    Raises:
        IncompatibleError: it is not installed, or its libraries do not load here.
    """
    try:
        # The last one is the bindings; what comes before makes the shared libraries known to them.
        return [importlib.import_module(name) for name in modules_of(runtime)][-1]
    except (ImportError, OSError) as error:
        remedy = "edgeloop-edge[compile]" if runtime == "tensorrt_rtx" else "the TensorRT of this device's JetPack"
        raise IncompatibleError(f"{runtime} does not load on this machine ({error}); install {remedy}") from error


def installed_version(runtime: str) -> str:
    """The installed version of a runtime as its package says it, without loading anything; "" where there is none."""
    for package in PACKAGES.get(runtime, ()):
        try:
            return metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return ""
