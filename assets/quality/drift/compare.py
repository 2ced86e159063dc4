"""Whether a batch has drifted from accepted data: effects measured in three ways, less what chance alone would show.

A feature has drifted when its population stability index reaches `policy.psi`, its Jensen-Shannon distance
`policy.jensen_shannon`, or its Wasserstein distance `policy.wasserstein`: each less its expected value under no drift,
and only where Pearson's test says that chance does so in fewer than one batch in a thousand. So size decides, and
small batches do not cry wolf.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from assets.line.quality import DriftPolicy
from assets.quality.drift.domain import domain_auc
from assets.quality.drift.features import Feature
from assets.quality.drift.profile import LABEL, Profile
from edge.contracts import document

CHANCE = 0.001
"""False alarms that are put up with: this share of batches, over all features together."""
LEAST_EXPECTED = 5
_LEAST_SHARE = 1e-4
MAX_WASSERSTEIN = 1000.0


@dataclass(frozen=True)
class FeatureDrift:
    """How far one feature is from accepted data; psi, js and wasserstein are less what chance alone would show.

    Attributes:
        name: the column; `LABEL` for the label.
        psi: population stability index, in nats.
        js: Jensen-Shannon distance, base 2, 0 to 1.
        wasserstein: in standard deviations of the accepted data; None for words.
        now, before: mean of the values; None for words, private columns and where there is none.
        nulls_now, nulls_before: share of records without a value.
        private: its values must not be shown.
    """

    name: str
    kind: Literal["number", "word"]
    psi: float
    js: float
    wasserstein: float | None
    drifted: bool
    now: float | None = None
    before: float | None = None
    nulls_now: float = 0.0
    nulls_before: float = 0.0
    private: bool = False


@document("edgeloop.drift")
@dataclass(frozen=True)
class Drift:
    """How far a batch is from accepted data.

    Attributes:
        state: "none" or "drifted"; "not compared" where there is too little to compare.
        records, reference: how many records were compared with how many.
        features: the furthest first.
        domain_auc: ROC-AUC with which a classifier tells the batch's embeddings from accepted ones, 0.5 to 1 by and
            large; None where there are none. `domain_drifted`: whether it reaches the policy's limit.
        sentences: for the verdict, plain; the first says the whole, each further one names a drift.
    """

    state: Literal["none", "drifted", "not compared"]
    records: int
    reference: int
    features: tuple[FeatureDrift, ...] = ()
    domain_auc: float | None = None
    domain_drifted: bool = False
    sentences: tuple[str, ...] = field(default=())

    @property
    def drifted(self) -> tuple[str, ...]:
        """Names of the features that have drifted, the furthest first."""
        return tuple(item.name for item in self.features if item.drifted)


def compare(now: Profile, reference: Profile, policy: DriftPolicy) -> Drift:
    """How far the records of `now` are from those of `reference`.

    Features that one of them lacks are left out, as are those without `policy.min_records` values on both sides unless
    they are missing on one.
    """
    least = policy.min_records
    if min(now.records, reference.records) < least:
        small, what = (now, "this batch has") if now.records < least else (reference, "accepted data is only")
        text = f"Not compared with accepted data: {what} {small.records:,} good records, and {least:,} are needed."
        return Drift("not compared", now.records, reference.records, sentences=(text,))
    known = reference.by_name
    pairs = [(item, known[item.name]) for item in now.features if _comparable(item, known.get(item.name))]
    features = [_feature(new, old, policy, CHANCE / max(len(pairs), 1)) for new, old in pairs]
    features.sort(key=lambda item: (not item.drifted, -item.psi, item.name))
    auc = None
    if now.sample is not None and reference.sample is not None:
        auc = domain_auc(now.sample.array(), reference.sample.array())
    domain = auc is not None and auc >= policy.domain_auc
    found = [item for item in features if item.drifted]
    sentences = _sentences(found, auc if domain else None, len(features), now.records, reference.records)
    state: Literal["none", "drifted"] = "drifted" if found or domain else "none"
    return Drift(state, now.records, reference.records, tuple(features), auc, domain, sentences)


def _comparable(new: Feature, old: Feature | None) -> bool:
    return old is not None and new.kind == old.kind and new.edges == old.edges


def _feature(new: Feature, old: Feature, policy: DriftPolicy, chance: float) -> FeatureDrift:
    counts, before = _cells(new, old)
    n, m = int(counts.sum()), int(before.sum())
    psi, js, significant = _divergences(counts, before, chance)
    distance = _wasserstein(new, old) if new.kind == "number" else None
    large = psi >= policy.psi or js >= policy.jensen_shannon
    moved = distance is not None and distance >= policy.wasserstein
    private = new.private or old.private
    shown = new.kind == "number" and not private
    return FeatureDrift(
        new.name,
        new.kind,
        psi,
        js,
        distance,
        significant and (large or moved),
        new.mean if shown and new.values else None,
        old.mean if shown and old.values else None,
        new.nulls / max(n, 1),
        old.nulls / max(m, 1),
        private,
    )


def _cells(new: Feature, old: Feature) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Records of both in the same cells: bins or words, then what has no value; cells empty in both are left out.

    Words expected fewer than `LEAST_EXPECTED` times are counted together: a hundred rare words are all noise.
    """
    if new.kind == "number":
        first, second = [*new.counts, new.nulls], [*old.counts, old.nulls]
    else:
        share = min(new.values / max(old.values, 1), 1.0)
        often = [word for word, times in old.words.items() if times * share >= LEAST_EXPECTED]
        first = [new.words.get(word, 0) for word in often]
        second = [old.words[word] for word in often]
        first += [new.values - sum(first), new.nulls]
        second += [old.values - sum(second), old.nulls]
    counts, before = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    used = counts + before > 0
    return counts[used], before[used]


