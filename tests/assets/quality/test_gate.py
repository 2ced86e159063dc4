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
from assets.ingest.landing import find_landing, land
from assets.line.config import Line, QualityPolicy
from assets.quality import gate as judge_module
from assets.quality.gate import judge
from assets.quality.rule import Rule
from assets.quality.rules import rules_of
from assets.quality.rulings import Ruling
from assets.records.line_store import LineStore, bind
from assets.records.record import RECORD_COLUMNS
from assets.records.verdict import BatchVerdict
from assets.storage.audit import AuditLog
from assets.storage.store import Store
from edge.contracts import ArtifactRef

Land = Callable[[Line, dict[str, bytes]], str]
Png = Callable[..., bytes]


class Killed(BaseException):
    """Stands for kill -9: nothing catches it."""


def table(store: Store, refs: tuple[ArtifactRef, ...]) -> list[dict[str, Any]]:
    assert refs
    return [row for ref in refs for row in pq.read_table(io.BytesIO(store.fetch(ref))).to_pylist()]


def reasons(verdict: BatchVerdict) -> dict[str, str]:
    return {reason.file: f"{reason.outcome}: {reason.reason}; {reason.remedy}" for reason in verdict.reasons}


def outcomes(verdict: BatchVerdict) -> dict[str, str]:
    return {check.name: check.outcome for check in verdict.checks}


def test_a_good_batch_is_accepted(store: Store, pictures: Line, put: Land, good: dict[str, bytes]) -> None:
    batch = put(pictures, good)
    verdict = judge(bind(store, pictures), batch)
    assert (verdict.state, verdict.seen, verdict.accepted) == ("accepted", 12, 12)
    assert verdict.per_class == {"cat": 6, "dog": 6}
    assert verdict.reasons == ()
    assert verdict.quarantine == ()
    assert set(outcomes(verdict).values()) == {"passed"}
    kept = table(store, verdict.records)
    assert tuple(kept[0]) == RECORD_COLUMNS
    assert {row["file"]: row["input"] for row in kept} == good
    assert [entry.batch for _, entry in LineStore(store, "pets").accepted_batches()] == [batch]
    assert LineStore(store, "pets").verdict(batch) == verdict
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
    verdict = judge(bind(store, pictures), put(pictures, {**good, **bad}))
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
    verdict = judge(bind(store, pictures), put(pictures, {**good, **{f"bird/{n}.png": png(100 + n) for n in range(5)}}))
    assert (verdict.state, verdict.accepted, verdict.quarantined) == ("blocked", 0, 17)
    assert "5 of 17 records are bad (29.4%); at most 25.0% may be" in verdict.why
    assert verdict.records == ()
    assert len(verdict.reasons) == 5
    held = {row["file"]: row["reason"] for row in table(store, verdict.quarantine)}
    assert held["cat/1.png"] == "nothing is wrong with it itself: its batch was blocked"
    assert "is not a class" in held["bird/0.png"]
    assert LineStore(store, "pets").accepted_batches() == []


def test_too_few_good_records_block(store: Store, pictures: Line, put: Land, png: Png) -> None:
    verdict = judge(bind(store, pictures), put(pictures, {f"cat/{n}.png": png(n) for n in range(9)}))
    assert verdict.state == "blocked"
    assert "9 good records; at least 10 are needed" in verdict.why
    assert outcomes(verdict)["every class is in the batch"] == "failed"  # a warning


def test_a_batch_without_any_record_is_blocked(store: Store, pictures: Line, rows: Line, put: Land) -> None:
    for line, files in ((pictures, {"cat/x.png": b"junk"}), (rows, {"x.csv": b"a,b,kind\n"})):
        verdict = judge(bind(store, line), put(line, files))
        assert (verdict.state, verdict.seen, verdict.refused) == ("blocked", 1, 1)
        assert verdict.quarantine == ()
        assert "errored" not in outcomes(verdict).values()
        assert "broke" not in verdict.why


def test_known_pictures_under_another_label_are_quarantined(
    store: Store, pictures: Line, put: Land, good: dict[str, bytes], png: Png
) -> None:
    judge(bind(store, pictures), put(pictures, good))
    more = {f"cat/new{n}.png": png(200 + n) for n in range(12)}
    again = {"dog/was-cat.png": good["cat/1.png"], "cat/known.png": good["cat/3.png"]}
    verdict = judge(bind(store, pictures), put(pictures, {**more, **again}))
    assert (verdict.state, verdict.accepted, verdict.quarantined) == ("accepted", 13, 1)
    assert "it comes as 'dog', but was accepted before as 'cat'" in reasons(verdict)["dog/was-cat.png"]
    assert outcomes(verdict)["every record is new"] == "failed"


