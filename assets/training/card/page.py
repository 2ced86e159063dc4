"""The card as a page: one file, no script, nothing fetched, everything escaped."""

from __future__ import annotations

from dataclasses import replace

from assets.training.card.data import CardData
from assets.training.templates import environment

MAX_BYTES = 600_000
"""A card stays smaller than this: single records go first, the fewest that suffice."""


def card_page(card: CardData) -> str:
    """The HTML page, smaller than `MAX_BYTES`."""
    page = _render(card)
    while len(page.encode()) >= MAX_BYTES and (smaller := _smaller(card)) is not None:
        card = smaller
        page = _render(card)
    return page


def _render(card: CardData) -> str:
    return environment().get_template("card.html").render(card=card)


def _smaller(card: CardData) -> CardData | None:
    """The card with half of its single records, then without the plots that draw them; None where nothing is left."""
    explained = card.explained.shown if card.explained is not None else ()
    if len(card.errors) > 1 or len(explained) > 1:
        kept = replace(card.explained, shown=explained[: len(explained) // 2]) if card.explained is not None else None
        return replace(card, errors=card.errors[: len(card.errors) // 2], explained=kept)
    if card.generated is not None and card.generated.neighbours:
        return replace(card, generated=replace(card.generated, neighbours=()))
    if any(plot.singles for plot in card.plots):
        return replace(card, plots=tuple(plot for plot in card.plots if not plot.singles))
    if len(card.slices) > 4:
        return replace(card, slices=card.slices[:4])
    return None
