"""The reader of texts: from tables and from files, unchanged, with what they look like in numbers."""

from __future__ import annotations

import hashlib
import io
import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.errors import RejectedError
from assets.line.data import DataContract
from assets.readers import text as text_reader
from assets.readers.text import read_texts, record_of
from assets.readers.text_features import lettering
from assets.records.reason import Reason
from tests.assets.readers.rows_of_readers import SHARED, needs_shared, read_all


def contract(aliases: dict[str, str] | None = None, **text: Any) -> DataContract:
    return DataContract(reader="text", classes=("ham", "spam"), aliases=aliases or {}, text=text)  # type: ignore[arg-type]


HEADERLESS = contract(header=("label", "text"))


def read(
    contents: dict[str, bytes] | bytes, data: DataContract | None = None
) -> tuple[list[dict[str, Any]], list[Reason]]:
    contents = {"x.csv": contents} if isinstance(contents, bytes) else contents
    return read_all(read_texts, contents, data or contract())


def notes(row: dict[str, Any]) -> dict[str, str]:
    return dict(json.loads(row["_notes"] or "{}"))


def test_texts_come_as_they_are() -> None:
    text = 'Hé "you",\nNaïve 2x\u0301 ' + "\U0001f600"
    quoted = text.replace('"', '""')
    (row,), _ = read({"train.csv": f'id,text,label\n1,"{quoted}",ham\n'.encode()})
    assert row["_input"] == text.encode()
    assert row["text"] == text
    assert row["_id"] == hashlib.sha256(text.encode()).digest()
    assert (row["_label"], row["_split"], row["_file"], row["_group"]) == ("ham", "train", "train.csv#2", "")
    assert (row["chars"], row["words"]) == (float(len(text)), 5.0)
    assert row["letters"] == pytest.approx(sum(one.isalpha() or one.isspace() for one in text) / len(text))
    assert np.linalg.norm(row["_embedding"]) == pytest.approx(1)


def test_blank_and_long_texts_are_noted() -> None:
    found, _ = read(b"label,text\nham,\nham,  \nham,12345\nham,123456\n", contract(max_chars=5))
    assert [notes(row) for row in found] == [
        {"text": "the text is blank"},
        {"text": "the text is blank"},
        {},
        {"text": "the text has 6 characters, at most 5 are allowed"},
    ]
    assert [row["_embedding"] is None for row in found] == [True, True, False, False]
    assert [row["_input"] for row in found[:2]] == [b"", b"  "]


def test_labels_are_exact_but_for_aliases() -> None:
    found, _ = read(b"label,text\nHAM,a\nham ,b\n,c\n", contract(aliases={"HAM": "ham"}))
    assert [row["_label"] for row in found] == ["ham", "ham ", ""]


def test_tabs_without_a_header_mean_no_quotes() -> None:
    raw = b'ham\tHe said "no\nspam\t"Win", now\r\nham\ttoo\tmany\n'
    found, (reason,) = read({"Collection": raw}, HEADERLESS)
    assert [row["text"] for row in found] == ['He said "no', '"Win", now']
    assert (reason.place, reason.reason) == ("line 3", "the row has 3 cells, the header has 2")
    (row,), _ = read({"x.csv": b'ham,"a ""b"""\n'}, HEADERLESS)
    assert row["text"] == 'a "b"'


def test_files_of_class_folders_are_texts() -> None:
    contents = {
        "train/ham/1.txt": b"\xef\xbb\xbfHello\nyou\n",
        "spam/2.txt": b"",
        "3.txt": b"x",
        "ham/4.txt": b"\xff\xfeh\x00",
        "ham/5.txt": b"\xff",
        "ham/6.txt": b"a\0b",
        "ham/7.txt": b"x" * 900_000,
        "ham/8.txt": b"x" * 300_000,
        "ham/9.md": b"x",
    }
    found, reasons = read(contents)
    assert [(row["_split"], row["_label"], row["_file"], row["text"]) for row in found] == [
        ("train", "ham", "train/ham/1.txt", "Hello\nyou\n"),
        ("", "spam", "spam/2.txt", ""),
    ]
    expected = {
        "3.txt": "it lies in no class folder",
        "ham/4.txt": "it is UTF-16",
        "ham/5.txt": "it is not UTF-8",
        "ham/6.txt": "it has NUL bytes",
        "ham/7.txt": "more than 800,003",
        "ham/8.txt": "300,000 characters",
        "ham/9.md": "not a table by its name",
    }
    assert {reason.file for reason in reasons} == set(expected)
    for reason in reasons:
        assert expected[reason.file] in reason.reason


