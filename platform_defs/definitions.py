"""The Dagster code location: every line's definitions, each line built on its own."""

from __future__ import annotations

import warnings
from pathlib import Path

import dagster as dg
from dagster.components.core.component_tree import ComponentTree

from platform_defs.automation.upkeep import build_upkeep
from platform_defs.catalog import LineEntry, list_lines
from platform_defs.resources import build_resources

for category in (dg.BetaWarning, dg.PreviewWarning):
    warnings.filterwarnings("ignore", category=category)


@dg.definitions
def definitions() -> dg.Definitions:
    """Everything there is; a line that is broken is listed as one asset that says why."""
    tree = ComponentTree.for_project(Path(__file__).parent)
    return dg.Definitions.merge(
        dg.Definitions(resources=build_resources(), executor=dg.in_process_executor),
        build_upkeep(),
        *(_line_definitions(tree, entry) for entry in list_lines()),
    )


def _line_definitions(tree: ComponentTree, entry: LineEntry) -> dg.Definitions:
    if entry.line is None:
        return _broken(entry, entry.error)
    try:
        return tree.build_defs(entry.path.parent)
    except Exception as error:  # whatever one line does, the others go on
        return _broken(entry, f"{entry.path}: {_root_cause(error)}")


def _root_cause(error: BaseException) -> str:
    """The innermost error: Dagster wraps it in a drawing of the folder tree."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__ or error
    return f"{type(error).__name__}: {error}"


def _broken(entry: LineEntry, error: str) -> dg.Definitions:
    spec = dg.AssetSpec(
        [entry.name, "broken_line"],
        group_name="broken_lines",
        description=f"This line does not load.\n\n```\n{error}\n```",
        kinds={"error"},
    )
    return dg.Definitions(assets=[spec])
