"""The whole way: bad data lands, is judged, corrected, sent back, judged again, and trained on."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from assets.ingest.landing import land
from assets.line.config import Line, parse_line
from assets.loading.series import read_series
from assets.quality.gate import judge
from assets.records.line_store import LineStore, bind
from assets.records.verdict import BatchVerdict
from assets.review.decisions import Correction, accept, fix, reject
from assets.review.returns import release
from assets.review.state import State, select
from assets.storage.sealed import fetch_records
from assets.storage.store import Store
from assets.training.dataset import build_dataset
from edge.contracts import InputSpec
from tests.assets.ingest.generations_bench import csv, sides, table_line

CLASSES = ["cat", "dog"]


def pictures(**more: object) -> Line:
    data = {"reader": "image_folder", "classes": CLASSES, "image": {"height": 8, "width": 8, "channels": 1}, **more}
    quality = {"min_records": 8, "max_bad_share": 0.3, "near_duplicates": "off", "leakage": "off",
               "label_suspects": "off"}  # fmt: skip
    return parse_line("pets", {"data": data, "quality": quality}, "test")


def texts(**more: object) -> Line:
    data = {"reader": "text", "classes": ["ham", "spam"], "text": {}, **more}
    quality = {"min_records": 8, "max_bad_share": 0.3, "near_duplicates": "off", "leakage": "off",
               "label_suspects": "off"}  # fmt: skip
    return parse_line("sms", {"data": data, "quality": quality}, "test")


def write_pictures(folder: Path) -> Path:
    for n in range(14):
        label = "katze" if n in {3, 5} else CLASSES[n % 2]
        pixels = np.random.default_rng(n).integers(0, 256, (8, 8), dtype=np.uint8)
        if n == 4:
            pixels[:] = 90  # shows nothing
        path = folder / label / f"{n}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return folder


def accepted(store: Store, verdict: BatchVerdict) -> dict[str, str]:
    """File to label of what a verdict accepted."""
    found = {}
    for ref in verdict.records:
        table = pq.read_table(io.BytesIO(fetch_records(store, ref)), columns=["file", "label"])
        found |= {row["file"]: row["label"] for row in table.to_pylist()}
    return found


@pytest.mark.parametrize("encrypt", [False, True])
def test_pictures_go_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encrypt: bool) -> None:
    monkeypatch.setenv("TEST_DATA_KEY", "ab" * 32)
    monkeypatch.setenv("EDGELOOP_DATA_KEY", "env:TEST_DATA_KEY")
    store, line = Store(str(tmp_path / "home")), pictures(privacy={"encrypt": encrypt})
    verdict = judge(bind(store, line), land(bind(store, line), write_pictures(tmp_path / "source")).batch)
    assert (verdict.state, verdict.quarantined) == ("accepted", 3)
    state = State(LineStore(store, "pets"))
    fix(state, line, verdict, select(state, verdict, labelled="katze"), "ann", Correction("cat"))
    accept(state, line, verdict, select(state, verdict), "ann", "it is a picture of fog")
    again = judge(bind(store, line), release(state, line, "ann").batch)
    assert (again.state, again.accepted, again.new, again.quarantined, again.refused) == ("accepted", 3, 3, 0, 0)
    assert list(accepted(store, again).values()) == ["cat"] * 3
    assert [entry.batch for _, entry in LineStore(store, "pets").accepted_batches()] == [verdict.batch, again.batch]
    waived = next(check for check in again.checks if check.name == "every picture shows something")
    assert "is waived" in waived.detail
    assert "it is a picture of fog" in waived.detail


def test_a_blocked_batch_gives_back_its_good_records(tmp_path: Path) -> None:
    store, line = Store(str(tmp_path / "home")), texts()
    source = tmp_path / "a.csv"
    rows = ["text,label"] + [f"hello number {n},{'ham' if n % 2 else 'hamm'}" for n in range(20)]
    source.write_text("\n".join(rows))
    verdict = judge(bind(store, line), land(bind(store, line), source).batch)
    assert (verdict.state, verdict.quarantined) == ("blocked", 20)
    state = State(LineStore(store, "sms"))
    accept(state, line, verdict, select(state, verdict, rule=""), "ann", "the others are a typo")
    some = select(state, verdict, labelled="hamm")
    fix(state, line, verdict, some.slice(0, 9), "ann", Correction("ham"))
    reject(state, verdict, some.slice(9), "ann", "a mess")
    again = judge(bind(store, line), release(state, line, "ann").batch)
    assert (again.state, again.accepted, again.refused) == ("accepted", 19, 0)
    assert set(accepted(store, again).values()) == {"ham"}


def test_few_records_may_return(tmp_path: Path) -> None:
    """A returned batch need not be large, and one that is bad still does not keep the others."""
    store, line = Store(str(tmp_path / "home")), texts()
    source = tmp_path / "a.csv"
    rows = ["text,label"] + [f"hello number {n},ham" for n in range(20)] + [" ,ham", "one,hamm", "two,hamm"]
    source.write_text("\n".join(rows))
    verdict = judge(bind(store, line), land(bind(store, line), source).batch)
    assert (verdict.state, verdict.quarantined) == ("accepted", 3)
    state = State(LineStore(store, "sms"))
    fix(state, line, verdict, select(state, verdict), "ann", Correction("ham"))  # the blank one stays blank
    again = judge(bind(store, line), release(state, line, "ann").batch)
    assert (again.state, again.accepted, again.quarantined) == ("accepted", 2, 1)


def _limited(data: dict[str, object]) -> Line:
    """A line whose column `a` is at most 100."""
    expectation = {"expect": "ExpectColumnValuesToBeBetween", "column": "a", "max_value": 100}
    quality = {"min_records": 8, "max_bad_share": 0.3, "near_duplicates": "off", "leakage": "off",
               "label_suspects": "off", "target_leakage": "off", "expectations": [expectation]}  # fmt: skip
    return parse_line("rows", {"data": data, "quality": quality}, "test")


@pytest.mark.parametrize("kind", ["table", "series"])
def test_rows_are_accepted_or_corrected(tmp_path: Path, kind: str) -> None:
    """What is accepted is known again by its id when it is back, whatever its id is made of."""
    if kind == "table":
        line = _limited({"reader": "table", "classes": ["yes", "no"], "table": {"target": "kind", "columns": ["a", "b"],
                                                                                "group": "unit"}})  # fmt: skip
    else:
        pytest.importorskip("assets.quality.checks.series_checks")
        line = _limited({"reader": "series", "series": {"unit": "unit", "time": "at", "target": "b", "columns": ["a"]}})
    source = tmp_path / "a.csv"
    rows = ["unit,at,a,b,kind"]
    for n in range(20):
        a = {5: "1000", 7: "900", 9: "n/a"}.get(n, str(n))
        rows.append(f"u{n % 2},{n},{a},{n / 2},{'yes' if n % 2 else 'no'}")
    source.write_text("\n".join(rows))
    store = Store(str(tmp_path / "home"))
    verdict = judge(bind(store, line), land(bind(store, line), source).batch)
    assert (verdict.state, verdict.quarantined, verdict.refused) == ("accepted", 3, 0), verdict.why
    state = State(LineStore(store, "rows"))
    found = {row["id"]: row["rule"] for row in select(state, verdict).to_pylist()}
    high = [identity for identity, rule in found.items() if "a has a value" not in rule]
    accept(state, line, verdict, select(state, verdict, ids=high[:1]), "ann", "a real peak")
    fix(state, line, verdict, select(state, verdict, ids=high[1:]), "ann", Correction(changes={"a": "90"}))
    fix(state, line, verdict, select(state, verdict), "ann", Correction(changes={"a": "9"}))
    again = judge(bind(store, line), release(state, line, "ann").batch)
    assert (again.state, again.accepted, again.quarantined, again.refused) == ("accepted", 3, 0, 0)


@pytest.mark.parametrize("unit_ids", ["batch", "global"])
def test_a_corrected_reading_stands_in_its_unit_at_its_time(tmp_path: Path, unit_ids: str) -> None:
    series = {"unit": "u", "time": "t", "columns": ["a"], "target": "y", "unit_ids": unit_ids}
    attributes = {"data": {"reader": "series", "series": series}, "quality": {"min_records": 1, "max_bad_share": 0.3},
                  "model": "gru", "features": {"steps": 2, "judge": "all"}}  # fmt: skip
    store, line = Store(str(tmp_path / "home")), parse_line("machines", attributes, "test")
    first = _land_month(store, line, tmp_path / "one", 0.0, 0)
    second = _land_month(store, line, tmp_path / "two", 100.0, 10)
    assert (first.quarantined, second.quarantined) == (2, 2)
    state = State(LineStore(store, "machines"))
    for verdict, value in ((first, "4.0"), (second, "104.0")):
        fix(state, line, verdict, select(state, verdict), "ann", Correction(changes={"a": value}))
    again = judge(bind(store, line), release(state, line, "ann").batch)
    assert (again.state, again.accepted, again.new, again.quarantined) == ("accepted", 4, 4, 0)

    dataset, spec = build_dataset(bind(store, line)), InputSpec("series", "input", (2, 1), (0.0,), (1.0,), ("a",), {})
    found = read_series(store, dataset, "train", spec, line.config.features, unit_ids)  # type: ignore[arg-type]
    windows = found.values[found.windows.readings(np.arange(len(found)))][:, :, 0]
    own = {(float(at), float(at + 1)) for at in range(9)}
    expected = own | {(100 + one, 100 + two) for one, two in own}
    assert set(map(tuple, windows.tolist())) == expected | ({(9.0, 100.0)} if unit_ids == "global" else set())
    assert len(windows) == len(found.ids) == len(set(found.ids))


def _land_month(store: Store, line: Line, folder: Path, value: float, start: int) -> BatchVerdict:
    """Ten readings of a train unit and a few of others; the fifth of two units is no number."""
    rows = []
    for split, units in (("train", "1"), ("validation", "2"), ("test", "3")):
        for at in range(10):
            cell = "?" if at == 4 and split != "test" else repr(value + at)
            rows.append((split, f"{units},{start + at},{cell},{at}.5"))
    folder.mkdir()
    for split in ("train", "validation", "test"):
        own = [text for name, text in rows if name == split]
        (folder / f"{split}.csv").write_text("\n".join(["u,t,a,y", *own, ""]))
    return judge(bind(store, line), land(bind(store, line), folder).batch)


def test_corrections_are_carried_over_when_a_column_goes(store: Store, tmp_path: Path) -> None:
    first = bind(store, table_line(["a", "b", "c"]))
    source = tmp_path / "source"
    source.mkdir()
    (source / "t.csv").write_bytes(csv(1).replace(b",yes", b",yess", 10))
    batch = land(first, source).batch
    verdict = judge(first, batch)
    state = State(LineStore(store, first.name))
    fix(state, first.line, verdict, select(state, verdict, labelled="yess"), "ann", Correction("yes"))
    back = release(state, first.line, "ann").batch
    assert judge(first, back).accepted == 10
    before = sides(first)
    assert len(before) == 120

    second = bind(store, table_line(["c", "a"]))
    again = [judge(second, one) for one in (batch, back)]
    assert [(one.state, one.accepted, one.new) for one in again] == [("accepted", 110, 110), ("accepted", 10, 10)]
    assert sides(second) == before
    stored = pq.read_table(io.BytesIO(fetch_records(store, again[1].records[0])))
    values = {file: float(row.split(",")[0]) for file, row in enumerate(csv(1).decode().splitlines()[1:], 1)}
    assert {np.frombuffer(one, "<f8")[1] for one in stored["input"].to_pylist()} <= set(values.values())
    assert set(stored["label"].to_pylist()) == {"yes"}

    # What is corrected now is of this form, known already, and is carried over to the next.
    fix(state, second.line, again[0], select(state, again[0], labelled="yess"), "ann", Correction("yes"))
    more = release(state, second.line, "ann").batch
    assert (judge(second, more).accepted, second.verdict(more).new) == (10, 0)  # type: ignore[union-attr]
    assert sides(second) == before
    third = bind(store, table_line(["a"]))
    assert [judge(third, one).refused for one in (batch, back, more)] == [0, 0, 0]
    assert sides(third) == before


def test_a_returned_batch_that_a_new_column_empties_is_blocked_and_ends_nothing(store: Store, tmp_path: Path) -> None:
    first = bind(store, table_line(["a", "b"]))
    source = tmp_path / "source"
    source.mkdir()
    (source / "t.csv").write_bytes(csv(1).replace(b",yes", b",yess", 10))
    batch = land(first, source).batch
    verdict = judge(first, batch)
    state = State(LineStore(store, first.name))
    fix(state, first.line, verdict, select(state, verdict, labelled="yess"), "ann", Correction("yes"))
    back = release(state, first.line, "ann").batch
    judge(first, back)
    second = bind(store, table_line(["a", "b", "c"]))
    judge(second, batch)
    blocked = judge(second, back)
    assert (blocked.state, blocked.refused) == ("blocked", 1)
    assert "it returned before column 'c' was added" in blocked.reasons[0].reason
    assert "correct it again where it is held" in blocked.reasons[0].remedy
    assert {one for one, _ in sides(second)} == {batch}
