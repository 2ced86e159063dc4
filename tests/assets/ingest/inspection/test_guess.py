"""What is proposed reads its own source, leaves out what counts or tells the answer, and says why."""

from __future__ import annotations

import io
import json
import wave
from pathlib import Path
from random import Random

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.ingest.inspection.inspect import Inspection, inspect_source
from assets.ingest.inspection.telling import Telling, telling_columns
from assets.line.config import parse_line
from assets.line.data import DataContract
from assets.quality.door import refuse_unsound
from assets.readers.registry import reader_of
from assets.records.batch import LandedFile
from assets.records.reason import Reason
from tests.assets.readers.rows_of_readers import SHARED, InMemory, needs_shared


def look(folder: Path, files: dict[str, bytes]) -> Inspection:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return inspect_source(folder)


def proposed(found: Inspection) -> DataContract:
    return DataContract.model_validate(yaml.safe_load(found.data)["data"])


def text(head: str, rows: list[str]) -> bytes:
    return "\n".join([head, *rows, ""]).encode()


def test_counters_and_failure_modes_are_no_inputs_and_it_says_why(tmp_path: Path) -> None:
    random = Random(0)
    order = random.sample(range(400), 400)
    rows = []
    for at, number in enumerate(order):
        failed = number % 10 == 0
        rows.append(f"{at},{number + 1000},{random.random():.3f},{int(failed and number % 20 == 0)},{int(failed)}")
    found = look(tmp_path / "in", {"x.csv": text("Unnamed: 0,UDI,load,TWF,Machine failure", rows)})
    data = proposed(found)
    assert data.table is not None
    assert (data.table.columns, data.classes) == (("load",), ("0", "1"))
    assert any("'TWF' is no input: it is '1' in 20 rows, all of them '1'" in note for note in found.notes)
    assert any("number or name the rows: 'Unnamed: 0', 'UDI'" in note for note in found.notes)


def test_a_mark_that_may_be_luck_is_kept() -> None:
    rows = [[str(at % 2), "yes" if at % 2 else "no"] for at in range(8)]
    assert telling_columns(("mark", "kind"), rows, ["mark"], "kind") == Telling()
    rows = [[str(at % 2), "yes" if at % 2 else "no"] for at in range(80)]
    assert set(telling_columns(("mark", "kind"), rows, ["mark"], "kind").answers) == {"mark"}


def test_labels_with_a_point_are_classes(tmp_path: Path) -> None:
    rows = [f"{at * 7 % 13}.5,{at % 2}.0" for at in range(60)]
    data = proposed(look(tmp_path / "in", {"x.csv": text("a,label", rows)}))
    assert data.classes == ("0.0", "1.0")


def test_missing_words_are_words_where_they_are_the_commonest(tmp_path: Path) -> None:
    rows = [f"{at * 7 % 13}.5,{('NA', 'NA', 'EU')[at % 3]},{('yes', 'no')[at % 2]}" for at in range(60)]
    found = look(tmp_path / "in", {"x.csv": text("a,region,kind", rows)})
    data = proposed(found)
    assert data.table is not None
    assert data.table.categories == {"region": ("EU", "NA")}
    assert "cells without a value" not in found.facts


@pytest.mark.parametrize("mark", ["?", "NA", "None", "-"])
def test_marks_for_no_value_are_words_of_a_category_and_it_says_so(tmp_path: Path, mark: str) -> None:
    rows = [
        f"{mark if at % 5 == 0 else ('oak', 'elm')[at % 2]},{at * 7 % 11},{('x', 'y')[at % 3 // 2]}" for at in range(60)
    ]
    found = look(tmp_path / "in", {"x.csv": text("tree,load,kind", rows)})
    data = proposed(found)
    assert data.table is not None and set(data.table.categories["tree"]) == {mark, "oak", "elm"}
    assert any(f"'{mark}' in column 'tree' (12 of the rows looked at) counts as a word" in n for n in found.notes)
    assert found.records == 60 and not found.facts.get("cells without a value")