def test_two_labels_in_one_batch_are_both_quarantined(
    store: Store, pictures: Line, put: Land, good: dict[str, bytes]
) -> None:
    verdict = judge(bind(store, pictures), put(pictures, {**good, "dog/again.png": good["cat/1.png"]}))
    found = reasons(verdict)
    assert set(found) == {"cat/1.png", "dog/again.png"}
    assert all("'cat' (cat/1.png) and as 'dog' (dog/again.png)" in text for text in found.values())
    assert verdict.accepted == 11


def test_a_copy_of_a_record_under_an_unknown_class_does_not_condemn_it(
    store: Store, pictures: Line, put: Land, good: dict[str, bytes]
) -> None:
    verdict = judge(bind(store, pictures), put(pictures, {**good, "bird/again.png": good["cat/1.png"]}))
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
    found = reasons(judge(bind(store, pictures), put(pictures, {**good, **bad})))
    assert "it is blank" in found["cat/blank.png"]
    assert "one side is 25 times the other" in found["dog/strip.png"]


def test_rows_are_judged_cell_by_cell(store: Store, rows: Line, put: Land) -> None:
    sound = [f"{n},{n * n},{'yes' if n % 2 else 'no'}" for n in range(30)]
    wrong = ["x,1,yes", "1,,no", "inf,2,no", "1,1e400,no", "7,49,HAM", "8,64,YES", "9,81,", "1,2"]
    verdict = judge(bind(store, rows), put(rows, {"x.csv": "\n".join(["a,b,kind", *sound, *wrong]).encode()}))
    assert (verdict.state, verdict.seen, verdict.accepted) == ("accepted", 38, 30)
    found = {reason.place: f"{reason.reason}; {reason.remedy}" for reason in verdict.reasons}
    assert [found[f"line {number}"] for number in range(32, 40)] == [
        "column a: 'x' is not a number; write decimals with a point, or leave the row out",
        "column b: the cell is empty; fill it in or correct it, or leave the row out",
        "column a: 'inf' is not finite; fill it in or correct it, or leave the row out",
        "column b: '1e400' is larger than a 32-bit number holds; fill it in or correct it, or leave the row out",
        "'HAM' is not a class of this line (yes, no); correct the cell, or add it to the line's data.classes, "
        "and land these records as a new batch",
        "'YES' is not a class of this line (yes, no); if 'yes' is meant, write it so, or name it in data.aliases",
        "the label is missing; fill it in",
        "the row has 2 cells, the header has 3; correct the row",
    ]
    kept = table(store, verdict.records)
    assert kept[0]["file"] == "x.csv#2"
    assert len(kept[0]["input"]) == 16


def test_a_table_that_cannot_be_read_blocks(store: Store, rows: Line, put: Land) -> None:
    sound = "a,b,kind\n" + "".join(f"{n},1,yes\n" for n in range(100))
    verdict = judge(bind(store, rows), put(rows, {"x.csv": sound.encode(), "y.csv": b"a,b\n1,2\n"}))
    assert verdict.state == "blocked"
    assert "y.csv cannot be read: the target column 'kind' is missing" in verdict.why
    fine = judge(bind(store, rows), put(rows, {"x.csv": sound.encode(), "README.md": b"hello"}))
    assert (fine.state, fine.refused) == ("accepted", 1)


def test_a_damaged_landing_zone_gives_no_verdict_and_landing_again_repairs_it(
    store: Store, pictures: Line, good: dict[str, bytes], tmp_path: Path
) -> None:
    for name, content in good.items():
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(content)
    landed = land(bind(store, pictures), tmp_path / "in")
    folder = Path(store.path(f"landing/pets/{landed.drop}/files"))

    def change(name: str) -> None:
        (folder / name).write_bytes(good[name][:-1] + b"?")

    def enlarge(name: str) -> None:
        with (folder / name).open("wb") as file:
            file.truncate(1 << 40)  # never read: its size already differs

    def replace(name: str) -> None:
        (folder / name).unlink()
        os.mkfifo(folder / name)

    damages = {
        "cat/1.png": (change, "SHA-256"),
        "cat/3.png": (lambda name: (folder / name).unlink(), "missing"),
        "cat/5.png": (enlarge, "the manifest declares"),
        "dog/0.png": (replace, "not a plain file"),
    }
    for name, (damage, reason) in damages.items():
        damage(name)
        with pytest.raises(LandingError, match=rf"files/{name}: .*{reason}.*land the same source again"):
            judge(bind(store, pictures), landed.batch)
        assert LineStore(store, "pets").verdict(landed.batch) is None
        again = land(bind(store, pictures), tmp_path / "in")
        assert (again.batch, again.new, again.repaired, again.again) == (landed.batch, False, (name,), True)
    (folder.parent / "manifest.json").write_bytes(b"{")
    assert land(bind(store, pictures), tmp_path / "in").repaired == ("manifest.json",)
    entries = [entry for _, entry in LineStore(store, "pets").landings().after(0)]
    assert len({entry.again for entry in entries}) == len(entries) == 6
    assert judge(bind(store, pictures), landed.batch).accepted == 12
    quiet = land(bind(store, pictures), tmp_path / "in")
    assert (quiet.new, quiet.repaired, quiet.again) == (False, (), False)


