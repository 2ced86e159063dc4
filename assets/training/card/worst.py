"""Which test records are shown: the worst errors, and for explanations some right answers beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assets.pages.plots import Numbers
from assets.pages.templates import number

MAX_ERRORS = 12
MAX_EXPLAINED = 4
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Pick:
    """A record to show: its row, what it is and what was answered, how wrong or sure, and the output to explain."""

    row: int
    title: str
    detail: str
    target: int


def worst_classes(shares: Numbers, y: Labels, classes: Sequence[str]) -> tuple[list[Pick], list[Pick]]:
    """The wrong answers that the model was surest of; then, of the classes in turn, the right ones it was surest of."""
    answers = shares.argmax(axis=1)
    sure = shares.max(axis=1)
    wrong = np.flatnonzero(answers != y)
    wrong = wrong[np.argsort(-sure[wrong], kind="stable")][:MAX_ERRORS]

    def pick(row: int) -> Pick:
        true, answer = classes[y[row]], classes[answers[row]]
        title = f"{true}, answered {answer}" if true != answer else f"{true}, and so answered"
        own = f"{100 * shares[row, y[row]]:.1f} % for {true}" if true != answer else ""
        return Pick(row, title, f"{100 * sure[row]:.1f} % sure" + (f", {own}" if own else ""), int(answers[row]))

    right = []
    for label in range(len(classes)):
        rows = np.flatnonzero((y == label) & (answers == label))
        if len(rows):
            right.append(int(rows[np.argmax(sure[rows])]))
    right.sort(key=lambda row: -sure[row])
    return [pick(int(row)) for row in wrong], [pick(row) for row in right[:MAX_EXPLAINED]]


def worst_numbers(answers: Numbers, y: Numbers) -> tuple[list[Pick], list[Pick]]:
    """The answers that are furthest off; then the closest."""
    off = np.abs(answers - y)
    order = np.argsort(-off, kind="stable")

    def pick(row: int) -> Pick:
        gap = answers[row] - y[row]
        detail = f"{number(float(f'{abs(gap):.4g}'))} too {'much' if gap > 0 else 'little'}" if gap else "exact"
        title = f"{number(float(f'{y[row]:.5g}'))}, answered {number(float(f'{answers[row]:.5g}'))}"
        return Pick(row, title, detail, 0)

    return [pick(int(row)) for row in order[:MAX_ERRORS]], [pick(int(row)) for row in order[::-1][:MAX_EXPLAINED]]


def worst_scores(scores: Numbers, y: Labels, threshold: float, classes: Sequence[str]) -> tuple[list[Pick], list[Pick]]:
    """False alarms of the highest score and anomalies of the lowest, in turn; then what was rightly found."""
    bad = y != 0
    false = np.flatnonzero(~bad & (scores > threshold))
    missed = np.flatnonzero(bad & (scores <= threshold))
    false = false[np.argsort(-scores[false], kind="stable")]
    missed = missed[np.argsort(scores[missed], kind="stable")]
    half = MAX_ERRORS // 2
    found = np.flatnonzero(bad & (scores > threshold))
    found = found[np.argsort(-scores[found], kind="stable")][:MAX_EXPLAINED]

    def pick(row: int) -> Pick:
        alarm = scores[row] > threshold
        told = "an alarm" if alarm else "no alarm"
        side = "above" if alarm else "below"
        text = f"score {number(float(f'{scores[row]:.4g}'))}, {side} {number(float(f'{threshold:.4g}'))}"
        return Pick(row, f"{classes[y[row]]}, {told}", text, 0)

    shown = [*false[: max(half, MAX_ERRORS - len(missed))], *missed[: max(half, MAX_ERRORS - len(false))]]
    return [pick(int(row)) for row in shown], [pick(int(row)) for row in found]
