"""Days and moments as people write them."""

from __future__ import annotations

import pytest

from assets.review.documents import end_of_day, moment


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("2027-01-31", "2027-01-31 23:59 UTC"),
        ("2027-01-31T12:00", "2027-01-31 12:00 UTC"),
        ("2027-01-31T12:00+02:00", "2027-01-31 10:00 UTC"),
    ],
)
def test_a_day_ends_at_midnight_utc_and_a_moment_is_itself(text: str, end: str) -> None:
    assert moment(end_of_day(text)) == end


@pytest.mark.parametrize("text", ["", "soon", "2027-02-30"])
def test_what_is_no_day_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        end_of_day(text)
