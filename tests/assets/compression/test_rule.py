"""The search's rule: names, cuts, and which proxies are taught on."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from assets.compression.documents import Recipe
from assets.compression.rule import beats, by_promise, candidate_name, proxy_epochs, space, survivors
from assets.line.compression import CompressionPolicy


def test_every_cut_goes_with_every_other_that_the_family_knows() -> None:
    policy = CompressionPolicy(prune=(0.5, 0.3), allocate=("even", "cost"), blocks=(1,), heads=(0.25,))
    names = [candidate_name(recipe).removesuffix("-int8") for recipe in space(policy, {"channels", "blocks"})]
    assert names == [
        "blocks-1",
        "pruned-0.3",
        "pruned-0.3-blocks-1",
        "pruned-0.3-cost",
        "pruned-0.3-cost-blocks-1",
        "pruned-0.5",
        "pruned-0.5-blocks-1",
        "pruned-0.5-cost",
        "pruned-0.5-cost-blocks-1",
    ]
    assert [recipe.heads for recipe in space(policy, {"heads"})] == [0.25]
    assert space(policy, ()) == ()


def test_a_candidate_is_named_by_its_recipe() -> None:
    assert candidate_name(Recipe(format="float32")) == "teacher-float"
    assert candidate_name(Recipe(floats=("a",))) == "teacher-int8-mixed"
    assert candidate_name(Recipe(prune=0.5, allocate="cost", qat=1)) == "pruned-0.5-cost-int8-qat"


def test_proxies_are_only_taught_where_not_all_survive() -> None:
    policy = CompressionPolicy(distill_epochs=10, proxy_share=0.2, survivors=3)
    assert [proxy_epochs(policy, cuts) for cuts in (1, 3, 4)] == [10, 10, 2]


def test_the_front_is_spread_and_its_ends_stay() -> None:
    points = {
        "gentle": (0.01, 4.0, 40),
        "near gentle": (0.012, 3.7, 39),
        "middle": (0.04, 2.0, 20),
        "hard": (0.1, 1.0, 10),
        "beaten": (0.05, 2.2, 21),
        "hopeless": (0.6, 0.5, 5),
    }
    assert survivors(points, 3, hopeless=0.2) == ("hard", "middle", "gentle")
    assert survivors(points, 1, hopeless=0.2) == ("gentle",)
    assert survivors({"hopeless": (0.6, 0.5, 5)}, 3, hopeless=0.2) == ("hopeless",)  # some student is better than none


points = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=3),
    st.tuples(st.floats(-0.1, 1), st.floats(0.001, 100), st.integers(1, 1000)),
    min_size=1,
    max_size=12,
)


@given(points, st.integers(1, 5))
def test_who_survives_is_beaten_by_nobody(found: dict[str, tuple[float, ...]], most: int) -> None:
    stay = survivors(found, most, hopeless=1.0)
    assert 1 <= len(stay) <= most
    assert not any(beats(other, found[name]) for name in stay for other in found.values())
    assert survivors(dict(reversed(found.items())), most, hopeless=1.0) == stay  # whatever their order


@given(st.tuples(st.floats(0, 1), st.floats(0.001, 100)), st.tuples(st.floats(0, 1), st.floats(0.001, 100)))
def test_of_two_at_most_one_beats_the_other(one: tuple[float, float], other: tuple[float, float]) -> None:
    assert not (beats(one, other) and beats(other, one))


def test_what_would_be_chosen_is_taught_first() -> None:
    points = {
        "gentle": (0.0, 9.0, 9),
        "fits": (0.02, 5.0, 5),
        "fits, cheaper": (0.04, 4.0, 4),
        "hard": (0.09, 1.0, 1),
        "nearly": (0.05, 2.0, 2),
    }
    assert by_promise(points, 0.04) == ("fits, cheaper", "nearly", "hard", "fits", "gentle")
    assert by_promise(points, -0.1) == ("gentle", "fits", "fits, cheaper", "nearly", "hard")  # none fits: the nearest


@given(points, st.floats(0, 0.5))
def test_every_survivor_has_its_turn(found: dict[str, tuple[float, ...]], most: float) -> None:
    order = by_promise(found, most)
    assert sorted(order) == sorted(found)
    assert by_promise(dict(reversed(found.items())), most) == order