def test_a_mark_among_classes_and_columns_almost_without_values_are_said(tmp_path: Path) -> None:
    rows = [f"{at * 7 % 11},{'' if at % 3 else 1},{('x', 'y', 'y', '?')[at % 4]}" for at in range(60)]
    found = look(tmp_path / "in", {"x.csv": text("load,rare,kind", rows)})
    assert any("'?' is proposed as a class" in note for note in found.notes)
    assert any("most of their cells have no value: 'rare'" in note for note in found.notes)


def test_numbers_whose_form_is_not_settled_are_named_and_left_out(tmp_path: Path) -> None:
    rows = [f"{at},{at % 9}00;1.{100 + at};{('yes', 'no')[at % 2]};{at % 7}" for at in range(1, 61)]
    found = look(tmp_path / "in", {"x.csv": text("a;b;kind;c", rows)})
    data = proposed(found)
    assert data.table is not None
    assert "a" not in data.table.columns
    assert any("decimal comma" in note and "'a'" in note for note in found.notes)
    assert not any("number or name the rows" in note and "'a'" in note for note in found.notes)


def sound(seconds: float) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(2)
        written.setframerate(8000)
        written.writeframes(np.random.default_rng(0).integers(-9000, 9000, int(8000 * seconds), "<i2").tobytes())
    return buffer.getvalue()


def test_sounds_of_any_length_fit_what_is_proposed(tmp_path: Path) -> None:
    lengths = (0.14, 0.3, 0.4, 0.42, 0.5, 2.28)
    found = look(
        tmp_path / "in", {f"{('a', 'b')[at % 2]}/{at}.wav": sound(length) for at, length in enumerate(lengths)}
    )
    audio = proposed(found).audio
    assert audio is not None
    assert audio.seconds * (1 - audio.tolerance) <= min(lengths)
    assert audio.seconds * (1 + audio.tolerance) >= max(lengths)


@pytest.mark.parametrize(
    ("kind", "files"),
    [
        ("COCO", {"annotations/instances.json": json.dumps({"images": [], "annotations": [{"bbox": [1]}]}).encode()}),
        ("YOLO", {"labels/train/1.txt": b"0 0.5 0.5 0.25 0.25\n12 0.1 0.2 0.3 1\n", "data.yaml": b"nc: 2\n"}),
        ("Pascal VOC", {"Annotations/1.xml": b"<annotation><size/><object><bndbox/></object></annotation>"}),
    ],
)
def test_boxes_are_said_not_to_be_read(kind: str, files: dict[str, bytes], tmp_path: Path) -> None:
    found = look(tmp_path / "in", {"images/train/1.jpg": b"\xff\xd8\xff", **files})
    assert found.data == ""
    assert any(f"boxes in pictures ({kind}), and boxes are not read yet" in note for note in found.notes)


WORDS = st.sampled_from(["red", " red", "Green", "NA", "?", "x y", "-1", "+1", "a+", "a-"])


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(-9, 9), WORDS, WORDS), min_size=12, max_size=60), st.sampled_from(",;\t"))
def test_a_proposal_reads_its_own_file_as_it_shows_it(rows: list[tuple[int, str, str]], delimiter: str) -> None:
    import tempfile

    content = delimiter.join(["n", "word", "kind"]) + "\n"
    content += "".join(f"{number / 2}{delimiter}{word}{delimiter}{kind}\n" for number, word, kind in rows)
    with tempfile.TemporaryDirectory() as folder:
        found = look(Path(folder) / "in", {"x.csv": content.encode()})
    if not found.data:
        assert found.notes
        return
    data = proposed(found)
    parse_line("any", {"data": data.model_dump(mode="json")}, "test")
    assert data.aliases == {}
    file = LandedFile("x.csv", "0" * 64, len(content))
    read = list(reader_of(data.reader)([file], InMemory({"x.csv": content.encode()}), data))
    assert not [item for item in read if isinstance(item, Reason)]
    assert sum(item.num_rows for item in read) == len(rows) == found.records
    if data.table is not None and not found.facts.get("cells without a value"):
        for item in read:
            refuse_unsound(item, data)


