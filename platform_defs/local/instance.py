"""The Dagster instance of this state folder: its home, its settings, and whether a daemon works on it."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import yaml

from assets.errors import EdgeError, RejectedError, of_the_machine
from assets.line.profiles import FULL, base_home, chosen_profile
from assets.storage import layout
from assets.storage.store import Store
from edge.lock import lock_file
from platform_defs.catalog import LINES_FOLDER
from platform_defs.home import HOME_VARIABLE, find_home

SETTINGS = LINES_FOLDER.parent.parent / "infra" / "dagster.yaml"


def prepare_home() -> Store:
    """Make the state folder and Dagster's home in it, and set EDGELOOP_HOME and DAGSTER_HOME for this process and its
    children. A DAGSTER_HOME that is set already is used as it is, but never the full profile's for another one.

    Raises:
        RejectedError: the folder cannot be written.
    """
    os.environ["DAGSTER_DISABLE_TELEMETRY"] = "yes"  # its uploader does not read dagster.yaml
    store = Store(find_home())
    if not store.local:
        if not os.environ.get("DAGSTER_HOME"):
            raise RejectedError(
                f"{store.root} is not a folder of this machine; set DAGSTER_HOME to where Dagster keeps its state"
            )
        _make_dagster_home(Path(os.environ["DAGSTER_HOME"]))
        return store
    root = Path(store.root).absolute()
    os.environ[HOME_VARIABLE] = str(root)
    shared = Path(base_home(str(root))) / "dagster"  # `make` sets it; runs and cursors belong to one state only
    if os.environ.get("DAGSTER_HOME") == str(shared):
        del os.environ["DAGSTER_HOME"]
    home = Path(os.environ.setdefault("DAGSTER_HOME", str(root / "dagster")))
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(error, HOME_VARIABLE) from error
    _make_dagster_home(home)
    return Store(str(root))


def _make_dagster_home(home: Path) -> None:
    """Make Dagster's folder with our settings; what is there is left alone. Raises RejectedError, TransientError."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        settings = home / "dagster.yaml"
        if SETTINGS.is_file() and not settings.exists():
            shutil.copyfile(SETTINGS, settings)
        _claim(home)
        _make_storages(home)
    except OSError as error:
        raise _unwritable(error, "EDGELOOP_HOME or DAGSTER_HOME") from error


def _claim(home: Path) -> None:
    """Note whose runs and cursors these are. Raises RejectedError where they are another profile's."""
    mark, profile = home / ".profile", chosen_profile()
    if not mark.exists():
        mark.write_text(FULL if (home / ".storages-made").exists() else profile)
    if (owner := mark.read_text().strip()) != profile:
        raise RejectedError(
            f"{home}: holds the runs of profile {owner!r}, and {profile!r} was chosen; set DAGSTER_HOME to another "
            "folder, or leave it unset"
        )


def _unwritable(error: OSError, variable: str) -> EdgeError:
    return of_the_machine(error, "the state", f"set {variable} elsewhere")


def _make_storages(home: Path) -> None:
    """Make the instance's databases once: processes that make them at the same time leave them broken for good."""
    made = home / ".storages-made"
    if made.exists():
        return
    with lock_file(home / ".storages.lock"):
        if not made.exists():
            with open_instance() as instance:
                instance.get_runs(limit=1)
                instance.get_records_for_run("none")
                instance.all_instigator_state()
            made.touch()


def open_instance() -> dg.DagsterInstance:
    """The instance of DAGSTER_HOME; call `prepare_home` first. Raises RejectedError where its settings are broken."""
    try:
        return dg.DagsterInstance.get()
    except (dg.DagsterError, yaml.YAMLError) as error:
        settings = Path(os.environ.get("DAGSTER_HOME", ".")) / "dagster.yaml"
        reason = " ".join(str(error).split())[:200]
        raise RejectedError(f"{settings}: Dagster does not take these settings; correct them: {reason}") from error


@contextlib.contextmanager
def daemon_lock(store: Store) -> Iterator[bool]:
    """Claim the one daemon of this state; yields False where another process runs it already."""
    folder = store.path(layout.LOCKS) if store.local else os.environ["DAGSTER_HOME"]
    path = Path(folder) / "daemon.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with lock_file(path, wait_seconds=0) as held:
        yield held
