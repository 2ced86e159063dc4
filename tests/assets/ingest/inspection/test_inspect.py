"""A look before landing: form, counts, refusals and contract are the gate's, and nothing is written."""

from __future__ import annotations

import io
import json
import struct
import wave
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
import yaml
from PIL import Image
from pyarrow import feather
from typer.testing import CliRunner

from assets.errors import LandingError
from assets.ingest.inspection import inspect as inspect_module
from assets.ingest.inspection.inspect import Inspection, inspect_source
from assets.ingest.inspection.source_files import SourceFiles
from assets.ingest.inspection.spellings import Spelling, spellings
from assets.ingest.landing import land
from assets.ingest.reading import read_landed
from assets.ingest.sources.collecting import SourceFile
from assets.line.config import parse_line
from assets.line.data import DataContract
from assets.readers.dispatch import read_files
from assets.records.line_store import bind
from assets.records.reason import Reason
from assets.storage.store import Store
from platform_defs.cli.main import app

DATA = Path(__file__).parents[5] / "shared/data"
Png = Callable[..., bytes]


def fill(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def contract(found: Inspection) -> DataContract:
    return DataContract.model_validate(yaml.safe_load(found.data)["data"])


def judged(store: Store, source: Path, data: DataContract) -> tuple[int, set[tuple[str, str]]]:
    """Records and refusals as the gate reads them."""
    line = parse_line("x", {"data": data.model_dump(exclude_none=True)}, "test")
    landed = land(bind(store, line), source)
    items = list(read_landed(bind(store, line), landed.batch))
    reasons = {(r.file, r.reason) for r in items if isinstance(r, Reason) and r.outcome == "refused"}
    return sum(item.num_rows for item in items if not isinstance(item, Reason)), reasons


def wav(seed: int, rate: int = 8000, seconds: float = 0.5) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        noise = np.random.default_rng(seed).integers(-9000, 9000, int(rate * seconds), dtype=np.int16)
        sound.writeframes(noise.tobytes())
    return buffer.getvalue()


def test_pictures_are_seen_as_the_gate_reads_them(tmp_path: Path, store: Store, png: Png) -> None:
    files = {f"train/{c}/{n}.png": png(n + 100 * (c == "dog"), 20) for c in ("cat", "dog") for n in range(6)}
    files |= {"train/Dog /x.png": png(50, 30), "test/cat/9.png": png(9, 20), "train/cat/bad.png": b"not a picture"}
    source = fill(tmp_path / "in", {**files, "train/.DS_Store": b"x", "train/cat/note.txt": b"hello"})
    (source / "link").symlink_to("/etc")
    found = inspect_source(source)
    assert (found.reader, found.guessed, found.complete, found.records) == ("image_folder", True, True, 14)
    assert found.counts == {"train": {"Dog ": 1, "cat": 6, "dog": 6}, "test": {"cat": 1}}
    assert found.aliases == {"Dog ": "dog"}
    assert found.facts["largest picture"] == "30x30 train/Dog /x.png"
    assert found.facts["smallest picture"].startswith("20x20")
    data = contract(found)
    assert (data.classes, data.aliases, data.carve) == (("Dog ", "cat", "dog"), {}, ("validation",))
    assert "#     'Dog ': dog" in found.data
    assert data.image is not None and data.image.channels == 1
    records, refused = judged(store, source, data)
    assert records == found.records
    assert {reason.file for reason in found.reasons} == {file for file, _ in refused}
    assert (found.refused, found.ignored) == (len(refused), 1) == (3, 1)
    assert found.grid is not None and Image.open(io.BytesIO(found.grid)).format == "PNG"


def test_an_archive_is_looked_into_and_nothing_is_written(
    tmp_path: Path, png: Png, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "tmp").mkdir()
    with zipfile.ZipFile(tmp_path / "pets.zip", "w") as archive:
        for n in range(4):
            archive.writestr(f"pets/{'cat' if n % 2 else 'dog'}/{n}.png", png(n))
        archive.writestr("../evil.png", png(1))
    before = sorted(tmp_path.rglob("*"))
    found = inspect_source(tmp_path / "pets.zip")
    assert found.counts == {"": {"cat": 2, "dog": 2}}
    assert [reason.file for reason in found.reasons] == ["pets.zip/../evil.png"]
    left = [path for path in sorted(tmp_path.rglob("*")) if path not in before]
    assert all(path.is_dir() and not list(path.iterdir()) for path in left)


def test_sounds_of_every_form_are_recognized(tmp_path: Path) -> None:
    samples, rate = soundfile.read(io.BytesIO(wav(0)))
    for form in ("FLAC", "OGG"):
        buffer = io.BytesIO()
        soundfile.write(buffer, samples, rate, format=form)
        contents = {f"{c}/{n}.x": buffer.getvalue() for c in ("up", "down") for n in range(2)}
        found = inspect_source(fill(tmp_path / form, contents))
        assert (found.reader, found.records) == ("audio_folder", 4)


def test_sounds_and_texts_in_folders(tmp_path: Path) -> None:
    found = inspect_source(fill(tmp_path / "s", {f"{c}/{n}.wav": wav(n) for c in ("up", "down") for n in range(3)}))
    assert (found.reader, found.records) == ("audio_folder", 6)
    audio = contract(found).audio
    assert audio is not None and (audio.rate, audio.seconds) == (8000, 0.5)
    texts = {f"train/{c}/{n}.txt": f"some text {n}".encode() for c in ("ham", "spam") for n in range(3)}
    found = inspect_source(fill(tmp_path / "t", texts))
    assert (found.reader, found.records, contract(found).classes) == ("text", 6, ("ham", "spam"))


def test_idx_and_cifar_are_told_by_their_names(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 8, 8), dtype=np.uint8)
    labels = np.arange(20, dtype=np.uint8) % 3
    idx = {
        "train-images-idx3-ubyte": struct.pack(">4I", 0x803, 20, 8, 8) + pixels.tobytes(),
        "train-labels-idx1-ubyte": struct.pack(">2I", 0x801, 20) + labels.tobytes(),
    }
    found = inspect_source(fill(tmp_path / "idx", idx))
    assert (found.reader, found.records, contract(found).classes) == ("idx", 20, ("0", "1", "2"))
    image = contract(found).image
    assert image is not None and (image.height, image.width, image.channels) == (8, 8, 1)
    row = np.zeros((6, 3073), dtype=np.uint8)
    row[:, 0] = range(6)
    row[:, 1:] = np.random.default_rng(1).integers(0, 256, (6, 3072))
    found = inspect_source(
        fill(tmp_path / "c", {"data_batch_1.bin": row.tobytes(), "batches.meta.txt": b"a\nb\nc\nd\ne\nf\n"})
    )
    assert (found.reader, found.records, contract(found).classes) == ("cifar10", 6, tuple("abcdef"))