@needs_shared
def test_the_real_machines_propose_no_failure_mode() -> None:
    found = inspect_source(SHARED / "predictive-maintenance/ai4i2020")
    table = proposed(found).table
    assert table is not None
    assert not {"UDI", "TWF", "HDF", "PWF", "OSF"} & set(table.columns)


def test_things_that_come_again_are_groups_and_no_inputs(tmp_path: Path) -> None:
    random = Random(0)
    for at, (name, cell) in enumerate(
        [
            ("customer_id", lambda: str(random.randrange(1000, 1040))),
            ("orderNo", lambda: f"{random.randrange(1000, 1040)}.0"),
            ("patient", lambda: f"P-{random.randrange(40)}"),
        ]
    ):
        rows = [f"{cell()},{random.random():.3f},{random.choice('ab')}" for _ in range(200)]
        found = look(tmp_path / str(at), {"x.csv": text(f"{name},x,label", rows)})
        table = proposed(found).table
        assert table is not None
        assert (table.columns, table.group) == (("x",), name)
        assert any(f"rows of one {name!r} stay on one side" in note for note in found.notes)


@pytest.mark.parametrize("name", ["rownum", "Unnamed: 0"])
def test_row_numbers_with_a_point_are_no_inputs(tmp_path: Path, name: str) -> None:
    rows = [f"{at}.0,{at * 7 % 13}.5,{'ab'[at * 5 % 3 % 2]}" for at in range(90)]
    table = proposed(look(tmp_path / "in", {"x.csv": text(f"{name},x,label", rows)})).table
    assert table is not None
    assert (table.columns, table.group) == (("x",), None)


def test_a_doubt_about_the_target_is_said(tmp_path: Path) -> None:
    random = Random(0)
    rows = [f"{random.random():.3f},{random.random():.3f},{random.choice('ab')}" for _ in range(90)]
    assert not any("target" in note for note in look(tmp_path / "1", {"x.csv": text("x,y,label", rows)}).notes)
    assert any("'y' may be meant" in note for note in look(tmp_path / "2", {"x.csv": text("a,y,label", rows)}).notes)
    assert any(
        "'c' is taken; name another" in note for note in look(tmp_path / "3", {"x.csv": text("a,b,c", rows)}).notes
    )


@pytest.mark.parametrize(
    ("cell", "example"),
    [
        ("{}%", "%"),
        ("{} mm", "mm"),
        ("$ {}", "$"),
        ("{}.5 km/h", "km/h"),
        ("{} °C", "°C"),
        ("EUR {}", "EUR"),
        ("1,{:03d} €", "€"),
    ],
)
def test_numbers_with_a_sign_are_named_with_what_to_do(tmp_path: Path, cell: str, example: str) -> None:
    random = Random(0)
    rows = [f"{random.random():.3f};{cell.format(random.randrange(100))};{random.choice('ab')}" for _ in range(90)]
    found = look(tmp_path / "in", {"x.csv": text("a;size;label", rows)})
    table = proposed(found).table
    assert table is not None
    assert (table.columns, table.categories) == (("a",), {})
    (note,) = [note for note in found.notes if "'size'" in note]
    assert "numbers with a sign" in note and example in note and "write the number alone" in note


def test_a_few_sizes_are_words(tmp_path: Path) -> None:
    rows = [f"{at * 7 % 13}.5,{(10, 20, 50)[at % 3]}mm,{'ab'[at * 5 % 7 % 2]}" for at in range(90)]
    table = proposed(look(tmp_path / "in", {"x.csv": text("a,size,label", rows)})).table
    assert table is not None
    assert table.categories == {"size": ("10mm", "20mm", "50mm")}


def test_a_table_without_an_input_is_said_plainly(tmp_path: Path) -> None:
    found = look(tmp_path / "in", {"x.csv": text("p,label", [f"{at}%,{'ab'[at % 2]}" for at in range(50)])})
    assert found.data == ""
    assert "it looks like table, but no column is left that could be an input" in found.notes[-1]
