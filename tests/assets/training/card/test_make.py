"""A card of each kind of model says what it is; nothing of it runs, and nothing private is on it."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from assets.pages.redaction import page_mark, without_marked
from assets.storage.store import Store
from assets.training.card import Rival, make_card
from assets.training.card.page import MAX_BYTES
from assets.training.documents import TrainedModel
from tests.assets.training.card.made_cards import KINDS, CardCase, make_case

EVIL = "<script>document.title='owned'</script><img src=x onerror=alert(1)>"
CaseOf = Callable[[str], CardCase]
_CASES: dict[str, CardCase] = {}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small networks wait for threads longer than they compute."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "home"))


@pytest.fixture
def case_of(store: Store) -> CaseOf:
    """A case of each kind, trained once; its store is the test's own."""

    def find(kind: str) -> CardCase:
        if kind not in _CASES:
            _CASES[kind] = make_case(kind, store)
        return dataclasses.replace(_CASES[kind], store=store)

    return find


def card_of(case: CardCase, **more: Any) -> str:
    key = make_card(case.facts(**{"seconds": 600.0, **more}))
    assert key == f"reports/{case.line.name}/models/{case.model.onnx.sha256}.html"
    return case.store.read(key).decode()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_its_parts(case_of: CaseOf, kind: str) -> None:
    case = case_of(kind)
    page = card_of(case)
    wanted = {
        "pictures": 'alt="what the answer rests on"',
        "texts": 'class="token for"',
        "generator": "nearest training picture",
    }
    parts = {
        "pictures": ("ROC curve", "Calibration", "Worst errors: ", "Grad-CAM", "By class"),
        "rows": ("Precision and recall", "By torque", "By kind", "Shapley values"),
        "numbers": ("Residuals", "Answer against truth", "By size", "RMSE"),
        "series": ("Units over their readings", "By engine", "Integrated gradients", "Which readings count"),
        "texts": ("Calibration", "Worst errors: ", "through the embedding"),
        "anomalies": ("threshold", "False alarms and missed anomalies", "Squared error of the"),
        "generator": ("64 pictures from fixed noise", "Fréchet distance", "root mean squared difference"),
    }
    for text in (
        *parts[kind],
        wanted.get(kind, "What the answers rest on"),
        "a first model",
        "sanity baseline",
        "Loss",
    ):
        assert text in page, text
    assert "<script" not in page
    assert re.findall(r'(?:src|href)="(?!data:|#|\.\./|index\.html")[^"]*"', page) == []
    assert len(page.encode()) < MAX_BYTES


@pytest.mark.parametrize("kind", ["pictures", "rows", "series"])
def test_the_same_inputs_give_the_same_page(case_of: CaseOf, kind: str) -> None:
    case = case_of(kind)
    assert card_of(case) == card_of(case)


def test_the_verdict_comes_first_and_follows_the_paired_test(case_of: CaseOf) -> None:
    case = case_of("rows")
    sentence = "better by 2.1 points of accuracy, 95 % 0.4 to 3.8, on 240 records"
    metrics = tuple(dataclasses.replace(metric, value=metric.value - 0.02) for metric in case.model.evidence.metrics)
    for better, title in ((True, "better than"), (False, "worse than"), (None, "no difference to")):
        page = card_of(case, rival=Rival("f" * 64, metrics, sentence, better))
        assert re.search(r"<h1>(.*)</h1>", page).group(1).startswith(f"rows: {title} the model in use")  # type: ignore[union-attr]
        assert f"Against the model in use (ffffffffffff), on the same records: {sentence}." in page
        assert "model in use</th>" in page


def test_a_model_that_guesses_is_called_so(case_of: CaseOf) -> None:
    case = case_of("rows")
    outputs = np.zeros_like(case.outputs)
    metrics = case.task.metrics.metrics("test", outputs, case.records.y, case.model.labels)
    model = dataclasses.replace(case.model, evidence=dataclasses.replace(case.model.evidence, metrics=metrics))
    page = card_of(dataclasses.replace(case, model=model, outputs=outputs))
    assert "<h1>rows: not better than guessing</h1>" in page
    assert "do not trust it" in page


def test_a_model_that_could_not_be_compared_is_not_the_first(case_of: CaseOf) -> None:
    case = case_of("rows")
    model = dataclasses.replace(case.model, versus="not compared: it reads other columns")
    page = card_of(dataclasses.replace(case, model=model))
    assert "Not compared: it reads other columns." in page
    assert "There is no model in use" not in page


def test_folds_notes_cost_and_privacy_are_told(case_of: CaseOf) -> None:
    case = case_of("rows")
    model = dataclasses.replace(
        case.model, epsilon=3.2, ended="time limit", settings={"learning_rate": 0.003, "width": 24}
    )
    page = card_of(
        dataclasses.replace(case, model=model), folds=(0.91, 0.93, 0.9), notes=("See `retrain.max_minutes` & more.",)
    )
    assert "3-fold cross-validation: accuracy 0.913 ± 0.015 (0.910, 0.930, 0.900)." in page
    assert "See <code>retrain.max_minutes</code> &amp; more." in page
    for text in (
        "epsilon 3.200",
        "0.05 Wh",
        "812 MB",
        "0.003 (searched)",
        "24 (searched)",
        "accuracy 0.81 against 0.74",
    ):
        assert text in page, text