def table_of(rows: int = 60) -> dict[str, list[Any]]:
    return {
        "row": list(range(rows)),
        "width": [round(1 + n * 0.37, 2) for n in range(rows)],
        "colour": ["red" if n % 3 else "blue" for n in range(rows)],
        "species": ["setosa" if n % 2 else "virginica" for n in range(rows)],
    }


@pytest.mark.parametrize("form", ["csv", "tsv", "semicolon.csv", "parquet", "arrow", "csv.gz"])
def test_tables_of_every_form_give_the_same_contract(tmp_path: Path, store: Store, form: str) -> None:
    import gzip

    table = table_of()
    path = tmp_path / "in" / f"rows.{form}"
    path.parent.mkdir()
    if form == "parquet":
        pq.write_table(pa.table(table), path)
    elif form == "arrow":
        feather.write_feather(pa.table(table), path)
    else:
        between = {"tsv": "\t", "semicolon.csv": ";"}.get(form, ",")
        lines = [between.join(table), *(between.join(map(str, row)) for row in zip(*table.values(), strict=True))]
        text = "\n".join(lines).encode()
        path.write_bytes(gzip.compress(text) if form.endswith("gz") else text)
    found = inspect_source(path)
    assert (found.reader, found.records, found.refused) == ("table", 60, 0)
    data = contract(found)
    assert data.table is not None
    assert (data.table.target, data.table.columns) == ("species", ("width", "colour"))
    assert data.table.categories == {"colour": ("blue", "red")}
    assert data.classes == ("setosa", "virginica")
    assert {column.name: column.kind for column in found.columns}["row"] == "identifier"
    assert judged(store, path, data) == (60, set())
    assert found.rows[0]["colour"] == "blue"


def test_a_number_to_predict_and_broken_rows(tmp_path: Path, store: Store) -> None:
    rng = np.random.default_rng(0)
    lines = ["a,b,price", *(f"{a:.3f},{b:.3f},{a + b:.4f}" for a, b in rng.random((50, 2))), "1,2", "x,1,2"]
    source = fill(tmp_path / "in", {"houses.csv": "\n".join(lines).encode()})
    found = inspect_source(source)
    assert contract(found).regression
    assert (found.records, found.refused) == (51, 1)
    assert found.facts["cells without a value"] == {"a": 1}
    assert judged(store, source, contract(found))[0] == 51


def test_a_name_that_is_taken_for_a_split_is_said_before_anything_lands(tmp_path: Path) -> None:
    rows = "\n".join(["a,b,price", *(f"{n},{n % 7},{n * 1.5}" for n in range(50))]).encode()
    said = inspect_source(fill(tmp_path / "in", {"valid.csv": rows})).notes
    assert [note for note in said if "'valid.csv' for the split validation" in note]
    assert not [
        note for note in inspect_source(fill(tmp_path / "on", {"v.csv": rows})).notes if "for the split" in note
    ]


