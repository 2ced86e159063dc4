"""Models whose values lie in a file beside them, as PyTorch's exporter writes them; they are read as one file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from assets.compilation.lint.rules import MAX_MODEL_BYTES
from assets.errors import RejectedError

ENDINGS = ("data", "bin", "weights")
"""How the names of such files end: `model.onnx.data`, `model.onnx_data`, `model.bin`."""


def whole_model(path: Path) -> bytes:
    """The bytes of a model with the values of the files beside it; a file that is no model comes as it is.

    Only files in the model's folder are read, whose names begin as the model's does.

    Raises:
        RejectedError: such a file is missing, elsewhere or too large, or does not hold what the model says.
    """
    from onnx import ModelProto
    from onnx.checker import ValidationError
    from onnx.external_data_helper import load_external_data_for_model

    file = path.read_bytes()
    try:
        model = ModelProto.FromString(file)
    except Exception:  # protobuf's DecodeError, and what its parser raises besides: lint says what is wrong
        return file
    places = _places(model)
    if not places:
        return file
    beside = {one.name: one for one in files_beside(path)}
    for place in places:
        if not (path.parent / place).exists():
            raise RejectedError(f"{path}: its values are in {place!r}, which is missing beside it; copy it there")
        if place not in beside:
            raise RejectedError(
                f"{path}: its values are in {place!r}; only a file in its folder is read that is called as the model "
                f"is, e.g. {path.name}.data. Make one file of both: onnx.save(onnx.load('{path.name}'), 'one.onnx')"
            )
    size = len(file) + _claimed(model, {place: beside[place].stat().st_size for place in places})
    if size > MAX_MODEL_BYTES:
        raise RejectedError(f"{path}: has {size:,} bytes with its values, {MAX_MODEL_BYTES:,} are allowed; compress it")
    try:
        load_external_data_for_model(model, str(path.parent))
        return bytes(model.SerializeToString())
    except (ValueError, OSError, ValidationError, RuntimeError) as error:
        told = " ".join(str(error).split())[:200]
        raise RejectedError(
            f"{path}: its values cannot be read from {', '.join(places)} ({told}); export it again"
        ) from error


def files_beside(path: Path) -> Sequence[Path]:
    """The files that may hold a model's values, in order."""
    return sorted(
        one
        for one in path.parent.iterdir()
        if one.name.startswith(path.stem) and one.name[len(path.stem) :][:1] in {".", "_", "-"}  # not of model2.onnx
        if one.name.lower().endswith(ENDINGS) and one != path
        if one.is_file() and not one.is_symlink()
    )


def digest_with_values(path: Path, own: str) -> str:
    """SHA-256 (hex) of a model with the files beside it; `own`, its own digest, where there are none."""
    beside = files_beside(path)
    if not beside:
        return own
    found = hashlib.sha256(own.encode())
    for one in beside:
        try:
            with one.open("rb") as file:
                values = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise RejectedError(f"{one}: cannot be read ({error.strerror}); give a file that you may read") from error
        found.update(f"{one.name}\0{values}".encode("utf-8", "replace"))
    return found.hexdigest()


def _places(model: Any) -> tuple[str, ...]:
    """Names of the files that hold values, as the model says them."""
    found: dict[str, None] = {}
    for tensor in model.graph.initializer:
        if tensor.data_location == 1:
            found |= {entry.value: None for entry in tensor.external_data if entry.key == "location"}
    return tuple(found)


def _claimed(model: Any, sizes: Mapping[str, int]) -> int:
    """Bytes that the model's values take in memory: several may claim the same part of a file."""
    total = 0
    for tensor in model.graph.initializer:
        if tensor.data_location == 1:
            entries = {entry.key: entry.value for entry in tensor.external_data}
            length = entries.get("length", "")
            total += int(length) if length.isdecimal() else sizes.get(entries.get("location", ""), 0)
    return total
