"""The Dagster code location: every line's definitions, each line built on its own."""

from __future__ import annotations

import warnings

import dagster as dg

from platform_defs.automation.upkeep import build_upkeep
from platform_defs.catalog import LineEntry, served_lines
from platform_defs.components.model_line import line_definitions
from platform_defs.resources import build_resources

warnings.filterwarnings("ignore", category=dg.PreviewWarning)  # Dagster's own Pipes client


@dg.definitions
def definitions() -> dg.Definitions:
    """Everything there is; a line that is broken is listed as one asset that says why.

    Dagster's own component tree reads every YAML before it builds any line, so one line could stop all of them.
    """
    return dg.Definitions.merge(
        dg.Definitions(resources=build_resources(), executor=dg.in_process_executor),
        build_upkeep(),
        *(_line_definitions(entry) for entry in served_lines()),
    )


def _line_definitions(entry: LineEntry) -> dg.Definitions:
    if entry.line is None:
        return _broken(entry, entry.error)
    try:
        return line_definitions(entry.line)
    except Exception as error:  # whatever one line does, the others go on
        return _broken(entry, f"{entry.path}: {_root_cause(error)}")


def _root_cause(error: BaseException) -> str:
    """The innermost error, in its own words."""
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
