"""The gate: what is accepted, quarantined, refused and blocked, and that a kill changes nothing."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from assets.errors import LandingError
from assets.ingest.contract import landing_journal
from assets.ingest.landing import find_landing
from assets.line import Line
from assets.quality.contract import (
    RECORD_COLUMNS,
    BatchVerdict,
    accepted_batches,
    accepted_journal,
    read_verdict,
)
from assets.quality.judge import judge
from assets.store import Store
from edge.contracts import ArtifactRef, from_bytes, to_bytes

Land = Callable[[Line, dict[str, bytes]], str]
Png = Callable[..., bytes]


class Killed(BaseException):
    """Stands for kill -9: nothing catches it."""


def table(store: Store, ref: ArtifactRef | None) -> list[dict[str, Any]]:
    assert ref is not None
    rows: list[dict[str, Any]] = pq.read_table(io.BytesIO(store.fetch(ref))).to_pylist()
    return rows


def reasons(verdict: BatchVerdict) -> dict[str, str]:
    return {reason.file: f"{reason.outcome}: {reason.reason}; {reason.remedy}" for reason in verdict.reasons}


def outcomes(verdict: BatchVerdict) -> dict[str, str]:
    return {check.name: check.outcome for check in verdict.checks}


def test_a_good_batch_is_accepted(store: Store, pictures: Line, put: Land, good: dict[str, bytes]) -> None:
    batch = put(pictures, good)
    verdict = judge(store, pictures, batch)
    assert (verdict.state, verdict.seen, verdict.accepted) == ("accepted", 12, 12)
    assert verdict.per_class == {"cat": 6, "dog": 6}
    assert verdict.reasons == ()
    assert verdict.quarantine is None
    assert set(outcomes(verdict).values()) == {"passed"}
    kept = table(store, verdict.records)
    assert tuple(kept[0]) == RECORD_COLUMNS
    assert {row["file"]: row["input"] for row in kept} == good
    assert [entry.batch for _, entry in accepted_batches(store, "pets")] == [batch]
    assert read_verdict(store, "pets", batch) == verdict
    for page in (verdict.report, "reports/pets/index.html", "reports/index.html"):
        assert store.exists(page)


def test_bad_records_are_set_aside_one_by_one(
    store: Store, pictures: Line, put: Land, good: dict[str, bytes], png: Png
) -> None:
    bad = {
        "cat/page.png": b"<html>",
        "bird/x.png": png(50),
        "cat/copy.png": good["cat/1.png"],
        "dog/tiny.png": png(51, 1),
    }
    verdict = judge(store, pictures, put(pictures, {**good, **bad}))
    assert (verdict.state, verdict.seen, verdict.accepted) == ("accepted", 16, 12)
    assert (verdict.quarantined, verdict.refused) == (3, 1)
    found = reasons(verdict)
    assert set(found) == set(bad)
    assert "refused: not a readable picture" in found["cat/page.png"]
    assert "'bird' is not a class of this line (cat, dog)" in found["bird/x.png"]
    assert "exact copy of cat/1.png" in found["cat/copy.png"]
    assert "1 x 1 pixels are too few" in found["dog/tiny.png"]
    held = table(store, verdict.quarantine)
    assert {row["file"] for row in held} == set(bad) - {"cat/page.png"}
    assert all(row["reason"] for row in held)
    readable = json.loads(store.read(f"quarantine/pets/{verdict.batch}.json"))
    assert {item["file"] for item in readable["reasons"]} == set(bad)


def test_too_many_bad_records_block_the_whole_batch(
    store: Store, pictures: Line, put: Land, good: dict[str, bytes], png: Png
) -> None:
    verdict = judge(store, pictures, put(pictures, {**good, **{f"bird/{n}.png": png(100 + n) for n in range(5)}}))
    assert (verdict.state, verdict.accepted, verdict.quarantined) == ("blocked", 0, 17)
    assert "5 of 17 records are bad (29.4%); at most 25.0% may be" in verdict.why
    assert verdict.records is None
    assert len(verdict.reasons) == 5
    held = {row["file"]: row["reason"] for row in table(store, verdict.quarantine)}
    assert held["cat/1.png"].startswith("batch blocked: 5 of 17")
    assert "is not a class" in held["bird/0.png"]
    assert accepted_batches(store, "pets") == []


def test_too_few_good_records_block(store: Store, pictures: Line, put: Land, png: Png) -> None:
    verdict = judge(store, pictures, put(pictures, {f"cat/{n}.png": png(n) for n in range(9)}))
    assert verdict.state == "blocked"
    assert "9 good records; at least 10 are needed" in verdict.why
    assert outcomes(verdict)["every class is in the batch"] == "failed"  # a warning


def test_a_batch_without_any_record_is_blocked(store: Store, pictures: Line, rows: Line, put: Land) -> None:
    for line, files in ((pictures, {"cat/x.png": b"junk"}), (rows, {"x.csv": b"a,b,kind\n"})):
        verdict = judge(store, line, put(line, files))
        assert (verdict.state, verdict.seen, verdict.refused) == ("blocked", 1, 1)
        assert verdict.quarantine is None


def test_known_pictures_under_another_label_are_quarantined(
    store: Store, pictures: Line, put: Land, good: dict[str, bytes], png: Png
) -> None:
    judge(store, pictures, put(pictures, good))
    more = {f"cat/new{n}.png": png(200 + n) for n in range(12)}
    again = {"dog/was-cat.png": good["cat/1.png"], "cat/known.png": good["cat/3.png"]}
    verdict = judge(store, pictures, put(pictures, {**more, **again}))
    assert (verdict.state, verdict.accepted, verdict.quarantined) == ("accepted", 13, 1)
    assert "it comes as 'dog', but was accepted before as 'cat'" in reasons(verdict)["dog/was-cat.png"]
    assert outcomes(verdict)["every record is new"] == "failed"


def test_two_labels_in_one_batch_are_both_quarantined(
    store: Store, pictures: Line, put: Land, good: dict[str, bytes]
) -> None:
    verdict = judge(store, pictures, put(pictures, {**good, "dog/again.png": good["cat/1.png"]}))
    found = reasons(verdict)
    assert set(found) == {"cat/1.png", "dog/again.png"}
    assert all("'cat' (cat/1.png) and as 'dog' (dog/again.png)" in text for text in found.values())
    assert verdict.accepted == 11


def test_a_copy_of_a_record_under_an_unknown_class_does_not_condemn_it(
    store: Store, pictures: Line, put: Land, good: dict[str, bytes]
) -> None:
    verdict = judge(store, pictures, put(pictures, {**good, "bird/again.png": good["cat/1.png"]}))
    assert set(reasons(verdict)) == {"bird/again.png"}


def test_blank_and_lengthy_pictures_are_quarantined(
    store: Store, pictures: Line, put: Land, good: dict[str, bytes]
) -> None:
    from PIL import Image

    def save(picture: Image.Image) -> bytes:
        buffer = io.BytesIO()
        picture.save(buffer, "PNG")
        return buffer.getvalue()

    strip = Image.frombytes("L", (200, 8), bytes(range(200)) * 8)
    bad = {"cat/blank.png": save(Image.new("L", (8, 8), 9)), "dog/strip.png": save(strip)}
    found = reasons(judge(store, pictures, put(pictures, {**good, **bad})))
    assert "it is blank" in found["cat/blank.png"]
    assert "one side is 25 times the other" in found["dog/strip.png"]


def test_rows_are_judged_cell_by_cell(store: Store, rows: Line, put: Land) -> None:
    sound = [f"{n},{n * n},{'yes' if n % 2 else 'no'}" for n in range(30)]
    wrong = ["x,1,yes", "1,,no", "inf,2,no", "1,1e400,no", "7,49,HAM", "8,64,YES", "9,81,", "1,2"]
    verdict = judge(store, rows, put(rows, {"x.csv": "\n".join(["a,b,kind", *sound, *wrong]).encode()}))
    assert (verdict.state, verdict.seen, verdict.accepted) == ("accepted", 38, 30)
    found = {reason.place: f"{reason.reason}; {reason.remedy}" for reason in verdict.reasons}
    assert [found[f"line {number}"] for number in range(32, 40)] == [
        "column a: 'x' is not a number; write decimals with a point, or leave the row out",
        "column b: the cell is empty; fill it in or correct it, or leave the row out",
        "column a: 'inf' is not finite; fill it in or correct it, or leave the row out",
        "column b: '1e400' is larger than a 32-bit number holds; fill it in or correct it, or leave the row out",
        "'HAM' is not a class of this line (yes, no); correct the cell, or add it to the line's data.classes",
        "'YES' is not a class of this line (yes, no); if 'yes' is meant, write it so",
        "the label is missing; fill it in",
        "the row has 2 cells, the header has 3; correct the row",
    ]
    kept = table(store, verdict.records)
    assert kept[0]["file"] == "x.csv#2"
    assert len(kept[0]["input"]) == 16


def test_a_table_that_cannot_be_read_blocks(store: Store, rows: Line, put: Land) -> None:
    sound = "a,b,kind\n" + "".join(f"{n},1,yes\n" for n in range(100))
    verdict = judge(store, rows, put(rows, {"x.csv": sound.encode(), "y.csv": b"a,b\n1,2\n"}))
    assert verdict.state == "blocked"
    assert "y.csv cannot be read as a table: the target column 'kind' is missing" in verdict.why
    fine = judge(store, rows, put(rows, {"x.csv": sound.encode(), "README.md": b"hello"}))
    assert (fine.state, fine.refused) == ("accepted", 1)


def test_files_changed_after_landing_are_refused(
    store: Store, pictures: Line, put: Land, good: dict[str, bytes], png: Png
) -> None:
    batch = put(pictures, good)
    folder = Path(store.path(f"landing/pets/{find_landing(store, 'pets', batch).drop}/files"))
    changed = bytearray(good["cat/1.png"])
    changed[-1] ^= 1
    (folder / "cat/1.png").write_bytes(changed)
    (folder / "cat/3.png").unlink()
    with (folder / "cat/5.png").open("wb") as file:
        file.truncate(1 << 40)  # never read: its size already differs
    (folder / "dog/0.png").unlink()
    os.mkfifo(folder / "dog/0.png")
    verdict = judge(store, pictures, batch)
    found = reasons(verdict)
    assert "changed after landing" in found["cat/1.png"]
    assert "missing" in found["cat/3.png"]
    assert "the manifest declares" in found["cat/5.png"]
    assert "not a plain file" in found["dog/0.png"]
    assert verdict.state == "blocked"


def test_files_that_are_no_data_count_nowhere(
    store: Store, pictures: Line, good: dict[str, bytes], tmp_path: Path
) -> None:
    import hashlib

    from assets.ingest.contract import BatchManifest, LandedFile
    from assets.ingest.landing import journal_unlisted

    files = {**good, "cat/.DS_Store": b"x", "__MACOSX/cat/1.png": b"x"}
    for path, content in files.items():
        store.write(f"landing/pets/robot/files/{path}", content)
    listed = tuple(
        LandedFile(path, hashlib.sha256(data).hexdigest(), len(data)) for path, data in sorted(files.items())
    )
    store.save("landing/pets/robot/manifest.json", BatchManifest("pets", listed))
    (landing,) = journal_unlisted(store, "pets").added
    verdict = judge(store, pictures, landing.batch)
    assert (verdict.seen, verdict.accepted, verdict.reasons) == (12, 12, ())
    assert ".DS_Store" in store.read(verdict.report).decode()


def test_a_batch_that_never_landed_is_refused(store: Store, pictures: Line) -> None:
    with pytest.raises(LandingError, match="land it first"):
        judge(store, pictures, "0" * 64)


def test_a_second_judge_returns_the_first_verdict(
    store: Store, pictures: Line, put: Land, good: dict[str, bytes]
) -> None:
    batch = put(pictures, good)
    first = judge(store, pictures, batch)
    other = from_bytes(BatchVerdict, to_bytes(first).replace(b'"accepted":12', b'"accepted":12'))
    assert judge(store, pictures, batch) == first == other
    assert accepted_journal(store, "pets").length() == 1


def test_killed_at_any_write_then_repeated_the_result_is_single_and_whole(
    store: Store, pictures: Line, put: Land, good: dict[str, bytes], png: Png, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dies before and after each write in turn; the same store is judged on, as a restarted run would."""
    write, create = Store.write, Store.create
    batches = [put(pictures, {**good, "cat/broken.png": b"junk", f"cat/new{n}.png": png(1000 + n)}) for n in range(24)]
    for number, batch in enumerate(batches):
        die_at, after = number // 2 + 1, number % 2 == 1
        count = 0

        def wrap(call: Any, die_at: int = die_at, after: bool = after) -> Any:
            def dying(*arguments: Any) -> Any:
                nonlocal count
                count += 1
                if count == die_at and not after:
                    raise Killed
                result = call(*arguments)
                if count == die_at:
                    raise Killed
                return result

            return dying

        monkeypatch.setattr(Store, "write", wrap(write))
        monkeypatch.setattr(Store, "create", wrap(create))
        died = False
        try:
            judge(store, pictures, batch)
        except Killed:
            died = True
        monkeypatch.setattr(Store, "write", write)
        monkeypatch.setattr(Store, "create", create)
        before = read_verdict(store, "pets", batch)
        verdict = judge(store, pictures, batch)
        assert before in (None, verdict)
        assert (verdict.state, verdict.accepted, verdict.refused) == ("accepted", 13, 1)
        assert len(table(store, verdict.records)) == 13
        assert batch[:8] in store.read("reports/pets/index.html").decode()
        assert [entry.batch for _, entry in accepted_journal(store, "pets").after(0)] == batches[: number + 1]
        if not died:
            assert count >= 8  # Parquets, reasons, page, verdict, journal, indexes: each was died at
            return
    raise AssertionError("never ran to its end")


