"""Drift: what was planted is found, and resampled data raises no alarm."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from assets.line.data import DataContract
from assets.line.quality import DriftPolicy
from assets.quality.drift.compare import Drift, compare
from assets.quality.drift.domain import domain_auc
from assets.quality.drift.profile import LABEL, Profile, make_profile
from assets.quality.spool import Spool
from edge.contracts import from_bytes, to_bytes

POLICY = DriftPolicy()
CLASSES = tuple(f"class{number}" for number in range(37))
COLUMNS = ("normal", "lognormal", "zeros", "whole", "constant", "uniform", "mode")
Rows = Mapping[str, Any]
ProfileOf = Callable[..., Profile]


def contract(**privacy: Any) -> DataContract:
    table = {"target": "kind", "columns": COLUMNS, "categories": {"mode": ("L", "RGB", "CMYK")}}
    return DataContract.model_validate({"reader": "table", "classes": CLASSES, "table": table, "privacy": privacy})


def rows(generator: np.random.Generator, count: int) -> dict[str, Any]:
    """Records of every shape that has fooled a drift test: long tails, many zeros, few or one values, many words."""
    weights = 1 / np.arange(1, 38)
    return {
        "normal": generator.normal(20, 3, count),
        "lognormal": generator.lognormal(0, 2, count),
        "zeros": np.where(generator.random(count) < 0.9, 0.0, generator.exponential(1, count)),
        "whole": generator.integers(0, 4, count).astype(float),
        "constant": np.full(count, 5.0),
        "uniform": np.where(generator.random(count) < 0.2, np.nan, generator.random(count)),
        "mode": generator.choice(["L", "RGB", "CMYK"], count, p=[0.7, 0.29, 0.01]),
        LABEL: generator.choice(CLASSES, count, p=weights / weights.sum()),
    }


@pytest.fixture
def profile(tmp_path: Path) -> ProfileOf:
    """Makes the profile of columns."""
    made = 0

    def call(columns: Rows, reference: Profile | None = None, **privacy: Any) -> Profile:
        nonlocal made
        made += 1
        arrays = {name: pa.array(values, from_pandas=True) for name, values in columns.items()}
        table = pa.table(arrays)
        with Spool(tmp_path / f"spool{made}", table.schema) as spool:
            for start in range(0, table.num_rows, 4000):
                spool.append(table.slice(start, 4000))
            spool.finish()
            return make_profile(spool, contract(**privacy), np.ones(spool.rows, dtype=bool), reference)

    return call


@pytest.fixture
def reference(profile: ProfileOf) -> Profile:
    return profile(rows(np.random.default_rng(0), 20_000))


def test_resampled_batches_of_200_raise_no_alarm(profile: ProfileOf, reference: Profile) -> None:
    generator = np.random.default_rng(1)
    alarms = [compare(profile(rows(generator, 200), reference), reference, POLICY).drifted for _ in range(100)]
    assert [alarm for alarm in alarms if alarm] == []  # at most 2 of 100 were allowed; there are none


def test_a_small_reference_raises_no_alarm_either(profile: ProfileOf) -> None:
    generator = np.random.default_rng(2)
    alarms = 0
    for _ in range(60):
        small = profile(rows(generator, 100))
        alarms += bool(compare(profile(rows(generator, 100), small), small, POLICY).drifted)
    assert alarms <= 1


def drift_of(profile: ProfileOf, reference: Profile, count: int = 1000, **changed: Callable[..., Any]) -> Drift:
    columns = rows(np.random.default_rng(3), count)
    for name, change in changed.items():
        columns[name] = change(columns[name])
    return compare(profile(columns, reference), reference, POLICY)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("normal", lambda x: x + 2.5),
        ("normal", lambda x: x * 1.8 + 32),  # Celsius to Fahrenheit
        ("normal", lambda x: 20 + (x - 20) * 3),
        ("lognormal", lambda x: x * 1000),
        ("zeros", lambda x: np.where(np.arange(len(x)) % 2 == 0, 1.0, x)),
        ("whole", lambda x: np.where(x == 3, 0.0, x)),
        ("constant", lambda x: x + 1e-6),
        ("constant", lambda x: x - 3),
        ("uniform", lambda x: np.where(np.arange(len(x)) % 2 == 0, np.nan, x)),
        ("uniform", lambda x: np.full(len(x), np.nan)),
        ("mode", lambda x: np.where(np.arange(len(x)) % 3 == 0, "CMYK", x)),
        ("mode", lambda x: np.where(np.arange(len(x)) % 5 == 0, "never seen", x)),
        (LABEL, lambda x: np.where(np.arange(len(x)) % 2 == 0, "class36", x)),
        (LABEL, lambda x: np.full(len(x), "class0")),
    ],
)
def test_what_was_planted_is_found_and_nothing_else(
    profile: ProfileOf, reference: Profile, name: str, change: Callable[[Any], Any]
) -> None:
    drift = drift_of(profile, reference, **{name: change})
    assert drift.drifted == (name,)
    assert drift.state == "drifted"
    assert drift.features[0].name == name
    assert ("mix of labels" if name == LABEL else f"Column {name!r}") in drift.sentences[1]


def test_sizes_are_those_of_the_formulas(profile: ProfileOf, reference: Profile) -> None:
    drift = drift_of(profile, reference, 20_000, normal=lambda x: x + 3)
    moved = drift.features[0]
    assert moved.wasserstein == pytest.approx(1.0, abs=0.05)  # one standard deviation
    assert moved.psi == pytest.approx(1.0, abs=0.12)  # of two normals one standard deviation apart, in ten bins
    assert 0.38 < moved.js < 0.5
    assert moved.now == pytest.approx(23, abs=0.1)
    assert moved.before == pytest.approx(20, abs=0.1)
    assert all(item.psi < 0.01 and not item.drifted for item in drift.features[1:])
    assert "its mean is 2" in drift.sentences[1]


def test_a_small_shift_of_many_records_is_no_drift(profile: ProfileOf, reference: Profile) -> None:
    assert drift_of(profile, reference, 20_000, normal=lambda x: x + 0.3).state == "none"  # sure, but small


def test_one_absurd_cell_is_no_drift(profile: ProfileOf, reference: Profile) -> None:
    drift = drift_of(profile, reference, 200, normal=lambda x: np.where(np.arange(len(x)) == 7, 1e300, x))
    assert drift.state == "none"


def test_small_batches_are_not_compared(profile: ProfileOf, reference: Profile) -> None:
    drift = drift_of(profile, reference, 99, normal=lambda x: x * 100)
    assert drift.state == "not compared"
    assert drift.drifted == ()
    assert "99 good records, and 100 are needed" in drift.sentences[0]


def test_private_columns_show_no_values(profile: ProfileOf) -> None:
    generator = np.random.default_rng(0)
    hidden = {"private": ["normal"]}
    reference = profile(rows(generator, 1000), **hidden)
    drift = compare(
        profile({**rows(generator, 1000), "normal": np.full(1000, 41.25)}, reference, **hidden), reference, POLICY
    )
    assert drift.drifted == ("normal",)
    assert drift.features[0].private
    assert drift.features[0].now is None
    assert "41" not in " ".join(drift.sentences)
    assert reference.by_name["normal"].low is None
    assert reference.by_name["lognormal"].low is not None


def test_documents_survive_the_store(profile: ProfileOf, reference: Profile) -> None:
    drift = drift_of(profile, reference, normal=lambda x: x * 100)
    assert from_bytes(Drift, to_bytes(drift)) == drift
    assert from_bytes(Profile, to_bytes(reference)) == reference
    assert len(to_bytes(reference)) < 6000


def pictures(generator: np.random.Generator, count: int, brightness: float = 0.0) -> NDArray[np.float32]:
    """Embeddings of made-up pictures: an 8 x 8 grey thumbnail, five kinds of scene."""
    scenes = np.random.default_rng(5).normal(0.5, 0.15, (5, 64))
    found = scenes[generator.integers(0, 5, count)] + generator.normal(0, 0.1, (count, 64))
    return (found + generator.normal(brightness, 0.08, (count, 1))).clip(0, 1).astype(np.float32)


def test_a_brightness_shift_is_told_by_the_domain_classifier() -> None:
    generator = np.random.default_rng(6)
    shifted = domain_auc(pictures(generator, 256, 0.2), pictures(generator, 256))
    assert shifted is not None
    assert shifted > 0.9


def test_a_wider_spread_is_told_too() -> None:
    generator = np.random.default_rng(6)
    wide = generator.normal(0, 2, (256, 16)).astype(np.float32)
    found = domain_auc(wide, generator.normal(0, 1, (256, 16)).astype(np.float32))
    assert found is not None
    assert found > 0.9


def test_resampled_pictures_are_not_told_apart() -> None:
    generator = np.random.default_rng(7)
    found = [
        domain_auc(pictures(generator, size), pictures(generator, 256)) for size in (60, 100, 256) for _ in range(12)
    ]
    assert all(auc is not None and auc < 0.7 for auc in found)
    assert abs(np.mean([auc for auc in found if auc is not None]) - 0.5) < 0.05


def test_too_few_or_equal_embeddings_say_nothing() -> None:
    same = np.ones((80, 4), dtype=np.float32)
    assert domain_auc(same[:10], same) is None
    assert domain_auc(same[:, :2], same) is None
    assert domain_auc(same, same) == 0.5
