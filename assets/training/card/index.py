"""The page over a line's model cards: made anew from what the store holds."""

from __future__ import annotations

from dataclasses import dataclass

from assets.pages.templates import measure, sentence, words
from assets.records.line_store import LineStore
from assets.storage import layout
from assets.storage.store import Store
from assets.training.documents import TrainedModel
from assets.training.templates import environment

MAX_MODELS = 200


@dataclass(frozen=True)
class Entry:
    """A model on the page.

    Attributes:
        file: its card, beside this page.
    """

    file: str
    name: str
    position: int
    family: str
    score: str
    versus: str


def write_index(store: Store, newest: TrainedModel) -> None:
    """Write the page anew: `newest` first, then those that were kept, of later datasets first.

    Args:
        newest: a model that has its card, and need not be kept yet.
    """
    found = {newest.card: newest}
    for model in LineStore(store, newest.line).results(TrainedModel):
        if model.card and store.exists(model.card):
            found.setdefault(model.card, model)
    models = sorted(found.values(), key=lambda model: (model is not newest, -model.position, model.card))
    entries = [_entry(model) for model in models[:MAX_MODELS]]
    more = max(0, len(models) - MAX_MODELS)
    page = environment().get_template("models.html").render(line=newest.line, entries=entries, more=more)
    store.write(layout.cards(newest.line), page.encode())


def _entry(model: TrainedModel) -> Entry:
    chief = next((one for one in model.evidence.metrics if (one.name, one.split) == (model.metric, "test")), None)
    score = ""
    if chief is not None:
        reach = f" ({measure(chief.low)} to {measure(chief.high)})" if chief.low is not None else ""
        score = f"test {words(chief.name)} {measure(chief.value)}{reach}"
    name = model.onnx.sha256[:8]
    file = model.card.rpartition("/")[2]
    return Entry(file, name, model.position, model.family, score, sentence(model.versus))
