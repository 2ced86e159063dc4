"""Frozen dataclasses to JSON and back, with every field checked on the way in.

A document that crosses a border (file, wire) is an object with `type`, `version` ("major.minor") and the fields of its
dataclass. A reader accepts any minor version of the major it knows, ignoring fields added since, and refuses any other
major: guessing at a changed meaning is how a device loads the wrong thing.

Written here rather than taken from a library because a device has the standard library, numpy and tuf only.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
import reprlib
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from edge.errors import ContractError

T = TypeVar("T")
MAX_DOCUMENT_BYTES = 32 * 1024 * 1024
ADDED_LATER: Mapping[str, Any] = types.MappingProxyType({"edgeloop.added": "later"})
"""Metadata of a field that a document got after documents of its kind were named by their digests.

It is left out where it has its default, so those keep their names.
"""


def document(kind: str, version: str = "1.0") -> typing.Callable[[type[T]], type[T]]:
    """Mark a frozen dataclass as a versioned document named `kind`."""

    def mark(cls: type[T]) -> type[T]:
        cls.__document__ = (kind, version)  # type: ignore[attr-defined]
        return cls

    return mark


def to_bytes(value: Any) -> bytes:
    """Canonical bytes of a document: UTF-8 JSON, sorted keys, no spaces, so equal documents have equal digests."""
    kind, version = type(value).__document__
    body = {"type": kind, "version": version, **_plain(value)}
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def from_bytes(cls: type[T], data: bytes, source: str = "document") -> T:
    """Read a document of class `cls`.

    Args:
        data: what `to_bytes` wrote, or anything at all.
        source: where it came from, for the error's text.

    Raises:
        ContractError: not JSON, another type, an unknown major version, or a field that is missing or of a wrong type.
    """
    if len(data) > MAX_DOCUMENT_BYTES:
        raise ContractError(f"{source}: {len(data)} bytes; a document has at most {MAX_DOCUMENT_BYTES}")
    try:
        body = json.loads(data, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ContractError(f"{source}: not valid JSON ({error}); write it again with the tool that made it") from error
    if not isinstance(body, dict):
        raise ContractError(f"{source}: expected a JSON object, found {type(body).__name__}")
    kind, version = cls.__document__  # type: ignore[attr-defined]
    if body.get("type") != kind:
        raise ContractError(f"{source}: expected a document of type {kind!r}, found {reprlib.repr(body.get('type'))}")
    found = body.get("version")
    major = version.split(".")[0]
    if not isinstance(found, str) or found.split(".")[0] != major:
        raise ContractError(
            f"{source}: {kind} version {reprlib.repr(found)} is not known here (this software reads {major}.x); "
            "update this software, or publish the document in a version it reads"
        )
    return typing.cast(T, _build(cls, body, source))


def digest(value: Any) -> str:
    """SHA-256 (64 hex digits) of the document's canonical bytes."""
    return hashlib.sha256(to_bytes(value)).hexdigest()


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: _plain(found)
            for field in dataclasses.fields(value)
            if (found := getattr(value, field.name)) != field.default or field.metadata != ADDED_LATER
        }
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _build(hint: Any, value: Any, place: str) -> Any:  # noqa: PLR0911 -- one return per kind of type reads best
    """`value` as the type `hint`, or a ContractError that names the place."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint):
        return _build_dataclass(typing.cast(type, hint), value, place)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        (inner,) = (arg for arg in args if arg is not type(None))
        return _build(inner, value, place)
    if origin is tuple:
        if not isinstance(value, list):
            raise ContractError(f"{place}: expected a list, found {type(value).__name__}")
        return tuple(_build(args[0], item, f"{place}[{index}]") for index, item in enumerate(value))
    if origin in (dict, Mapping):
        if not isinstance(value, dict):
            raise ContractError(f"{place}: expected an object, found {type(value).__name__}")
        for key in value:
            _refuse_surrogates(key, place)
        return {key: _build(args[1], item, f"{place}.{key[:80]}") for key, item in value.items()}
    if origin is typing.Literal:
        if value not in args:
            raise ContractError(f"{place}: {reprlib.repr(value)} is not one of {', '.join(map(str, args))}")
        return value
    if hint is Any:
        return value
    return _scalar(hint, value, place)


def _build_dataclass(cls: type, value: Any, place: str) -> Any:
    if not isinstance(value, dict):
        raise ContractError(f"{place}: expected an object, found {type(value).__name__}")
    hints, given = _hints(cls), {}
    for field in dataclasses.fields(cls):
        if field.name in value:
            given[field.name] = _build(hints[field.name], value[field.name], f"{place}.{field.name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise ContractError(f"{place}: field {field.name!r} is missing")
    try:
        return cls(**given)
    except ValueError as error:
        raise ContractError(f"{place}: {error}") from error


def _scalar(hint: type, value: Any, place: str) -> Any:
    if hint is float and type(value) is int:
        try:
            value = float(value)
        except OverflowError as error:
            raise ContractError(f"{place}: a whole number of {value.bit_length()} bits is too large") from error
    if type(value) is not hint:
        raise ContractError(f"{place}: expected {hint.__name__}, found {type(value).__name__}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ContractError(f"{place}: {value} is not a finite number")
    if isinstance(value, str):
        _refuse_surrogates(value, place)
    return value


def _refuse_surrogates(text: str, place: str) -> None:
    """JSON may escape half a character; such a string could be read, but never be written again."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ContractError(f"{place}: holds half a character (a lone surrogate)") from error