def poisoned(case: CardCase) -> CardCase:
    """The case with names that a careless page would run."""
    evil = case.line.config.data.model_copy(update={"classes": (EVIL, "spam")})
    line = dataclasses.replace(
        case.line, config=case.line.config.model_copy(update={"description": EVIL, "data": evil})
    )
    records = dataclasses.replace(
        case.records, encode=lambda row: f"{EVIL} {row}".encode(), groups=(EVIL,) * len(case.records)
    )
    model = dataclasses.replace(case.model, labels=(EVIL, "spam"), family=EVIL, versus=EVIL)
    return dataclasses.replace(case, line=line, records=records, model=model)


def test_hostile_names_and_texts_are_only_shown(case_of: CaseOf) -> None:
    page = card_of(poisoned(case_of("texts")), notes=(EVIL,))
    assert "<script" not in page
    assert "<img src=x" not in page
    assert page.count("&lt;script&gt;") > 10


def test_private_columns_are_shown_nowhere(store: Store) -> None:
    case = make_case("rows", store, private=["torque", "kind"])
    page = card_of(case)
    assert "By torque" not in page
    assert "By kind" not in page
    assert "By speed" in page
    table = page[page.index('id="errors"') : page.index('id="explained"')]
    assert table.count("(private)") == 2 * table.count("data-record")


def test_private_texts_and_labels_are_not_quoted(store: Store) -> None:
    page = card_of(make_case("texts", store, private=["text"]))
    quoted = page[page.index('id="errors"') : page.index('id="curves"')]
    assert "(private)" in quoted
    assert not re.search(r"\b(prize|lunch|cash)\b", quoted)
    page = card_of(make_case("numbers", store, private=["price"]))
    assert "The labels of this line are private, so no single record is shown." in page
    assert "Answer against truth" not in page
    assert "data-record" not in page


@pytest.mark.parametrize("kind", ["pictures", "numbers", "generator"])
def test_of_encrypted_records_none_is_shown(store: Store, kind: str) -> None:
    page = card_of(make_case(kind, store, encrypt=True))
    assert "data-record" not in page
    assert "The records of this line are encrypted" in page
    assert "By size" not in page
    if kind == "pictures":
        assert 'src="data:image' not in page


def test_a_forgotten_record_can_be_cut_out(case_of: CaseOf) -> None:
    case = case_of("pictures")
    page = card_of(case)
    mark = re.search(r'data-record="(r[0-9a-f]{16})"', page).group(1)  # type: ignore[union-attr]
    assert mark in {page_mark(identity) for identity in case.records.ids}
    cut = without_marked(page, {mark}, values=True)
    assert mark not in cut
    assert "A record that this page showed was forgotten" in cut
    assert cut.count("data-record") < page.count("data-record")
    numbers = without_marked(card_of(case_of("numbers")), {"rnone"}, values=True)
    assert "Answer against truth" not in numbers
    assert "How far answers are off" in numbers


def test_a_card_stays_small(case_of: CaseOf, monkeypatch: pytest.MonkeyPatch) -> None:
    case = case_of("pictures")
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    huge = "data:image/png;base64," + noise.tobytes().hex()[:90_000]
    monkeypatch.setattr("assets.training.card.samples.thumbnail", lambda content, channels: huge)
    page = card_of(case)
    assert len(page.encode()) < MAX_BYTES
    assert "Worst errors: " in page
    assert "data-record" in page


class Stubborn(nn.Module):
    """A user's own network that explanations cannot enter."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.from_numpy(x.detach().numpy().reshape(len(x), -1)[:, :3])


def test_a_network_that_cannot_be_explained_has_a_card(case_of: CaseOf) -> None:
    page = card_of(case_of("pictures"), network=Stubborn())
    assert "It could not be computed for this network: " in page
    assert "What the answers rest on" not in card_of(case_of("pictures"), network=None)


def test_no_errors_and_one_record_are_no_trouble(case_of: CaseOf) -> None:
    case = case_of("rows")
    perfect = np.stack([1.0 - case.records.y, case.records.y], axis=1).astype(np.float32) * 40
    assert "No errors on the test records" in card_of(dataclasses.replace(case, outputs=perfect))
    one = dataclasses.replace(case.records, x=case.records.x[:1], y=case.records.y[:1])
    model: TrainedModel = dataclasses.replace(case.model, curve=case.model.curve[:1], cost=None)
    page = card_of(dataclasses.replace(case, records=one, outputs=case.outputs[:1], model=model))
    assert "The cost was not measured." in page
    assert json.dumps(page)


def test_the_index_lists_kept_models(case_of: CaseOf, store: Store) -> None:
    case = case_of("rows")
    older = dataclasses.replace(case.model, position=1, card="reports/rows/models/old.html", versus=f"better {EVIL}")
    store.save("store/rows/steps/trained_model/x.json", older)
    store.write(older.card, b"a card")
    gone = dataclasses.replace(older, card="reports/rows/models/gone.html")
    store.save("store/rows/steps/trained_model/y.json", gone)
    store.write("store/rows/steps/trained_model/z.json", b"{}")
    card_of(case)
    page = store.read("reports/rows/models/index.html").decode()
    assert re.findall(r'<div><a href="([^"]+)"', page) == [f"{'c' * 64}.html", "old.html"]
    assert "test accuracy 0.9" in page
    assert "<script" not in page
