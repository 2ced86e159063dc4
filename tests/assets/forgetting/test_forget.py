"""Forgetting: not a byte of the record is left in the state, the counts still hold, and it does not come back."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from assets.errors import RejectedError
from assets.forgetting.forget import forget
from assets.ingest.landing import land
from assets.ingest.reading import read_landed
from assets.line.config import Line, parse_line
from assets.quality.gate import judge
from assets.records.dataset import DatasetVersion
from assets.records.forgotten import forgotten_ids
from assets.records.line_store import BoundLine, LineStore, bind
from assets.records.read import distinct_rows
from assets.records.reason import Reason
from assets.records.verdict import BatchVerdict
from assets.storage import layout
from assets.storage.audit import AuditLog
from assets.storage.sealed import is_sealed
from assets.storage.store import Store
from edge.contracts import digest


def _table_line(**privacy: object) -> Line:
    table = {"target": "state", "columns": ["age", "weight"]}
    data = {"reader": "table", "classes": ["well", "ill"], "table": table, "privacy": privacy}
    return parse_line("clinic", {"data": data, "quality": {"max_bad_share": 0.5}}, "test")


def _picture_line() -> Line:
    image = {"height": 8, "width": 8, "channels": 3}
    data = {"reader": "image_folder", "classes": ["cat", "dog"], "image": image}
    return parse_line("pets", {"data": data, "quality": {"max_bad_share": 0.5}}, "test")


SECRET = "31.8675309"
"""A value that only one record has; as text in files, as eight bytes in stored rows."""
PACKED = np.float64(SECRET).tobytes()


def _tables(folder: Path) -> Path:
    folder.mkdir()
    rows = [f"{20 + row},{50 + row / 7},{'well' if row % 2 else 'ill'}" for row in range(60)]
    rows[11] = f"44,{SECRET},well"
    rows[17] = "33,seventy,ill"
    (folder / "a.csv").write_text("\n".join(["age,weight,state", *rows]) + "\n")
    return folder


def _pictures(folder: Path) -> Path:
    rng = np.random.default_rng(5)
    for number in range(40):
        path = folder / ("cat" if number % 2 else "dog") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(path)
    return folder


def _holding(root: Path, *needles: bytes) -> list[str]:
    """Files below the state that hold one of these, also inside Parquet."""
    found = []
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        data = path.read_bytes()
        if path.suffix == ".parquet" and not is_sealed(data):
            table = pq.read_table(io.BytesIO(data))
            data += b"\0".join(repr(column.to_pylist()).encode() for column in table.columns)
            data += b"\0".join(
                value for name in table.column_names if name == "input" for value in table[name].to_pylist()
            )
        if any(needle in data for needle in needles):
            found.append(path.relative_to(root).as_posix())
    return found


def _record(line: BoundLine, batch: str, file: str) -> str:
    for item in read_landed(line, batch):
        if isinstance(item, pa.Table):
            for row in item.select(["_file", "_id"]).to_pylist():
                if row["_file"] == file:
                    return str(row["_id"].hex())
    raise AssertionError(file)


def _verdict(line: BoundLine, batch: str) -> BatchVerdict:
    verdict = line.verdict(batch)
    assert verdict is not None
    return verdict


def _counted(line: BoundLine, verdict: BatchVerdict) -> set[str]:
    data = line.config.data
    return {row.id for _, rows in distinct_rows(line.store, verdict.records, data.classes, data) for row in rows}


@pytest.mark.parametrize("form", ["csv", "parquet", "sealed"])
def test_a_row_is_forgotten_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    monkeypatch.setenv("A_KEY", "ab" * 32)
    monkeypatch.setenv("EDGELOOP_DATA_KEY", "env:A_KEY")
    monkeypatch.setenv("EDGELOOP_USER", "ann")
    home, source = tmp_path / "home", _tables(tmp_path / "source")
    place = "a.csv#13"
    if form == "parquet":
        place = "a.parquet#12"
        rows = [line.split(",") for line in (source / "a.csv").read_text().splitlines()[1:]]
        columns = {name: [row[at] for row in rows] for at, name in enumerate(("age", "weight", "state"))}
        pq.write_table(pa.table(columns), source / "a.parquet")
        (source / "a.csv").unlink()
    store, line = Store(str(home)), _table_line(encrypt=form == "sealed")
    batch = land(bind(store, line), source).batch
    before = judge(bind(store, line), batch)
    assert (before.state, before.accepted, before.quarantined) == ("accepted", 59, 1)
    record = _record(bind(store, line), batch, place)
    if form == "sealed":
        assert _holding(home, PACKED, SECRET.encode()) == []
    else:
        assert len(_holding(home, PACKED, SECRET.encode())) >= 2
    dataset = DatasetVersion(line.name, 1, (batch,), before.records, line.config.data.classes, {}, 0.15, 0.2)
    store.save(layout.dataset(line.name, digest(dataset)), dataset)

    outcome = forget(bind(store, line), record[:12], "asked for it")

    assert (outcome.record, outcome.new, outcome.batches) == (record, True, (batch,))
    assert outcome.datasets == (digest(dataset),)
    assert outcome.still == ()
    assert _holding(home, PACKED, SECRET.encode()) == []
    after = _verdict(bind(store, line), batch)
    counts = ("state", "why", "seen", "accepted", "quarantined", "refused", "new", "per_class")
    assert [getattr(after, name) for name in counts] == [getattr(before, name) for name in counts]
    assert not any(store.exists(ref.uri) for ref in before.records)
    assert record not in _counted(bind(store, line), after)
    assert _counted(bind(store, line), after) == _counted(
        bind(store, line), before
    )  # an older dataset leads to what is left
    assert len(_counted(bind(store, line), after)) == 58
    assert list(forgotten_ids(LineStore(store, line.name))) == [bytes.fromhex(record)]

    again = forget(bind(store, line), record)
    assert (again.new, again.batches, again.datasets) == (False, outcome.batches, outcome.datasets)
    assert _verdict(bind(store, line), batch) == after
    entries = [(entry.who, entry.action, entry.subject, entry.why) for _, entry in AuditLog(store).latest(10)]
    assert entries.count(("ann", "forgot", record, "asked for it")) == 1

    items = list(read_landed(bind(store, line), batch))
    places = [row for item in items if isinstance(item, pa.Table) for row in item.column("_file").to_pylist()]
    assert len(places) == 59
    assert place not in places
    refused = [item for item in items if isinstance(item, Reason)]
    assert len(refused) == 1
    landed = land(bind(store, line), source)
    assert (landed.batch, landed.repaired) == (batch, ())
    assert _holding(home, PACKED, SECRET.encode()) == []


def test_a_picture_is_forgotten_everywhere(tmp_path: Path) -> None:
    home, source = tmp_path / "home", _pictures(tmp_path / "source")
    store, line = Store(str(home)), _picture_line()
    batch = land(bind(store, line), source).batch
    before = judge(bind(store, line), batch)
    assert before.state == "accepted", before.why
    content = (source / "cat/7.png").read_bytes()
    needle = content[60:90]
    record = _record(bind(store, line), batch, "cat/7.png")
    assert _holding(home, needle)
    assert forget(bind(store, line), record).still == ()
    assert _holding(home, needle) == []
    after = _verdict(bind(store, line), batch)
    assert (after.seen, after.accepted) == (before.seen, before.accepted)
    assert record not in _counted(bind(store, line), after)
    assert b"forgotten on request" in store.read(after.report)
    land(bind(store, line), source)
    assert _holding(home, needle) == []


def test_what_was_quarantined_is_forgotten_too(tmp_path: Path) -> None:
    home, source = tmp_path / "home", _tables(tmp_path / "source")
    store, line = Store(str(home)), _table_line()
    batch = land(bind(store, line), source).batch
    before = judge(bind(store, line), batch)
    assert "seventy" in json.dumps([vars(reason) for reason in before.reasons])
    outcome = forget(bind(store, line), _record(bind(store, line), batch, "a.csv#19"))
    assert (outcome.batches, outcome.datasets) == ((batch,), ())
    assert _holding(home, b"seventy") == []
    after = _verdict(bind(store, line), batch)
    assert after.quarantined == before.quarantined
    assert [reason.reason for reason in after.reasons] == ["it was forgotten on request"]


def test_a_forgotten_record_does_not_come_back(tmp_path: Path) -> None:
    home, source = tmp_path / "home", _tables(tmp_path / "source")
    store, line = Store(str(home)), _table_line()
    batch = land(bind(store, line), source).batch
    judge(bind(store, line), batch)
    record = _record(bind(store, line), batch, "a.csv#13")
    forget(bind(store, line), record)
    (source / "b.csv").write_text((source / "a.csv").read_text())
    (source / "a.csv").unlink()
    second = land(bind(store, line), source).batch
    verdict = judge(bind(store, line), second)
    assert (verdict.accepted, verdict.quarantined) == (58, 2)
    assert any(reason.reason.startswith("it was forgotten on request on 2") for reason in verdict.reasons)
    assert verdict.seen == verdict.accepted + verdict.quarantined + verdict.refused
    assert _holding(home, PACKED, SECRET.encode()) == []
    assert record not in _counted(bind(store, line), _verdict(bind(store, line), second))


def test_private_columns_never_enter_the_state(tmp_path: Path) -> None:
    """From landing over the gate to forgetting, whatever is wrong with rows."""
    home, source = tmp_path / "home", tmp_path / "source"
    source.mkdir()
    rows = [
        f"Geheim{row % 9},Frau Geheim,{20 + row},{50 + row / 7},{'well' if row % 2 else 'ill'}" for row in range(80)
    ]
    rows[7], rows[19] = "Geheim1,Frau Geheim,44", "Geheim2,Frau Geheim,none,many,unknown"
    (source / "a.csv").write_text("\n".join(["patient,name,age,weight,state", *rows]) + "\n")
    table = {"target": "state", "columns": ["age", "weight"], "group": "patient"}
    policy = {"pseudonymize": ["patient"], "drop": ["name"]}
    data = {"reader": "table", "classes": ["well", "ill"], "table": table, "privacy": policy}
    store, line = Store(str(home)), parse_line("clinic", {"data": data, "quality": {"max_bad_share": 0.5}}, "test")
    batch = land(bind(store, line), source).batch
    verdict = judge(bind(store, line), batch)
    assert (verdict.accepted, verdict.quarantined, verdict.refused) == (78, 1, 1)
    forget(bind(store, line), _record(bind(store, line), batch, "a.csv#3"))
    assert _holding(home, b"Geheim") == []


def test_a_record_that_was_never_here_can_be_kept_out(tmp_path: Path) -> None:
    store, line = Store(str(tmp_path)), _table_line()
    identity = hashlib.sha256(b"nobody").hexdigest()
    assert forget(bind(store, line), identity).batches == ()
    assert bytes.fromhex(identity) in forgotten_ids(LineStore(store, line.name))
    with pytest.raises(RejectedError, match="there is none"):
        forget(bind(store, line), "abcdef")
    with pytest.raises(RejectedError, match="6 to 64 hex digits"):
        forget(bind(store, line), "Ann")


def test_a_kill_at_any_moment_is_repaired(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, source = tmp_path / "made", _tables(tmp_path / "source")
    line = _table_line()
    batch = land(bind(Store(str(made)), line), source).batch
    before = judge(bind(Store(str(made)), line), batch)
    record = _record(bind(Store(str(made)), line), batch, "a.csv#13")
    step = 0
    while True:
        home = tmp_path / f"home-{step}"
        shutil.copytree(made, home)
        store = Store(str(home))
        with monkeypatch.context() as patch:
            _die_at(patch, step)
            try:
                forget(bind(store, line), record)
                break
            except _Killed:
                pass
        if step > 2:  # behind the audit log and the tombstone
            assert record not in _counted(bind(store, line), _verdict(bind(store, line), batch))
        read = [item for item in read_landed(bind(store, line), batch) if isinstance(item, pa.Table)]
        assert sum(table.num_rows for table in read) in {59, 60}
        forget(bind(store, line), record)
        assert ("forgot", record) in {(entry.action, entry.subject) for _, entry in AuditLog(store).latest(10)}
        assert _holding(home, PACKED, SECRET.encode()) == []
        after = _verdict(bind(store, line), batch)
        assert (after.seen, after.accepted) == (before.seen, before.accepted)
        shutil.rmtree(home)
        step += 1
    assert step > 15


class _Killed(BaseException):
    pass


def _die_at(patch: pytest.MonkeyPatch, step: int) -> None:
    """Have the change number `step` (from 0) of the store never happen, nor anything after it."""
    count = 0
    for name in ("write", "create", "remove"):
        real = getattr(Store, name)

        def change(self: Store, *arguments: object, real: Callable[..., object] = real) -> object:
            nonlocal count
            count += 1
            if count > step:
                raise _Killed
            return real(self, *arguments)

        patch.setattr(Store, name, change)


def test_pages_keep_everything_but_the_record(tmp_path: Path) -> None:
    data = {"reader": "text", "classes": ["ham", "spam"], "text": {"header": ["label", "text"]}}
    store, line = Store(str(tmp_path / "home")), parse_line("mail", {"data": data}, "test")
    rng = np.random.default_rng(2)
    words = np.array([f"{a}{b}{c}o" for a in "bdfgk" for b in "aeiou" for c in "lmnrst"])
    rows = [f"{'ham' if at % 2 else 'spam'}\t{' '.join(rng.choice(words, 25))}" for at in range(120)]
    rows[0] += " zanzibar"
    again = [f"spam\t{rows[0][5:].upper()}", *rows[60:]]
    batches = []
    for name, part in (("a.tsv", rows[:60]), ("b.tsv", again)):
        (tmp_path / name).write_text("\n".join(part) + "\n")
        batches.append(land(bind(store, line), tmp_path / name).batch)
        assert judge(bind(store, line), batches[-1]).state == "accepted"
    pages = [f"reports/mail/{batch}/index.html" for batch in batches]
    assert ["zanzibar" in store.read(page).decode() for page in pages] == [True, True]

    outcome = forget(bind(store, line), _record(bind(store, line), batches[0], "a.tsv#1"))

    assert outcome.batches == (batches[0],)
    assert _holding(tmp_path / "home", b"zanzibar") == []
    own, other = (store.read(page).decode() for page in pages)
    for page in (own, other):
        assert "This batch was accepted" in page
        assert "was forgotten on request" in page
        assert "<blockquote>" in page
    assert "distributions" not in own
    assert 'id="distributions"' in other
    assert "ZANZIBAR" in other  # a record of its own
    verdicts = [_verdict(bind(store, line), batch) for batch in batches]
    assert forget(bind(store, line), outcome.record).new is False
    assert [_verdict(bind(store, line), batch) for batch in batches] == verdicts
