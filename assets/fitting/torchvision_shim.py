"""A torchvision built for another torch than the one installed, as beside a CPU build of torch it mostly is.

Its operators cannot be loaded then, and it fails when it is imported, and with it Lightning and Captum, which look for
it. Nothing here uses those operators; once their names are declared, the rest of it imports.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys

import torch

OPERATORS = ("nms", "qnms")
_declared: list[torch.library.Library] = []
"""Kept: what a library declares ends with it."""


def mend() -> None:
    """Import torchvision, where there is one, and declare its operators where it fails for want of them."""
    if "torchvision" in sys.modules or importlib.util.find_spec("torchvision") is None:
        return
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
        for name in OPERATORS:
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")  # type: ignore[no-untyped-call]
        _declared.append(library)
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        importlib.import_module("torchvision")
