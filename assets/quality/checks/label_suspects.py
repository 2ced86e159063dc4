"""Labels that look wrong: what models that never saw a record's label say about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assets.line.data import DataContract
from assets.quality.checks.columns import class_codes, surest
from assets.quality.checks.derived import Derived
from assets.quality.checks.quick_models import Inputs, predictor, read_inputs
from assets.quality.spool import Spool
from assets.records.verdict import Finding

SAMPLE = 20_000
"""Records that models are fitted on; the others are judged by models that saw none of them."""
MOST_JUDGED = 200_000
LEAST_PER_CLASS = 10
LEAST_RECORDS = 60
OWN, OTHER = 0.05, 0.5
"""A label is suspected where it gets less than `OWN` and another class more than `OTHER` of the probability. With 2 %
wrong labels planted, found and falsely suspected (of all): digits 0.97 and 0.001, MNIST (10,000) 0.92 and 0.004,
Fashion-MNIST 0.85 and 0.015, sms-spam 0.97 and 0.005, AI4I 0.7 and 0.002."""
LEAST_SKILL = 0.5
"""0 is guessing, 1 is always right (balanced). Below it the models know too little to doubt anybody: CIFAR-10's
embeddings reach 0.4, and of what they suspect four in five are right."""
RARE_SKILL, RARE_RIGHT = 0.25, 0.9
"""Where one class is rare (AI4I: 4 %), so much skill is enough if so many predictions are right; but then a label must
also be half as likely as its class is anyway."""
_FOLDS = 3


class _NotCheckedError(Exception):
    """Why nothing can be said about the labels."""


def find_label_suspects(spool: Spool, data: DataContract, sound: NDArray[np.bool_] | None = None) -> Derived:
    """Predict each record's label from others of the batch, and suspect those that are predicted otherwise.

    Pictures and sounds are predicted from their embeddings (mean of nearest neighbours and a kernel machine), texts
    from their words and runs of letters, tables and series from their columns (boosted trees).

    Args:
        sound: (rows,) which records break no critical rule and are no copies; only they are used. All where None.

    Returns:
        `_suspect`: the label it should probably have, else None. Findings "label_suspect", `other` the suggested label,
        `score` 1 minus the probability of the label it has. One finding with row -1 says why nothing was checked, or
        how many were.
    """
    suspect = np.full(spool.rows, None, dtype=object)
    if data.regression:
        return Derived({"_suspect": suspect})
    try:
        doubts = _doubts(spool, data, sound)
    except _NotCheckedError as error:
        why = f"labels were not checked: {error}"
        return Derived({"_suspect": suspect}, (Finding("label_suspect", -1, "", -1, 0.0, why),))
    notes = (Finding("label_suspect", -1, "", -1, 0.0, doubts.note),) if doubts.note else ()
    rows, given, best, own, other = doubts.rows, doubts.given, doubts.best, doubts.own, doubts.other
    findings = []
    for place in np.flatnonzero((own < doubts.limit) & (other > OTHER) & (best != given)).tolist():
        row, name = int(rows[place]), data.classes[best[place]]
        suspect[row] = name
        detail = f"{data.classes[given[place]]!r} is {own[place]:.1%} likely; {name!r} is {other[place]:.0%} likely"
        findings.append(Finding("label_suspect", row, name, -1, 1 - float(own[place]), detail))
    return Derived({"_suspect": suspect}, (*surest(findings), *notes))


@dataclass(frozen=True)
class _Doubts:
    """Of the judged rows: the class given, the likeliest one, the probabilities of both, and below what `own` tells."""

    rows: NDArray[np.int64]
    given: NDArray[np.int64]
    best: NDArray[np.int64]
    own: NDArray[np.float32]
    other: NDArray[np.float32]
    limit: NDArray[np.float64]
    note: str


def _doubts(spool: Spool, data: DataContract, sound: NDArray[np.bool_] | None) -> _Doubts:
    labels = class_codes(spool.column("_label"), data.classes)
    usable = labels >= 0
    if sound is not None:
        usable &= np.asarray(sound, dtype=bool)
    counts = np.bincount(labels[usable], minlength=len(data.classes))
    usable &= np.isin(labels, np.flatnonzero(counts >= LEAST_PER_CLASS))
    rows = np.flatnonzero(usable)
    classes = np.unique(labels[rows])
    if len(classes) < 2:
        raise _NotCheckedError(f"fewer than two classes have {LEAST_PER_CLASS} good records")
    if len(classes) > 1_000:
        raise _NotCheckedError("more than 1,000 classes have records")
    draw = np.random.default_rng(0)
    note = ""
    if len(rows) > MOST_JUDGED:
        note = f"the labels of {MOST_JUDGED:,} of {len(rows):,} records were checked, drawn at random"
        rows = np.sort(draw.choice(rows, MOST_JUDGED, replace=False))
    fitted = _sample(labels[rows], draw)
    inputs = read_inputs(spool, data, rows)
    if inputs is None:
        raise _NotCheckedError("the records have no embedding")
    rows, fitted = rows[inputs.there], fitted[inputs.there]
    given = np.searchsorted(classes, labels[rows])
    least = np.bincount(given[fitted], minlength=len(classes)).min() if fitted.any() else 0
    if fitted.sum() < LEAST_RECORDS or least < _FOLDS:
        raise _NotCheckedError("there are too few records of each class")
    shares = _predicted(inputs, given, fitted, len(classes))
    best = shares.argmax(axis=1)
    skill = _skill(best, given, len(classes))
    rare = skill >= RARE_SKILL and float((best == given).mean()) >= RARE_RIGHT
    if skill < LEAST_SKILL and not rare:
        raise _NotCheckedError(f"they cannot be predicted well enough to doubt any (skill {skill:.2f} of 1)")
    places = np.arange(len(rows))
    usual = np.bincount(given, minlength=len(classes)) / len(given) if skill < LEAST_SKILL else np.ones(len(classes))
    limit = np.minimum(OWN, usual / 2)[given]
    return _Doubts(rows, labels[rows], classes[best], shares[places, given], shares[places, best], limit, note)


def _sample(labels: NDArray[np.int64], draw: np.random.Generator) -> NDArray[np.bool_]:
    """Which records are fitted on: all, or `SAMPLE` of them, of each class at least 100 where there are so many."""
    if len(labels) <= SAMPLE:
        return np.ones(len(labels), dtype=bool)
    order = draw.permutation(len(labels))
    ranked = order[np.argsort(labels[order], kind="stable")]
    rank = np.arange(len(ranked)) - np.searchsorted(labels[ranked], labels[ranked])
    chosen = np.zeros(len(labels), dtype=bool)
    chosen[ranked[rank < 100]] = True
    chosen[order[: max(0, SAMPLE - int(chosen.sum()))]] = True
    return chosen


def _predicted(
    inputs: Inputs, given: NDArray[np.int64], fitted: NDArray[np.bool_], classes: int
) -> NDArray[np.float32]:
    """(records, classes) probabilities, each by models that were not fitted on the record."""
    make: Callable[[NDArray[np.int64]], Callable[[NDArray[np.int64]], NDArray[np.float32]]]
    make = predictor(inputs, given, classes)
    shares = np.zeros((len(given), classes), dtype=np.float32)
    sample, rest = np.flatnonzero(fitted), np.flatnonzero(~fitted)
    for fold in _folds(given[sample]):
        shares[sample[fold]] = make(sample[~fold])(sample[fold])
    if rest.size:
        shares[rest] = make(sample)(rest)
    return shares


def _folds(given: NDArray[np.int64]) -> Sequence[NDArray[np.bool_]]:
    """Masks of the folds, every class spread over all."""
    order = np.random.default_rng(1).permutation(len(given))
    ranked = order[np.argsort(given[order], kind="stable")]
    fold = np.empty(len(given), dtype=np.int64)
    fold[ranked] = np.arange(len(given)) % _FOLDS
    return [fold == number for number in range(_FOLDS)]


def _skill(best: NDArray[np.int64], given: NDArray[np.int64], classes: int) -> float:
    right = np.bincount(given, weights=best == given, minlength=classes) / np.maximum(np.bincount(given), 1)
    return float((right.mean() - 1 / classes) / (1 - 1 / classes))
