"""Makes a model's card and keeps it."""

from __future__ import annotations

from dataclasses import replace

from assets.storage import layout
from assets.training.card.collect import collect
from assets.training.card.facts import Facts
from assets.training.card.index import write_index
from assets.training.card.page import card_page


def make_card(facts: Facts) -> str:
    """Write the model card; the same facts give the same page.

    Returns:
        The page's key, which `TrainedModel.card` keeps.

    Raises:
        OSError: the store cannot be written.
    """
    key = layout.card(facts.line.name, facts.model.onnx.sha256)
    facts.store.write(key, card_page(collect(facts)).encode())
    write_index(facts.store, replace(facts.model, card=key))
    return key