def test_killed_for_real_between_verdict_and_journal(
    store: Store, pictures: Line, put: Land, good: dict[str, bytes]
) -> None:
    batch = put(pictures, good)
    script = (
        "import os, signal, sys\n"
        "from assets.journal import Journal\n"
        "from assets.line import Line, LineConfig\n"
        "from assets.quality.judge import judge\n"
        "from assets.store import Store\n"
        "Journal.append = lambda *arguments: os.kill(os.getpid(), signal.SIGKILL)\n"
        "line = Line('pets', LineConfig.model_validate_json(sys.argv[2]))\n"
        "judge(Store(sys.argv[1]), line, sys.argv[3])\n"
    )
    config = pictures.config.model_dump_json()
    done = subprocess.run([sys.executable, "-c", script, store.root, config, batch], timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL
    first = read_verdict(store, "pets", batch)
    assert first is not None
    assert accepted_batches(store, "pets") == []
    assert judge(store, pictures, batch) == first
    assert [entry.batch for _, entry in accepted_batches(store, "pets")] == [batch]


def test_a_batch_listed_twice_counts_once(store: Store, pictures: Line, put: Land, good: dict[str, bytes]) -> None:
    batch = put(pictures, good)
    judge(store, pictures, batch)
    journal = accepted_journal(store, "pets")
    journal.append(accepted_batches(store, "pets")[0][1])
    assert journal.length() == 2
    assert [position for position, _ in accepted_batches(store, "pets")] == [1]
    assert landing_journal(store, "pets").length() == 1
