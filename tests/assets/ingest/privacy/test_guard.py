"""Privacy at the door: nothing raw enters the state, and readers see what they may."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pyarrow as pa
import pytest
from PIL import Image

from assets.errors import LandingError
from assets.ingest.landing import journal_unlisted, land, load_manifest
from assets.ingest.reading import read_landed
from assets.line.config import Line, parse_line
from assets.records.batch import BatchManifest, LandedFile
from assets.records.line_store import BoundLine, LineStore, bind
from assets.records.reason import Reason
from assets.storage.audit import AuditLog
from assets.storage.sealed import is_sealed
from assets.storage.store import Store
from edge.contracts import to_bytes

SECRET = b"Geheimnis"


def _table_line(**privacy: object) -> Line:
    policy = {"pseudonymize": ["patient"], "drop": ["name"], **privacy}
    table = {"target": "state", "columns": ["age", "weight"], "group": "patient"}
    data = {"reader": "table", "classes": ["well", "ill"], "table": table, "privacy": policy}
    return parse_line("clinic", {"data": data}, "test")


def _picture_line(**privacy: object) -> Line:
    image = {"height": 8, "width": 8, "channels": 3}
    data = {"reader": "image_folder", "classes": ["cat", "dog"], "image": image, "privacy": privacy}
    return parse_line("pets", {"data": data}, "test")


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    folder = tmp_path / "tables"
    folder.mkdir()
    rows = [f"{SECRET.decode()}{row % 7},{SECRET.decode()} Ann,{20 + row},{50 + row},well" for row in range(50)]
    rows.insert(20, f"{SECRET.decode()},broken")
    (folder / "a.csv").write_text("\n".join(["patient,name,age,weight,state", *rows]))
    (folder / "no-header.csv").write_text(f"{SECRET.decode()},1,2\n")
    return folder


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for number in range(6):
        exif = Image.Exif()
        exif[0x010E] = SECRET.decode()
        exif[0x0112] = 6
        path = tmp_path / "pictures" / ("cat" if number % 2 else "dog") / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 30), (number, 2, 3)).save(path, exif=exif)
    (tmp_path / "pictures/cat/damaged.jpg").write_bytes((tmp_path / "pictures/cat/1.jpg").read_bytes()[:400])
    return tmp_path / "pictures"


def _everything(root: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file())


def _read(line: BoundLine, batch: str) -> tuple[list[dict[str, object]], list[Reason]]:
    items = list(read_landed(line, batch))
    records = [row for item in items if isinstance(item, pa.Table) for row in item.to_pylist()]
    return records, [item for item in items if isinstance(item, Reason)]


def test_no_raw_value_of_a_private_column_enters_the_state(tmp_path: Path, tables: Path) -> None:
    store, line = Store(str(tmp_path / "home")), _table_line()
    landed = land(bind(store, line), tables)
    assert SECRET not in _everything(tmp_path / "home")
    assert [reason.file for reason in landed.skipped] == ["no-header.csv"]
    records, refused = _read(bind(store, line), landed.batch)
    assert len(records) == 50
    assert len({record["_group"] for record in records}) == 7
    assert all(str(record["_group"]).startswith("p:") for record in records)
    assert {(reason.file, reason.place) for reason in refused} == {
        ("no-header.csv", "whole file"),
        ("a.csv", "line 22"),
    }
    assert land(bind(store, line), tables) == landed.__class__(landed.batch, landed.drop, 1, landed.skipped, new=False)


def test_pictures_land_without_metadata_and_still_upright(tmp_path: Path, pictures: Path) -> None:
    store, line = Store(str(tmp_path / "home")), _picture_line()
    landed = land(bind(store, line), pictures)
    assert SECRET not in _everything(tmp_path / "home")
    records, refused = _read(bind(store, line), landed.batch)
    assert len(records) == 6
    assert [reason.file for reason in refused] == ["cat/damaged.jpg"]
    with Image.open(io.BytesIO(records[0]["_input"])) as picture:  # type: ignore[arg-type]
        assert dict(picture.getexif()) == {0x0112: 6}


def test_a_line_may_keep_metadata(tmp_path: Path, pictures: Path) -> None:
    store = Store(str(tmp_path / "home"))
    land(bind(store, _picture_line(strip_metadata=False)), pictures)
    assert SECRET in _everything(tmp_path / "home")


@pytest.mark.parametrize("kind", ["tables", "pictures"])
def test_sealed_files_are_read_all_the_same(
    tmp_path: Path, tables: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setenv("A_KEY", "ab" * 32)
    monkeypatch.setenv("EDGELOOP_DATA_KEY", "env:A_KEY")
    monkeypatch.setenv("EDGELOOP_KEYS", str(tmp_path / "keys"))
    make, source = (_table_line, tables) if kind == "tables" else (_picture_line, pictures)
    open_store, sealed_store = Store(str(tmp_path / "open")), Store(str(tmp_path / "sealed"))
    plain = land(bind(open_store, make()), source)
    sealed = land(bind(sealed_store, make(encrypt=True)), source)
    assert land(bind(sealed_store, make(encrypt=True)), source).batch == sealed.batch != plain.batch
    files = [path for path in (tmp_path / "sealed/landing").rglob("files/**/*") if path.is_file()]
    assert files
    assert all(is_sealed(path.read_bytes()) for path in files)
    expected = _read(bind(open_store, make()), plain.batch)
    assert _read(bind(sealed_store, make(encrypt=True)), sealed.batch) == expected
    assert not any((tmp_path / "sealed/scratch").glob("*/*"))


@pytest.mark.parametrize("kind", ["tables", "pictures"])
def test_folders_of_other_tools_are_filtered_when_they_are_read(
    tmp_path: Path, tables: Path, pictures: Path, kind: str
) -> None:
    make, source = (_table_line, tables) if kind == "tables" else (_picture_line, pictures)
    (tables / "no-header.csv").unlink()
    (pictures / "cat/damaged.jpg").unlink()
    store, line = Store(str(tmp_path / "home")), make()
    files = []
    for path in sorted(path for path in source.rglob("*") if path.is_file()):
        name, content = path.relative_to(source).as_posix(), path.read_bytes()
        store.write(f"landing/{line.name}/theirs/files/{name}", content)
        files.append(LandedFile(name, hashlib.sha256(content).hexdigest(), len(content)))
    store.write(f"landing/{line.name}/theirs/manifest.json", to_bytes(BatchManifest(line.name, tuple(files))))
    (added,) = journal_unlisted(LineStore(store, line.name)).added
    records, _ = _read(bind(store, line), added.batch)
    assert records
    assert SECRET not in repr(records).encode()
    own = land(bind(Store(str(tmp_path / "own")), line), source)
    assert len(_read(bind(Store(str(tmp_path / "own")), line), own.batch)[0]) == len(records)


def test_a_source_of_which_nothing_may_land_is_refused(tmp_path: Path, tables: Path) -> None:
    (tables / "a.csv").unlink()
    store = Store(str(tmp_path / "home"))
    with pytest.raises(LandingError, match=r"nothing in it may land; no-header\.csv: its first line names none"):
        land(bind(store, _table_line()), tables)


def test_landing_is_on_record_once(tmp_path: Path, tables: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGELOOP_USER", "ann")
    store = Store(str(tmp_path / "home"))
    batch = land(bind(store, _table_line()), tables).batch
    assert not land(bind(store, _table_line()), tables).new
    entries = [(entry.who, entry.action, entry.line, entry.subject) for _, entry in AuditLog(store).latest(10)]
    assert entries == [("ann", "landed", "clinic", batch)]
    assert AuditLog(store).verify().broken_at is None
    assert load_manifest(LineStore(store, "clinic"), batch[:16], batch).left_out[0].path == "no-header.csv"
