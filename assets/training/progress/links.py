"""Where a training's pages and logs are, by the names of the line and of the training."""

from __future__ import annotations

import re

from assets.pages.urls import page_url

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")


def card_key(line: str, model: str) -> str:
    """The key of a model's card.

    Args:
        model: digest of its float ONNX file.
    """
    return f"reports/{line}/models/{_checked(model)}.html"


def live_key(line: str, training: str) -> str:
    """The key of the page that shows a training while it goes on; the same with `.json` holds the numbers."""
    return f"reports/{line}/training/{_checked(training)}.html"


def tensorboard_key(line: str, training: str) -> str:
    """The folder of a training's TensorBoard logs, below the store's root."""
    return f"logs/tensorboard/{line}/{_checked(training)}"


def card_url(key: str) -> str:
    """Where people open a model's card (see `TrainedModel.card`)."""
    return page_url(key)


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a model or training")
    return name
