"""Augmentation: properties over random batches, each change by itself, and speed's precondition (no loop)."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from assets.errors import RejectedError
from assets.fitting.augment import augment
from assets.line.training import Augmentation

POLICIES = st.builds(
    Augmentation,
    crop=st.integers(0, 5),
    flip=st.booleans(),
    rotate=st.sampled_from([0.0, 20.0, 180.0]),
    scale=st.sampled_from([0.0, 0.3]),
    colour=st.sampled_from([0.0, 0.5]),
    cutout=st.integers(0, 12),
    mixup=st.sampled_from([0.0, 0.3]),
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(records: int = 64, channels: int = 2, height: int = 9, width: int = 7) -> tuple[Tensor, Tensor]:
    """Every pixel has a number of its own, so that it is known where each came from."""
    x = torch.arange(records * channels * height * width, dtype=torch.float32)
    return x.view(records, channels, height, width), torch.arange(records) % 3


@settings(max_examples=60, deadline=None)
@given(
    policy=POLICIES,
    records=st.integers(1, 6),
    channels=st.sampled_from([1, 3]),
    height=st.integers(4, 12),
    width=st.integers(4, 12),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    seed=st.integers(0, 2**31),
)
def test_shape_dtype_range_and_seed_hold(
    policy: Augmentation, records: int, channels: int, height: int, width: int, dtype: torch.dtype, seed: int
) -> None:
    x = torch.randn(records, channels, height, width, dtype=dtype, generator=seeded(seed))
    y = torch.randint(0, 4, (records,), generator=seeded(seed))
    before = x.clone(), y.clone()
    first, labels = augment(x, y, policy, 4, seeded(seed))
    again, same = augment(x, y, policy, 4, seeded(seed))
    assert torch.equal(x, before[0])
    assert torch.equal(y, before[1])
    assert first.shape == x.shape
    assert first.dtype == dtype
    assert torch.isfinite(first).all()
    assert torch.equal(first, again)
    assert torch.equal(labels, same)
    if not policy.colour:
        # Nothing but colour makes values that no pixel had (cutout's 0 aside).
        assert first.max() <= max(float(x.max()), 0) + 1e-4
        assert first.min() >= min(float(x.min()), 0) - 1e-4
    if policy.mixup:
        assert labels.shape == (records, 4)
        assert labels.dtype == torch.float32
        assert torch.allclose(labels.sum(1), torch.ones(records))
        assert (labels >= 0).all()
    else:
        assert labels is y


def test_no_policy_hands_everything_through() -> None:
    x, y = pictures()
    assert augment(x, y, Augmentation(), 3, seeded()) == (x, y)


def test_flip_mirrors_about_half_of_the_pictures_and_nothing_else() -> None:
    x, y = pictures(400)
    flipped, _ = augment(x, y, Augmentation(flip=True), 3, seeded())
    mirrored = (flipped == x.flip(3)).flatten(1).all(1)
    assert ((flipped == x).flatten(1).all(1) ^ mirrored).all()
    assert 150 < int(mirrored.sum()) < 250


def test_crop_is_that_of_a_picture_padded_with_its_edges() -> None:
    x, y = pictures()
    cropped, _ = augment(x, y, Augmentation(crop=2), 3, seeded())
    padded = torch.nn.functional.pad(x, (2, 2, 2, 2), mode="replicate")
    seen = set()
    for record in range(len(x)):
        places = [
            (top, left)
            for top in range(5)
            for left in range(5)
            if torch.equal(cropped[record], padded[record, :, top : top + 9, left : left + 7])
        ]
        assert len(places) == 1
        seen.add(places[0])
    assert len(seen) > 15  # of 25 places


def test_rotation_by_nothing_and_size_by_nothing_change_nothing() -> None:
    x, y = pictures()
    still, _ = augment(x, y, Augmentation(rotate=1e-6, scale=1e-7), 3, seeded())
    assert torch.allclose(still, x, atol=0.05)


def test_resampled_crop_and_flip_are_those_that_pick_pixels() -> None:
    x, y = pictures()
    for policy in ({"crop": 2}, {"flip": True}, {"crop": 1, "flip": True}):
        picked, _ = augment(x, y, Augmentation(**policy), 3, seeded(5))  # type: ignore[arg-type]
        resampled, _ = augment(x, y, Augmentation(**policy, rotate=1e-6), 3, seeded(5))  # type: ignore[arg-type]
        assert torch.allclose(picked, resampled, atol=0.1)


def test_a_rotation_keeps_angles_in_pictures_that_are_not_square() -> None:
    """A disc stays a disc: were the sides' ratio forgotten, it would become an ellipse."""
    rows, columns = torch.meshgrid(torch.arange(40.0), torch.arange(20.0), indexing="ij")
    disc = (((rows - 19.5) ** 2 + (columns - 9.5) ** 2) < 36).to(torch.float32).expand(16, 1, -1, -1)
    turned, _ = augment(disc, torch.zeros(16), Augmentation(rotate=180), 1, seeded())
    assert (turned - disc).abs().mean() < 0.02


def test_size_changes_both_ways() -> None:
    square = torch.zeros(200, 1, 21, 21)
    square[:, :, 7:14, 7:14] = 1
    areas = augment(square, torch.zeros(200), Augmentation(scale=0.3), 1, seeded())[0].sum((1, 2, 3))
    assert areas.min() < 49 * 0.6
    assert areas.max() > 49 * 1.5


def test_colour_changes_brightness_and_contrast_within_its_share() -> None:
    x = torch.randn(500, 1, 8, 8, generator=seeded(1))
    coloured, _ = augment(x, torch.zeros(500), Augmentation(colour=0.3), 1, seeded())
    contrast = coloured.std((1, 2, 3)) / x.std((1, 2, 3))
    brightness = coloured.mean((1, 2, 3)) - x.mean((1, 2, 3))
    assert 0.7 <= contrast.min() < 0.75
    assert 1.25 < contrast.max() <= 1.3
    assert -0.3 <= brightness.min() < -0.25
    assert 0.25 < brightness.max() <= 0.3


def test_cutout_blanks_one_square_in_all_channels() -> None:
    x = torch.ones(300, 3, 16, 16)
    cut, _ = augment(x, torch.zeros(300), Augmentation(cutout=5), 1, seeded())
    blank = (cut == 0).all(1)
    assert torch.equal(blank, (cut == 0).any(1))
    heights, widths = blank.any(2).sum(1), blank.any(1).sum(1)
    assert torch.equal(blank.sum((1, 2)), heights * widths)
    assert int(heights.max()) == int(widths.max()) == 5
    assert int(heights.min()) == int(widths.min()) == 3  # its middle on the border


def test_mixup_mixes_a_table_and_its_classes_alike() -> None:
    x = torch.eye(3)[torch.arange(60) % 3]
    mixed, shares = augment(x, torch.arange(60) % 3, Augmentation(mixup=1.0), 3, seeded())
    assert torch.allclose(mixed, shares, atol=1e-6)
    assert ((shares > 0.1).sum(1) > 1).any()


def test_mixup_refuses_tokens() -> None:
    with pytest.raises(RejectedError, match="token numbers of a text cannot be mixed"):
        augment(torch.ones(4, 8, dtype=torch.int64), torch.zeros(4), Augmentation(mixup=0.2), 2, seeded())


def test_picture_changes_refuse_what_is_no_picture() -> None:
    with pytest.raises(ValueError, match="records, channels"):
        augment(torch.ones(4, 8), torch.zeros(4), Augmentation(flip=True), 2, seeded())
