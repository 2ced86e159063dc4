"""Differentially private training (Abadi et al. 2016, arXiv:1607.00133) with Opacus: what one record can change is
bounded.

Each step draws every training record with the same chance (Poisson sampling), clips each record's gradient, and adds
Gaussian noise to their sum. The noise is chosen so that all epochs together spend no more than the line's epsilon.

Draws and noise come from a secret of the training, not from `training.seed`: whoever knows the seed of a line's YAML
could otherwise draw the same noise and take it off again. The secret is kept in the checkpoint, so that a resumed
training is the same, and goes with it. So two private trainings with one seed differ.

The bound is about training records of one model. Validation and test records, which only choose and judge, are not
covered, nor are the classes' names and the input's mean and deviation; of several models trained on the same records,
what was spent adds up.
"""

from __future__ import annotations

import copy
import secrets
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from opacus.accountants import RDPAccountant
from opacus.grad_sample import GradSampleModule
from opacus.optimizers import DPOptimizer
from opacus.validators import ModuleValidator
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from assets.errors import RejectedError
from assets.fitting.distributed_batches import Rows, Sampling, step_seed
from assets.line.training import PrivateTraining, TrainingPolicy

LEAST_BATCH = 32
"""Records per step, on average, from which on an empty draw (chance exp(-32)) may be drawn again without harm."""
ORDERS = [1.1, 1.25, 1.5, 1.75, *range(2, 64), 2.5, 3.5, 4.5, *(2**power for power in range(6, 13))]
"""Of the Renyi divergence, among which the accountant takes the best: large ones for small epsilons."""
LARGEST_NOISE = 1e4
_NOISE, _DRAW = 1, 2
"""Places that `step_seed` tells apart."""


@dataclass(frozen=True, eq=False)
class PoissonSampling(Sampling):
    """Batches of random size: each record is in each of them with the same chance, 1 / `batches`.

    Attributes:
        private: knows the secret, which a checkpoint may replace.
    """

    private: Private

    def epoch(self, epoch: int) -> list[Rows]:
        """The rows of each batch of an epoch."""
        return [self._draw(step_seed(self.private.secret, _DRAW, epoch, batch)) for batch in range(self.batches)]

    def _draw(self, seed: int) -> Rows:
        generator = np.random.default_rng(seed)
        records = len(self.y)
        while True:
            rows = np.flatnonzero(generator.random(records) * self.batches < 1)
            if len(rows):
                return rows.astype(np.int64)


class Private:
    """What makes one training private: a network with gradients per record, draws, noise, and the account.

    Attributes:
        network: to be trained instead of the one that was given, which stays as it is: a copy with its weights whose
            layers all have gradients per record (nn.GRU and nn.LSTM are replaced by Opacus' own). `plain` unwraps it.
        module: what computes the answers of a training step; shares its weights with `network`.
        sampling: the records of each step.
        noise: standard deviation of the noise, as a multiple of the clipped norm.
        secret: of this training; a checkpoint keeps it.
    """

    def __init__(self, network: nn.Module, policy: TrainingPolicy, y: np.ndarray[Any, Any]) -> None:
        """Prepare the training of `network` on the records whose labels are `y`.

        Raises:
            RejectedError: a network, a policy or records that cannot be trained on privately; says what to change.
        """
        assert policy.privacy is not None, "the policy asks for privacy"
        self.budget: PrivateTraining = policy.privacy
        _refuse(network, policy, len(y))
        self.secret = secrets.randbits(63)
        self.sampling = PoissonSampling(y, policy.seed, policy.batch_size, False, 1, 1, self)
        self.steps = policy.epochs * self.sampling.batches
        self.noise = noise_for(self.budget, 1 / self.sampling.batches, self.steps)
        self._names = frozenset(network.state_dict())
        with warnings.catch_warnings():
            # Opacus copies layers by torch.save and torch.load; what it replaces it says in the log, not here.
            warnings.filterwarnings("ignore", module=r"opacus\..*")
            self.network: nn.Module = ModuleValidator.fix(copy.deepcopy(network))
        try:
            self.module: nn.Module = GradSampleModule(self.network, batch_first=True, loss_reduction="mean")
        except NotImplementedError as error:
            raise RejectedError(
                f"training.privacy: this network has layers without gradients per record ({error}); "
                "choose another `model`, or take `privacy` out"
            ) from error
        self._generator: torch.Generator | None = None

    def optimizer(self, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
        """The optimizer of `network`'s parameters, so that each step clips and adds noise first."""
        device = optimizer.param_groups[0]["params"][0].device
        self._generator = torch.Generator(device)
        private: torch.optim.Optimizer = DPOptimizer(
            optimizer,
            noise_multiplier=self.noise,
            max_grad_norm=self.budget.clip,
            expected_batch_size=len(self.sampling.y) / self.sampling.batches,
            loss_reduction="mean",
            generator=self._generator,
        )
        return private

    def seed(self, step: int) -> None:
        """Before a step: its noise is a function of the secret and the step, however often the training was resumed."""
        assert self._generator is not None, "the optimizer was made"
        self._generator.manual_seed(step_seed(self.secret, _NOISE, step))

    def epsilon(self, steps: int) -> float:
        """What so many steps have spent, at the policy's delta; never more than its epsilon."""
        return spent(self.noise, 1 / self.sampling.batches, steps, self.budget.delta) if steps else 0.0

    def plain(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weights of `network` under the names that the network has that was given."""
        return {name: value for name, value in weights.items() if name in self._names}


def spent(noise: float, share: float, steps: int, delta: float) -> float:
    """The epsilon of so many steps, by the Renyi divergences of the sampled Gaussian mechanism (Mironov et al. 2019).

    Args:
        noise: its standard deviation, as a multiple of the clipped norm.
        share: the chance of a record to be in a step.
    """
    accountant = RDPAccountant()
    accountant.history = [(noise, share, steps)]
    with warnings.catch_warnings():
        # It says where the best order is the first or the last one; the bound holds all the same.
        warnings.filterwarnings("ignore", message="Optimal order is the")
        return float(accountant.get_epsilon(delta=delta, alphas=ORDERS))


def noise_for(budget: PrivateTraining, share: float, steps: int) -> float:
    """The least noise that keeps so many steps within the budget, to half a percent.

    Raises:
        RejectedError: no noise is enough.
    """
    low, high = 0.0, 1.0
    while spent(high, share, steps, budget.delta) > budget.epsilon:
        low, high = high, 2 * high
        if high > LARGEST_NOISE:
            raise RejectedError(
                f"training.privacy: no noise keeps {steps} steps within epsilon {budget.epsilon} at delta "
                f"{budget.delta}; raise `epsilon`, lower `epochs`, or land more records"
            )
    while high - low > high / 200:
        middle = (low + high) / 2
        if spent(middle, share, steps, budget.delta) > budget.epsilon:
            low = middle
        else:
            high = middle
    return high


def _refuse(network: nn.Module, policy: TrainingPolicy, records: int) -> None:
    """Raise RejectedError where a private training would not be private; a policy refuses more by itself."""
    least = min(LEAST_BATCH, records)
    if policy.batch_size < least:
        raise RejectedError(
            f"training.batch_size: a private training draws its batches at random and needs at least {least}, not "
            f"{policy.batch_size}; larger ones also need less noise"
        )
    for name, module in network.named_modules():
        if isinstance(module, _BatchNorm) and any(one.requires_grad for one in module.parameters()):
            raise RejectedError(
                f"training.privacy: layer {name} is a BatchNorm, in which the records of a batch see each other; "
                "choose a family without it"
            )
