"""What a network's answers rest on: attributions of single records, in bounded time, the same for the same network."""

from assets.training.explain.attribute import Attributions, Question, explain

__all__ = ["Attributions", "Question", "explain"]
