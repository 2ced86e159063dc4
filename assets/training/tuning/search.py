"""Hyperparameter search: Optuna proposes settings, short trainings try them, validation records choose.

Proposals come from a tree-structured Parzen estimator (Bergstra et al. 2011), and trainings that are behind the median
of the others at the same epoch end early. Each proposal depends on the trials before it and a fixed seed only; so a
search that was killed goes on as if it had not been.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from pydantic import ValidationError

from assets.errors import RejectedError
from assets.fitting.contract import CheckpointPlace, FitControl, Fitted, Progress, Quiet
from assets.line.model import ModelFamily
from assets.line.training import SearchSpace, TrainingPolicy
from assets.training.tuning.trial_log import Tries

optuna.logging.set_verbosity(optuna.logging.WARNING)

REVISION = 1
OF_MODEL = frozenset({"dropout", "width", "depth"})
"""Settings of the line's section `model`; the others are of `training`."""
CHOICES = ("batch_size", "width", "depth")
Settings = Mapping[str, float]
Trial = Callable[[ModelFamily, TrainingPolicy, FitControl], Fitted]
"""Fits one teacher by its sections `model` and `training`."""
Places = Callable[[int], CheckpointPlace | None]


@dataclass(frozen=True)
class Goal:
    """What is searched for: settings with more (`sign` 1) or with less (-1) of a metric."""

    metric: str
    sign: int


@dataclass(frozen=True)
class Searched:
    """What a search found.

    Attributes:
        model, policy: the line's sections with the best settings, and with the line's own epochs.
        settings: these settings; see `TrainedModel.settings`.
        score: the metric they reached on validation records, after `SearchSpace.epochs`.
        tried: trainings that were tried, those of earlier processes included.
        sentence: for people.
    """

    model: ModelFamily
    policy: TrainingPolicy
    settings: Settings
    score: float
    tried: int
    sentence: str


def search(
    model: ModelFamily,
    policy: TrainingPolicy,
    trial: Trial,
    tries: Tries,
    *,
    goal: Goal,
    report: Callable[[str], None],
    place: Places = lambda number: None,
    minutes: float | None = None,
) -> Searched:
    """Try `policy.search.trials` settings and give the best; the line's own are the first, where the space has them.

    Args:
        trial: tries one, on the training records, judged on the validation records.
        tries: what was tried already is not tried again.
        place: where trial `number`'s checkpoints go, so that a killed one goes on.
        minutes: no further trial begins after so many, those of earlier processes included.

    Raises:
        RejectedError: a setting of the space that does not go with the rest of the line, or no trial that succeeded.
    """
    space, metric, sign = policy.search, goal.metric, goal.sign
    assert space is not None, "a search has a space"
    _check(space, model, policy)
    study = _study(space, sign, policy.seed)
    for one in tries.done:
        study.add_trial(_frozen(one, space))
    if not tries.done:
        study.enqueue_trial(_own(space, model, policy))
    problem = ""
    while len(tries.done) < space.trials and not _over(tries, minutes):
        number = len(tries.done)
        study.sampler = _sampler(space, policy.seed + number)
        asked = study.ask(_distributions(space))
        settings = {name: float(value) for name, value in asked.params.items()}
        began = time.monotonic()
        pruning = _Pruning(asked, metric)
        where = place(number)
        chosen = applied(model, policy, settings)
        short = chosen[1].model_copy(update={"epochs": space.epochs, "search": None, "folds": 0})
        left = None if minutes is None else minutes - _spent(tries)
        score: float | None = None
        try:
            fitted = trial(chosen[0], short, FitControl(pruning, where, left))
            score, state = fitted.best_score, "complete"
            pruning.values |= _curve(fitted.curve, metric)  # of epochs before a crash, too
        except optuna.TrialPruned:
            state = "pruned"
        except RejectedError as error:  # e.g. a learning rate at which the loss is not finite
            state, problem = "fail", str(error)
        if where is not None:
            where.remove()
        tries.add(
            {
                "settings": settings,
                "score": score if state == "complete" else None,
                "state": state,
                "epochs": {str(epoch): value for epoch, value in pruning.values.items()},
                "seconds": time.monotonic() - began,
            }
        )
        study.tell(asked, score if state == "complete" else None, state=_STATES[state])
        report(_line(number, space.trials, settings, state, metric, score, len(pruning.values)))
    complete = [one for one in tries.done if one["state"] == "complete"]
    if not complete:
        raise RejectedError(
            f"training.search: none of {len(tries.done)} trials succeeded ({problem or 'all ended early'}); narrow the "
            "space, e.g. to smaller learning rates"
        )
    best = max(complete, key=lambda one: sign * one["score"])
    settings = best["settings"]
    sentence = (
        f"search: {len(tries.done)} settings tried for {space.epochs} epochs each; best {_words(settings)} with "
        f"validation {metric} {best['score']:.4f}"
    )
    report(sentence)
    return Searched(*applied(model, policy, settings), settings, best["score"], len(tries.done), sentence)


