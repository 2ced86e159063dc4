"""Whether pictures, sounds or texts look new: how well a classifier tells them from accepted ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FOLDS = 5
LEAST = 50
_SEED = 20


def domain_auc(now: NDArray[np.float32], reference: NDArray[np.float32]) -> float | None:
    """ROC-AUC, out of fold, of a small classifier between two samples of embeddings; about 0.5 under no drift.

    A linear discriminant with a shrunk covariance (Ledoit and Wolf 2004) over the embeddings and their squares, so that
    a wider spread is found as well as a shift. Both samples are cut to the same size.

    Args:
        now, reference: (records, width) float32, of the same width.

    Returns:
        None where a sample has fewer than `LEAST` records, or the widths differ.
    """
    from scipy.stats import rankdata
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.model_selection import StratifiedKFold
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn

    size = min(len(now), len(reference))
    if size < LEAST or now.shape[1] != reference.shape[1]:
        return None
    generator = np.random.default_rng(_SEED)
    parts = [part[generator.permutation(len(part))[:size]].astype(np.float64) for part in (reference, now)]
    values = np.concatenate(parts)
    spread = values.std(axis=0)
    kept = spread > 1e-9 * (1 + np.abs(values).max(axis=0))
    if not kept.any():
        return 0.5  # every record of both looks the same
    scaled = (values[:, kept] - values[:, kept].mean(axis=0)) / spread[kept]
    scaled = np.concatenate([scaled, scaled**2], axis=1)
    answers = np.repeat([0, 1], size)
    scores = np.empty(len(scaled))
    with threadpool_limits(1):  # matrices so small are slower on many threads, and the gate has its own
        for train, test in StratifiedKFold(FOLDS, shuffle=True, random_state=_SEED).split(scaled, answers):
            model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(scaled[train], answers[train])
            scores[test] = rankdata(model.decision_function(scaled[test]))  # folds are ranked apart: scales differ
    fold_ranks = rankdata(scores)
    return float((fold_ranks[answers == 1].sum() - size * (size + 1) / 2) / size**2)
