"""The house rules: what the plan forbids is not there, and would be found if it were."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.house.plan import ROOMS
from tests.house.rules import (
    PACKAGES,
    RULES,
    House,
    circles,
    documents_that_are_no_leaves,
    long_signatures,
    loose_modules,
    needless_inner_imports,
    own_doors,
    private_names,
    second_locks,
    second_starters,
    split_pairs,
    store_keys,
    upward_arrows,
    work_in_the_wiring,
)

ROOT = Path(__file__).parent.parent
DEVICE_LIBRARIES = {"PIL", "cryptography", "numpy", "onnx", "onnxruntime", "securesystemslib", "tensorrt", "tuf"}
DEVICE_LIBRARIES |= {"pyarrow", "tensorrt_rtx_bindings", "tensorrt_rtx_libs", "urllib3"}
Rule = Callable[[House], list[str]]


@pytest.fixture(scope="module")
def house() -> House:
    return House(ROOT)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_house_keeps_the_rule(rule: Rule, house: House) -> None:
    assert rule(house) == []


def test_every_room_is_on_the_plan_and_every_plan_is_built(house: House) -> None:
    planned = {room.name for room in ROOMS}
    assert planned == {module.room for module in house.modules.values() if "." in module.room}
    assert len(house.modules) > 500


HEALTHY = {
    "edge/lock.py": "import fcntl\n",
    "edge/child.py": "import subprocess\n",
    "edge/contracts/__init__.py": "",
    "assets/__init__.py": "",
    "assets/errors.py": "class LineError(Exception): ...\n",
    "assets/storage/__init__.py": "",
    "assets/storage/layout.py": "def verdicts(line: str) -> str:\n    return f'store/{line}/verdicts'\n",
    "assets/records/__init__.py": "",
    "assets/records/documents.py": "from assets.storage import layout\n",
    "assets/records/read.py": "from assets.records.documents import layout\n",
    "assets/quality/__init__.py": "GATE = 1\n",
    "assets/quality/gate.py": "def judge():\n    import torch\n",
    "assets/training/__init__.py": "",
    "assets/training/train.py": "import torch\ndef train(a, b, c, d, e, f, g, h): ...\n",
    "platform_defs/__init__.py": "",
    "platform_defs/home.py": "import os\ndef find_home():\n    return os.environ['HOME']\n",
}
"""A small house in which nothing is forbidden."""

BREACHES: list[tuple[Rule, str, str]] = [
    (circles, "assets/storage/layout.py", "def f():\n    from assets.records.read import layout\n"),
    (
        circles,
        "assets/storage/layout.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import assets.records.read\n",
    ),
    (upward_arrows, "assets/errors.py", "from assets.storage import layout\n"),
    (upward_arrows, "edge/contracts/wire.py", "def f():\n    from assets.errors import LineError\n"),
    (upward_arrows, "assets/training/gate.py", "from assets.quality.gate import judge\n"),
    (upward_arrows, "assets/quality/model.py", "def f():\n    from assets.training.train import train\n"),
    (upward_arrows, "assets/cellar/__init__.py", "from assets.errors import LineError\n"),
    (documents_that_are_no_leaves, "assets/quality/documents.py", "from assets.quality.gate import judge\n"),
    (documents_that_are_no_leaves, "assets/quality/contract.py", "def f():\n    import assets.quality.gate\n"),
    (own_doors, "assets/quality/report.py", "from assets.quality import GATE\n"),
    (private_names, "assets/training/more.py", "from assets.training.train import _step\n"),
    (store_keys, "assets/quality/kept.py", "def f(line):\n    return f'store/{line}/verdicts'\n"),
    (store_keys, "platform_defs/served.py", "PAGE = 'reports/index.html'\n"),
    (needless_inner_imports, "assets/records/light.py", "def f():\n    from assets.errors import LineError\n"),
    (needless_inner_imports, "assets/training/same.py", "import torch\ndef f():\n    import assets.training.train\n"),
    (long_signatures, "assets/training/long.py", "def f(a, b, c, d, e, *, f, g, h, i): ...\n"),
    (long_signatures, "platform_defs/cli/fix.py", "def f(self, a, b, c, d, e, f, g, h, i): ...\n"),
    (split_pairs, "assets/records/both.py", "def f(store, batch, line): ...\n"),
    (second_locks, "assets/storage/scratch.py", "def f():\n    import fcntl\n"),
    (second_starters, "assets/quality/pool.py", "import subprocess\ndef f():\n    subprocess.run(['true'])\n"),
    (second_starters, "edge/contracts/fork.py", "import os\ndef f():\n    return os.fork()\n"),
    (loose_modules, "assets/forget.py", ""),
    (
        work_in_the_wiring,
        "platform_defs/catalog.py",
        "from assets.quality.gate import judge\ndef judged():\n    return judge()\n",
    ),
]


def _build(root: Path, files: dict[str, str]) -> House:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return House(root)


def test_a_healthy_house_breaks_no_rule(tmp_path: Path) -> None:
    built = _build(tmp_path, HEALTHY)
    assert {rule.__name__: rule(built) for rule in RULES} == {rule.__name__: [] for rule in RULES}


@pytest.mark.parametrize(("rule", "path", "text"), BREACHES, ids=[f"{rule.__name__}-{at}" for rule, at, _ in BREACHES])
def test_a_planted_breach_is_found(rule: Rule, path: str, text: str, tmp_path: Path) -> None:
    (found,) = rule(_build(tmp_path, {**HEALTHY, path: text}))
    assert found


def test_every_rule_has_a_planted_breach() -> None:
    assert {rule for rule, _, _ in BREACHES} == set(RULES)


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