def _divergences(counts: NDArray[np.float64], before: NDArray[np.float64], chance: float) -> tuple[float, float, bool]:
    """PSI and Jensen-Shannon distance less their expected values under no drift; whether chance is unlikely.

    Under no drift both are chi-squared with cells - 1 degrees of freedom, times 1/n + 1/m (PSI) and an eighth of it
    (the divergence in nats), to first order.
    """
    from scipy.stats import chi2

    n, m, freedom = counts.sum(), before.sum(), len(counts) - 1
    if freedom < 1:
        return 0.0, 0.0, False
    noise = 1 / n + 1 / m
    p, q = counts / n, before / m
    # half a record where there is none, but never a share so small that one odd record decides
    p_held = np.maximum((counts + 0.5) / (n + 0.5 * len(counts)), _LEAST_SHARE)
    q_held = np.maximum((before + 0.5) / (m + 0.5 * len(counts)), _LEAST_SHARE)
    psi = float(((p_held - q_held) * np.log(p_held / q_held)).sum())
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p > 0, p * np.log(p / middle), 0) + np.where(q > 0, q * np.log(q / middle), 0)
    divergence = (float(terms.sum()) / 2 - freedom * noise / 8) / np.log(2)
    pooled = (counts + before) / (n + m)
    statistic = float(((p - q) ** 2 / pooled).sum()) / noise
    significant = bool(chi2.sf(statistic, freedom) < chance)
    return max(float(psi - freedom * noise), 0.0), float(np.sqrt(max(divergence, 0.0))), significant


def _wasserstein(new: Feature, old: Feature) -> float:
    """Distance between both features' bins, each a mass at its mean, in standard deviations of the old one."""
    from scipy.stats import wasserstein_distance

    if not new.values or not old.values:
        return 0.0
    scale = old.std if old.std > 0 else max(abs(old.mean), 1.0)
    distance = wasserstein_distance(
        np.asarray(new.means) / scale, np.asarray(old.means) / scale, np.asarray(new.counts), np.asarray(old.counts)
    )
    filled = np.asarray(old.counts) > 0
    reached = np.cumsum(np.asarray(old.counts)[filled])[:-1] / old.values
    gaps = np.diff(np.asarray(old.means)[filled]) / scale
    # the expected area between two empirical distributions: each point of them is normal around the true one
    noise = np.sqrt(2 / np.pi * (1 / new.values + 1 / old.values))
    expected = float((np.sqrt(reached * (1 - reached)) * np.abs(gaps)).sum() * noise)
    return min(max(float(distance) - expected, 0.0), MAX_WASSERSTEIN)


def _sentences(
    found: Sequence[FeatureDrift], auc: float | None, features: int, records: int, reference: int
) -> tuple[str, ...]:
    compared = f"{records:,} records were compared with {reference:,} accepted ones"
    if not found and auc is None:
        return (f"No drift: {compared}.",)
    sentences = []
    if found:
        sentences.append(f"Drift: {len(found):,} of {features:,} features are far from accepted data; {compared}.")
    for item in found:
        sentences.append(f"{_title(item)} {_what(item)}.")
    if auc is not None:
        sentences.append(
            f"A classifier tells this batch's records from accepted ones by their looks alone (ROC-AUC {auc:.2f}; "
            f"0.5 would be a guess){'' if found else f'; {compared}'}."
        )
    return tuple(sentences)


def _title(item: FeatureDrift) -> str:
    if item.name == LABEL:
        return "The label" if item.kind == "number" else "The mix of labels"
    return f"Column {item.name!r}"


def _what(item: FeatureDrift) -> str:
    facts = [f"PSI {item.psi:.2f}", f"Jensen-Shannon {item.js:.2f}"]
    if item.wasserstein is not None:
        facts.append(f"Wasserstein {item.wasserstein:.2f} standard deviations")
    text = "has drifted"
    if item.now is not None and item.before is not None and (item.wasserstein or 0) >= 0.1:
        text += f": its mean is {item.now:.4g}, and was {item.before:.4g}"
    if abs(item.nulls_now - item.nulls_before) >= 0.05:
        text += f"; {item.nulls_now:.0%} of its cells are empty, before {item.nulls_before:.0%}"
    return f"{text} ({', '.join(facts)})"
