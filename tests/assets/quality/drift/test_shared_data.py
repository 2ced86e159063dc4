"""Drift on real pictures (CIFAR-10): a brightness shift is found, batches of the same pictures raise no alarm."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from assets.line.data import DataContract
from assets.line.quality import DriftPolicy
from assets.quality.drift.compare import Drift, compare
from assets.quality.drift.profile import LABEL, Profile, make_profile
from assets.quality.spool import Spool
from assets.readers.pictures import measure_stack

FOLDER = Path(__file__).parents[5] / "shared" / "data" / "cifar10" / "cifar-10-batches-bin"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="shared/data/cifar10 is not here")
CLASSES = [f"class{number}" for number in range(10)]
DATA = DataContract.model_validate(
    {"reader": "cifar10", "classes": CLASSES, "image": {"height": 32, "width": 32, "channels": 3}}
)
Pixels = NDArray[np.uint8]
Compared = Callable[..., Drift]


def profile(folder: Path, pixels: Pixels, labels: Pixels, reference: Profile | None = None) -> Profile:
    measures = measure_stack(pixels)
    columns: dict[str, Any] = {
        LABEL: [CLASSES[label] for label in labels],
        "_embedding": pa.array(list(measures.embedding), pa.list_(pa.float32())),
        "brightness": pixels.mean((1, 2, 3)).astype(float),
        "contrast": pixels.std((1, 2, 3)).astype(float),
        "sharpness": measures.sharpness,
        "entropy": measures.entropy,
    }
    table = pa.table(columns)
    with Spool(folder, table.schema) as spool:
        spool.append(table)
        spool.finish()
        return make_profile(spool, DATA, np.arange(spool.rows), reference)


@pytest.fixture
def drift_of(tmp_path: Path) -> Compared:
    """Compares 200 other pictures, changed by a function, with 1,000."""
    raw = np.concatenate([np.fromfile(path, np.uint8).reshape(-1, 3073) for path in sorted(FOLDER.glob("*.bin"))])
    pixels = raw[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    generator = np.random.default_rng(0)
    order = generator.permutation(len(pixels))
    reference = profile(tmp_path / "reference", pixels[order[:1000]], raw[order[:1000], 0])

    def call(change: Callable[[Pixels], Pixels] = lambda pixels: pixels) -> Drift:
        rows = generator.choice(order[1000:], 200, replace=False)
        now = profile(tmp_path / "now", np.ascontiguousarray(change(pixels[rows])), raw[rows, 0], reference)
        return compare(now, reference, DriftPolicy())

    return call


def test_batches_of_the_same_pictures_raise_no_alarm(drift_of: Compared) -> None:
    assert [drift.sentences for drift in (drift_of() for _ in range(12)) if drift.state != "none"] == []


def test_a_brightness_shift_is_found(drift_of: Compared) -> None:
    for change in (lambda p: np.where(p > 215, 255, p + 40), lambda p: (p * 0.6).astype(np.uint8)):
        assert "brightness" in drift_of(change).drifted


def test_a_camera_that_lost_its_colours_is_told_by_its_looks(drift_of: Compared) -> None:
    drift = drift_of(lambda p: np.repeat(p.mean(3, keepdims=True).astype(np.uint8), 3, 3))
    assert drift.domain_auc is not None
    assert drift.domain_auc > 0.7
