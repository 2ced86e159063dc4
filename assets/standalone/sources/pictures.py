"""A folder of pictures, prepared as a device prepares them."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from assets.errors import RejectedError
from assets.standalone.signature import Signature
from assets.standalone.sources.raw import MAX_BYTES, SHARES, SPELLINGS, Raw, Reading
from edge.contracts import InputSpec

MAX_FILES = 1_000_000
MAX_FILE_BYTES = 256 * 1024**2
"""Of one picture's file."""
_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"})


def read_folder(source: Path, signature: Signature, how: Reading, spec: InputSpec | None = None) -> Raw:
    """A folder of pictures: `<class>/<picture>`, or pictures alone; the same below calibration/, validation/, test/."""
    from assets.loading.pictures import decoded

    spec = spec or picture_spec(source, signature, how)
    found = _pictures(source)
    if not found:
        raise RejectedError(
            f"{source}: there is no picture in it ({', '.join(sorted(_SUFFIXES))}); give a folder with one folder of "
            "pictures per class, or pictures alone"
        )
    most, named = max(1, MAX_BYTES // 2 // math.prod(spec.shape)), sorted({label for _, label, _ in found})
    labelled, declared = named != [""], {share for _, _, share in found}
    if labelled and "" in named:
        raise RejectedError(f"{source}: some pictures are in class folders, some are not; sort them into folders")
    ids = [_digest(path) for path, _, _ in found]
    order: Sequence[int] = range(len(found))
    note = ""
    if len(found) > most:
        order = sorted(sorted(order, key=lambda at: ids[at])[:most])
        note = f"of {len(found):,} pictures the {most:,} with the smallest digests are used, which fit in memory"
    files = ((str(found[at][0]), found[at][0].read_bytes()) for at in order)
    pixels = np.concatenate(list(decoded(spec, files)))
    classes = tuple(how.classes or _in_order(named)) if labelled else ()
    y = np.array([found[at][1] for at in order]) if labelled else None
    shares = None if declared == {""} else np.array([found[at][2] for at in order])
    return Raw({spec.name: pixels}, y, shares, tuple(ids[at] for at in order), classes, spec, note)


def picture_spec(source: object, signature: Signature, how: Reading) -> InputSpec:
    """How pictures become the model's input, so that a device may do the very same.

    Raises:
        RejectedError: the model does not read (batch, channels, height, width) of one or three channels.
    """
    port = signature.inputs[0]
    channels, height, width = (*port.shape[1:4], None, None, None)[:3]
    if len(signature.inputs) > 1 or len(port.shape) != 4 or port.dtype != "float32" or channels not in (1, 3):
        raise RejectedError(
            f"{source}: pictures are given as float32 of (batch, 1 or 3 channels, height, width), the model reads "
            f"{signature}; prepare them yourself and give arrays in an .npz"
        )
    if height is None or width is None:
        raise RejectedError(
            f"{source}: the model takes pictures of any size, so which one is meant? Export it with a fixed height and "
            "width, or give arrays in an .npz"
        )
    mean, std = (_per_channel(name, given, channels) for name, given in (("mean", how.mean), ("std", how.std)))
    factor = 255 * (1 / 255 if how.scale is None else how.scale)  # the contract's pixels are 0 to 1
    if not factor > 0:
        raise RejectedError(f"--scale {how.scale}: pixels are multiplied with a number above 0, e.g. 1 for 0 to 255")
    mean, std = (
        tuple(value / factor for value in mean or (0.0,) * channels),
        tuple(value / factor for value in std or (1.0,) * channels),
    )
    return InputSpec("image", port.name, (channels, height, width), mean, std)


def _pictures(root: Path) -> list[tuple[Path, str, str]]:
    """Every picture with its class ("" without folders) and its declared share ("" where it is drawn), sorted."""
    folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.is_symlink())
    shares = {SPELLINGS[path.name.lower()]: path for path in folders if path.name.lower() in SPELLINGS}
    tops: dict[str, Path] = (
        {str(share): path for share, path in shares.items()} if set(shares) == set(SHARES) else {"": root}
    )
    found: list[tuple[Path, str, str]] = []
    for share, top in tops.items():
        for folder, names, files in os.walk(top):
            names[:] = sorted(name for name in names if not name.startswith("."))
            inside = Path(folder).relative_to(top).parts
            for name in sorted(files):
                path = Path(folder, name)
                if (
                    path.suffix.lower() in _SUFFIXES
                    and not name.startswith(".")
                    and path.is_file()
                    and not path.is_symlink()
                ):
                    if path.stat().st_size > MAX_FILE_BYTES:
                        raise RejectedError(f"{path}: larger than {MAX_FILE_BYTES:,} bytes; take it out")
                    found.append((path, inside[0] if inside else "", share))
                if len(found) > MAX_FILES:
                    raise RejectedError(f"{root}: more than {MAX_FILES:,} pictures; give a sample of them")
    return found


def _in_order(names: list[str]) -> list[str]:
    """Numbers as numbers where they count from 0, the rest by the alphabet, as usual tools do."""
    if all(name.isascii() and name.isdigit() for name in names) and sorted(map(int, names)) == list(range(len(names))):
        return sorted(names, key=int)
    return names


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _per_channel(option: str, given: tuple[float, ...], channels: int) -> tuple[float, ...]:
    if len(given) not in (0, 1, channels) or (option == "std" and any(not value > 0 for value in given)):
        wanted = "numbers above 0" if option == "std" else "numbers"
        raise RejectedError(
            f"--{option} {','.join(map(str, given))}: give one, or {channels} {wanted}, e.g. 0.5,0.5,0.5"
        )
    return given * channels if len(given) == 1 else given
