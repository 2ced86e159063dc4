"""Arrays in an .npz, checked by their headers before they are unpacked; nothing is unpickled."""

from __future__ import annotations

import lzma
import math
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.errors import RejectedError
from assets.standalone.signature import Signature
from assets.standalone.sources.raw import MAX_BYTES, SHARES, SPELLINGS, Raw, checked, expected, joined, record_ids

MAX_MEMBERS = 64
_DAMAGED = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, ValueError, EOFError, OSError, NotImplementedError, RuntimeError,
    MemoryError,
)  # fmt: skip
_ARRAY = re.compile(r"(?P<name>.*?)(?:_(?P<share>calibration|train|training|validation|val|valid|test))?")


def read_npz(source: Path, signature: Signature) -> Raw:
    """Arrays saved by `numpy.savez`: `x` (or each input's name) and `y`, or `x_calibration`, `x_validation`, …."""
    wanted = _wanted_arrays(signature)
    arrays: dict[tuple[str, str], NDArray[Any]] = {}
    for name, array in _members(source):
        match = _ARRAY.fullmatch(name)
        assert match is not None, "every name matches"
        plain, share = (name, "") if name in wanted else (match["name"], SPELLINGS.get(match["share"] or "", ""))
        if plain not in wanted or (wanted[plain], share) in arrays:
            raise RejectedError(
                f"{source}: array {name!r} is not one that is read, or there twice; {expected(signature)}"
            )
        arrays[wanted[plain], share] = array
    declared = sorted({share for _, share in arrays})
    if not arrays or (declared != [""] and declared != sorted(SHARES)):
        found = ", ".join(name for name, _ in arrays) or "none"
        raise RejectedError(f"{source}: arrays for {', '.join(declared) or 'nothing'} ({found}); {expected(signature)}")
    shares = declared if declared == [""] else list(SHARES)
    counts = [_records_of(source, signature, arrays, share) for share in shares]
    feeds = {
        port.name: joined([checked(source, port, arrays[port.name, share]) for share in shares])
        for port in signature.inputs
    }
    truth = [arrays["", share] for share in shares if ("", share) in arrays]
    if truth and len(truth) < len(shares):
        raise RejectedError(f"{source}: y is there for some of {', '.join(SHARES)} only; give it for all or for none")
    of = None if declared == [""] else np.repeat(np.array(SHARES), counts)
    return Raw(feeds, joined(truth) if truth else None, of, record_ids(feeds))


def _wanted_arrays(signature: Signature) -> dict[str, str]:
    """Name of an array to the input it is for, "" for labels."""
    names = {port.name: port.name for port in signature.inputs}
    if len(names) == 1:
        names.setdefault("x", signature.inputs[0].name)
    return {"y": "", "labels": "", **names}


def _members(source: Path) -> Iterator[tuple[str, NDArray[Any]]]:
    """The arrays of an .npz, their headers checked before any of their bytes are unpacked."""
    from numpy.lib import format as npy

    if source.stat().st_size > MAX_BYTES:
        raise RejectedError(f"{source}: larger than {MAX_BYTES:,} bytes; give fewer records")
    try:
        with zipfile.ZipFile(source) as archive:
            infos = archive.infolist()
            if len(infos) > MAX_MEMBERS:
                raise RejectedError(f"{source}: {len(infos):,} arrays, at most {MAX_MEMBERS} are read")
            total = sum(info.file_size for info in infos)
            if total > MAX_BYTES:
                raise RejectedError(
                    f"{source}: {total:,} bytes unpacked, at most {MAX_BYTES:,} are read; give fewer records"
                )
            for info in infos:
                if not info.filename.endswith(".npy"):
                    raise RejectedError(f"{source}: {info.filename[:80]!r} is no array; save it with numpy.savez")
                with archive.open(info) as member:
                    _check_header(source, info, member, npy)
                with archive.open(info) as member:
                    yield info.filename.removesuffix(".npy"), npy.read_array(member, allow_pickle=False)
    except RejectedError:
        raise
    except _DAMAGED as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise RejectedError(f"{source}: not readable as .npz ({reason}); save it again with numpy.savez") from error


def _check_header(source: Path, info: zipfile.ZipInfo, member: Any, npy: Any) -> None:
    version = npy.read_magic(member)
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    if version not in readers:
        raise RejectedError(
            f"{source}: {info.filename!r} has an .npy version {version} that is not read; save it again"
        )
    shape, _, dtype = readers[version](member)
    if dtype.hasobject:
        raise RejectedError(
            f"{source}: {info.filename!r} holds pickled Python objects, which are never loaded; save plain numbers, "
            "e.g. numpy.asarray(x, dtype='float32')"
        )
    if dtype.names is not None or dtype.kind not in "fiubU":
        raise RejectedError(f"{source}: {info.filename!r} is of type {dtype}; save plain numbers (labels may be words)")
    if member.tell() + math.prod(shape) * dtype.itemsize != info.file_size:
        raise RejectedError(f"{source}: {info.filename!r} is cut off, or says a wrong shape {shape}; save it again")


def _records_of(source: Path, signature: Signature, arrays: Mapping[tuple[str, str], NDArray[Any]], share: str) -> int:
    """How many records all arrays of one share have."""
    if missing := [port.name for port in signature.inputs if (port.name, share) not in arrays]:
        raise RejectedError(
            f"{source}: nothing for input {missing[0]!r}{f' of {share}' if share else ''}; {expected(signature)}"
        )
    lengths = {name or "y": array.shape[0] if array.ndim else 0 for (name, of), array in arrays.items() if of == share}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} has {count:,}" for name, count in lengths.items())
        raise RejectedError(f"{source}: {told} records{f' for {share}' if share else ''}; give as many of each")
    return next(iter(lengths.values()))
