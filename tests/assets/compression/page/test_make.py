"""The page of a search: everything asked for is on it, hostile names are words only, and its size is bounded."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.compression.choosing.choose import choose
from assets.compression.choosing.front import front_of
from assets.compression.choosing.rows import front_rows
from assets.compression.choosing.wording import recipe_in_words
from assets.compression.documents import Recipe, Tried
from assets.compression.page import EngineFacts, make_page
from assets.compression.page.labels import Wanted, place, width_of
from assets.errors import BudgetError
from assets.line.compression import Budget
from edge.contracts import TARGETS, Evidence
from tests.assets.compression.page.made_searches import (
    MACHINE,
    made_candidate,
    made_choice,
    made_confusion,
    made_found,
    made_layers,
)

CPU, RTX = [TARGETS["cpu-x86"]], [TARGETS["rtx-sm86"], TARGETS["rtx-sm89"]]
ALL = [*CPU, *RTX]
BUDGET = Budget(max_drop=0.01, max_ms=0.2, max_kb=500, max_drop_per_class=0.02, max_drops={"macro_f1": 0.01})
ENGINES = {"rtx-sm86": EngineFacts(2_270_000, "TensorRT-RTX 1.7.1.116", ("explicit batch",), 812.0)}
EVIL = "<script>document.title='owned'</script><img src=x onerror=alert(1)>"
LONG = "/a_very_long_name_without_any_space" * 4
VOID = {"meta", "path", "br", "img", "link"}


@pytest.fixture(autouse=True)
def here_is_x86(monkeypatch: pytest.MonkeyPatch) -> None:
    """The made latencies are of a cpu-x86, wherever the tests run."""
    monkeypatch.setattr("assets.compression.choosing.front.is_here", lambda target: target.name == "cpu-x86")


class _Reader(HTMLParser):
    """Refuses tags that do not close; keeps the words."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert not any(name.startswith("on") for name, _ in attrs)
        self.words.append(" ")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self.words.append(" ")
        assert tag in VOID or self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def _read(page: bytes) -> str:
    reader = _Reader()
    reader.feed(page.decode())
    assert reader.open == []
    assert reader.tags.isdisjoint({"script", "img", "iframe", "object", "link"})
    return " ".join("".join(reader.words).split())


def _page(name: str = "pruned-0.3-cost-int8") -> str:
    found = made_found()
    return _read(make_page(found, made_choice(found, name), "", ALL, ENGINES, budget=BUDGET, linked=True))


def test_it_says_what_was_chosen_and_what_that_costs() -> None:
    words = _page()
    assert "pruned-0.3-cost-int8: 4.9 times as fast and 6.9 times as small, loses 0.90 points of accuracy" in words
    assert "paired 95 % interval 0.20 to 1.60" in words
    assert "80.10 % accuracy on 1,000 test records, 78.10 to 82.10 %" in words
    assert "✓ 0.0940 ms; elsewhere unknown until a device reports" in words
    assert "2.00 points ✓ 1.20 points" in words  # the worst class


def test_every_candidate_and_trial_is_there_with_its_reason() -> None:
    words, found = _page(), made_found()
    for candidate in found.candidates:
        assert candidate.name in words
    assert "30 % of channels removed, more where the work is; 10 epochs of distillation; INT8 (min-max ranges)" in words
    assert words.count("Why not: loses 0.0210 of accuracy") == len(found.candidates) - 1
    for one in found.tried:
        assert one.name in words
        assert one.why in words
    assert "stay in float" not in words
    kept = "In the chosen model these stay in float: /layers/0/conv/Conv , /layers/1/conv/Conv ."
    assert kept in _page("teacher-int8-floats2")


def test_it_shows_the_proof_and_the_engines() -> None:
    words = _page()
    for part in ("cpu dialect, for cpu-x86", "passed distill measured", "passed quantize simulated", "INT8, tensorrt"):
        assert part in words
    assert "2,270 kB TensorRT-RTX 1.7.1.116 explicit batch 812 MiB unknown until a device reports" in words
    assert "Training on several threads is not deterministic" in words
    assert f"Measured in turn on {MACHINE}" in words
    assert "on rtx-sm86, rtx-sm89 is unknown until a device reports it. In its place stand multiply-adds" in words


def test_where_nothing_fits_the_nearest_misses_are_told() -> None:
    found, budget = made_found(), Budget(max_drop=0.0, max_kb=100)
    with pytest.raises(BudgetError) as caught:
        choose(found, budget, ALL)
    words = _read(make_page(found, None, str(caught.value), ALL, budget=budget))
    assert "Nothing fits the budget" in words
    assert "none of 12 candidates fits the budget. The nearest misses" in words
    assert "256.0 kB more than the 100.0 allowed" in words
    assert "Raise budget , or change compress" in words
    assert "✗ 356 kB" in words
    rows = front_rows(found, None, str(caught.value), ALL)
    assert not any(row["chosen"] for row in rows)
    assert all(row["why"] for row in rows)


