"""A rule of the gate from an expectation of the user's own: `quality.expectations` of the line."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import partial
from typing import Any

from assets.line.data import DataContract
from assets.line.expectations import ROW_WISE
from assets.line.quality import UserExpectation
from assets.quality.rule import Rule, short

MAX_NAME = 160


def user_rule(expectation: UserExpectation, data: DataContract) -> Rule:
    """Named by what it says, not by its place in the YAML: waivers go by the name."""
    settings = expectation.settings
    if expectation.mostly is not None and expectation.expect not in ROW_WISE:
        settings["mostly"] = expectation.mostly
    rule = Rule(
        _name_of(expectation, settings),
        expectation.description or f"{expectation.expect} with {_settings(settings)}.",
        expectation.expect,
        settings,
        expectation.severity,
        mostly=expectation.mostly if expectation.expect in ROW_WISE else None,
    )
    if expectation.mostly is not None:
        return rule
    return Rule(**{**vars(rule), "explain": partial(_explain, rule, frozenset(data.privacy.private))})


def _name_of(expectation: UserExpectation, settings: Mapping[str, Any]) -> str:
    most = "" if expectation.mostly is None else f", mostly={expectation.mostly:g}"
    name = f"{expectation.expect} ({_settings(settings)}{most if 'mostly' not in settings else ''})"
    if len(name) <= MAX_NAME:
        return name
    return f"{name[: MAX_NAME - 14]}… {hashlib.sha256(name.encode()).hexdigest()[:12]}"


def _explain(rule: Rule, private: frozenset[str], row: Mapping[str, Any]) -> tuple[str, str]:
    shown = ", ".join(
        f"{name} is {'hidden (private)' if name in private else short(row.get(name))}" for name in rule.columns
    )
    return (
        f"{shown or 'the record'}: {rule.description.rstrip('.')} does not hold",
        "correct the record, or change the line's quality.expectations",
    )


def _settings(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={short(value)}" for name, value in settings.items())
