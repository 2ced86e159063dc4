"""Image generation's losses: what a GAN's networks want of the discriminator's answers, (records, 1) logits."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from assets.line.training import TrainingPolicy
from assets.tasks.contract import Objective
from assets.tasks.user_losses import user_loss


def learns_from(y: NDArray[Any]) -> NDArray[np.bool_]:
    """(records,) which training pictures are learned from: all."""
    return np.ones(len(y), dtype=bool)


def discriminator_loss(name: str, real: Tensor, generated: Tensor) -> Tensor:
    """What the discriminator minimizes, a mean over both kinds of pictures.

    Args:
        name: "adversarial": binary cross entropy (Goodfellow et al. 2014). "hinge": Lim & Ye 2017.
        real, generated: logits of pictures of each kind.

    Raises:
        ValueError: an unknown name.
    """
    real, generated = real.float(), generated.float()
    if name == "adversarial":
        return (functional.softplus(-real).mean() + functional.softplus(generated).mean()) / 2
    if name == "hinge":
        return (functional.relu(1 - real).mean() + functional.relu(1 + generated).mean()) / 2
    raise ValueError(f"no loss {name!r}; there are adversarial, hinge")


def generator_loss(name: str, generated: Tensor) -> Tensor:
    """What the generator minimizes: "adversarial" is the non-saturating one of Goodfellow et al. 2014.

    Raises:
        ValueError: an unknown name.
    """
    generated = generated.float()
    if name == "adversarial":
        return functional.softplus(-generated).mean()
    if name == "hinge":
        return -generated.mean()
    raise ValueError(f"no loss {name!r}; there are adversarial, hinge")


def kinds_loss(answers: Tensor, kinds: Tensor) -> Tensor:
    """What the class logits of a discriminator that knows labels miss; 0 for one that does not (Odena et al. 2017).

    Args:
        answers: (records, 1 + classes), the first column being the logit of real or generated.
        kinds: (records,) int64 classes: of real pictures their labels, of generated ones what was asked for.
    """
    if answers.shape[1] == 1:
        return answers.new_zeros(())
    return functional.cross_entropy(answers[:, 1:].float(), kinds)


def objective(policy: TrainingPolicy, y: NDArray[Any], classes: int) -> Objective:
    """The discriminator's loss of a batch that holds both kinds: targets are (records,), 1 for real, 0 for generated.

    Raises:
        RejectedError: a loss of the user's own that cannot be loaded.
    """
    del y, classes
    name = policy.loss or "adversarial"
    if ":" in name:
        return user_loss(name)

    def loss(_inputs: Tensor, targets: Tensor, outputs: Tensor) -> Tensor:
        logits, real = outputs.float().reshape(len(targets)), targets.float()
        if name == "hinge":
            return functional.relu(1 - (2 * real - 1) * logits).mean()
        return functional.binary_cross_entropy_with_logits(logits, real)

    return loss
