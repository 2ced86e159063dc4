"""What the plan forbids, found in the imports of a tree of sources. Each rule returns the breaches, one line each."""

from __future__ import annotations

import ast
import functools
import graphlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from tests.house.plan import APART, HEAVY, ROOMS

PACKAGES = ("edge", "assets", "platform_defs")
FLOOR = {room.name: floor for floor, room in enumerate(ROOMS)}
MOST_PARAMETERS = 8
TOP_FOLDERS = ("store", "landing", "quarantine", "reports", "keys", "tuf", "devices", "logs", "cache")
STARTERS = frozenset({"Popen", "fork", "forkpty", "posix_spawn", "Process", "ProcessPoolExecutor"})
RUNNERS = frozenset(
    {"subprocess.run", "subprocess.call", "subprocess.check_output", "subprocess.check_call", "os.system"}
)
Function = ast.FunctionDef | ast.AsyncFunctionDef


class Import(NamedTuple):
    """One imported name: `target` is a module of the house, or the library's dotted name."""

    target: str
    name: str
    line: int
    inner: bool
    typing_only: bool
    bound: str


@dataclass(frozen=True)
class Module:
    """One source file."""

    name: str
    path: Path
    tree: ast.Module

    @property
    def room(self) -> str:
        """The room it is in: the folder or file right below its package."""
        return ".".join(self.name.split(".")[:2])

    @property
    def is_package(self) -> bool:
        return self.path.name == "__init__.py"


@dataclass(frozen=True)
class House:
    """Every module below a root."""

    root: Path

    @cached_property
    def modules(self) -> dict[str, Module]:
        found = {}
        for package in PACKAGES:
            for path in sorted((self.root / package).rglob("*.py")):
                parts = path.relative_to(self.root).with_suffix("").parts
                if "build" in parts:
                    continue
                name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
                found[name] = Module(name, path, ast.parse(path.read_text()))
        return found

    @cached_property
    def imports(self) -> dict[str, tuple[Import, ...]]:
        return {name: tuple(self._imports(module)) for name, module in self.modules.items()}

    def ours(self, name: str) -> list[Import]:
        """What a module takes from other modules of the house."""
        return [one for one in self.imports[name] if one.target in self.modules and one.target != name]

    def _imports(self, module: Module) -> Iterator[Import]:
        inner = {id(node) for function in functions(module.tree) for node in ast.walk(function)}
        typing_only = {
            id(node)
            for block in ast.walk(module.tree)
            if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.unparse(block.test)
            for node in ast.walk(block)
        }
        for node in ast.walk(module.tree):
            places = id(node) in inner, id(node) in typing_only
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield Import(alias.name, "", node.lineno, *places, alias.asname or alias.name.split(".")[0])
            elif isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    deeper = f"{node.module}.{alias.name}"
                    target = deeper if deeper in self.modules else node.module
                    yield Import(target, alias.name, node.lineno, *places, alias.asname or alias.name)

    @functools.cache  # noqa: B019 -- one house a test run
    def libraries(self, name: str) -> frozenset[str]:
        """The heavy libraries that importing a module loads at once."""
        seen: set[str] = set()
        queue, found = [name], set()
        while queue:
            current = queue.pop()
            parents = [current.rsplit(".", depth)[0] for depth in range(1, current.count(".") + 1)]
            for one in {current, *parents} & self.modules.keys() - seen:
                seen.add(one)
                for taken in self.imports[one]:
                    if taken.inner or taken.typing_only:
                        continue
                    if taken.target in self.modules:
                        queue.append(taken.target)
                    else:
                        found.add(taken.target.split(".")[0])
        return frozenset(found) & HEAVY


def functions(tree: ast.AST) -> list[Function]:
    """Every function and method."""
    return [node for node in ast.walk(tree) if isinstance(node, Function)]