def applied(model: ModelFamily, policy: TrainingPolicy, settings: Settings) -> tuple[ModelFamily, TrainingPolicy]:
    """The sections `model` and `training` with these settings in them. Raises ValidationError where they do not fit."""
    whole = {name: int(value) if name in CHOICES else value for name, value in settings.items()}
    of_model = {name: value for name, value in whole.items() if name in OF_MODEL}
    of_training = {name: value for name, value in whole.items() if name not in OF_MODEL}
    return (
        ModelFamily.model_validate(model.model_dump() | of_model),
        TrainingPolicy.model_validate(policy.model_dump() | of_training),
    )


class _Pruning(Quiet):
    """Tells Optuna how a trial goes, and ends it where it is behind. What it raises goes through `fit`."""

    def __init__(self, asked: optuna.Trial, metric: str) -> None:
        self._asked, self._metric = asked, metric
        # Only the first of several processes is told of epochs: ended by itself, the others would wait for it.
        self._prunes = int(os.environ.get("WORLD_SIZE", "1")) == 1
        self.values: dict[int, float] = {}

    def epoch(self, row: Mapping[str, float], progress: Progress) -> None:
        del progress
        for step, value in _curve((row,), self._metric).items():
            self.values[step] = value
            self._asked.report(value, step)
        if self._prunes and self._asked.should_prune():
            raise optuna.TrialPruned


def _curve(rows: Sequence[Mapping[str, float]], metric: str) -> dict[int, float]:
    """Epoch to validation metric."""
    name = f"validation_{metric}"
    return {int(row["epoch"]): float(row[name]) for row in rows if name in row}


def _check(space: SearchSpace, model: ModelFamily, policy: TrainingPolicy) -> None:
    """Raise RejectedError where a value to try is refused by the line itself: before hours of trials, not after."""
    for name in CHOICES:
        for value in getattr(space, name):
            try:
                applied(model, policy, {name: value})
            except ValidationError as error:
                reason = error.errors()[0]["msg"]
                raise RejectedError(
                    f"training.search.{name}: {value} does not go with the line ({reason}); leave it out"
                ) from error
    for name in ("learning_rate", "weight_decay", "dropout"):
        for value in getattr(space, name) or ():
            try:
                applied(model, policy, {name: value})
            except ValidationError as error:
                reason = error.errors()[0]["msg"]
                raise RejectedError(f"training.search.{name}: {value} is out of bounds ({reason})") from error


def _distributions(space: SearchSpace) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in ("learning_rate", "weight_decay", "dropout"):
        if (ends := getattr(space, name)) is not None:
            found[name] = optuna.distributions.FloatDistribution(*ends, log=name != "dropout")
    for name in CHOICES:
        if values := getattr(space, name):
            found[name] = optuna.distributions.CategoricalDistribution(values)
    return found


def _own(space: SearchSpace, model: ModelFamily, policy: TrainingPolicy) -> dict[str, Any]:
    """The line's own settings, as far as the space has them."""
    found = {}
    for name, distribution in _distributions(space).items():
        value = getattr(model if name in OF_MODEL else policy, name)
        if isinstance(distribution, optuna.distributions.CategoricalDistribution):
            inside = value in distribution.choices
        else:
            inside = distribution.low <= value <= distribution.high
        if inside:
            found[name] = value
    return found


_STATES = {
    "complete": optuna.trial.TrialState.COMPLETE,
    "pruned": optuna.trial.TrialState.PRUNED,
    "fail": optuna.trial.TrialState.FAIL,
}


def _study(space: SearchSpace, sign: int, seed: int) -> optuna.Study:
    return optuna.create_study(
        direction="maximize" if sign > 0 else "minimize",
        sampler=_sampler(space, seed),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=3, n_warmup_steps=2, n_min_trials=3),
    )


def _sampler(space: SearchSpace, seed: int) -> optuna.samplers.TPESampler:
    """The first third of the trials (3 to 10) is drawn at random."""
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=min(10, max(3, space.trials // 3)))


def _frozen(one: Mapping[str, Any], space: SearchSpace) -> optuna.trial.FrozenTrial:
    return optuna.trial.create_trial(
        state=_STATES[one["state"]],
        value=one["score"],
        params={name: int(value) if name in CHOICES else value for name, value in one["settings"].items()},
        distributions=_distributions(space),
        intermediate_values={int(epoch): value for epoch, value in one["epochs"].items()},
    )


def _spent(tries: Tries) -> float:
    return sum(float(one["seconds"]) for one in tries.done) / 60


def _over(tries: Tries, minutes: float | None) -> bool:
    """Whether time is up; the first process's clock counts for all. One trial is always made."""
    over = minutes is not None and bool(tries.done) and _spent(tries) >= minutes
    if minutes is None or int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return over
    import torch

    if not torch.distributed.is_initialized():  # before the first trial, when no time is spent
        return over
    said = torch.tensor([over], dtype=torch.uint8, device="cuda" if torch.cuda.is_available() else "cpu")
    torch.distributed.broadcast(said, 0)
    return bool(said[0])


def _words(settings: Settings) -> str:
    return ", ".join(f"{name} {value:.3g}" for name, value in settings.items())


def _line(
    number: int, trials: int, settings: Settings, state: str, metric: str, score: float | None, epochs: int
) -> str:
    ended = {
        "complete": f"validation {metric} {score or 0.0:.4f}",
        "pruned": f"ended after {epochs} epochs, behind the others",
        "fail": "failed",
    }
    return f"search {number + 1}/{trials}: {_words(settings)}: {ended[state]}"
