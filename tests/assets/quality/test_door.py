"""What is stored is what was judged."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assets.errors import RejectedError
from assets.line.config import Line, parse_line
from assets.line.data import DataContract
from assets.quality.door import refuse_unsound
from assets.quality.gate import judge
from assets.records.line_store import LineStore, bind
from assets.storage.store import Store
from tests.assets.quality.test_gate import Land, table


def line_of(section: str = "table", **data: object) -> Line:
    columns = {"columns": ["a", "colour"], "categories": {"colour": ["red", "green"]}}
    if section == "table":
        body = {"reader": "table", "classes": ["yes", "no"], "table": {**columns, "target": "kind"}, **data}
    else:
        series = {**columns, "target": "kind", "unit": "unit", "time": "time"}
        body = {"reader": "series", "classes": ["yes", "no"], "series": series, **data}
    return parse_line("rows", {"data": body, "quality": {"min_records": 2, "max_bad_share": 0.9}}, "test")


@pytest.mark.parametrize("section", ["table", "series"])
def test_a_new_word_is_quarantined_by_name_and_nothing_without_a_value_is_stored(
    section: str, store: Store, put: Land
) -> None:
    head = "a,colour,kind" if section == "table" else "a,colour,kind,unit,time"
    more = ["" if section == "table" else f",u,{hour}" for hour in range(8)]
    words = ("red", "green", "purple", "Red ", "NA", "", "red", "green")
    text = [head, *(f"{at},{word},yes{rest}" for at, (word, rest) in enumerate(zip(words, more, strict=True)))]
    line = bind(store, line_of(section))
    verdict = judge(line, put(line.line, {"x.csv": "\n".join([*text, ""]).encode()}))
    assert (verdict.state, verdict.accepted, verdict.quarantined) == ("accepted", 4, 4)
    said = [f"{reason.reason}; {reason.remedy}" for reason in verdict.reasons]
    assert said[0] == (
        "column colour: 'purple' is none of the column's words; add it to `categories` of the line's 'colour', correct "
        "it, or leave the row out"
    )
    assert "if 'red' is meant, write it so" in said[1]
    assert "'NA' is none" in said[2]
    assert "the cell is empty" in said[3]
    stored = np.frombuffer(b"".join(row["input"] for row in table(store, verdict.records)), dtype="<f8")
    assert np.isfinite(stored).all()


def accepted(data: DataContract, value: float, label: str = "yes") -> pa.Table:
    packed = np.asarray([1.0, 0.0, 2.0, value]).astype("<f8")
    return pa.table(
        {
            "_file": ["x.csv#2", "x.csv#3"],
            "_label": ["yes", label],
            "_input": [packed[:2].tobytes(), packed[2:].tobytes()],
            "_group": ["u", "u"],
            "_time": [0.0, value],
            "a": [1.0, 2.0],
            "colour": ["red", "green"],
        }
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_the_door_is_shut_to_what_no_model_can_read(value: float) -> None:
    for section in ("table", "series"):
        data = line_of(section).config.data
        refuse_unsound(accepted(data, 1.0), data)
        with pytest.raises(RejectedError, match=r"x\.csv#3: its input is not what the line's contract allows"):
            refuse_unsound(accepted(data, value), data)
    with pytest.raises(RejectedError, match="its label"):
        refuse_unsound(accepted(data, 1.0, "maybe"), data)
    numbers = line_of(classes=()).config.data
    for label in ("", "nan", "many", "inf"):
        with pytest.raises(RejectedError, match="its label"):
            refuse_unsound(accepted(numbers, 1.0, label), numbers)


@pytest.mark.parametrize("judged", [{"a": [1.0, 2.5]}, {"a": [1.0, None]}, {"colour": ["red", "red"]}])
def test_the_door_is_shut_to_values_that_nobody_judged(judged: dict[str, list[object]]) -> None:
    data = line_of().config.data
    table = accepted(data, 1.0)
    for name, cells in judged.items():
        table = table.set_column(table.schema.get_field_index(name), name, pa.array(cells, table.field(name).type))
    with pytest.raises(RejectedError, match=r"x\.csv#3: its input is not what the line's contract allows"):
        refuse_unsound(table, data)


def returned_rows(*rows: tuple[float, float]) -> bytes:
    stored = [np.asarray(values).astype("<f8").tobytes() for values in rows]
    buffer = io.BytesIO()
    count = len(rows)
    table = {"label": ["yes"] * count, "split": [""] * count, "group": ["u"] * count, "input": stored}
    pq.write_table(pa.table(table | {"time": [float(at) for at in range(count)]}), buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("section", ["table", "series"])
def test_a_returned_row_whose_word_has_no_place_is_quarantined_by_itself(section: str, store: Store, put: Land) -> None:
    line = bind(store, line_of(section))
    rows = returned_rows((0.0, 0.0), (1.0, 1.0), (2.0, np.nan), (3.0, 2.0), (4.0, -1.0), (5.0, 0.5), (np.nan, 1.0))
    verdict = judge(line, put(line.line, {"fixed.records.parquet": rows}))
    assert (verdict.state, verdict.accepted, verdict.quarantined) == ("accepted", 2, 5)
    stored = np.frombuffer(b"".join(row["input"] for row in table(store, verdict.records)), dtype="<f8")
    assert stored.tolist() == [0.0, 0.0, 1.0, 1.0]


def test_a_number_that_float64_runs_together_says_what_to_do_by_what_it_is(store: Store, put: Land) -> None:
    line = bind(store, line_of("series"))
    text = b"a,colour,kind,unit,time\n1,red,yes,u,1700000000000000001\n9007199254740993,red,yes,u,1700000000\n"
    more = b"".join(b"%d,red,yes,v,%d\n" % (at, at) for at in range(4))
    verdict = judge(line, put(line.line, {"x.csv": text + more}))
    assert (verdict.accepted, verdict.quarantined) == (4, 2)
    assert [reason.remedy for reason in verdict.reasons] == [
        "write it in seconds or microseconds, or as ISO 8601",
        "scale it, or make the column a category",
    ]
    assert all("beyond 2^53" in reason.reason for reason in verdict.reasons)


def test_a_rule_that_looks_at_the_wrong_thing_ends_the_judging_and_stores_nothing(
    store: Store, put: Land, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: Callable[..., list[object]] = lambda config: []  # noqa: E731 - a gate without rules
    monkeypatch.setattr("assets.quality.gate.rules_of", asked)
    line = bind(store, line_of())
    batch = put(line.line, {"x.csv": b"a,colour,kind\n1,red,yes\n2,purple,no\n3,green,no\n"})
    with pytest.raises(RejectedError, match="this is a fault of the gate, nothing was stored"):
        judge(line, batch)
    assert LineStore(store, "rows").verdict(batch) is None
    assert not list(LineStore(store, "rows").accepted_batches())
