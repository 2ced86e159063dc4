"""A reviewer's word on a label replaces the accepted one, through quarantine, release and gate."""

from __future__ import annotations

import time
from pathlib import Path

from assets.ingest.landing import land
from assets.line.config import parse_line
from assets.quality.gate import judge
from assets.records.line_store import bind
from assets.records.verdict import BatchVerdict
from assets.review.decisions import Correction, accept, append, fix
from assets.review.documents import RELABELLED, Decision, Member
from assets.review.relabelling import ALL, relabelling_of
from assets.review.returns import release
from assets.review.state import State, select
from assets.storage.store import Store
from tests.assets.held_records import hold, text, text_line

DATA = {"reader": "text", "classes": ["ham", "spam"], "text": {}}
QUALITY = {"min_records": 1, "max_bad_share": 1.0, "label_suspects": "off", "near_duplicates": "off"}
LINE = parse_line("mail", {"data": DATA, "quality": QUALITY}, "test")
WORDS = [f"{word} number {number} of them all" for number, word in enumerate(["anna", "bob", "carl", "dora", "emil"])]


def landed(store: Store, folder: Path, labels: list[str]) -> BatchVerdict:
    folder.mkdir()
    rows = "".join(f"{words},{label}\n" for words, label in zip(WORDS, labels, strict=False))
    (folder / "mail.csv").write_text("text,label\n" + rows)
    return judge(bind(store, LINE), land(bind(store, LINE), folder).batch)


def test_an_accepted_label_replaces_the_one_before(store: Store, tmp_path: Path) -> None:
    assert landed(store, tmp_path / "one", ["ham"] * 5).new == 5
    held = landed(store, tmp_path / "two", ["spam", "spam", "ham", "ham", "ham"])
    assert (held.accepted, held.quarantined) == (3, 2)
    state = State(bind(store, LINE))
    accept(state, LINE, held, select(state, held, rule=RELABELLED), "ann", "they are spam")
    back = judge(bind(store, LINE), release(state, LINE, "ann").batch)
    assert (back.state, back.new, back.corrected) == ("accepted", 2, 2)
    assert back.why.endswith("2 labels corrected: ham -> spam.")
    again = landed(store, tmp_path / "three", ["ham", "spam"])
    assert (again.accepted, again.new, again.quarantined) == (1, 0, 1)


def test_a_corrected_label_replaces_the_one_before_too(store: Store, tmp_path: Path) -> None:
    landed(store, tmp_path / "one", ["ham"] * 5)
    held = landed(store, tmp_path / "two", ["spam", "ham", "ham"])
    state = State(bind(store, LINE))
    fix(state, LINE, held, select(state, held, rule=RELABELLED), "ann", Correction("ham"))
    back = judge(bind(store, LINE), release(state, LINE, "ann").batch)
    assert (back.state, back.new, back.corrected) == ("accepted", 0, 0)


def test_what_decisions_say_of_labels(store: Store) -> None:
    line, state = text_line(), State(bind(store, text_line()))
    records = [text("a", "ham", RELABELLED), text("b", "ham"), text("c", "ham"), text("d", "ham", RELABELLED)]
    verdict = hold(bind(store, line), records)
    ids = [record["id"] for record in records]
    accept(state, line, verdict, select(state, verdict, ids=ids[:1]), "ann", "it is")
    fix(state, line, verdict, select(state, verdict, ids=ids[1:2]), "ann", Correction("spam"))
    accept(state, line, verdict, select(state, verdict, ids=ids[2:3]), "ann", "no word of its label")
    old = Decision(
        "accept", "ann", "before labels were kept", time.time(), verdict.batch, 1, (Member(ids[3], RELABELLED),)
    )
    append(state, old, lambda: None)
    found = relabelling_of(bind(store, line), release(state, line, "ann").batch)
    assert found is not None
    assert found.replaced(ids[0], "ham") == ALL
    assert found.replaced(ids[0], "spam") is None
    assert found.replaced(ids[1], "spam") == {"ham"}
    assert found.replaced(ids[2], "ham") is None
    assert found.replaced(ids[3], "ham") == ALL
    assert relabelling_of(bind(store, line), verdict.batch) is None
