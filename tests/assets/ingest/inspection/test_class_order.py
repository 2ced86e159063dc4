"""The normal class comes first where a name says which it is; else a comment asks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from assets.ingest.inspection.class_order import NORMAL, normal_class, ordered, told
from assets.ingest.inspection.inspect import inspect_source
from assets.line.data import DataContract
from assets.tasks.anomaly_detection.spec import SPEC


@pytest.mark.parametrize(
    ("labels", "first"),
    [
        (("broken", "good", "scratch"), "good"),
        (("NOK", "OK"), "OK"),
        (("Anomaly", "Normal"), "Normal"),
        (("crack", "no_defect"), "no_defect"),
        (("Fault", "Healthy"), "Healthy"),
        (("abnormal", "normal"), "normal"),
        (("i.O.", "NIO"), "i.O."),
        (("cat", "dog"), "cat"),
        (("10", "9"), "9"),
    ],
)
def test_the_normal_class_is_first(labels: tuple[str, ...], first: str) -> None:
    assert ordered(labels)[0] == first


@given(st.sets(st.text(min_size=1, max_size=5), min_size=1), st.sampled_from(NORMAL))
def test_an_order_loses_nothing(labels: set[str], name: str) -> None:
    assert sorted(ordered(labels)) == sorted(labels)
    assert normal_class(ordered({*labels, name})) == ordered({*labels, name})[0]


def test_a_comment_says_or_asks_where_anomaly_detection_may_be_meant() -> None:
    assert "takes the first class, 'ok', for the normal one" in told(["ok", "nok"], "image")
    assert "Only anomaly detection minds their order: it takes the first, 'a'" in told(["a", "b"], "table")
    assert told(["a", "b"], "text") == told([], "table") == ""
    for section in ("image", "table", "series", "text", "audio"):
        reads = section in SPEC.sections
        assert bool(told(["a", "b"], section)) is reads


def test_pictures_of_good_and_broken_parts(tmp_path: Path, png: Callable[..., bytes]) -> None:
    for at, kind in enumerate(("broken", "good", "scratch")):
        for number in range(3):
            (tmp_path / "in" / kind).mkdir(parents=True, exist_ok=True)
            (tmp_path / f"in/{kind}/{number}.png").write_bytes(png(number + 10 * at))
    found = inspect_source(tmp_path / "in")
    assert DataContract.model_validate(yaml.safe_load(found.data)["data"]).classes == ("good", "broken", "scratch")
    assert "# Anomaly detection takes the first class, 'good'" in found.data