def test_a_damaged_table_gives_no_verdict_either(store: Store, rows: Line, put: Land) -> None:
    batch = put(rows, {"x.csv": b"a,b,kind\n1,2,yes\n"})
    Path(store.path(f"landing/rows/{find_landing(LineStore(store, 'rows'), batch).drop}/files/x.csv")).unlink()
    with pytest.raises(LandingError, match=r"x\.csv: the file is missing"):
        judge(bind(store, rows), batch)
    assert LineStore(store, "rows").verdict(batch) is None


def with_birds(line: Line) -> Line:
    data = line.config.data.model_copy(update={"classes": (*line.config.data.classes, "bird")})
    return Line(line.name, line.config.model_copy(update={"data": data}))


def test_a_blocked_batch_is_judged_anew_once_its_rules_changed(
    store: Store, pictures: Line, good: dict[str, bytes], png: Png, tmp_path: Path
) -> None:
    for name, content in {**good, **{f"bird/{n}.png": png(100 + n) for n in range(8)}}.items():
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(content)
    batch = land(bind(store, pictures), tmp_path / "in").batch
    blocked = judge(bind(store, pictures), batch)
    assert blocked.state == "blocked"
    assert judge(bind(store, pictures), batch) == blocked
    assert not land(bind(store, pictures), tmp_path / "in").again
    birds = with_birds(pictures)
    assert land(bind(store, birds), tmp_path / "in").again
    assert not land(bind(store, birds), tmp_path / "in").again  # asked for already
    verdict = judge(bind(store, birds), batch)
    assert (verdict.state, verdict.accepted, verdict.rules != blocked.rules) == ("accepted", 20, True)
    assert LineStore(store, "pets").verdict(batch) == verdict
    assert "was accepted" in store.read(verdict.report).decode()
    assert [found for _, found in LineStore(store, "pets").verdict_history(batch).after(0)] == [blocked, verdict]
    assert judge(bind(store, birds), batch) == verdict  # an accepted batch is not judged again in its generation
    assert not land(bind(store, birds), tmp_path / "in").again
    assert [(entry.batch, entry.records) for _, entry in LineStore(store, "pets").accepted_batches()] == [(batch, 20)]