def test_the_front_is_what_nothing_beats() -> None:
    found = made_found()
    front = front_of(found, CPU)
    assert "pruned-0.3-int8" in front
    assert "pruned-0.5-float" not in front  # pruned-0.3-int8 is better in everything
    assert "pruned-0.7-int8" not in front  # its conversion failed
    slow = made_candidate("slow", Recipe(), drop=0.0, ms=None, size=1)
    assert "slow" in front_of(replace(found, candidates=(*found.candidates, slow)), RTX)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 3), st.integers(1, 3)), min_size=1, max_size=8))
def test_each_candidate_off_the_front_is_beaten_by_one_on_it(costs: list[tuple[int, int, int]]) -> None:
    made = {
        f"c{at}": made_candidate(f"c{at}", Recipe(), drop=lost / 100, ms=float(ms), size=size)
        for at, (lost, ms, size) in enumerate(costs)
    }
    front = front_of(made_found(list(made.values())), CPU)
    point = {f"c{at}": cost for at, cost in enumerate(costs)}

    def beats(first: str, second: str) -> bool:
        return point[first] != point[second] and all(a <= b for a, b in zip(point[first], point[second], strict=True))

    for name in made:
        assert (name in front) == (not any(beats(other, name) for other in made))
        assert name in front or any(beats(other, name) for other in front)


def test_rows_are_flat_and_of_every_target() -> None:
    found = made_found()
    chosen = made_choice(found, "pruned-0.3-cost-int8")
    rows = front_rows(found, chosen, "", ALL, ENGINES)
    assert len(rows) == 3 * len(found.candidates)
    assert {type(value) for row in rows for value in row.values()} <= {str, float, int, bool, type(None)}
    own = {row["target"]: row for row in rows if row["chosen"]}
    assert own["cpu-x86"]["ms_b1"] == 0.094
    assert own["cpu-x86"]["engine_kb"] is None
    assert own["rtx-sm86"]["ms_b1"] is None
    assert own["rtx-sm86"]["engine_kb"] == 2270.0
    assert own["cpu-x86"]["test_drop_low"] == pytest.approx(0.002)
    assert own["cpu-x86"]["why"] == chosen.why


def test_a_latency_of_another_machine_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assets.compression.choosing.front.is_here", lambda target: target.name == "cpu-arm64")
    rows = front_rows(made_found(), None, "", CPU)
    assert all(row["ms_b1"] is None for row in rows)


def test_recipes_in_words() -> None:
    recipe = Recipe(prune=0.25, blocks=2, heads=0.5, epochs=1, qat=3, format="int8", ranges="entropy", floats=("a",))
    assert recipe_in_words(recipe) == (
        "25 % of channels removed; 2 blocks removed; 50 % of attention heads removed; 1 epoch of distillation; "
        "3 epochs with INT8 simulated; INT8 (entropy ranges); 1 layer left in float"
    )
    assert recipe_in_words(Recipe(format="weights8")) == "weights in INT8, the rest in float32"


def test_what_is_slower_is_said_to_be() -> None:
    slow = made_candidate("slow", Recipe(), drop=0.0, ms=0.93, size=100_000)
    found = made_found([*made_found().candidates[:1], slow])
    words = _read(make_page(found, made_choice(found, "slow"), "", CPU))
    assert "slow: 2.0 times as slow and 27.8 times as small" not in words  # from 20 on without a digit after the point
    assert "slow: 2.0 times as slow and 28 times as small" in words
    assert "a call; the teacher 0.465 ms, so 2.0 times as slow" in words


def test_a_limit_far_from_all_flattens_no_plot() -> None:
    found = made_found()
    chosen = made_choice(found, "pruned-0.3-int8")
    near, far = (make_page(found, chosen, "", CPU, budget=Budget(max_drop=drop)).decode() for drop in (0.03, 0.5))
    assert "its limits" in near
    assert "its limits" in far  # 41 points were lost by one
    small = made_found(found.candidates[:6])
    page = make_page(small, chosen, "", CPU, budget=Budget(max_drop=0.5)).decode()
    assert "its limits" not in page
    assert "within the budget" in page


def test_a_proxy_that_tells_none_apart_and_a_file_that_was_shown_are_not_drawn_again() -> None:
    found = made_found(made_found().candidates[:5])
    chosen = made_choice(found, "teacher-int8")
    words = _read(make_page(found, chosen, "", [*CPU, TARGETS["cpu-arm64"]], budget=BUDGET))
    assert words.count("Accuracy lost in points, by") == 2
    assert "on cpu-arm64 is unknown until a device reports it. All have as many multiply-adds" in words
    assert "The files are those of the plot by size above." in words


