"""The model card: what a trained model is, how good it is, and what it costs; one static page."""

from assets.training.card.data import Rival
from assets.training.card.facts import Facts
from assets.training.card.generated import GanEvidence
from assets.training.card.make import make_card

__all__ = ["Facts", "GanEvidence", "Rival", "make_card"]