def test_a_slow_judge_anew_does_not_put_an_older_verdict_back(
    store: Store, pictures: Line, put: Land, good: dict[str, bytes], png: Png, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = put(pictures, {**good, **{f"bird/{n}.png": png(100 + n) for n in range(8)}})
    judge(bind(store, pictures), batch)
    stricter = Line("pets", pictures.config.model_copy(update={"quality": QualityPolicy(min_records=11)}))
    save = Store.save

    def slow(self: Store, key: str, value: Any) -> None:
        """Writes late: the judge of the next rules has come and gone meanwhile."""
        if not key.startswith("store/pets/verdicts/"):
            return save(self, key, value)
        monkeypatch.setattr(Store, "save", save)
        assert judge(bind(store, with_birds(pictures)), batch).accepted == 20
        return save(self, key, value)

    monkeypatch.setattr(Store, "save", slow)
    assert judge(bind(store, stricter), batch).accepted == 20
    standing = LineStore(store, "pets").verdict(batch)
    assert standing is not None
    assert standing.accepted == 20
    assert LineStore(store, "pets").verdict_history(batch).length() == 3


def test_killed_while_judging_anew_it_still_ends_whole(
    store: Store, pictures: Line, put: Land, good: dict[str, bytes], png: Png, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = put(pictures, {**good, **{f"bird/{n}.png": png(100 + n) for n in range(8)}})
    judge(bind(store, pictures), batch)
    birds, save = with_birds(pictures), Store.save

    def die(self: Store, key: str, value: Any) -> None:
        raise Killed

    monkeypatch.setattr(Store, "save", die)  # the new verdict is in the history, and does not stand yet
    with pytest.raises(Killed):
        judge(bind(store, birds), batch)
    monkeypatch.setattr(Store, "save", save)
    assert judge(bind(store, birds), batch).accepted == 20
    assert LineStore(store, "pets").verdict_history(batch).length() == 2


def test_files_that_are_no_data_count_nowhere(
    store: Store, pictures: Line, good: dict[str, bytes], tmp_path: Path
) -> None:
    import hashlib

    from assets.ingest.landing import journal_unlisted
    from assets.records.batch import BatchManifest, LandedFile

    files = {**good, "cat/.DS_Store": b"x", "__MACOSX/cat/1.png": b"x"}
    for path, content in files.items():
        store.write(f"landing/pets/robot/files/{path}", content)
    listed = tuple(
        LandedFile(path, hashlib.sha256(data).hexdigest(), len(data)) for path, data in sorted(files.items())
    )
    store.save("landing/pets/robot/manifest.json", BatchManifest("pets", listed))
    (landing,) = journal_unlisted(LineStore(store, "pets")).added
    verdict = judge(bind(store, pictures), landing.batch)
    assert (verdict.seen, verdict.accepted, verdict.reasons) == (12, 12, ())
    assert ".DS_Store" in store.read(verdict.report).decode()


def test_a_batch_that_never_landed_is_refused(store: Store, pictures: Line) -> None:
    with pytest.raises(LandingError, match="land it first"):
        judge(bind(store, pictures), "0" * 64)


def test_a_second_judge_returns_the_first_verdict(
    store: Store,
    pictures: Line,
    put: Land,
    good: dict[str, bytes],
    png: Png,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another judge, with another result, is done while this one is at work: that one's verdict and files stand."""
    batch = put(pictures, {**good, "bird/x.png": png(50), "cat/page.png": b"<html>"})
    strict = Line(
        "pets", pictures.config.model_copy(update={"quality": QualityPolicy(min_records=10, max_bad_share=0)})
    )
    lenient = Line(
        "pets", pictures.config.model_copy(update={"quality": QualityPolicy(min_records=10, max_bad_share=1)})
    )
    winners: list[BatchVerdict] = []
    suite = judge_module.run_rules

    def slow(*arguments: Any) -> list[Ruling]:
        monkeypatch.setattr(judge_module, "run_rules", suite)
        winners.append(judge(bind(store, lenient), batch))
        return suite(*arguments)

    monkeypatch.setattr(judge_module, "run_rules", slow)
    assert judge(bind(store, strict), batch) == winners[0] == LineStore(store, "pets").verdict(batch)
    assert winners[0].state == "accepted"
    assert {row["file"] for row in table(store, winners[0].quarantine)} == {"bird/x.png"}
    assert json.loads(store.read(f"quarantine/pets/{batch}.json"))["blocked"] == []
    assert "This batch was accepted" in store.read(winners[0].report).decode()
    assert LineStore(store, "pets").accepted().length() == 1


def test_a_lost_page_is_put_back(store: Store, pictures: Line, put: Land) -> None:
    verdict = judge(bind(store, pictures), put(pictures, {"cat/1.png": b"junk"}))
    before = store.read(verdict.report)
    for key in (verdict.report, f"quarantine/pets/{verdict.batch}.json"):
        Path(store.path(key)).unlink()
    assert judge(bind(store, pictures), verdict.batch) == verdict
    assert store.read(verdict.report) == before
    assert store.exists(f"quarantine/pets/{verdict.batch}.json")


def test_only_records_that_are_new_to_the_line_count_as_new(
    store: Store, pictures: Line, put: Land, good: dict[str, bytes], png: Png
) -> None:
    first = judge(bind(store, pictures), put(pictures, good))
    second = judge(bind(store, pictures), put(pictures, {**good, "cat/a.png": png(70), "dog/b.png": png(71)}))
    assert (first.new, second.accepted, second.new) == (12, 14, 2)
    assert [entry.records for _, entry in LineStore(store, "pets").accepted_batches()] == [12, 2]
    assert judge(bind(store, pictures), put(pictures, {"cat/c.png": png(72)})).new == 0  # blocked


def test_exact_copies_are_set_aside_but_are_not_bad(
    store: Store, pictures: Line, put: Land, good: dict[str, bytes]
) -> None:
    copies = {f"cat/copy{n}.png": good["cat/1.png"] for n in range(50)}
    verdict = judge(bind(store, pictures), put(pictures, {**good, **copies, "cat/x.png": b"junk"}))
    assert (verdict.state, verdict.accepted, verdict.quarantined, verdict.refused) == ("accepted", 12, 50, 1)
    detail = {check.name: check.detail for check in verdict.checks}["the share of bad records is small"]
    assert detail.startswith("1 of 13 records are bad")
    assert "50 exact copies are not counted" in detail
    bad = {f"dog/x{n}.png": b"junk" for n in range(5)}  # copies must not thin out what is bad, either
    diluted = judge(bind(store, pictures), put(pictures, {**good, **copies, **bad}))
    assert diluted.state == "blocked"
    assert "5 of 17 records are bad" in diluted.why


def test_the_audit_log_tells_counts_and_no_value(
    store: Store, pictures: Line, put: Land, good: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    narrow = Rule("narrow", "A.", "ExpectColumnMaxToBeBetween", {"column": "width", "max_value": 1})
    monkeypatch.setattr(judge_module, "rules_of", lambda config: [*rules_of(config), narrow])
    verdict = judge(bind(store, pictures), put(pictures, good))
    assert "Found 8" in verdict.why
    *_, (_, entry) = AuditLog(store).latest(1)
    assert (entry.action, entry.why) == ("blocked", "of 12 records 0 accepted, 12 quarantined, 0 refused")


def test_killed_at_any_write_then_repeated_the_result_is_single_and_whole(
    store: Store, pictures: Line, put: Land, good: dict[str, bytes], png: Png, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dies before and after each write in turn; the same store is judged on, as a restarted run would."""
    write, create, adopt, copy = Store.write, Store.create, Store.adopt, Store.copy
    batches = [put(pictures, {**good, "cat/broken.png": b"junk", f"cat/new{n}.png": png(1000 + n)}) for n in range(40)]
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
        monkeypatch.setattr(Store, "adopt", wrap(adopt))
        monkeypatch.setattr(Store, "copy", wrap(copy))
        died = False
        try:
            judge(bind(store, pictures), batch)
        except Killed:
            died = True
        monkeypatch.setattr(Store, "write", write)
        monkeypatch.setattr(Store, "create", create)
        monkeypatch.setattr(Store, "adopt", adopt)
        monkeypatch.setattr(Store, "copy", copy)
        before = LineStore(store, "pets").verdict(batch)
        verdict = judge(bind(store, pictures), batch)
        assert before in (None, verdict)
        assert (verdict.state, verdict.accepted, verdict.refused) == ("accepted", 13, 1)
        assert len(table(store, verdict.records)) == 13
        assert verdict.page is not None
        assert store.read(verdict.report) == store.fetch(verdict.page)
        assert batch[:8] in store.read("reports/pets/index.html").decode()
        assert [entry.batch for _, entry in LineStore(store, "pets").accepted().after(0)] == batches[: number + 1]
        assert ("accepted", batch) in {(entry.action, entry.subject) for _, entry in AuditLog(store).latest(10)}
        if not died:
            assert count >= 10  # Parquets, reasons, page, verdict, their copies, journal, indexes: each was died at
            return
    raise AssertionError("never ran to its end")


def test_killed_for_real_between_verdict_and_journal(
    store: Store, pictures: Line, put: Land, good: dict[str, bytes]
) -> None:
    batch = put(pictures, good)
    script = (
        "import os, signal, sys\n"
        "from assets.storage.journal import Journal\n"
        "from assets.line.config import Line, LineConfig\n"
        "from assets.quality.gate import judge\n"
        "from assets.records.line_store import bind\n"
        "from assets.storage.store import Store\n"
        "Journal.append_once = lambda *arguments: os.kill(os.getpid(), signal.SIGKILL)\n"
        "line = Line('pets', LineConfig.model_validate_json(sys.argv[2]))\n"
        "judge(bind(Store(sys.argv[1]), line), sys.argv[3])\n"
    )
    config = pictures.config.model_dump_json()
    done = subprocess.run([sys.executable, "-c", script, store.root, config, batch], timeout=1500, check=False)
    assert done.returncode == -signal.SIGKILL
    first = LineStore(store, "pets").verdict(batch)
    assert first is not None
    assert LineStore(store, "pets").accepted_batches() == []
    assert judge(bind(store, pictures), batch) == first
    assert [entry.batch for _, entry in LineStore(store, "pets").accepted_batches()] == [batch]


def test_a_batch_listed_twice_counts_once(store: Store, pictures: Line, put: Land, good: dict[str, bytes]) -> None:
    batch = put(pictures, good)
    judge(bind(store, pictures), batch)
    journal = LineStore(store, "pets").accepted()
    journal.append(LineStore(store, "pets").accepted_batches()[0][1])
    assert journal.length() == 2
    assert [position for position, _ in LineStore(store, "pets").accepted_batches()] == [1]
    assert LineStore(store, "pets").landings().length() == 1
