"""Profiles: what they hold, and that those of one line add up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from assets.line.data import DataContract
from assets.line.quality import DriftPolicy
from assets.quality.drift.compare import compare
from assets.quality.drift.features import BINS, MAX_WORD, MAX_WORDS, Feature, Tally, choose_bins
from assets.quality.drift.profile import LABEL, Profile, make_profile, merge
from assets.quality.drift.sample import MAX_WIDTH, RECORDS, join_samples, pack
from assets.quality.spool import Spool
from edge.contracts import from_bytes, to_bytes

REGRESSION = DataContract.model_validate({"reader": "table", "table": {"target": "price", "columns": ["a"]}})
IMAGES = DataContract.model_validate(
    {"reader": "image_folder", "classes": ["cat", "dog"], "image": {"height": 8, "width": 8, "channels": 1}}
)


def spooled(
    folder: Path, columns: dict[str, Any], data: DataContract, kept: Any, reference: Profile | None = None
) -> Profile:
    table = pa.table(columns)
    with Spool(folder, table.schema) as spool:
        for start in range(0, max(table.num_rows, 1), 300):
            spool.append(table.slice(start, 300))
        spool.finish()
        return make_profile(spool, data, kept, reference)


@given(arrays(np.float64, st.integers(0, 60), elements=st.floats(allow_nan=True, allow_infinity=True)))
def test_any_numbers_have_a_profile_that_adds_up(values: np.ndarray[Any, np.dtype[np.float64]]) -> None:
    bins = choose_bins(values)
    assert list(bins.edges) == sorted(set(bins.edges))
    assert len(bins.edges) <= 3 * BINS
    tally = Tally(bins)
    for part in np.array_split(values, 3):
        tally.add(part)
    feature = tally.feature("a")
    assert feature.values + feature.nulls == len(values)
    assert feature.values == np.isfinite(values).sum()
    assert np.isfinite([feature.mean, feature.std, *feature.means, *feature.fences]).all()
    profile = Profile(len(values), (feature,))
    assert from_bytes(Profile, to_bytes(profile)) == profile
    compare(profile, merge([profile, profile]), DriftPolicy(min_records=10))


def test_only_good_records_count(tmp_path: Path) -> None:
    columns = {"a": np.arange(1000.0), LABEL: [str(number) for number in range(1000)]}
    profile = spooled(tmp_path / "s", columns, REGRESSION, np.arange(500, 700))
    assert profile.records == 200
    assert profile.by_name["a"].low == 500
    assert profile.by_name["a"].high == 699
    assert profile.by_name[LABEL].kind == "number"
    assert profile.by_name[LABEL].mean == pytest.approx(599.5)
    assert max(profile.by_name["a"].counts) <= 21  # ten bins of equally many
    assert spooled(tmp_path / "t", columns, REGRESSION, []).records == 0


def test_the_sum_of_two_batches_is_the_profile_of_both(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    values = np.where(generator.random(2000) < 0.1, np.nan, generator.normal(1e6, 1, 2000))
    columns = {"a": pa.array(values, from_pandas=True), LABEL: generator.choice(["3", "4.5"], 2000)}
    both = spooled(tmp_path / "both", columns, REGRESSION, np.arange(2000))
    first = spooled(tmp_path / "first", columns, REGRESSION, np.arange(0, 700), both)
    second = spooled(tmp_path / "second", columns, REGRESSION, np.arange(700, 2000), both)
    summed = merge([first, second])
    assert summed.records == 2000
    for name in ("a", LABEL):
        one, other = summed.by_name[name], both.by_name[name]
        assert one.counts == other.counts
        assert (one.nulls, one.low, one.high) == (other.nulls, other.low, other.high)
        assert one.mean == pytest.approx(other.mean)
        assert one.std == pytest.approx(other.std)


def test_profiles_with_other_edges_still_add_up(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    parts = []
    for number in range(3):
        columns = {"a": generator.normal(number / 10, 1, 900), LABEL: ["1"] * 900}
        parts.append(spooled(tmp_path / str(number), columns, REGRESSION, np.arange(900)))
    assert parts[0].by_name["a"].edges != parts[1].by_name["a"].edges
    summed = merge(parts)
    assert summed.by_name["a"].values == 2700
    assert summed.by_name["a"].edges == parts[0].by_name["a"].edges
    assert compare(parts[0], summed, DriftPolicy()).state == "none"
    new_column = merge([Profile(10, (Feature("b", "word", 0, words={"x": 10}),)), parts[0]])
    assert new_column.by_name["b"].nulls == 900  # who lacks the column has no value in it
    with pytest.raises(ValueError, match="no profile"):
        merge([])


def test_endless_words_are_bounded(tmp_path: Path) -> None:
    labels = [f"{'x' * 300}{number}" if number % 2 else "often" for number in range(30_000)]
    table = {"mode": ["L"] * 30_000, LABEL: labels, "_embedding": pa.array([None] * 30_000, pa.list_(pa.float32()))}
    profile = spooled(tmp_path / "s", table, IMAGES, np.arange(30_000))
    label = profile.by_name[LABEL]
    assert label.values == 30_000
    assert label.words["often"] == 15_000
    assert len(label.words) <= MAX_WORDS
    assert max(map(len, label.words)) <= MAX_WORD
    assert len(to_bytes(profile)) < 20_000


@pytest.mark.parametrize("width", [5, 131, 300])
def test_embeddings_are_sampled_in_one_byte_each(tmp_path: Path, width: int) -> None:
    embeddings = np.random.default_rng(0).normal(0, 3, (900, width)).astype(np.float32)
    columns = {
        "brightness": np.arange(900.0),
        LABEL: ["cat"] * 900,
        "_embedding": pa.array(
            [None if row == 4 else list(embeddings[row]) for row in range(900)], pa.list_(pa.float32())
        ),
    }
    profile = spooled(tmp_path / "s", columns, IMAGES, np.arange(900))
    assert profile.sample is not None
    values = profile.sample.array()
    assert RECORDS - 1 <= len(values) <= RECORDS
    assert values.shape[1] == min(width, MAX_WIDTH)
    assert values.std() == pytest.approx(3, rel=0.1) if width <= MAX_WIDTH else values.std() > 3
    assert len(to_bytes(profile)) < 40_000
    summed = merge([profile] * 5)
    assert summed.sample is not None
    assert 150 < len(summed.sample.array()) < 240


def test_a_thousand_small_batches_are_all_in_the_sample() -> None:
    samples = [(10, pack(np.full((10, 1), float(number), dtype=np.float32))) for number in range(1000)]
    joined = join_samples(samples)
    assert joined is not None
    found = np.unique(joined.array().round())
    assert len(found) > 100
    assert found.min() < 100
    assert found.max() > 900


def test_no_embeddings_are_no_sample(tmp_path: Path) -> None:
    columns = {LABEL: ["cat"] * 5, "_embedding": pa.array([None] * 5, pa.list_(pa.float32()))}
    assert spooled(tmp_path / "s", columns, IMAGES, np.arange(5)).sample is None
    assert join_samples([]) is None
