"""Where the state is kept when nobody says so."""

from __future__ import annotations

import os
from pathlib import Path

from assets.line.profiles import home_of_profile

HOME_VARIABLE = "EDGELOOP_HOME"


def find_home() -> str:
    """The state's root: $EDGELOOP_HOME, else `.edgeloop` beside the nearest workspace.yaml at or above this folder.

    A profile other than `full` has a root of its own in there (`assets.line.profiles`).
    """
    if home := os.environ.get(HOME_VARIABLE):
        return home_of_profile(home)
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "workspace.yaml").is_file():
            return home_of_profile(str(folder / ".edgeloop"))
    return home_of_profile(str(here / ".edgeloop"))
