"""Tests mirror the tree: a file's tests lie where the file lies, under its name."""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PACKAGES = ("assets", "edge", "platform_defs")
SEVERAL = {
    "answers": "what the devices answer",
    "browser": "pages, in Chromium",
    "conformance": "every library that builds plans",
    "crash": "killed at any moment",
    "daemon": "a real daemon, killed",
    "foreign": "ONNX files that others made",
    "hostile": "odd sources, from landing to report",
    "kinds": "every kind of answer, from records to engines",
    "loop": "the whole way",
    "mutations": "broken files",
    "others": "tasks without classes or numbers",
    "processes": "trainings in processes of their own",
    "shapes": "open sides, from request to plan",
    "shared_data": "real data",
    "sources": "every kind of source",
    "targets": "the table of targets in the room's README",
}
"""What tests of several modules together are called, and what they are about."""


def mirrored(name: str, folder: Path) -> bool:
    """Whether `test_NAME.py` is of a module or a room of the folder, or, as `test_MODULE_ASPECT.py`, of an aspect."""
    rooms = (path.name for path in folder.iterdir() if path.is_dir())
    modules = (path.stem for path in folder.glob("*.py") if path.stem != "__init__")
    return any(name == one or name.startswith(f"{one}_") for one in (*rooms, *modules))


@pytest.mark.parametrize("package", PACKAGES)
def test_each_test_file_names_a_module_of_the_mirrored_folder(package: str) -> None:
    astray = []
    for path in sorted((TESTS / package).rglob("test_*.py")):
        name, folder = path.stem.removeprefix("test_"), path.parent.relative_to(TESTS)
        if not (TESTS.parent / folder).is_dir():
            astray.append(f"tests/{folder}/{path.name}: there is no folder {folder}/")
        elif name not in SEVERAL and not mirrored(name, TESTS.parent / folder):
            astray.append(f"tests/{folder}/{path.name}: {folder}/ has no {name}.py and no {name}/")
    assert not astray, "rename the test file after the module it tests:\n" + "\n".join(astray)


def test_the_list_of_tests_of_several_modules_is_not_longer_than_it_need_be() -> None:
    left = set(SEVERAL)
    for path in TESTS.rglob("test_*.py"):
        name, folder = path.stem.removeprefix("test_"), TESTS.parent / path.parent.relative_to(TESTS)
        if folder.is_dir() and not mirrored(name, folder):
            left.discard(name)
    assert left == set()
