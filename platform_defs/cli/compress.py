"""`edgeloop compress`: a smaller model within a budget, of any ONNX file or of a model of ours."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from assets.errors import BudgetError, CompileError, RejectedError
from assets.storage.store import Store
from edge.contracts import TARGETS
from edge.runtime.machine import machine_arch
from platform_defs import catalog
from platform_defs.cli.output import JsonFlag, Profile, print_json, print_rows, progress, say, tell
from platform_defs.home import find_home

_COLUMNS = {
    "validation_drop": ("drop", 4),
    "test_drop": ("on test", 4),
    "ms_b1": ("ms", 3),
    "onnx_kb": ("kB", 1),
}
"""Of the table: key of a row to its heading and digits."""
_HEADINGS = tuple(heading for heading, _ in _COLUMNS.values())


def compress(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="An ONNX file from anywhere; or a line (its newest trained model), or the .safetensors of one of its "
            "models: then smaller networks are trained too.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Folder for the page and the models; the same command goes on in it after a kill.",
        ),
    ],
    data: Annotated[
        str,
        typer.Option(
            "--data",
            metavar="SOURCE",
            help="Held-out records: an .npz (x, and y where there are labels; or x_calibration, x_validation, x_test), "
            "a folder of class folders of pictures, a .csv or .parquet, or a line. Without labels the metric is "
            "fidelity: 1 minus the relative error against the float model. A line's model has its line's records.",
        ),
    ] = "",
    budget: Annotated[
        str,
        typer.Option(
            "--budget",
            metavar="LIMITS",
            help="Such as max_drop=0.01,max_ms=2,max_kb=500: the most the metric may fall (0.01 is one point), the "
            "slowest median call in ms, the largest file in kB; also max_drop_per_class and max_<metric>_drop.",
        ),
    ] = "",
    target: Annotated[
        list[str] | None,
        typer.Option(
            "--target",
            metavar="TARGET",
            help=f"This machine's CPU if none is named; say it again for more: {', '.join(TARGETS)}.",
        ),
    ] = None,
    metric: Annotated[
        str, typer.Option("--metric", metavar="NAME", help="What models are chosen by, e.g. macro_f1.")
    ] = "",
    mean: Annotated[
        str, typer.Option("--mean", metavar="M[,M,M]", help="Of pictures: subtracted after scaling, per channel.")
    ] = "",
    std: Annotated[
        str, typer.Option("--std", metavar="S[,S,S]", help="Of pictures: divided by after that, per channel.")
    ] = "",
    scale: Annotated[
        float | None,
        typer.Option("--scale", metavar="F", help="Of pictures: what pixels of 0 to 255 are multiplied with; 1/255."),
    ] = None,
    target_column: Annotated[
        str, typer.Option("--target-column", metavar="NAME", help="Of a table: the labels; else target, label or y.")
    ] = "",
    classes: Annotated[
        str,
        typer.Option(
            "--classes", metavar="A,B,…", help="Names of the outputs in order, where labels are words or folders."
        ),
    ] = "",
    max_minutes: Annotated[
        float | None,
        typer.Option(
            "--max-minutes",
            min=0.01,
            help="Of a line's model: after so many minutes no new student is begun.",
        ),
    ] = None,
    as_json: JsonFlag = False,
    profile: Profile = None,
) -> None:
    """Find the smaller models no other one beats, prove what each lost, and compile the cheapest within the budget.

    Example: edgeloop compress model.onnx --data heldout.npz --budget max_drop=0.01,max_ms=2 --out small

    Writes DIR/index.html (every candidate, and why it lost), DIR/front.json, and DIR/chosen/ with
    chosen.json and one file per target. Nothing outside DIR is written. Exit code 1 where nothing
    fits; the nearest misses are told.
    """
    from assets.standalone.request import Request, parse_budget
    from assets.standalone.run import compress as run
    from platform_defs.cli.compress_names import find_data, find_model

    home = find_home()
    path, line, weights = find_model(model, Store(home))
    source, data_line = find_data(data, line)
    limits = parse_budget(budget).model_dump(mode="json") if budget or not line else None
    request = Request(
        model=path,
        line=line,
        weights=weights,
        data=source,
        data_line=data_line,
        out=str(out.absolute()),
        budget=limits,
        targets=_targets(target),
        metric=metric,
        mean=_numbers("--mean", mean),
        std=_numbers("--std", std),
        scale=scale,
        target=target_column,
        classes=tuple(name.strip() for name in classes.split(",")) if classes else (),
        max_minutes=max_minutes,
        home=home,
        configs={name: catalog.find_line(name).config.model_dump(mode="json") for name in {line, data_line} - {""}},
    )
    if as_json:
        result = run(request, lambda text: None)
        print_json({**dataclasses.asdict(result), "page": str(out / "index.html"), "out": str(out)})
    else:
        with progress("compressing") as report:
            result = run(request, report, report.moved)
        _show(result, out)
    if result.chosen is None:
        raise BudgetError(f"{result.why}\n  The page tells of every candidate: {out / 'index.html'}")
    if result.failed:
        raise CompileError("; ".join(f"{name}: {why}" for name, why in result.failed.items()))


def _show(result: Any, out: Path) -> None:
    names = dict.fromkeys(row["name"] for row in result.rows)
    rows = [_cells([row for row in result.rows if row["name"] == name]) for name in names]
    many = len({row["target"] for row in result.rows}) > 1
    title = "Candidates, each as its worst target has it" if many else "Candidates"
    print_rows(title, rows, ("candidate", *_HEADINGS, "state"), as_json=False, empty="There is no candidate.")
    tell(result.note)
    if result.chosen is not None:
        say(result.why)
        for name, file in result.files.items():
            say(f"{name}: {out / file}")
    say(f"page: {out / 'index.html'}")


def _cells(rows: Sequence[Mapping[str, Any]]) -> dict[str, str | None]:
    """A candidate's rows as one of the table: the largest numbers over its targets, as far as they are known."""
    first, cells = rows[0], {}
    for name, (heading, digits) in _COLUMNS.items():
        known = [row[name] for row in rows if row[name] is not None]
        cells[heading] = f"{round(max(known), digits) + 0.0:.{digits}f}" if known else None  # no minus zero
    state = "chosen" if first["chosen"] else "on the front" if first["on_front"] else "beaten"
    return {"candidate": first["name"], **cells, "state": state}


def _targets(names: list[str] | None) -> tuple[str, ...]:
    if not names:
        return ("cpu-arm64" if machine_arch() == "aarch64" else "cpu-x86",)
    if unknown := [name for name in names if name not in TARGETS]:
        raise RejectedError(f"--target: there is no target {unknown[0]!r}; there are {', '.join(TARGETS)}")
    return tuple(dict.fromkeys(names))


def _numbers(option: str, text: str) -> tuple[float, ...]:
    try:
        found = tuple(float(part) for part in text.split(",")) if text else ()
    except ValueError as error:
        raise RejectedError(f"{option} {text!r}: numbers apart by commas are read, e.g. 0.485,0.456,0.406") from error
    if any(value - value != 0 for value in found):
        raise RejectedError(f"{option} {text!r}: finite numbers are read")
    return found
