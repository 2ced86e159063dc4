"""Private columns: gone or tokens before anything is stored, on the lines that they were on."""

from __future__ import annotations

import csv
import gzip
import io
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.errors import RejectedError
from assets.ingest.privacy import texts as privacy_text
from assets.ingest.privacy.filtering import Protection, filtered, protection
from assets.ingest.privacy.pseudonyms import TOKEN, Tokens, forget_pseudonym_key, pseudonym_key
from assets.ingest.privacy.texts import named
from assets.line.config import Line, parse_line
from assets.readers.csvrows import Blocks, Form, Lines, rows_of
from assets.records.line_store import LineStore, bind
from assets.storage.store import Store

KEY = bytes(range(32))
POLICY = {"pseudonymize": ["patient"], "drop": ["name"]}


def _line(policy: dict[str, object] | None = None, **table: object) -> Line:
    data = {
        "reader": "table",
        "classes": ["well", "ill"],
        "table": {"target": "state", "columns": ["age", "weight"], "group": "patient", **table},
        "privacy": POLICY if policy is None else policy,
    }
    return parse_line("clinic", {"data": data}, "test")


def _protection(**table: object) -> Protection:
    return Protection(_line(**table).config.data, "clinic", KEY)


def _filter(protect: Protection, content: bytes, path: str = "a.csv") -> bytes:
    with filtered(protect, path, io.BytesIO(content), len(content)) as stream:
        return stream.read()


TABLE = (
    b"patient,name,age,weight,state\n"
    b"P1,Ann Smith,34,60.5,well\n"
    b"\n"
    b'P2,"Bob ""the\nsecond"" Jones",50,80,ill\n'
    b"P1,Ann Smith,35,61,ill\n"
)
TOKEN_1 = Tokens(KEY, "clinic").of("patient")("P1")


def test_columns_go_or_become_tokens_on_their_lines() -> None:
    protect = _protection()
    found = _filter(protect, TABLE).decode()
    lines = found.splitlines()
    assert lines[0] == "patient,age,weight,state"
    assert lines[1] == f"{TOKEN_1},34,60.5,well"
    assert lines[2] == ""
    assert lines[3].endswith(",50,80,ill")
    assert lines[4] == ""  # the second line that Bob's name took
    assert lines[5] == f"{TOKEN_1},35,61,ill"
    assert TOKEN.fullmatch(TOKEN_1)
    assert _filter(protect, found.encode()) == found.encode()
    assert _filter(protect, TABLE) == found.encode()


def test_rows_that_fit_no_column_lose_their_cells() -> None:
    rows = (
        b"P1,Ann Smith,34,60,well,more\n"  # ragged
        b"P1,Ann Smith\n"
        b"Ann Smith\n"
        b'P1,"Ann "Smith,34,60,well\n'  # no CSV
        b"P1,Ann Smith,34,60,well\n"
        b"P3,Ann\xff Smith,3\xff,60,well\n"  # not UTF-8, but its columns are known
    )
    lines = _filter(_protection(), b"patient,name,age,weight,state\n" + rows).split(b"\n")
    assert lines[1:5] == [b",,,,,", b",", b"unreadable", b"unreadable"]
    assert lines[5] == f"{TOKEN_1},34,60,well".encode()
    assert lines[6].endswith(b",3\xff,60,well")
    assert b"Smith" not in b"\n".join(lines)


def test_a_quote_that_never_closes_hides_nothing() -> None:
    body = b'patient,name,age,weight,state\nP1,"Ann Smith,34,60,well\n' + b"P2,Bob Jones,40,70,ill\n" * 1500
    found = _filter(_protection(), body)
    assert b"Smith" not in found
    assert b"Jones" not in found
    assert found.count(b"\n") == body.count(b"\n")


def test_files_without_a_header_line_keep_their_columns() -> None:
    header = ["patient", "name", "age", "weight", "state"]
    content = b"P1,Ann,34,60,well\nP2,Bob,50,80,ill\n"
    protect = _protection(header=header)
    found = _filter(protect, content)
    assert found.splitlines()[0] == f"{TOKEN_1},,34,60,well".encode()
    assert _filter(protect, found) == found
    spaces = _filter(protect, content.replace(b",", b"  "))
    assert spaces.splitlines()[0] == f"{TOKEN_1} nan 34 60 well".encode()
    assert _filter(protect, spaces) == spaces
    tabs = _filter(protect, content.replace(b",", b"\t").replace(b"Ann", b'"Ann'))
    assert tabs.splitlines()[0] == f"{TOKEN_1}\t\t34\t60\twell".encode()