def parameters(function: Function) -> list[str]:
    """Names of a function's parameters, without self and cls."""
    arguments = function.args
    names = [one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    return [name for name in names if name not in ("self", "cls")]


def circles(house: House) -> list[str]:
    """The first circle of files that import each other, also inside functions and for types."""
    graph = {name: {one.target for one in house.ours(name)} for name in house.modules}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return [" -> ".join(error.args[1])]
    return []


def upward_arrows(house: House) -> list[str]:
    """Imports of a room that stands higher, or in the other wing, and rooms that are not on the plan."""
    found = []
    for name, module in house.modules.items():
        for one in house.ours(name):
            here, there = module.room, house.modules[one.target].room
            if "." not in here or "." not in there or here == there:
                continue
            if here not in FLOOR or there not in FLOOR:
                found.append(f"{name} -> {one.target}: not on the plan")
            elif FLOOR[there] > FLOOR[here] or any(here in wing and there in other for wing, other in _wings()):
                found.append(f"{name} -> {one.target}")
    return found


def _wings() -> tuple[tuple[frozenset[str], frozenset[str]], ...]:
    return APART, APART[::-1]


def documents_that_are_no_leaves(house: House) -> list[str]:
    """A `documents.py` imports no sibling but other documents."""
    return [
        f"{name} -> {one.target}"
        for name, module in house.modules.items()
        if module.path.name in ("documents.py", "contract.py")
        for one in house.ours(name)
        if house.modules[one.target].path.parent == module.path.parent
        and house.modules[one.target].path.name not in ("documents.py", "contract.py", "__init__.py")
    ]


def own_doors(house: House) -> list[str]:
    """Nobody inside a folder takes a name from the folder's own `__init__`."""
    return [
        f"{name} -> {one.target}: {one.name}"
        for name in house.modules
        for one in house.ours(name)
        if house.modules[one.target].is_package and "." in one.target and name.startswith(f"{one.target}.")
    ]


def private_names(house: House) -> list[str]:
    """A name that begins with an underscore stays in its file."""
    return [
        f"{name}:{one.line} takes {one.name} from {one.target}"
        for name in house.modules
        for one in house.ours(name)
        if one.name.startswith("_") and not one.name.startswith("__")
    ]


def needless_inner_imports(house: House) -> list[str]:
    """An import of our own inside a function is for a module that brings a heavy library which this one lacks."""
    return [
        f"{name}:{one.line} -> {one.target}"
        for name in house.modules
        for one in house.ours(name)
        if one.inner and not house.libraries(one.target) - house.libraries(name)
    ]


def store_keys(house: House) -> list[str]:
    """A literal that begins with a folder of the store stands in `assets/storage/layout.py` alone."""
    found = []
    for name, module in house.modules.items():
        if name.startswith("edge.") or name == "assets.storage.layout":
            continue
        texts = [node for node in ast.walk(module.tree) if isinstance(node, ast.JoinedStr)]
        later = {id(part) for text in texts for part in text.values[1:]}
        found += [
            f"{name}:{node.lineno} {node.value!r}"
            for node in ast.walk(module.tree)
            if isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and node.value.startswith(tuple(f"{folder}/" for folder in TOP_FOLDERS))
            and "\n" not in node.value
            and id(node) not in later
        ]
    return found


def long_signatures(house: House) -> list[str]:
    """No function but a command's takes more than `MOST_PARAMETERS` parameters."""
    return [
        f"{name}:{function.lineno} {function.name} takes {len(parameters(function))}"
        for name, module in house.modules.items()
        for function in functions(module.tree)
        if len(parameters(function)) > MOST_PARAMETERS and not _is_command(module, function)
    ]


def _is_command(module: Module, function: Function) -> bool:
    arguments = (*function.args.args, *function.args.kwonlyargs)
    told = [ast.unparse(one.annotation) for one in arguments if one.annotation is not None]
    told += [ast.unparse(one) for one in function.decorator_list]
    return module.room == "platform_defs.cli" and any("typer." in text or ".command(" in text for text in told)


def split_pairs(house: House) -> list[str]:
    """A store and a line go together, as `assets.records.line_store` binds them."""
    return [
        f"{name}:{function.lineno} {function.name}"
        for name, module in house.modules.items()
        if name != "assets.records.line_store"
        for function in functions(module.tree)
        if {"store", "line"} <= set(parameters(function))
    ]


def second_locks(house: House) -> list[str]:
    """`flock` is called in `edge/lock.py` alone."""
    return [
        f"{name}:{one.line}"
        for name in house.modules
        for one in house.imports[name]
        if one.target == "fcntl" and name != "edge.lock"
    ]


def second_starters(house: House) -> list[str]:
    """Processes are started in `edge/child.py` alone, and by the supervisor of a step that Dagster's Pipes starts."""
    allowed = ("edge.child", "assets.processes.supervisor")
    return [
        f"{name}:{node.lineno} {ast.unparse(node.func)}"
        for name, module in house.modules.items()
        if name not in allowed
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and _starts_process(node.func)
    ]


def _starts_process(function: ast.expr) -> bool:
    name = ast.unparse(function)
    return name.rpartition(".")[2] in STARTERS or name in RUNNERS


def loose_modules(house: House) -> list[str]:
    """`assets/` itself holds `errors.py` and no other module."""
    names = {path.name for path in (house.root / "assets").glob("*.py")}
    return sorted(names - {"__init__.py", "errors.py"})


def work_in_the_wiring(house: House) -> list[str]:
    """A public function of `platform_defs` that uses rooms of `assets` and nothing of the wiring is work of theirs."""
    found = []
    for name, module in house.modules.items():
        if not name.startswith("platform_defs."):
            continue
        bound = {one.bound: one.target for one in house.imports[name]}
        local = {node.name for node in module.tree.body if isinstance(node, (ast.ClassDef, Function))}
        constants = {
            target.id
            for node in module.tree.body
            if isinstance(node, (ast.Assign, ast.AnnAssign))
            for target in ast.walk(node)
            if isinstance(target, ast.Name)
        }
        for function in module.tree.body:
            if not isinstance(function, Function) or function.name.startswith("_") or function.decorator_list:
                continue
            used = {node.id for part in function.body for node in ast.walk(part) if isinstance(node, ast.Name)}
            named = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
            packages = {bound[one].split(".")[0] for one in used & bound.keys()}
            wired = {bound[one].split(".")[0] for one in named & bound.keys()} & {
                "platform_defs",
                "dagster",
                "typer",
                "starlette",
                "uvicorn",
                "rich",
            }
            if "assets" in packages and not wired and not used & ((local - {function.name}) | constants):
                found.append(f"{name}.{function.name}")
    return found


RULES: tuple[Callable[[House], list[str]], ...] = (
    circles,
    upward_arrows,
    documents_that_are_no_leaves,
    own_doors,
    private_names,
    needless_inner_imports,
    store_keys,
    long_signatures,
    split_pairs,
    second_locks,
    second_starters,
    loose_modules,
    work_in_the_wiring,
)
