"""The journal: no gap, no lost entry, no listing."""

from __future__ import annotations

import threading
import uuid
from dataclasses import dataclass
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from assets.storage.journal import Journal
from assets.storage.store import Store
from edge.contracts import document


@document("test.note")
@dataclass(frozen=True)
class Note:
    text: str


def _journal(root: str) -> Journal[Note]:
    return Journal(Store(root), "notes", Note)


@settings(max_examples=40)
@given(count=st.integers(0, 40), position=st.integers(0, 45), limit=st.none() | st.integers(0, 10))
def test_entries_come_back_in_order_after_a_position(count: int, position: int, limit: int | None) -> None:
    journal = _journal(f"memory://{uuid.uuid4().hex}")
    entries = [Note(str(number)) for number in range(count)]
    assert [journal.append(entry) for entry in entries] == list(range(1, count + 1))
    assert journal.length() == count
    expected = list(enumerate(entries, start=1))[position:]
    assert list(journal.after(position, limit)) == (expected if limit is None else expected[:limit])
    assert journal.at(count) == (entries[-1] if entries else None)
    assert journal.at(count + 1) is None


def test_writers_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    journal = _journal(str(tmp_path))

    def write(writer: int) -> None:
        for number in range(10):
            journal.append(Note(f"{writer}-{number}"))

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = list(journal.after(0))
    assert [position for position, _ in found] == list(range(1, 41))
    assert {entry.text for _, entry in found} == {f"{writer}-{number}" for writer in range(4) for number in range(10)}


@settings(max_examples=40)
@given(others=st.lists(st.integers(0, 5), max_size=30), after=st.integers(0, 35), times=st.integers(1, 3))
def test_an_entry_is_added_once_behind_a_position(others: list[int], after: int, times: int) -> None:
    journal = _journal(f"memory://{uuid.uuid4().hex}")
    for number in others:
        journal.append(Note(str(number)))
    after = min(after, len(others))
    behind = others[after:]
    answers = {journal.append_once(Note("3"), lambda note: note.text == "3", after) for _ in range(times)}
    if 3 in behind:
        assert answers == {(after + behind.index(3) + 1, False)}
        assert journal.length() == len(others)
    else:
        assert (len(others) + 1, True) in answers
        assert journal.length() == len(others) + 1
    assert [note.text for _, note in journal.newest_first()] == [note.text for _, note in journal.after(0)][::-1]


@settings(max_examples=30)
@given(count=st.integers(0, 70), least=st.integers(0, 70))
def test_the_length_is_found_from_any_known_position(count: int, least: int) -> None:
    journal = _journal(f"memory://{uuid.uuid4().hex}")
    for number in range(count):
        journal.append_at(number + 1, Note(str(number)))
    assert journal.length(min(least, count)) == count


def test_writers_at_the_same_time_add_one_entry_together(tmp_path: Path) -> None:
    journal = _journal(str(tmp_path))
    fresh: list[bool] = []
    start = threading.Barrier(4)

    def write(writer: int) -> None:
        start.wait()
        for number in range(5):
            mine = Note(f"{number}")
            fresh.append(journal.append_once(mine, lambda note, mine=mine: note == mine, 0)[1])  # type: ignore[misc]
            journal.append(Note(f"other {writer} {number}"))

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    texts = [note.text for _, note in journal.after(0)]
    assert sum(fresh) == 5
    assert len(texts) == len(set(texts)) == 25


def test_a_position_is_taken_once(tmp_path: Path) -> None:
    journal = _journal(str(tmp_path))
    assert journal.append_at(1, Note("a"))
    assert not journal.append_at(1, Note("b"))
    assert [entry.text for _, entry in journal.after(0)] == ["a"]
