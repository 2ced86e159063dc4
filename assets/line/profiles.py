"""Profiles of lines: other settings of the same lines, e.g. `debug`, chosen for a whole process and its children.

    EDGELOOP_PROFILE=debug edgeloop ui        every line as its `profiles: debug` says
    edgeloop run digits --profile debug       the same for one command

The profile `full` is a line's YAML as it stands. Every other keeps its state in a home of its own,
`<home>/profiles/<name>`: data, models, keys, releases and devices of a debug run never meet those of the full one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from assets.errors import LineError

PROFILE_VARIABLE = "EDGELOOP_PROFILE"
FULL = "full"
PROFILE_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,30}")
"""A profile's name is part of a path, so it can lead nowhere else."""


def chosen_profile() -> str:
    """The profile of this process; `full` unless $EDGELOOP_PROFILE says another. Raises LineError for a bad name."""
    name = os.environ.get(PROFILE_VARIABLE) or FULL
    if not PROFILE_NAME.fullmatch(name):
        raise LineError(
            f"{PROFILE_VARIABLE}={name!r}: a profile's name has lower-case letters, digits and hyphens only"
        )
    return name


def choose_profile(name: str) -> None:
    """Make `name` the profile of this process and its children. Raises LineError for a bad name."""
    os.environ[PROFILE_VARIABLE] = name
    chosen_profile()


def home_of_profile(home: str) -> str:
    """Where the chosen profile keeps its state; a home that is a profile's already stays as it is."""
    folder = f"/profiles/{chosen_profile()}"
    if folder.endswith(f"/{FULL}") or home.rstrip("/").endswith(folder):
        return home
    return home.rstrip("/") + folder


def base_home(home: str) -> str:
    """The home that a profile's home lies in, `home` itself for the profile `full`."""
    return home.rstrip("/").removesuffix(f"/profiles/{chosen_profile()}")


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with what `over` says instead: mappings are merged key by key, everything else is replaced."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = merge(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return merged
