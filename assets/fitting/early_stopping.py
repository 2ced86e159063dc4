"""Early stopping: which epoch's weights are kept, and why a training ends."""

from __future__ import annotations

from torch import nn

from assets.fitting.schedules import plateau_cuts
from assets.fitting.state import State
from assets.fitting.validation import ValidationScore
from assets.line.training import TrainingPolicy


def end_epoch(state: State, score: ValidationScore, network: nn.Module, *, better: bool) -> None:
    """Keep the weights of the epoch that `state` is in where they are the best so far, else count it as without gain.

    Args:
        network: has the weights that were scored.
    """
    if better:
        state.best, state.best_epoch, state.without_gain = score, state.epoch, 0
        state.best_weights = {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}
    else:
        state.without_gain += 1
        state.cuts += plateau_cuts(state.without_gain)


def why_ended(state: State, policy: TrainingPolicy, *, over: bool) -> str:
    """Why the training ends before the epoch that `state` is in now; "" where it goes on.

    Args:
        over: whether the time that it may take is spent.
    """
    if state.ended:
        return state.ended
    if policy.patience is not None and state.without_gain >= policy.patience:
        return "patience"
    if state.epoch > policy.epochs:
        return "epochs"
    return "time limit" if over else ""
