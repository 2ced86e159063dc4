"""The suite on n rows x 10 columns, beside stock Great Expectations, pandera, plain pandas and DuckDB.

Everyone reads the same Parquet and asks the same 21 questions (no nulls and a range for each column, a set for the
label), and everyone writes all bad rows with their reasons to a Parquet. Libraries are loaded before the clock starts;
each tool runs in a process of its own.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tests.benchmarks.data.measured import cpu_seconds, run_alone, timed

TOOLS = ("edgeloop", "great_expectations", "pandera", "pandas", "duckdb")
SIZES = (10_000, 1_000_000, 5_000_000)
COLUMNS = tuple(f"c{number}" for number in range(10))
CLASSES = ("a", "b")
LOW, HIGH = -4.0, 4.0
BASE = "baseline"
Run = Callable[[Path, Path], int]
"""From a Parquet and a folder for what is written to the number of bad rows."""


def measure(sizes: tuple[int, ...] = SIZES, tools: tuple[str, ...] = TOOLS) -> list[dict[str, Any]]:
    """One row per size and tool: seconds, peak memory beyond the loaded libraries, bad rows found."""
    rows = []
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "rows.parquet"
            bad = write_rows(path, size)
            for tool in tools:
                base = run_alone(__name__, tool, str(path), folder, BASE)["peak_mb"]
                found = run_alone(__name__, tool, str(path), folder)
                if found["bad"] != bad:
                    raise AssertionError(f"{tool} found {found['bad']} bad rows of {bad}")
                extra = round(found["peak_mb"] - base, 1)
                rows.append({"what": "suite", "rows": size, "tool": tool, **found, "peak_mb": extra, "base_mb": base})
        stock = next(row for row in rows if row["rows"] == size and row["tool"] == "great_expectations")
        for row in rows:
            if row["rows"] == size:
                row["of_stock_seconds"] = round(row["seconds"] / stock["seconds"], 3)
                row["of_stock_mb"] = round(row["peak_mb"] / stock["peak_mb"], 3)
    return rows


def write_rows(path: Path, size: int) -> int:
    """Rows of which about 1 in 100 is bad; returns how many are."""
    draw, bad = np.random.default_rng(size), 0
    schema = pa.schema([*((name, pa.float64()) for name in COLUMNS), ("kind", pa.string())])
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, size, 250_000):
            count = min(250_000, size - start)
            values = {name: np.clip(draw.normal(size=count), LOW, HIGH) for name in COLUMNS}
            kinds = np.array(CLASSES, dtype=object)[draw.integers(0, 2, count)]
            wrong = np.zeros(count, dtype=bool)
            for number, name in enumerate(COLUMNS):
                spots = draw.integers(0, count, max(1, count // 1000))
                values[name][spots] = np.nan if number % 2 else 9.5
                wrong[spots] = True
            spots = draw.integers(0, count, max(1, count // 2000))
            kinds[spots] = "c"
            wrong[spots] = True
            bad += int(wrong.sum())
            columns = [pa.array(values[name], pa.float64(), from_pandas=True) for name in COLUMNS]
            writer.write_table(pa.Table.from_arrays([*columns, pa.array(kinds, pa.string())], schema=schema))
    return bad


def _edgeloop() -> Run:
    from assets.line.config import parse_line
    from assets.quality.decide import GOOD, Allowed, broken_rules, decide, explained
    from assets.quality.engines.pandas_engine import PandasEngine
    from assets.quality.engines.pandas_suite import warm_up
    from assets.quality.refusals import Refused
    from assets.quality.rules import rules_of
    from assets.quality.rulings import RowWise, run_rules
    from assets.quality.spool import Spool
    from assets.records.chunks import chunk_schema
    from assets.review.documents import Waivers

    between = [
        {"expect": "ExpectColumnValuesToBeBetween", "column": name, "min_value": LOW, "max_value": HIGH}
        for name in COLUMNS
    ]
    data = {"reader": "table", "classes": list(CLASSES), "table": {"target": "kind", "columns": list(COLUMNS)}}
    line = parse_line("bench", {"data": data, "quality": {"expectations": between}}, "bench")
    schema = chunk_schema(line.config.data)
    rules = [rule for rule in rules_of(line.config) if rule.row_wise and not rule.columns[0].startswith("_copy")]
    rules = [rule for rule in rules if all(name in COLUMNS or name == "_label" for name in rule.columns)]
    warm_up()
    engine = PandasEngine()
    engine.start()

    def run(path: Path, folder: Path) -> int:
        with (
            Spool(folder / "spool", schema) as spool,
            Refused(folder / "refused") as refused,
            pq.ParquetFile(path, pre_buffer=False) as file,
        ):
            row, ahead = 0, RowWise(spool, rules, line.config.data, engine)
            for batch in file.iter_batches(250_000):
                spool.append(_chunk(pa.Table.from_batches([batch]), schema, row))
                row += batch.num_rows
                ahead.ask_ahead()
            spool.finish()
            rulings = run_rules(spool, {}, {}, rules, line.config.data, engine, ahead)
            allowed = Allowed(Waivers((), {}), "bench")
            broken = broken_rules(rulings, spool, allowed)
            decision = decide(rulings, broken, refused, line.config, allowed)
            names = ["kind", *COLUMNS]
            out = pa.schema(
                [
                    *((name, schema.field(name).type if name != "kind" else pa.string()) for name in names),
                    ("reason", pa.string()),
                ]
            )
            with pq.ParquetWriter(folder / "bad.parquet", out) as writer:
                for start, chunk in spool.chunks(["_label", *COLUMNS]):
                    bad = np.flatnonzero(broken[start : start + chunk.num_rows] != GOOD)
                    if len(bad):
                        reasons = [r.reason for _, r in explained(spool, {}, decision, start + bad, line.config.data)]
                        table = chunk.take(pa.array(bad)).rename_columns(names)
                        writer.write_table(table.append_column("reason", pa.array(reasons, pa.string())).cast(out))
            return int((broken != GOOD).sum())

    return run


def _chunk(table: pa.Table, schema: pa.Schema, start: int) -> pa.Table:
    """A Parquet's rows as a chunk, without ids: no other tool makes them."""
    rows = table.num_rows
    numbers = pc.cast(pa.array(np.arange(start + 1, start + rows + 1)), pa.string())
    empty = pa.repeat(pa.scalar(""), rows)
    blank = {
        "_id": pa.nulls(rows, pa.binary(32)),
        "_label": table.column("kind"),
        "_split": empty,
        "_file": pc.binary_join_element_wise("rows.parquet", numbers, "#"),
        "_group": empty,
        "_input": pa.nulls(rows, pa.binary()),
    }
    columns = [
        table.column(field.name)
        if field.name in table.column_names
        else blank.get(field.name, pa.nulls(rows, field.type))
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _great_expectations() -> Run:
    import great_expectations as gx
    import great_expectations.expectations as gxe
    import pandas as pd

    context = gx.get_context(mode="file", project_root_dir=tempfile.mkdtemp())
    asset = context.data_sources.add_pandas("rows").add_dataframe_asset("rows")
    definition = asset.add_batch_definition_whole_dataframe("all")
    suite = context.suites.add(gx.ExpectationSuite(name="suite"))
    for name in COLUMNS:
        suite.add_expectation(gxe.ExpectColumnValuesToNotBeNull(column=name))
        suite.add_expectation(gxe.ExpectColumnValuesToBeBetween(column=name, min_value=LOW, max_value=HIGH))
    suite.add_expectation(gxe.ExpectColumnValuesToBeInSet(column="kind", value_set=list(CLASSES)))
    validation = context.validation_definitions.add(gx.ValidationDefinition(name="all", data=definition, suite=suite))
    checkpoint = context.checkpoints.add(
        gx.Checkpoint(
            name="all",
            validation_definitions=[validation],
            actions=[gx.checkpoint.UpdateDataDocsAction(name="docs")],
            result_format={"result_format": "COMPLETE", "return_unexpected_index_query": False},
        )
    )

    def run(path: Path, folder: Path) -> int:
        frame = pd.read_parquet(path)
        result = checkpoint.run(batch_parameters={"dataframe": frame})
        reasons: dict[int, str] = {}
        for done in result.run_results.values():
            for item in done.results:
                config = item.expectation_config
                for row in item.result.get("unexpected_index_list") or ():
                    reasons.setdefault(row, f"{config.type} on {config.kwargs['column']}")
        return _write(frame.loc[sorted(reasons)], [reasons[row] for row in sorted(reasons)], folder)

    return run


def _pandera() -> Run:
    import pandas as pd
    import pandera.pandas as pandera

    schema = pandera.DataFrameSchema(
        {name: pandera.Column(float, pandera.Check.in_range(LOW, HIGH), nullable=False) for name in COLUMNS}
        | {"kind": pandera.Column(None, pandera.Check.isin(CLASSES), nullable=False)}
    )

    def run(path: Path, folder: Path) -> int:
        frame = pd.read_parquet(path)
        try:
            schema.validate(frame, lazy=True)
        except pandera.errors.SchemaErrors as error:
            cases = error.failure_cases.drop_duplicates("index")
            rows = cases["index"].astype(int).to_numpy()
            return _write(frame.loc[rows], (cases["column"] + ": " + cases["check"].astype(str)).tolist(), folder)
        return 0

    return run


def _pandas() -> Run:
    import pandas as pd

    def run(path: Path, folder: Path) -> int:
        frame = pd.read_parquet(path)
        reason = np.full(len(frame), None, dtype=object)
        for name in COLUMNS:
            reason[(reason == None) & frame[name].isna().to_numpy()] = f"{name} is null"  # noqa: E711 - elementwise
            outside = ~frame[name].between(LOW, HIGH).to_numpy() & frame[name].notna().to_numpy()
            reason[(reason == None) & outside] = f"{name} is out of range"  # noqa: E711 - elementwise
        unknown = ~frame["kind"].isin(CLASSES).to_numpy()
        reason[(reason == None) & unknown] = "kind is unknown"  # noqa: E711 - elementwise
        bad = reason != None  # noqa: E711 - elementwise
        return _write(frame[bad], reason[bad].tolist(), folder)

    return run


def _duckdb() -> Run:
    import duckdb

    nulls = [f"WHEN {name} IS NULL THEN '{name} is null'" for name in COLUMNS]
    ranges = [f"WHEN {name} NOT BETWEEN {LOW} AND {HIGH} THEN '{name} is out of range'" for name in COLUMNS]
    cases = " ".join([*nulls, *ranges, f"WHEN kind NOT IN {CLASSES} THEN 'kind is unknown'"])

    def run(path: Path, folder: Path) -> int:
        with duckdb.connect() as connection:
            connection.execute("SET threads = 2")
            query = f"SELECT *, CASE {cases} END AS reason FROM '{path}'"
            out = folder / "bad.parquet"
            connection.execute(f"COPY (SELECT * FROM ({query}) WHERE reason IS NOT NULL) TO '{out}'")
            (count,) = connection.execute(f"SELECT count(*) FROM '{out}'").fetchone() or (0,)
            return int(count)

    return run


def _write(frame: Any, reasons: list[str], folder: Path) -> int:
    frame.assign(reason=reasons).to_parquet(folder / "bad.parquet")
    return len(frame)


def main() -> None:
    """One tool on one file; prints seconds and bad rows as JSON."""
    tool, path, folder, *rest = sys.argv[1:]
    run: Run = globals()[f"_{tool}"]()
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        warm = Path(scratch) / "warm.parquet"
        write_rows(warm, 1000)
        run(warm, Path(scratch))  # libraries load and warm up before the clock starts
        before = cpu_seconds()
        seconds, bad = (0.0, 0) if rest else timed(lambda: run(Path(path), Path(scratch)))
        spent = cpu_seconds() - before
    print(json.dumps({"seconds": round(seconds, 3), "cpu_s": round(spent, 2), "bad": bad}))


if __name__ == "__main__":
    main()