def test_series_with_and_without_a_header(tmp_path: Path, store: Store) -> None:
    rows = [f"{unit} {time} {unit * time * 0.5:.2f} {time % 7}" for unit in range(1, 6) for time in range(1, 21)]
    cmapss = {
        "train_FD.txt": "\n".join(rows).encode(),
        "test_FD.txt": "\n".join(rows).encode(),
        "RUL_FD.txt": b"5\n" * 5,
    }
    source = fill(tmp_path / "c", cmapss)
    found = inspect_source(source)
    series = contract(found).series
    assert series is not None
    assert (series.unit, series.time, series.remaining, series.columns) == ("c1", "c2", True, ("c3", "c4"))
    assert (found.records, found.refused) == (200, 0)
    assert judged(store, source, contract(found)) == (200, set())
    lines = [
        "timestamp,unit,t24,p30",
        *(f"2024-03-{d + 1:02}T00:00:00,{u},{d}.5,{u}.25" for u in range(2) for d in range(20)),
    ]
    found = inspect_source(fill(tmp_path / "t", {"x.csv": "\n".join(lines).encode()}))
    series = contract(found).series
    assert series is not None and (series.unit, series.time) == ("unit", "timestamp")


def test_texts_with_labels_spelled_differently(tmp_path: Path) -> None:
    labels = ["ham"] * 20 + ["HAM", " ham", "spam", "spam", "spam", "SPAM"]
    lines = ["label,text", *(f"{label},this is message number {n} of all" for n, label in enumerate(labels))]
    found = inspect_source(fill(tmp_path / "in", {"sms.csv": "\n".join(lines).encode()}))
    assert (found.reader, found.records) == ("text", 26)
    assert found.aliases == {"HAM": "ham", " ham": "ham", "SPAM": "spam"}
    assert contract(found).classes == (" ham", "HAM", "SPAM", "ham", "spam")
    assert contract(found).aliases == {}
    tsv = "\n".join(f"{label.strip()}\tthis is message number {n} of all" for n, label in enumerate(labels))
    data = contract(inspect_source(fill(tmp_path / "tsv", {"SMSCollection": tsv.encode()})))
    assert data.text is not None and data.text.header == ("c1", "c2")


def test_files_with_other_columns_are_named(tmp_path: Path) -> None:
    texts = [(("ham", "spam")[n % 2], f"this is message number {n} of all") for n in range(40)]
    files = {
        "SMSCollection": "\n".join("\t".join(row) for row in texts).encode(),
        "sms.csv": "\n".join(",".join(row) for row in [("label", "text"), *texts]).encode(),
    }
    notes = inspect_source(fill(tmp_path / "in", files)).notes
    assert any("sms.csv has other columns ('label', 'text'): its header line would be read" in note for note in notes)


def test_a_disk_that_fails_while_a_file_is_read_refuses_that_file() -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError(5, "Input/output error")

    files = SourceFiles([SourceFile("b.csv", 100, Failing)])
    data = DataContract.model_validate(
        {"reader": "table", "classes": ["a", "b"], "table": {"target": "label", "columns": ["x1"]}}
    )
    (refused,) = read_files(files.listed(), files, data)
    assert isinstance(refused, Reason)
    assert (refused.file, refused.reason) == ("b.csv", "it cannot be read (Input/output error)")
    assert files.head(files.listed()[0], 16) == b""


def test_a_lines_own_contract_is_used_and_its_private_columns_are_hidden(tmp_path: Path) -> None:
    table = {"target": "kind", "columns": ["a", "b"]}
    data = DataContract.model_validate(
        {"reader": "table", "classes": ["yes", "no"], "table": table, "privacy": {"private": ["a"]}}
    )
    source = fill(tmp_path / "in", {"x.csv": b"a,b,kind\n77,2,yes\n3,4,YES\n5,6,maybe\n"})
    found = inspect_source(source, data)
    assert (found.guessed, found.records) == (False, 3)
    assert found.unknown == {"YES": 1, "maybe": 1}
    assert found.aliases == {"YES": "yes"}
    assert yaml.safe_load(found.data) is None
    assert yaml.safe_load(found.data.replace("#   ", "").partition("\n")[2]) == {"aliases": {"YES": "yes"}}
    assert found.rows[0]["a"] == "(private)"
    assert "77" not in str(found.rows)


