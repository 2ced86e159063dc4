"""A line's YAML: the shipped ones hold, and every mistake is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from assets.errors import LineError
from assets.line.config import LineConfig, parse_line

LINES = sorted((Path(__file__).parents[3] / "platform_defs/lines").rglob("defs.yaml"))


def _good() -> dict[str, Any]:
    return {
        "data": {"reader": "csv", "classes": ["a", "b"], "table": {"target": "y", "columns": ["x"]}},
        "model": {"family": "mlp"},
    }


def test_lines_of_every_shape_are_shipped() -> None:
    readers = {
        parse_line(path.parent.name, yaml.safe_load(path.read_text())["attributes"], str(path)).config.data.reader
        for path in LINES
    }
    assert readers == {"image_folder", "idx", "cifar10", "table", "series", "text"}


def test_what_yaml_made_of_a_key_names_its_place() -> None:
    good = _good()
    with pytest.raises(LineError, match=r"data\.aliases \(a name in it\) = False: .* in quotes, e\.g\. \"no\""):
        parse_line("x", {**good, "data": {**good["data"], "aliases": {False: "a"}}}, "x")
    with pytest.raises(LineError, match=r"data\.classes = 'a, b': Input should be a list, e\.g\. \[cat, dog\]"):
        parse_line("x", {**good, "data": {**good["data"], "classes": "a, b"}}, "x")


def test_a_class_without_a_name_and_a_list_without_columns_are_refused() -> None:
    good = _good()
    with pytest.raises(LineError, match=r"data\.classes = .*: a class has no name"):
        parse_line("x", {**good, "data": {**good["data"], "classes": ["a", " "]}}, "x")
    with pytest.raises(LineError, match=r"columns = \[\]: The list should have at least 1 item, not 0"):
        parse_line("x", {**good, "data": {**good["data"], "table": {"target": "y", "columns": []}}}, "x")


@pytest.mark.parametrize(
    ("settings", "told"),
    [("{column: on}", "column: YAML"), ("{column: kind, value_set: [yes, no]}", "value_set: YAML")],
)
def test_what_yaml_made_of_a_word_of_an_expectation_is_refused(settings: str, told: str) -> None:
    expectation = {"expect": "ExpectColumnValuesToBeInSet", **yaml.safe_load(settings)}
    with pytest.raises(LineError, match=f"{told} reads .* in quotes"):
        parse_line("x", {**_good(), "quality": {"expectations": [expectation]}}, "x")
    numbers = {"expect": "ExpectColumnValuesToBeInSet", "column": "width", "value_set": [1, 2.5]}
    assert parse_line("x", {**_good(), "quality": {"expectations": [numbers]}}, "x")


@pytest.mark.parametrize(
    ("place", "body"),
    [
        ("classes: [yes, no]", {"classes": [True, False]}),
        ("classes: [0, 1]", {"classes": [0, 1]}),
        ("classes: [1.5, a]", {"classes": [1.5, "a"]}),
        ("classes: [null, a]", {"classes": [None, "a"]}),
        ("classes: [2024-01-01, a]", {"classes": yaml.safe_load("[2024-01-01, a]")}),
        ("aliases: {on: a}", {"aliases": {True: "a"}}),
        ("columns: [1, 2]", {"table": {"target": "y", "columns": [1, 2]}}),
        ("target: on", {"table": {"target": True, "columns": ["x"]}}),
        ("categories", {"table": {"target": "y", "columns": ["x"], "categories": {"x": [False, True]}}}),
        ("header", {"table": {"target": "y", "columns": ["x"], "header": ["x", 7, "y"]}}),
    ],
)
def test_what_yaml_made_of_a_word_is_refused_with_what_to_write(place: str, body: dict[str, Any]) -> None:
    good = _good()
    with pytest.raises(LineError, match="in quotes"):
        parse_line("x", {**good, "data": {**good["data"], **body}}, place)


MISTAKES: list[tuple[dict[str, Any], str, str]] = [
    ({"budget": {"max_drop": 1.7}}, "budget.max_drop = 1.7", "less than or equal to 0.5"),
    ({"targets": ["jetson"]}, "targets = ['jetson']", "allowed are cpu-x86"),
    ({"rollout": {"promotion": "yolo"}}, "rollout.promotion = 'yolo'", "'manual', 'gated' or 'auto'"),
    ({"retrain": {"nightly": "at night"}}, "retrain.nightly = 'at night'", "cron"),
    ({"training": {"epochs": "many"}}, "training.epochs = 'many'", "valid integer"),
    ({"model": {"family": "cnn"}}, "model.family", "does not do tabular_classification"),
    ({"model": {"family": "mlp", "derive": [["x", "*", "z"]]}}, "model.derive names 'z'", "are x"),
    ({"model": {"family": "my_net.net:build", "knots": 4}}, "model.knots", "for mlp and mlp_plain on tables"),
    ({"surprise": 1}, "surprise = 1", "not permitted"),
    ({"compress": {"prune": [0.99]}}, "compress.prune", "below 0.95"),
    ({"quality": {"max_bad_share": float("nan")}}, "quality.max_bad_share", "finite"),
    ({"training": {"privacy": {}}}, "privacy", "without BatchNorm only: mlp_plain"),
    ({"training": {"privacy": {}, "accumulate": 2}}, "training", "take processes, accumulate, compile, l1 out"),
    ({"training": {"privacy": {}, "precision": "bf16"}}, "training", "precision 32 only, not bf16"),
    (
        {
            "data": {"reader": "text", "classes": ["a", "b"], "text": {"header": ["label", "text"]}},
            "model": "embedding_gru",
            "training": {"augment": {"mixup": 0.2}},
        },
        "mixup",
        "this line has not both",
    ),
    (
        {
            "data": {"reader": "idx", "classes": ["a", "b"], "image": {"height": 8, "width": 8, "channels": 1}},
            "task": "image_generation",
            "model": "dcgan",
            "training": {"accumulate": 2},
        },
        "a GAN",
        "take them out",
    ),
]


@pytest.mark.parametrize(("change", "place", "allowed"), MISTAKES)
def test_a_mistake_names_line_field_value_and_what_is_allowed(change: dict[str, Any], place: str, allowed: str) -> None:
    with pytest.raises(LineError) as caught:
        parse_line("my-line", {**_good(), **change}, "lines/my-line/defs.yaml")
    text = str(caught.value)
    assert "lines/my-line/defs.yaml: line 'my-line' is broken" in text
    assert place in text
    assert allowed in text


@pytest.mark.parametrize("name", ["Digits", "a b", "../x", "", "-x", "x" * 64])
def test_a_name_that_cannot_be_a_folder_is_refused(name: str) -> None:
    with pytest.raises(LineError, match="lower-case"):
        parse_line(name, _good(), "x.yaml")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)


@given(attributes=json_values)
def test_anything_else_is_refused_with_a_text(attributes: Any) -> None:
    with pytest.raises(LineError, match="line 'x' is broken"):
        parse_line("x", attributes, "x.yaml")


def test_a_digest_changes_only_with_its_sections() -> None:
    first = LineConfig.model_validate(_good())
    second = LineConfig.model_validate({**_good(), "budget": {"max_drop": 0.1}})
    assert first.digest("model", "data") == second.digest("model", "data")
    assert first.digest("budget") != second.digest("budget")
    assert first.digest() != second.digest()


def test_every_field_has_help_text() -> None:
    def fields(model: Any, place: str) -> list[str]:
        missing = []
        for name, field in model.model_fields.items():
            if not field.description:
                missing.append(f"{place}{name}")
            for inner in [field.annotation, *getattr(field.annotation, "__args__", ())]:
                if hasattr(inner, "model_fields"):
                    missing += fields(inner, f"{place}{name}.")
        return missing

    assert fields(LineConfig, "") == []