hostile = st.text(max_size=300) | st.sampled_from(
    [EVIL, LONG, "</style>", "{{ 1 }}", "</title><b>", "`a`", "\x00\ud800"]
)


@settings(max_examples=12, deadline=None)
@given(st.lists(hostile, min_size=9, max_size=9))
def test_what_data_says_stays_words(names: list[str]) -> None:
    page, plain = _poisoned(names), _poisoned(["x"] * 9)
    _read(page)
    for tag in (b"<td", b"<li", b"<path", b"<text", b"<style"):
        assert page.count(tag) == plain.count(tag)


def test_hostile_names_stand_there_as_they_are() -> None:
    page = _poisoned([EVIL] * 9)
    assert _read(page).count("<script>document.title") > 9
    assert b"<script" not in page


def _poisoned(names: list[str]) -> bytes:
    labels = (names[2], f"{names[2]} two")
    layers = tuple(replace(layer, layer=names[1], op=names[5]) for layer in made_layers(3))
    first = made_candidate(
        f"one {names[0]}", Recipe(floats=(names[1],)), drop=0.001, labels=labels, layers=layers, size=300_000
    )
    found = made_found(
        [first, made_candidate(f"two {names[3]}", Recipe(), drop=0.004, size=90_000)],
        line=f"a {names[4]}",
        labels=labels,
        confusion=made_confusion(2),
        tried=(Tried(names[5], Recipe(), 0.1, None, names[6], 1.0),),
        note=f"a {names[6]}",
    )
    facts = EngineFacts(1, f"a {names[8]}", (f"a {names[0]}",), note=f"a {names[1]}")
    return make_page(
        found, made_choice(found, first.name, why=f"a {names[7]}"), "", ALL, {names[7]: facts}, budget=BUDGET
    )


def test_its_size_is_bounded() -> None:
    labels = tuple(f"class number {at} {LONG}" for at in range(40))
    layers = made_layers(500, LONG + "{}")
    many = [
        made_candidate(
            f"{LONG}-{at}",
            Recipe(prune=0.3, epochs=at + 1, floats=tuple(layer.layer for layer in layers)),
            drop=at / 2000,
            ms=0.1 + 0.001 * (200 - at),
            size=1_000_000 - 4_000 * at,
            labels=labels,
            layers=layers if at < 5 else (),
        )
        for at in range(200)
    ]
    tried = tuple(Tried(f"{LONG}-{at}", Recipe(), 0.1, 0.1, EVIL * 40, 1.0) for at in range(400))
    found = made_found(many, labels=labels, confusion=made_confusion(40), tried=tried)
    page = make_page(found, made_choice(found, many[150].name), "", ALL, budget=BUDGET)
    words = _read(page)
    assert "… and 200 more." in words  # trials
    assert len(page) < 1_500_000


def test_what_was_not_measured_is_unknown() -> None:
    bare = made_candidate("bare", Recipe(), ms=None)
    bare = replace(
        bare,
        evidence={name: Evidence(one.artifact) for name, one in bare.evidence.items()},
        class_drops={},
        confusion=(),
    )
    found = made_found([bare], labels=(), confusion=(), tried=(), metric="rmse", note="", seconds=0.0)
    words = _read(make_page(found, made_choice(found, "bare"), "", ALL, budget=BUDGET))
    assert "RMSE" in words
    assert "loss unknown" in words
    assert "No candidate could be drawn" in words
    empty = made_found([])
    assert "The search made no candidate" in _read(make_page(empty, None, "line 'x': none of 0 fits", ALL))
    with pytest.raises(ValueError, match="at least one target"):
        make_page(found, None, "", [])


@settings(max_examples=50)
@given(
    st.lists(
        st.tuples(
            st.floats(46, 310), st.floats(8, 166), st.text(max_size=24), st.sampled_from(["", "strong", "faint"])
        ),
        max_size=25,
    )
)
def test_labels_lie_beside_each_other(points: list[tuple[float, float, str, str]]) -> None:
    wanted = [Wanted(x, y, (f"{at} {text}", str(at)), style) for at, (x, y, text, style) in enumerate(points)]
    boxes = []
    for label in place(wanted):
        width = width_of(label.text, label.style)
        left = label.x - {"start": 0.0, "middle": width / 2, "end": width}[label.anchor]
        boxes.append((left, label.y - 8, left + width, label.y + 2))
        assert left >= 46
        assert left + width <= 320
    for at, (left, top, right, bottom) in enumerate(boxes):
        for other in boxes[:at]:
            assert left >= other[2] or other[0] >= right or top >= other[3] or other[1] >= bottom