def test_a_look_is_bounded_and_says_so(tmp_path: Path, png: Png, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = png(1)
    source = fill(tmp_path / "in", {f"{c}/{n:03}.png": picture for c in ("cat", "dog", "eel") for n in range(40)})
    monkeypatch.setattr(inspect_module, "SAMPLE_FILES", 30)
    found = inspect_source(source)
    assert (found.files, found.files_read, found.complete) == (120, 30, False)
    assert set(found.counts[""]) == {"cat", "dog", "eel"}
    assert "30 of 120 files were read" in found.limits[0]
    assert contract(found).classes == ("cat", "dog", "eel")
    monkeypatch.setattr(inspect_module, "SAMPLE_SECONDS", -1.0)
    assert "reading ended after" in inspect_source(source).limits[1]
    monkeypatch.setattr(inspect_module, "SAMPLE_BYTES", 500)
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for n in range(10):
            archive.writestr(f"cat/{n}.png", picture)
    found = inspect_source(tmp_path / "x.zip")
    assert (found.complete, found.refused) == (False, 0)
    assert 0 < found.files < 10


def test_what_is_not_recognized_is_said(tmp_path: Path, png: Png) -> None:
    found = inspect_source(fill(tmp_path / "a", {"x.bin": b"\1\2\3", "y.exe": b""}))
    assert (found.reader, found.data, found.records) == ("", "", 0)
    assert "none of the 2 files was recognized, 1 of them empty" in found.notes[0]
    found = inspect_source(fill(tmp_path / "b", {"pets/v1/cat/1.png": png(1), "pets/v1/dog/1.png": png(2)}))
    assert "everything lies in the folder 'pets'" in found.notes[0]
    assert found.data == ""
    with pytest.raises(LandingError, match="no plain file"):
        inspect_source(fill(tmp_path / "c", {".DS_Store": b"x"}))
    for name, content in {
        "x.csv": b"",
        "y.csv": b"\xff\xfea\0",
        "z.parquet": b"PAR1junk",
        "w.csv": b'"' * 1000,
    }.items():
        assert inspect_source(fill(tmp_path / name, {name: content})).records == 0


def test_hostile_names_and_labels_do_not_break_it(tmp_path: Path) -> None:
    labels = ["<script>", "\x1b[31mred", "²", "a" * 5000, "", "٣"]
    lines = ["label,text", *(f"{labels[n % 6]},some words number {n} here" for n in range(60))]
    source = fill(tmp_path / "in", {"x.csv": "\n".join(lines).encode()})
    found = inspect_source(source)
    assert found.records == 60
    result = CliRunner().invoke(app, ["inspect", str(source), "--no-check"])
    assert result.exit_code == 0, result.output
    assert "\x1b[31mred" not in result.output


def test_the_command_prints_json_and_writes_the_sheet(tmp_path: Path, png: Png) -> None:
    source = fill(tmp_path / "in", {f"{c}/{n}.png": png(n) for c in ("cat", "dog") for n in range(3)})
    sheet = tmp_path / "sheet.png"
    result = CliRunner().invoke(app, ["inspect", str(source), "--json", "--no-check", "--grid", str(sheet)])
    body = json.loads(result.output)
    assert (body["reader"], body["records"], body["counts"]) == ("image_folder", 6, {"": {"cat": 3, "dog": 3}})
    assert body["grid"] == str(sheet)
    assert sheet.read_bytes().startswith(b"\x89PNG")
    result = CliRunner().invoke(app, ["inspect", str(source), "--no-check"])
    assert "ready to paste" in result.output and "reader: image_folder" in result.output
    assert CliRunner().invoke(app, ["inspect", str(source), "--reader", "nope"]).exit_code == 2


def test_spellings_of_labels() -> None:
    counts = {"ham": 100, "HAM": 3, "hamm": 2, "spam": 50, "span": 40, "0": 5, "1": 5, "10": 1}
    assert spellings(counts) == [Spelling("HAM", "ham", 3), Spelling("hamm", "ham", 2)]
    assert spellings({"Cat": 9, "kat": 1}, ["cat", "dog"])[0] == Spelling("Cat", "cat", 9)
    assert spellings({"a": 1, "A": 1}, ["a", "A"]) == []
    assert spellings({}) == []


@pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data is absent")
@pytest.mark.parametrize(
    ("name", "reader", "records"),
    [
        ("oxford-pets", "image_folder", 100),
        ("predictive-maintenance/cmapss-fd001", "series", 33_727),
        ("predictive-maintenance/ai4i2020", "table", 7_000),
        ("text/sms-spam/sms_spam.csv", "text", 3_794),
        ("text/sms-spam/SMSSpamCollection", "text", 3_794),
        ("speech-commands", "audio_folder", 120),
        ("bad/idx", "idx", 200),
        ("bad/cifar", "cifar10", 100),
        ("bad/csv/ts_good.csv", "series", None),
    ],
)
def test_real_sets_are_recognized(name: str, reader: str, records: int | None) -> None:
    found = inspect_source(DATA / name)
    assert found.reader == reader
    assert records is None or found.records == records
    assert contract(found).reader == reader
