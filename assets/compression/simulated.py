"""Training with INT8 simulated, where a network loses too much in INT8 otherwise."""

from __future__ import annotations

from dataclasses import replace

from assets.compression.contract import Candidate
from assets.compression.network import Network
from assets.compression.subject import Trainable
from assets.compression.trials import Trial, Trials


def try_qat(trials: Trials, teacher: Trainable, network: Network, int8: Candidate) -> Trial:
    """The network trained on with INT8 simulated, exported in float; its INT8 file is a trial of its own."""
    recipe = replace(network.made.recipe, qat=trials.subject.policy.qat_epochs, ranges=int8.recipe.ranges)
    return Trial(f"{int8.name}-qat", recipe, 0.0)
