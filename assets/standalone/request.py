"""What `edgeloop compress` is asked: its request, as plain JSON between parent and child, and its budget."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from assets.errors import RejectedError
from assets.line.compression import Budget

REVISION = "compress-2"
"""Raised whenever the same inputs would give something else."""
WORK = ".work"
"""The folder's part that holds the store of trials."""
_LIMITS = {
    "max_drop": "largest loss of the metric (0.01 is one point)",
    "max_drop_per_class": "largest loss of one class's recall",
    "max_<metric>_drop": "largest loss of another metric, e.g. max_macro_f1_drop",
    "max_ms": "slowest median call in milliseconds, measured here: of one record, or of as many as the file fixes",
    "max_kb": "largest file in kB",
}


@dataclass(frozen=True)
class Request:
    """What is to be compressed, and how; everything is plain JSON, as the child reads it.

    Attributes:
        model: path of an ONNX file; "" for one of ours.
        line: whose trained model it is; "" for an ONNX file.
        weights: digest of one of the line's models; "" for its newest.
        data: path of the held-out records; "" for those of `data_line`.
        data_line: whose accepted records judge the model; "" for a path.
        budget: limits as `Budget` has them; None for the line's own, and for the defaults of an ONNX file.
        targets: names of `edge.contracts.TARGETS`.
        metric: what chooses; "" for the task's own.
        mean, std, scale, target, classes: see `assets.standalone.sources.Reading`.
        max_minutes: after which no new student is begun (an ONNX file has none); None for no limit.
        home: root of the state that holds the lines' models and records.
        configs: name to configuration of each line that is named here.
    """

    model: str
    line: str
    weights: str
    data: str
    data_line: str
    out: str
    budget: dict[str, Any] | None
    targets: tuple[str, ...]
    metric: str = ""
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    scale: float | None = None
    target: str = ""
    classes: tuple[str, ...] = ()
    max_minutes: float | None = None
    home: str = ""
    configs: dict[str, Any] = field(default_factory=dict)


def read_request(data: bytes) -> Request:
    """A request as the parent wrote it."""
    body: dict[str, Any] = json.loads(data)
    given: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in body.items()}
    return Request(**given)


def parse_budget(text: str) -> Budget:
    """Limits from `max_drop=0.01,max_ms=2`.

    Raises:
        RejectedError: an unknown limit, a value that is no number in its unit, or one that is out of range.
    """
    found: dict[str, Any] = {}
    drops: dict[str, float] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        plain = key in {"max_drop", "max_drop_per_class", "max_ms", "max_kb"}
        other = key.removeprefix("max_").removesuffix("_drop")
        if not equals or not (plain or (key == f"max_{other}_drop" and other)):
            allowed = "; ".join(f"{name}: {meaning}" for name, meaning in _LIMITS.items())
            raise RejectedError(f"--budget: {part!r} is no limit; allowed are NAME=NUMBER, apart by commas: {allowed}")
        if key in found or other in drops:
            raise RejectedError(f"--budget: {key} stands there twice; say it once")
        (found if plain else drops)[key if plain else other] = _number(key, value)
    try:
        return Budget.model_validate({**found, "max_drops": drops} if drops else found)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        value, why = first["input"], str(first["msg"])
        if isinstance(value, float) and why.startswith("Input should be "):
            hint = "; 0.01 is one point" if "drop" in place else ""
            why = f"is out of range: it must be {why.removeprefix('Input should be ')}{hint}"
            raise RejectedError(f"--budget: {place}={value:g} {why}") from error
        raise RejectedError(f"--budget: {place} = {value!r}: {why}") from error


def _number(key: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = float("nan")
    if number - number == 0:  # neither NaN nor infinite
        return number
    unit = {"max_ms": "milliseconds, e.g. 2", "max_kb": "kB (1,000 bytes), e.g. 500"}.get(key, "a share, e.g. 0.01")
    if "=" in value:
        raise RejectedError(f"--budget: {key}={value!r}: a comma is missing between two limits")
    if value.endswith("%") and key not in {"max_ms", "max_kb"}:
        unit += " for 1 %; percent signs are not read"
    raise RejectedError(f"--budget: {key}={value!r} is not a number; write it without a unit, in {unit}")
