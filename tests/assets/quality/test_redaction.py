"""Encrypted records and private labels: nothing outside the sealed files tells what they hold."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from assets.ingest.landing import land
from assets.line.config import Line, parse_line
from assets.line.data import DataContract
from assets.quality.gate import judge
from assets.quality.redaction import hidden_columns, without_values
from assets.records.line_store import LineStore, bind
from assets.records.reason import refusal
from assets.records.verdict import BatchVerdict
from assets.storage.sealed import is_sealed
from assets.storage.store import Store

CANARY = "zanzibar"
NUMBER = "8675309.25"


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", "ab" * 32)
    monkeypatch.setenv("EDGELOOP_DATA_KEY", "env:A_KEY")


def plain_files(root: Path) -> dict[str, str]:
    """Path to text of every file below the state that is not sealed, but for the pictures of what landed."""
    found = {}
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        content = path.read_bytes()
        if not is_sealed(content):
            found[path.relative_to(root).as_posix()] = content.decode("utf-8", "replace")
    return found


def judged(tmp_path: Path, line: Line, source: Path) -> tuple[Store, BatchVerdict]:
    store = Store(str(tmp_path / "home"))
    return store, judge(bind(store, line), land(bind(store, line), source).batch)


def table_line(quality: dict[str, object], privacy: dict[str, object]) -> Line:
    table = {"target": "state", "columns": ["age", "weight", "town"], "categories": {"town": ["here", "there"]}}
    data = {"reader": "table", "classes": ["well", "ill"], "table": table, "privacy": privacy}
    return parse_line("clinic", {"data": data, "quality": quality}, "test")


def table(path: Path) -> Path:
    rng = np.random.default_rng(0)
    rows = [f"{20 + at},{rng.normal(70, 9):.3f},{'here' if at % 3 else 'there'},{'well' if at % 2 else 'ill'}"
            for at in range(120)]  # fmt: skip
    rows[4] = f"24,{CANARY},here,well"
    rows[5] = f"25,70,{CANARY},well"
    rows[6] = f"26,70,here,{CANARY}"
    rows[7] = f"27,70,here,well,{CANARY}"
    rows[8] = f'28,70,here,"well{CANARY}'
    rows[60] = f"60,{NUMBER},here,well"
    rows[61] = f"61,{CANARY}@example.com,here,well"
    rows[63] = rows[62]
    path.write_text("\n".join(["age,weight,town,state", *rows]) + "\n")
    return path


OWN = [
    {"expect": "ExpectColumnValuesToBeBetween", "column": "weight", "max_value": 1000},
    {"expect": "ExpectColumnMaxToBeBetween", "column": "weight", "max_value": 1000},
    {"expect": "ExpectColumnDistinctValuesToBeInSet", "column": "label", "value_set": ["well", "ill"]},
    {"expect": "ExpectColumnValuesToMatchRegex", "column": "weight", "regex": "x"},
]


@pytest.mark.parametrize("max_bad_share", [0.01, 0.9])
def test_nothing_plain_tells_an_encrypted_row(tmp_path: Path, max_bad_share: float) -> None:
    line = table_line({"max_bad_share": max_bad_share, "expectations": OWN}, {"encrypt": True})
    store, verdict = judged(tmp_path, line, table(tmp_path / "a.csv"))
    plain = plain_files(tmp_path / "home")
    told = [name for name, text in plain.items() if CANARY in text or "8675309" in text or "8,675,309" in text]
    assert told == []
    page = plain[verdict.report]
    assert "unseals those in quarantine" in page
    assert f"/review/clinic/{verdict.batch}" in page
    assert "a.csv#6" in page
    assert "every cell of weight has a value" in page
    assert "The records are encrypted" in plain[verdict.report.replace("index", "suite")]
    reasons = json.loads(plain[f"quarantine/clinic/{verdict.batch}.json"])["reasons"]
    assert ("a.csv", "line 6") in {(reason["file"], reason["place"]) for reason in reasons}
    assert all(reason["reason"] and reason["remedy"] for reason in reasons)
    assert {reason.reason for reason in verdict.reasons} >= {
        "it breaks “every cell of weight has a value”; what it holds is encrypted"
    }
    assert LineStore(store, "clinic").verdict(verdict.batch) == verdict


def test_nothing_plain_tells_an_encrypted_text(tmp_path: Path) -> None:
    rows = [f"{'ham' if at % 2 else 'spam'}\tnumber {at} {'abcdefg'[at % 7]} walks home" for at in range(60)]
    rows[3], rows[4] = f"HAM\t{CANARY} one", f"{CANARY}\tsome words"
    rows[5], rows[6] = (
        f"ham\t{CANARY} again and again, call 4111 1111 1111 1111",
        f"spam\t{CANARY} again and again, call 4111 1111 1111 1111",
    )
    (tmp_path / "a.tsv").write_text("\n".join(rows) + "\n")
    data = {"reader": "text", "classes": ["ham", "spam"], "text": {"header": ["label", "text"]}}
    line = parse_line("mail", {"data": {**data, "privacy": {"encrypt": True}}}, "test")
    _, verdict = judged(tmp_path, line, tmp_path / "a.tsv")
    plain = plain_files(tmp_path / "home")
    assert [name for name, text in plain.items() if CANARY in text or "4111" in text or "walks" in text] == []
    assert verdict.quarantined
    assert "<blockquote>" not in plain[verdict.report]
    assert "a payment card" in plain[verdict.report]


def test_no_picture_of_an_encrypted_batch(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    for number in range(30):
        path = tmp_path / "in" / ("cat" if number % 2 else "dog") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(path)
    (tmp_path / "in" / "bird").mkdir()
    (tmp_path / "in" / "cat" / "1.png").rename(tmp_path / "in" / "bird" / "1.png")
    image = {"height": 8, "width": 8, "channels": 3}
    data = {"reader": "image_folder", "classes": ["cat", "dog"], "image": image, "privacy": {"encrypt": True}}
    _, verdict = judged(tmp_path, parse_line("pets", {"data": data}, "test"), tmp_path / "in")
    page = plain_files(tmp_path / "home")[verdict.report]
    assert "<img" not in page
    assert "bird/1.png" in page
    assert ">no picture<" not in page


def test_a_private_label_is_in_no_verdict(tmp_path: Path) -> None:
    line = table_line({"max_bad_share": 0.9, "expectations": OWN}, {"private": ["state", "weight"]})
    _, verdict = judged(tmp_path, line, table(tmp_path / "a.csv"))
    kept = {name: text for name, text in plain_files(tmp_path / "home").items() if not name.startswith("landing/")}
    refused = {reason.place for reason in verdict.reasons if reason.outcome == "refused"}
    assert refused
    told = [name for name, text in kept.items() if f"{CANARY}@" in text or "8675309" in text or "8,675,309" in text]
    assert told == []
    label = next(reason for reason in verdict.reasons if reason.place == "line 8")
    assert label.reason == "it breaks “every label is a class of the line” (private)"


@pytest.mark.parametrize("name", ["test_1.csv", "a.csv"])
@pytest.mark.parametrize("private", [["kind", "a", "b"], []])
def test_what_warns_names_no_private_class_and_no_private_value(name: str, private: list[str], tmp_path: Path) -> None:
    rows = [(n % 7, n / 7, "zanlow") for n in range(400)] + [(7.125, n / 9, "zanhigh") for n in range(12)]
    rows += [(n % 7, n / 3, "zanhigh") for n in range(13)]
    body = "".join(f"{a},{b:.3f},{kind}\n" for a, b, kind in rows)
    (tmp_path / name).write_text(f"a,b,kind\n{body}")
    table = {"target": "kind", "columns": ["a", "b"]}
    data = {"reader": "table", "classes": ["zanlow", "zanhigh"], "table": table, "privacy": {"private": private}}
    _, verdict = judged(tmp_path, parse_line("mail", {"data": data}, "test"), tmp_path / name)
    told = [check.detail for check in verdict.warnings]
    assert [text for text in told if "records where it is" in text]
    assert bool([text for text in told if "zan" in text or "7.125" in text]) == (not private)


def test_a_refusal_keeps_the_kind_of_trouble() -> None:
    data = DataContract(
        reader="text",
        classes=("a", "b"),
        text={},
        privacy={"encrypt": True},  # type: ignore[arg-type]
    )
    told = without_values(
        refusal("a.csv", "line 3", "it's 3 cells 'o''zan' and \"zan\" (zan: 77), not 2; see 'zan'"), data
    )
    assert (told.file, told.place) == ("a.csv", "line 3")
    assert "zan" not in told.reason + told.remedy
    assert "77" not in told.reason
    assert hidden_columns(data) >= {"label", "_label", "text", "chars"}


def test_shards_stay_as_informative_as_ever(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    from assets.storage.sealed import fetch_records

    line = table_line({"max_bad_share": 0.9}, {"encrypt": True})
    store, verdict = judged(tmp_path, line, table(tmp_path / "a.csv"))
    held = pq.read_table(io.BytesIO(fetch_records(store, verdict.quarantine[0])))
    assert any(CANARY in reason for reason in held.column("reason").to_pylist())