def test_the_same_text_has_the_same_id_in_every_form() -> None:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"text": ["né"], "label": ["ham"]}), buffer)
    contents = {"a.csv": "label,text\nham,né\n".encode(), "b.parquet": buffer.getvalue(), "ham/c.txt": "né".encode()}
    found, _ = read(contents)
    assert len(found) == 3
    assert len({row["_id"] for row in found}) == 1
    record = record_of(found[0]["_input"], "ham", "", "r#1", "", None, contract())
    assert bytes.fromhex(record.id) == found[0]["_id"]
    assert record.embedding is not None
    assert record.embedding.tolist() == found[0]["_embedding"]
    assert record.facts["words"] == 1.0


def test_what_is_no_text_becomes_no_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_reader, "MAX_TEXT_CHARS", 3)
    for stored in (b"\xff", b"\0", b"four"):
        with pytest.raises(RejectedError):
            record_of(stored, "ham", "", "r#1", "", None, contract())
    assert record_of(b"  ", "ham", "", "r#1", "", None, contract()).notes == {"text": "the text is blank"}


def test_texts_with_the_same_words_lie_near_each_other() -> None:
    texts = [
        "Please call our customer service to claim your prize of 500 pounds now",
        "PLEASE  call our customer service to claim your prize of 900 pounds NOW!",
        "I will be late tonight, do not wait with dinner for me my dear",
    ]
    vectors = lettering(texts).embeddings
    assert vectors[0] @ vectors[1] > 0.8
    assert abs(vectors[0] @ vectors[2]) < 0.4


def test_lettering_does_not_depend_on_the_texts_beside(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["", "a", "ab c", "é\u0301 \U0001f600 zz", "x" * 50, " \n ", "İstanbul ẞ"]
    together = lettering(texts)
    monkeypatch.setattr("assets.readers.text_features._TOGETHER", 7)
    apart = lettering(texts)
    for number, text in enumerate(texts):
        alone = lettering([text])
        for name in ("chars", "words", "letters", "embeddings"):
            assert np.array_equal(getattr(together, name)[number], getattr(alone, name)[0]), (name, text)
            assert np.array_equal(getattr(together, name)[number], getattr(apart, name)[number]), (name, text)


@settings(max_examples=80, deadline=None)
@given(st.one_of(st.binary(max_size=200), st.text('ab",\t\n\r é\0', max_size=100).map(str.encode)), st.booleans())
def test_any_bytes_are_texts_or_refusals(body: bytes, header: bool) -> None:
    data = HEADERLESS if header else contract()
    found, reasons = read({"x.tsv": (b"" if header else b"label,text\n") + body, "ham/y.txt": body}, data)
    assert found or reasons
    for row in found:
        assert row["text"].encode() == row["_input"]
        assert ("text" in notes(row)) == (not row["text"].strip())


@needs_shared
def test_the_real_messages() -> None:
    folder = SHARED / "text/sms-spam"
    found, reasons = read((folder / "sms_spam.csv").read_bytes())
    assert (len(found), reasons) == (3794, [])
    plain, reasons = read({"SMSSpamCollection": (folder / "SMSSpamCollection").read_bytes()}, HEADERLESS)
    assert not reasons
    assert [(row["_id"], row["_label"]) for row in plain] == [(row["_id"], row["_label"]) for row in found]
    found, _ = read((SHARED / "bad/text/empty_and_blank_texts.csv").read_bytes())
    assert sum(notes(row) == {"text": "the text is blank"} for row in found) == 44
    found, _ = read((SHARED / "bad/text/label_typos.csv").read_bytes())
    assert {row["_label"] for row in found} >= {"ham", "HAM", "ham ", " ham"}
