"""The choice: within the budget or not at all, for any candidates."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.compression.choosing.choose import choose
from assets.compression.documents import Candidate, Candidates, Recipe, Tried
from assets.errors import BudgetError, RejectedError
from assets.line.compression import Budget
from edge.contracts import TARGETS, ArtifactRef, Evidence, InputSpec, Latency, Metric, ParityVerdict

TEACHER = hashlib.sha256(b"teacher").hexdigest()
RECORDS = 1000
CPU, RTX = [TARGETS["cpu-x86"]], [TARGETS["rtx-sm86"], TARGETS["rtx-sm89"]]
ALL = [*CPU, *RTX]


def _candidate(name: str, accuracy: float, size: int, ms: float | None, *, passed: bool = True) -> Candidate:
    files, evidence, parity = {}, {}, {}
    for dialect in ("float", "cpu", "tensorrt"):
        digest = hashlib.sha256(f"{name} {dialect}".encode()).hexdigest()
        files[dialect] = ArtifactRef(f"{name}-{dialect}.onnx", digest, size, "onnx")
        parity[dialect] = (ParityVerdict("quantize", "measured", TEACHER, digest, passed, 0.0, 0.0, RECORDS),)
        evidence[dialect] = Evidence(
            digest,
            (Metric("accuracy", accuracy, "validation", RECORDS), Metric("accuracy", 0.1, "test", RECORDS)),
            latency=None if ms is None else Latency(ms, ms, 1, 1, "a machine"),
        )
    return Candidate(name, Recipe(), 10, 10, files, evidence, parity, None, 1.0)


def _found(*candidates: Candidate, accuracy: float = 0.99) -> Candidates:
    return Candidates(
        line="digits",
        position=1,
        dataset="0" * 64,
        teacher=TEACHER,
        teacher_size=100_000,
        teacher_evidence=Evidence(TEACHER, (Metric("accuracy", accuracy, "validation", RECORDS),)),
        input=InputSpec("table", "input", (1,), (0.0,), (1.0,), ("a",)),
        output="logits",
        labels=("a", "b"),
        candidates=candidates,
    )


shares = st.integers(0, RECORDS).map(lambda good: good / RECORDS)
made = st.builds(
    _candidate,
    st.uuids().map(str),
    shares,
    st.integers(1, 1_000_000),
    st.none() | st.floats(0.001, 100),
    passed=st.booleans() | st.just(True),
)
budgets = st.builds(
    Budget,
    max_drop=st.sampled_from([0.0, 0.01, 0.1, 0.5]),
    max_kb=st.none() | st.floats(0.1, 1000),
    max_ms=st.none() | st.floats(0.001, 100),
)


@given(st.lists(made, min_size=1, max_size=5, unique_by=lambda candidate: candidate.name), shares, budgets)
def test_what_is_chosen_is_within_the_budget(candidates: list[Candidate], teacher: float, budget: Budget) -> None:
    def fits(candidate: Candidate) -> bool:
        latency = candidate.evidence["cpu"].latency
        return (
            all(verdict[0].passed for verdict in candidate.parity.values())
            and round(teacher - candidate.evidence["cpu"].metric("accuracy", "validation").value, 6) <= budget.max_drop
            and (budget.max_kb is None or candidate.onnx["cpu"].size <= budget.max_kb * 1000)
            and (budget.max_ms is None or (latency is not None and latency.median_ms <= budget.max_ms))
        )

    found = _found(*candidates, accuracy=teacher)
    if not any(map(fits, candidates)):
        with pytest.raises(BudgetError) as caught:
            choose(found, budget, ALL)
        assert all(candidate.name in str(caught.value) for candidate in candidates)
        return
    chosen = choose(found, budget, ALL)
    assert fits(chosen.candidate)
    assert set(chosen.rejected) == {candidate.name for candidate in candidates} - {chosen.candidate.name}
    assert all(chosen.rejected.values())
    fastest = min(_ms(candidate) for candidate in candidates if fits(candidate))
    assert _ms(chosen.candidate) <= fastest * 1.05 + 0.005 + 1e-12 or _ms(chosen.candidate) == fastest


def _ms(candidate: Candidate) -> float:
    latency = candidate.evidence["cpu"].latency
    return float("inf") if latency is None else latency.median_ms


def test_the_fastest_that_fits_wins() -> None:
    chosen = choose(_found(_candidate("small", 0.985, 10, 2.0), _candidate("fast", 0.985, 99, 1.0)), Budget(), ALL)
    assert chosen.candidate.name == "fast"
    assert "fast is the cheapest of 2 that fit the budget" in chosen.why
    assert chosen.rejected["small"].startswith("fits the budget, but costs more than fast: it takes 2.0000 ms")


def test_among_the_equally_fast_the_smallest_wins() -> None:
    chosen = choose(_found(_candidate("large", 0.99, 99, 1.00), _candidate("small", 0.99, 10, 1.04)), Budget(), ALL)
    assert chosen.candidate.name == "small"
    assert chosen.rejected["large"].startswith("fits the budget, and is as fast as can be told apart, but larger than")


def test_the_worst_dialect_counts() -> None:
    good, bad = _candidate("good", 0.99, 10, 2.0), _candidate("bad", 0.99, 10, 1.0)
    worse = replace(bad.evidence["tensorrt"], metrics=(Metric("accuracy", 0.9, "validation", RECORDS),))
    bad = replace(bad, evidence={**bad.evidence, "tensorrt": worse})
    chosen = choose(_found(good, bad), Budget(), ALL)
    assert chosen.candidate.name == "good"
    assert (
        "loses 0.0900 of accuracy on validation records, 0.0800 more than the 0.0100 allowed" in chosen.rejected["bad"]
    )


def test_a_gap_in_the_chain_is_never_chosen() -> None:
    whole, gap = _candidate("whole", 0.99, 10, 2.0), _candidate("gap", 0.99, 10, 1.0)
    gap = replace(gap, parity={**gap.parity, "cpu": ()})
    chosen = choose(_found(whole, gap), Budget(), ALL)
    assert chosen.candidate.name == "whole"
    assert "the chain ends at" in chosen.rejected["gap"]


def test_evidence_about_another_file_is_never_chosen() -> None:
    mine, other = _candidate("mine", 0.99, 10, 2.0), _candidate("other", 0.99, 10, 1.0)
    forged = {**other.evidence, "cpu": replace(other.evidence["cpu"], artifact="0" * 64)}
    chosen = choose(_found(mine, replace(other, evidence=forged)), Budget(), ALL)
    assert chosen.candidate.name == "mine"
    assert "evidence is about another file" in chosen.rejected["other"]


def test_an_unknown_time_fits_no_limit() -> None:
    with pytest.raises(BudgetError, match="takes a time that is unknown until a device reports it"):
        choose(_found(_candidate("unknown", 0.99, 10, None)), Budget(max_ms=5), ALL)
    assert choose(_found(_candidate("unknown", 0.99, 10, None)), Budget(), ALL).candidate.name == "unknown"


def test_where_nothing_fits_the_nearest_comes_first() -> None:
    with pytest.raises(BudgetError) as caught:
        choose(_found(_candidate("far", 0.8, 10, 1.0), _candidate("near", 0.975, 10, 1.0)), Budget(), ALL)
    first, *rows = str(caught.value).splitlines()
    assert first == "line 'digits': none of 2 candidates fits the budget; nearest first:"
    assert rows[0].startswith("  near: loses 0.0150 of accuracy on validation records, 0.0050 more than")
    assert rows[1].startswith("  far: ")


def _swap(candidate: Candidate, dialect: str, accuracy: float, size: int, *, passed: bool = True) -> Candidate:
    """The same candidate with another file in one dialect."""
    other = _candidate(candidate.name, accuracy, size, None, passed=passed)
    return replace(
        candidate,
        onnx={**candidate.onnx, dialect: other.onnx[dialect]},
        evidence={**candidate.evidence, dialect: other.evidence[dialect]},
        parity={**candidate.parity, dialect: other.parity[dialect]},
    )


def test_only_what_ships_counts() -> None:
    found = _found(_swap(_candidate("half", 0.99, 10, 1.0), "tensorrt", 0.5, 99_000, passed=False))
    assert choose(found, Budget(max_kb=50), CPU).candidate.name == "half"
    with pytest.raises(BudgetError, match="tensorrt: quantize failed its parity check"):
        choose(found, Budget(), ALL)
    found = _found(_swap(_candidate("half", 0.99, 10, 1.0), "cpu", 0.5, 99_000, passed=False))
    assert choose(found, Budget(max_kb=50), RTX).candidate.name == "half"
    found = _found(_swap(_candidate("half", 0.99, 10, 1.0), "tensorrt", 0.99, 99_000))
    with pytest.raises(BudgetError, match=r"has 99\.0 kB, 49.0 kB more"):
        choose(found, Budget(max_kb=50), ALL)


def test_plans_alone_are_ranked_by_work_then_bytes_and_never_timed() -> None:
    fast, small = _candidate("fast", 0.99, 99, 1.0), _candidate("small", 0.99, 10, 2.0)
    lean = replace(_candidate("lean", 0.99, 10, 3.0), macs=5)
    chosen = choose(_found(fast, small, lean), Budget(), RTX)
    assert chosen.candidate.name == "lean"
    assert "takes a time that is unknown until a device reports it" in chosen.why
    assert choose(_found(fast, small), Budget(), RTX).candidate.name == "small"


def test_a_limit_of_time_is_not_held_against_what_was_not_timed_there_and_that_is_said() -> None:
    found = _found(_candidate("fast", 0.99, 99, 1.0))
    chosen = choose(found, Budget(max_ms=0.5), RTX)
    assert "on rtx-sm86, rtx-sm89 it takes a time that is unknown until a device reports it" in chosen.why
    assert "`max_ms` is not held against it there" in chosen.why
    with pytest.raises(BudgetError, match=r"takes 1\.0000 ms, 0\.5000 ms more than the 0\.5000 ms allowed"):
        choose(found, Budget(max_ms=0.5), ALL)


def test_a_class_that_died_is_never_chosen_whatever_the_whole_says() -> None:
    whole, dead = _candidate("whole", 0.99, 10, 2.0), _candidate("dead", 0.99, 10, 1.0)
    whole, dead = replace(whole, class_drops={"a": 0.01, "b": 0.0}), replace(dead, class_drops={"a": -0.01, "b": 0.4})
    assert choose(_found(whole, dead), Budget(), ALL).candidate.name == "dead"
    chosen = choose(_found(whole, dead), Budget(max_drop_per_class=0.1), ALL)
    assert chosen.candidate.name == "whole"
    assert chosen.rejected["dead"] == (
        "loses 0.4000 of the recall of class 'b' on validation records, 0.3000 more than the 0.1000 allowed"
    )
    with pytest.raises(RejectedError, match=r"max_drop_per_class: the model's answer is no class"):
        choose(_found(_candidate("number", 0.99, 10, 1.0)), Budget(max_drop_per_class=0.1), ALL)


def test_other_metrics_have_limits_of_their_own() -> None:
    def also(candidate: Candidate, f1: float) -> Candidate:
        more = Metric("macro_f1", f1, "validation", RECORDS)
        evidence = {name: replace(one, metrics=(*one.metrics, more)) for name, one in candidate.evidence.items()}
        return replace(candidate, evidence=evidence)

    found = _found(also(_candidate("even", 0.99, 10, 2.0), 0.98), also(_candidate("odd", 0.99, 10, 1.0), 0.8))
    teacher = found.teacher_evidence
    found = replace(
        found,
        teacher_evidence=replace(teacher, metrics=(*teacher.metrics, Metric("macro_f1", 0.98, "validation", RECORDS))),
    )
    chosen = choose(found, Budget(max_drops={"macro_f1": 0.02}), ALL)
    assert chosen.candidate.name == "even"
    assert "loses 0.1800 of macro_f1 on validation records, 0.1600 more than the 0.0200" in chosen.rejected["odd"]
    with pytest.raises(RejectedError, match=r"names 'f7', which is not measured; there are accuracy, macro_f1"):
        choose(found, Budget(max_drops={"f7": 0.02}), ALL)


def test_where_float_ships_it_is_said_why_not_int8() -> None:
    floating = replace(_candidate("teacher-float", 0.99, 99, 2.0), recipe=Recipe(format="float32"))
    broken = _candidate("teacher-int8", 0.7, 10, 1.0)
    chosen = choose(_found(floating, broken), Budget(), ALL)
    assert chosen.candidate.name == "teacher-float"
    assert "not teacher-int8: loses 0.2900 of accuracy on validation records" in chosen.why
    tried = Tried("teacher-int8", Recipe(), None, None, "it has no layer that INT8 takes", 0.1)
    chosen = choose(replace(_found(floating), tried=(tried,)), Budget(), ALL)
    assert chosen.why.endswith("not teacher-int8: it has no layer that INT8 takes")
