"""Named rules on an ONNX file, checked before any compiler or runtime reads it.

The compilers accept opset 99, float64 inputs and tensors larger than any memory without a word, and crash on some
damaged files; each rule stands for one of those surprises. `README.md` of the room lists them.
"""

from assets.compilation.lint.rules import RULES, Finding, Rule, rules_table
from assets.compilation.lint.run import Interface, lint_model
from assets.compilation.lint.supervised import Checker, check_model, check_models

__all__ = [
    "RULES",
    "Checker",
    "Finding",
    "Interface",
    "Rule",
    "check_model",
    "check_models",
    "lint_model",
    "rules_table",
]
