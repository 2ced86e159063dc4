"""A torchvision whose operators cannot be loaded hinders nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BROKEN = """
import torch
from torchvision import inner

@torch.library.register_fake("torchvision::nms")
def _(dets, scores, iou_threshold):
    return dets

@torch.library.register_fake("torchvision::qnms")
def _(dets, scores, iou_threshold):
    return dets

__version__ = "0.0"
"""


@pytest.mark.parametrize(("text", "code", "end"), [(BROKEN, 0, "0.0"), ("raise RuntimeError('else')", 1, "else")])
def test_missing_operators_are_declared_and_nothing_else_is_hidden(
    text: str, code: int, end: str, tmp_path: Path
) -> None:
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision/inner.py").write_text("")
    (tmp_path / "torchvision/__init__.py").write_text(text)
    script = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nimport assets.fitting, torchvision\n"
    script += "print(torchvision.__version__)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert (done.stdout + done.stderr).strip().endswith(end)
