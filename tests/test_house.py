"""The house rules that a change could break unnoticed: arrows, light imports, one copy of each package."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("platform_defs", "assets", "edge")
ROOMS = ("ingest", "quality", "training", "compression", "compilation", "release", "feedback", "review")
GROUND_FLOOR = ("families", "tasks", "fitting", "loading", "pages")
"""Packages of the ground floor; a later one may stand on an earlier one, never the other way round."""
DEVICE_LIBRARIES = {"PIL", "cryptography", "numpy", "onnx", "onnxruntime", "securesystemslib", "tensorrt", "tuf"}
DEVICE_LIBRARIES |= {"tensorrt_rtx_bindings", "tensorrt_rtx_libs", "urllib3"}


def _sources(package: str) -> list[Path]:
    return sorted(path for path in (ROOT / package).rglob("*.py") if "build" not in path.parts)


def _imports(path: Path, *, top_level_only: bool = False) -> set[str]:
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_level_only else list(ast.walk(tree))
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _starts(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def test_there_are_sources_to_check() -> None:
    assert all(len(_sources(package)) > 10 for package in PACKAGES)


def test_arrows_point_from_platform_to_assets_to_edge() -> None:
    forbidden = {
        "edge": ("assets", "platform_defs", "tests"),
        "assets": ("platform_defs", "tests"),
        "platform_defs": ("tests",),
    }
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for package, others in forbidden.items()
        for path in _sources(package)
        for name in _imports(path)
        for other in others
        if _starts(name, other)
    ]
    assert wrong == []


def test_a_room_imports_only_contracts_of_other_rooms() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for room in ROOMS
        for path in _sources(f"assets/{room}")
        for name in _imports(path)
        for other in ROOMS
        if other != room
        and _starts(name, f"assets.{other}")
        and not _starts(name, f"assets.{other}.contract")
        and name != f"assets.{other}"
    ]
    assert wrong == []


def test_the_ground_floor_stands_on_no_room() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in [
            *(ROOT / "assets").glob("*.py"),
            *(one for name in GROUND_FLOOR for one in _sources(f"assets/{name}")),
        ]
        for name in _imports(path)
        for room in ROOMS
        if _starts(name, f"assets.{room}") and not _starts(name, f"assets.{room}.contract")
    ]
    assert wrong == []


def test_families_know_no_task_and_tasks_no_training() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for at, package in enumerate(GROUND_FLOOR)
        for path in _sources(f"assets/{package}")
        for name in _imports(path)
        for later in GROUND_FLOOR[at + 1 :]
        if _starts(name, f"assets.{later}")
    ]
    assert wrong == []


def test_every_folder_of_assets_is_a_room_or_ground_floor() -> None:
    folders = {path.parent.name for path in (ROOT / "assets").glob("*/__init__.py")}
    assert folders - {*ROOMS, *GROUND_FLOOR} == set()


def test_edge_needs_only_what_a_device_has() -> None:
    allowed = set(sys.stdlib_module_names) | DEVICE_LIBRARIES | {"edge"}
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in _sources("edge")
        for name in _imports(path)
        if name.split(".")[0] not in allowed
    ]
    assert wrong == []


def test_edge_imports_heavy_libraries_lazily() -> None:
    always = set(sys.stdlib_module_names) | {"edge", "numpy", "tuf", "securesystemslib", "urllib3"}
    wrong = [
        f"{path.relative_to(ROOT)} imports {name} at its top"
        for path in _sources("edge")
        if path.name != "build_child.py"
        for name in _imports(path, top_level_only=True)
        if name.split(".")[0] not in always
    ]
    assert wrong == []


def test_nothing_is_pickled() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for package in PACKAGES
        for path in _sources(package)
        for name in _imports(path)
        if name.split(".")[0] in {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
    ]
    assert wrong == []
    loads = [path for package in PACKAGES for path in _sources(package) if "torch.load(" in path.read_text()]
    assert all("weights_only=True" in path.read_text() for path in loads)


def test_definitions_stay_wiring() -> None:
    assert len((ROOT / "platform_defs/definitions.py").read_text().splitlines()) <= 60


def test_files_stay_readable() -> None:
    long = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines())
        for package in PACKAGES
        for path in _sources(package)
    }
    assert {name: lines for name, lines in long.items() if lines > 400} == {}


@pytest.fixture(scope="module")
def loaded() -> dict[str, object]:
    """What building the code location's definitions costs and imports, in a fresh process."""
    code = """
import json, sys, time
from platform_defs.definitions import definitions
definitions().resolve_asset_graph()
print(json.dumps({"seconds": time.process_time(), "modules": sorted({name.split(".")[0] for name in sys.modules})}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def test_the_code_location_imports_neither_torch_nor_great_expectations(loaded: dict[str, object]) -> None:
    modules = loaded["modules"]
    assert isinstance(modules, list)
    assert "dagster" in modules
    heavy = {"torch", "great_expectations", "onnx", "onnxruntime", "pandas", "sklearn", "tensorrt_rtx_bindings"}
    assert heavy.isdisjoint(modules)


def test_there_is_one_copy_of_each_package() -> None:
    code = "import assets, edge, platform_defs as top; print(assets.__file__, edge.__file__, top.__file__, sep=chr(10))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd="/", check=True)
    assert done.stdout.splitlines() == [
        str(ROOT / package / "__init__.py") for package in ("assets", "edge", "platform_defs")
    ]


def test_the_root_distribution_does_not_carry_edge() -> None:
    from importlib.metadata import distribution

    files = [str(file) for file in distribution("edgeloop").files or []]
    assert files
    assert not any(file.startswith("edge/") for file in files)
