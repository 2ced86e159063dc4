"""What names of files and folders say: which are no data, which cannot be kept, which declare a split."""

from __future__ import annotations

import unicodedata

from assets.records.limits import MAX_PART_BYTES, MAX_PATH_BYTES

_SYSTEM_NAMES = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "$recycle.bin", "icon\r", "_success"})
_UNFINISHED = (
    ".part", ".partial", ".filepart", ".ftpart", ".dtapart", ".crdownload", ".download", ".opdownload", ".fdmdownload",
    ".tmp", ".temp", ".swp", ".aria2", ".!ut", ".!qb", ".!bt", ".bc!", ".td", ".xltd", "._copying_", ".incomplete",
    ".inprogress", "~",
)  # fmt: skip
"""Ends of names under which browsers, editors and copying programs keep what they have not finished."""
_SPLITS = {"train": "train", "validation": "validation", "val": "validation", "valid": "validation", "test": "test"}
MAX_SHOWN = 120


def is_system_name(name: str) -> bool:
    """Whether a file or folder is the system's own: hidden, left by a file manager, or not finished. It is no data."""
    return name.startswith(".") or name.lower() in _SYSTEM_NAMES or is_unfinished(name)


def is_unfinished(name: str) -> bool:
    """Whether a program is still writing a file of this name, or left it unfinished."""
    return name.startswith("~$") or name.lower().endswith(_UNFINISHED)


def why_system(name: str) -> str:
    """What to say of a name that `is_system_name` tells."""
    return f"{name} is an unfinished copy" if is_unfinished(name) else f"{name} is a system's own file, not data"


def system_part(path: str) -> str | None:
    """The first part of a relative path that is the system's own, or None."""
    return next((part for part in path.split("/") if is_system_name(part)), None)


def name_problem(name: str) -> str | None:
    """Why a file of this name cannot be kept under it on every system, or None."""
    if "\\" in name:
        return "its name has a backslash"
    if any(unicodedata.category(character) == "Cs" for character in name):
        return "its name is not UTF-8"
    if any(unicodedata.category(character) == "Cc" for character in name):
        return "its name has a control character"
    if max(len(part.encode()) for part in name.split("/")) > MAX_PART_BYTES:
        return f"its name is longer than {MAX_PART_BYTES} bytes"
    if len(name.encode()) > MAX_PATH_BYTES:
        return f"its path is longer than {MAX_PATH_BYTES} bytes"
    return None


def printable(name: str) -> str:
    """A name as text that can be stored: what is not UTF-8 as escapes, a very long one cut."""
    text = name.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= MAX_PATH_BYTES else f"{text[: MAX_PATH_BYTES - 1]}…"


def declared_split(folder: str) -> str | None:
    """The split that a folder's name declares: "train", "validation" (also val, valid) or "test"; None for others."""
    return _SPLITS.get(folder.lower())


def shown(text: str) -> str:
    """Any text as one short, quoted, printable piece of a sentence."""
    quoted = repr(text)
    return quoted if len(quoted) <= MAX_SHOWN else f"{quoted[: MAX_SHOWN - 4]}…{quoted[0]}"