@pytest.mark.parametrize("delimiter", [";", "\t", ","])
def test_every_delimiter(delimiter: str) -> None:
    content = TABLE.replace(b",", delimiter.encode())
    found = _filter(_protection(), content)
    assert found == _filter(_protection(), TABLE).replace(b",", delimiter.encode())


def test_packed_text_is_packed_again() -> None:
    packed = _filter(_protection(), gzip.compress(TABLE), "a.csv.gz")
    assert gzip.decompress(packed) == _filter(_protection(), TABLE)
    assert packed == _filter(_protection(), gzip.compress(TABLE, mtime=5), "a.csv.gz")
    cut = gzip.compress(b"patient,name,age,weight,state\n" + b"P1,Ann Smith,34,60,well\n" * 500_000)
    damaged = _filter(_protection(), cut[: len(cut) // 2], "a.csv.gz")
    with pytest.raises(EOFError):
        gzip.decompress(damaged)


@pytest.mark.parametrize(
    ("path", "content", "text"),
    [
        ("a.csv", b"Ann Smith,34,60,well\nBob,1,2,ill\n", "names none of the line's columns"),
        ("a.csv", b"patient;name;old;state\n1;Ann;3;well\n", "'age', 'weight' are missing"),
        ("a.csv", "patient,name".encode("utf-16"), "UTF-16"),
        ("a.csv", b"", "empty"),
        ("a.xlsx", b"PK\x03\x04", "not a table by its name"),
        ("a.csv", b"PK\x03\x04", "Excel"),
        ("a.parquet", b"PAR1" + b"Ann" * 20, "cut off"),
        ("a.arrow", b"ARROW1\0\0" + b"Ann" * 20, "; write it again"),
    ],
)
def test_a_file_whose_columns_cannot_be_told_does_not_land(path: str, content: bytes, text: str) -> None:
    with pytest.raises(RejectedError, match=text) as raised:
        _filter(_protection(), content, path)
    assert "Ann" not in str(raised.value)


def test_typed_files_are_written_anew() -> None:
    table = pa.table(
        {
            "patient": pa.array(["P1", None, "P2"]).dictionary_encode(),
            "Name ": ["Ann Smith", "Bob", "Cy"],
            "age": [1, 2, 3],
            "weight": [1.5, 2.5, None],
            "state": ["well", "ill", "ill"],
        }
    ).replace_schema_metadata({"note": "Ann Smith was here"})
    for path, data in (("a.parquet", _parquet(table)), ("a.arrow", _ipc(table, True)), ("a.arrow", _ipc(table, False))):
        found = _filter(_protection(), data, path)
        read = pq.read_table(io.BytesIO(found)) if path.endswith("parquet") else _read_ipc(found)
        assert read.column_names == ["patient", "age", "weight", "state"]
        assert read["patient"].to_pylist()[:2] == [TOKEN_1, None]
        assert read["weight"].to_pylist() == [1.5, 2.5, None]
        assert b"Smith" not in found
        assert _filter(_protection(), found, path) == found
        assert _filter(_protection(), data, path) == found


def _parquet(table: pa.Table) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file)
    return file.getvalue()


def _ipc(table: pa.Table, file: bool) -> bytes:
    sink = io.BytesIO()
    with (pa.ipc.new_file if file else pa.ipc.new_stream)(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def _read_ipc(data: bytes) -> pa.Table:
    return (pa.ipc.open_file if data.startswith(b"ARROW1") else pa.ipc.open_stream)(io.BytesIO(data)).read_all()


def test_a_person_has_one_token_whatever_the_form() -> None:
    number = pa.table({"patient": [42.0], "age": [1], "weight": [1], "state": ["ill"]})
    token = pq.read_table(io.BytesIO(_filter(_protection(), _parquet(number), "a.parquet")))["patient"][0].as_py()
    row = _filter(_protection(), b"patient,age,weight,state\n 42 ,1,1,ill\n").splitlines()[1]
    assert row == f"{token},1,1,ill".encode()


def test_tokens_differ_by_line_column_and_key() -> None:
    tokens = {
        Tokens(key, line).of(column)("Ann")
        for key in (KEY, KEY[::-1])
        for line in ("clinic", "c")
        for column in ("linicpatient", "patient")
    }
    assert len(tokens) == 8
    token = Tokens(KEY, "clinic").of("patient")
    assert token("") == token("  ") == ""
    assert token(token("Ann")) == token("Ann") == token(" Ann ")


def test_a_column_is_private_however_it_is_spelled() -> None:
    assert [named(name, ["user name"]) for name in ("user name", "User_Name ", "USERNAME", "name", "")] == [
        *["user name"] * 3,
        "",
        "",
    ]


def test_what_nobody_calls_private_is_left_alone() -> None:
    protect = Protection(_line({}).config.data, "clinic")
    source = io.BytesIO(TABLE)
    assert filtered(protect, "a.csv", source, len(TABLE)) is source
    assert not _protection().applies("x.records.parquet")


def test_the_key_is_made_once_and_can_be_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, line = Store(str(tmp_path / "home")), _line()
    protect = protection(bind(store, line))
    assert protection(bind(store, line)) == protect
    path = tmp_path / "home/keys/clinic/pseudonym.key"
    assert path.read_bytes() == protect.key
    assert path.stat().st_mode & 0o777 == 0o600
    assert forget_pseudonym_key(LineStore(store, "clinic"))
    assert not forget_pseudonym_key(LineStore(store, "clinic"))
    assert protection(bind(store, line)).key != protect.key
    path.chmod(0o640)
    with pytest.raises(RejectedError, match="chmod 600"):
        pseudonym_key(LineStore(store, "clinic"))
    monkeypatch.setenv("EDGELOOP_KEYS", str(tmp_path / "elsewhere"))
    assert protection(bind(store, line)).key == (tmp_path / "elsewhere/clinic/pseudonym.key").read_bytes()
    assert protection(bind(store, _line({}))).key == b""


SECRET = "Geheimnis"
CELL = st.text(alphabet=st.sampled_from("ab,\"\n\r'; é\0"), max_size=6)


@given(
    rows=st.lists(st.lists(CELL, min_size=1, max_size=7), max_size=12),
    junk=st.binary(max_size=20),
    at=st.integers(0, 200),
)
def test_no_private_value_is_left_whatever_the_file(rows: list[list[str]], junk: bytes, at: int) -> None:
    """Sound rows keep their lines and their open cells; nothing private is left anywhere, damage or not."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    expected = {}
    for cells in rows:
        full = [f"{SECRET}{cells[0]}", f"x{SECRET}", *cells[1:]]
        if len(full) == 6 and not full[-1].strip():
            full[-1] = "z"  # rows that end with a delimiter would be sound, if most do
        if len(full) == 5:
            expected[_line_ends(text.getvalue()) + 2] = tuple(full[2:])
        writer.writerow(full)
    head = b"patient,name,age,weight,state\n"
    body = text.getvalue().encode()
    found = _filter(_protection(), head + body)
    assert SECRET.encode() not in found
    lines = Lines(found, Blocks(io.BytesIO()), 0)
    kept = {row.first: row.cells[1:] for row in rows_of(lines, Form(",")) if len(row.cells) == 4}
    del kept[1]
    assert kept == expected
    assert lines.number == _line_ends(head.decode() + text.getvalue())
    at %= len(body) + 1
    damaged = _filter(_protection(), head + body[:at] + junk + body[at:])
    assert _filter(_protection(), damaged) == damaged


PIECE = st.text(alphabet=st.sampled_from("ab,,\n\n; é\0\x0b\x85"), max_size=30)


@given(PIECE, st.sampled_from([b"\n", b"", b"\xff\n"]))
def test_the_fast_way_gives_what_the_careful_one_gives(text: str, end: bytes) -> None:
    content = b"patient,name,age,weight,state\n" + text.encode() + end
    fast = _filter(_protection(), content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(privacy_text, "_is_simple", lambda block, form: False)
        careful = _filter(_protection(), content)
    assert fast == careful


def _line_ends(text: str) -> int:
    return len(re.findall(r"\r\n|\r|\n", text))
