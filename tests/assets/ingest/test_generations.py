"""When a generation begins, what is listed then, and what does not begin one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from assets.errors import RejectedError
from assets.ingest.generations import begin_generation, foreseen, waiting
from assets.ingest.landing import land
from assets.line.config import Line
from assets.quality.gate import judge
from assets.records.line_store import BoundLine, bind
from assets.storage.store import Store
from tests.assets.ingest.generations_bench import csv, listed_again, sides, table_line

Land = Callable[[Line, Mapping[str, bytes]], str]


@pytest.fixture
def put(store: Store, tmp_path: Path) -> Land:
    """Lands files as a batch of a line; returns the batch's id."""
    count = 0

    def call(line: Line, files: Mapping[str, bytes]) -> str:
        nonlocal count
        count += 1
        source = tmp_path / f"source{count}"
        source.mkdir()
        for name, content in files.items():
            (source / name).write_bytes(content)
        return land(bind(store, line), source).batch

    return call


def test_a_batch_that_was_blocked_in_between_is_listed_again(store: Store, put: Land) -> None:
    first = bind(store, table_line(["a", "b", "c"]))
    batch = put(first.line, {"t.csv": csv(1)})
    judge(first, batch)
    before = sides(first)
    second = bind(store, table_line(["a", "b"], {"min_records": 500}))
    assert judge(second, batch).state == "blocked"
    third = bind(store, table_line(["a", "b", "c"]))
    assert foreseen(third).startswith("generation 3: 1 accepted batch is judged anew")
    begin_generation(third)
    assert listed_again(third, 3) == waiting(third) == [batch]
    assert judge(third, batch).state == "accepted"
    assert sides(third) == before
    assert not waiting(third)


def test_two_changes_before_anything_was_judged_lose_no_batch(store: Store, put: Land) -> None:
    first = bind(store, table_line(["a", "b", "c"]))
    batch = put(first.line, {"t.csv": csv(1)})
    judge(first, batch)
    begin_generation(bind(store, table_line(["a", "b"])))
    third = bind(store, table_line(["b"]))
    begin_generation(third)
    assert listed_again(third, 3) == [batch]


def test_a_contract_that_was_read_before_the_last_change_is_out_of_date(store: Store, put: Land) -> None:
    stale, fresh = bind(store, table_line(["a", "b", "c"])), bind(store, table_line(["a", "b"]))
    batch = put(stale.line, {"t.csv": csv(1)})
    judge(stale, batch)
    judge(fresh, batch)
    for _ in range(3):  # a code location that was not reloaded, while runs read the contract anew
        assert begin_generation(stale) is None
        assert not foreseen(stale)
        assert judge(fresh, batch).generation == 2
    assert fresh.generations().length() == 2
    assert stale.generation() == 1
    assert stale.stands(fresh.verdict(batch))  # type: ignore[arg-type]  # so its sensors ask for no run
    with pytest.raises(RejectedError, match="its contract was changed after this process read it"):
        judge(stale, batch)
    again = bind(store, table_line(["a", "b", "c"]))  # the file says so again: a person put the column back
    assert begin_generation(again) is not None
    assert again.generation() == 3


def test_a_contract_of_which_nothing_is_on_record_is_out_of_date_too(store: Store, put: Land) -> None:
    stale, fresh = bind(store, table_line(["a", "c"])), bind(store, table_line(["a", "b"]))
    judge(fresh, put(fresh.line, {"t.csv": csv(1)}))
    assert begin_generation(stale) is None
    assert stale.generation() == 0
    assert stale.is_outdated()


class _KilledError(BaseException):
    """What a kill looks like inside a process."""


@pytest.mark.parametrize("writes", range(7))
def test_killed_at_any_write_nothing_is_left_out(
    store: Store, put: Land, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    before = bind(store, table_line(["a", "b", "c"]))
    batches = [put(before.line, {"t.csv": csv(seed)}) for seed in (1, 2)]
    for batch in batches:
        judge(before, batch)
    line: BoundLine = bind(store, table_line(["a", "b"]))
    real, left = Store.create, [writes]

    def dying(self: Store, *arguments: Any) -> bool:
        if not left[0]:
            raise _KilledError
        left[0] -= 1
        return real(self, *arguments)

    monkeypatch.setattr(Store, "create", dying)
    try:
        begin_generation(line)
    except _KilledError:
        monkeypatch.setattr(Store, "create", real)
        begin_generation(line)
    monkeypatch.setattr(Store, "create", real)
    assert line.generation() == 2
    assert line.generations().length() == 2
    assert listed_again(line, 2) == batches
