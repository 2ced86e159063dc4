"""A record that is forgotten leaves the cards of the models that were trained on it, and no others."""

from __future__ import annotations

from pathlib import Path

from assets.forgetting.forget import Trace, _erase_cards
from assets.line.config import parse_line
from assets.pages.redaction import page_mark
from assets.records.dataset import DatasetVersion
from assets.records.line_store import bind
from assets.storage import layout
from assets.storage.store import Store
from assets.training.documents import TrainedModel
from edge.contracts import ArtifactRef, Evidence, InputSpec, to_bytes

RECORD, OTHER = "1" * 64, "2" * 64
PAGE = (
    '<main><!--forgotten--><p data-record="{0}">one</p><p data-record="{1}">two</p><svg data-values>three</svg></main>'
)


def _model(store: Store, name: str, shard: str) -> str:
    """Keep a model with its card; returns the card's key."""
    ref = ArtifactRef(f"store/clinic/artifacts/{name * 64}", name * 64, 1, "onnx", ())
    parquet = ArtifactRef(f"store/clinic/artifacts/{shard * 64}.parquet", shard * 64, 1, "parquet", ())
    version = DatasetVersion("clinic", 1, (), (parquet,), ("a", "b"), {}, 0.2, 0.2)
    store.save(layout.dataset("clinic", name), version)
    card = f"reports/clinic/models/{name}.html"
    spec = InputSpec("table", "input", (1,), (0.0,), (1.0,), ("age",))
    model = TrainedModel(
        "clinic", name, 1, "mlp", 1, spec, "output", ("a", "b"), ref, ref, Evidence(name * 64), {}, (), card=card
    )
    store.save(f"store/clinic/steps/trained_model/{name}.json", model)
    store.write(card, PAGE.format(page_mark(RECORD), page_mark(OTHER)).encode())
    return card


def test_its_picture_and_figures_go_and_the_rest_stays(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    held, free = _model(store, "a", "c"), _model(store, "b", "d")
    store.write(layout.trace("clinic", RECORD), to_bytes(Trace(RECORD, shards=("c" * 64,))))
    table = {"target": "state", "columns": ["age"]}
    line = parse_line("clinic", {"data": {"reader": "table", "classes": ["a", "b"], "table": table}}, "test")
    for _ in range(2):  # repeating it changes nothing else
        _erase_cards(bind(store, line), frozenset({RECORD}))
        page = store.read(held).decode()
        assert "one" not in page
        assert "two" in page
        assert "three" not in page
        assert page.count("was forgotten on request") == 1
    assert store.read(free).decode() == PAGE.format(page_mark(RECORD), page_mark(OTHER))
