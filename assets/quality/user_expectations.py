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


def user_rule(own: UserExpectation, data: DataContract) -> Rule:
    """Named by what it says, not by its place in the YAML: waivers go by the name."""
    settings = own.settings
    if own.mostly is not None and own.expect not in ROW_WISE:
        settings["mostly"] = own.mostly
    rule = Rule(
        _name_of(own, settings),
        own.description or f"{own.expect} with {_settings(settings)}.",
        own.expect,
        settings,
        own.severity,
        mostly=own.mostly if own.expect in ROW_WISE else None,
    )
    if own.mostly is not None:
        return rule
    return Rule(**{**vars(rule), "explain": partial(_explain, rule, frozenset(data.privacy.private))})


def _name_of(own: UserExpectation, settings: Mapping[str, Any]) -> str:
    most = "" if own.mostly is None else f", mostly={own.mostly:g}"
    name = f"{own.expect} ({_settings(settings)}{most if 'mostly' not in settings else ''})"
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
