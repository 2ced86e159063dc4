"""Records as a source gives them, and what all readers of sources share."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from assets.errors import RejectedError
from assets.standalone.signature import Port, Signature
from edge.contracts import InputSpec

MAX_BYTES = 2 * 1024**3
"""Of all numbers together, unpacked."""
Share = Literal["calibration", "validation", "test"]
SHARES: tuple[Share, ...] = ("calibration", "validation", "test")
SPELLINGS: Mapping[str, Share] = {
    "calibration": "calibration", "train": "calibration", "training": "calibration",
    "validation": "validation", "val": "validation", "valid": "validation", "test": "test",
}  # fmt: skip


@dataclass(frozen=True)
class Raw:
    """The records of a source, before they are held against a model's answers.

    Attributes:
        feeds: input name to (records, …); of pictures pixels (records, channels, height, width) uint8.
        y: (records,) labels as they were given: numbers or words; None without.
        shares: (records,) what each is declared for; None where that is drawn.
        ids: SHA-256 (hex) of each record's input.
        classes: the names of the classes where the source has an order of its own: folders.
        spec: how pixels become the input; None where the numbers are the input.
        note: what a person should know.
    """

    feeds: Mapping[str, NDArray[Any]]
    y: NDArray[Any] | None
    shares: NDArray[np.str_] | None
    ids: tuple[str, ...]
    classes: tuple[str, ...] = ()
    spec: InputSpec | None = None
    note: str = ""


@dataclass(frozen=True)
class Reading:
    """How a source is read, as the command's options say.

    Attributes:
        mean, std: of pictures, per channel or one for all, of scaled pixels; empty: 0 and 1.
        scale: what pixels of 0 to 255 are multiplied with first; None: 1/255.
        target: the column that holds the labels; "" for one named target, label or y.
        classes: names of the model's outputs in order; empty: as the source has them.
    """

    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    scale: float | None = None
    target: str = ""
    classes: tuple[str, ...] = ()


def record_ids(feeds: Mapping[str, NDArray[Any]]) -> tuple[str, ...]:
    """SHA-256 (hex) of each record's numbers over all inputs, by which its share is drawn."""
    arrays = [feeds[name] for name in sorted(feeds)]
    return tuple(
        hashlib.sha256(b"".join(np.ascontiguousarray(array[at]).tobytes() for array in arrays)).hexdigest()
        for at in range(len(arrays[0]))
    )


def expected(signature: Signature) -> str:
    """What an .npz for this model holds, in words."""
    one = len(signature.inputs) == 1
    names = "x" if one else ", ".join(port.name for port in signature.inputs)
    first = "x" if one else signature.inputs[0].name
    split = ", ".join(f"{first}_{share}" for share in SHARES) + ("" if one else " and so on for each")
    return (
        f"expected are {names} with what the model reads ({signature}) and optionally y with the labels, or the same "
        f"apart for {split} (all three)"
    )


def checked(source: Path, port: Port, array: NDArray[Any]) -> NDArray[Any]:
    """An array as an input takes it. Raises RejectedError for another shape or type, and for NaN."""
    if not port.takes(array.shape):
        raise RejectedError(
            f"{source}: an array of {array.shape} was given, the model reads {port}; give the records as it reads them"
        )
    wanted = np.dtype(port.dtype)
    if (wanted.kind == "f") != (array.dtype.kind == "f") or array.dtype.kind not in "fiub":
        hint = f"x.astype('{port.dtype}')"
        if wanted.kind == "f":
            hint += ", normalized as in training (pixels of 0 to 255 usually divided by 255)"
        raise RejectedError(f"{source}: numbers of type {array.dtype} were given, the model reads {port}; save {hint}")
    if wanted.kind in "iu" and array.size:
        limits = np.iinfo(wanted)
        if array.min() < limits.min or array.max() > limits.max:
            raise RejectedError(f"{source}: numbers from {array.min()} to {array.max()}, the model reads {port}")
    if wanted.kind == "f":
        with np.errstate(over="ignore"):  # what does not fit becomes infinite, and is refused below
            array = array.astype(wanted, copy=False)
        for start in range(0, len(array), 1024):
            block = array[start : start + 1024]
            if not np.isfinite(block).all():
                at = start + int((~np.isfinite(block.reshape(len(block), -1)).all(axis=1)).argmax())
                raise RejectedError(
                    f"{source}: record {at} for input {port.name!r} holds NaN or infinity; leave such records out"
                )
    return array.astype(wanted, copy=False)


def joined(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """One array of several shares'. Raises RejectedError where their records differ in shape."""
    if len({part.shape[1:] for part in parts}) > 1:
        raise RejectedError(f"arrays of {', '.join(str(part.shape) for part in parts)} cannot be of one data set")
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
