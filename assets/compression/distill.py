"""Teaching a small network what a large one answers (Hinton, Vinyals & Dean 2015, arXiv:1503.02531)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from assets.fitting.old import Objective, Recipe, fit
from assets.networks import Network

TEMPERATURE = 4.0
SOFT_SHARE = 0.7


def distillation(teacher: Network, temperature: float = TEMPERATURE, soft_share: float = SOFT_SHARE) -> Objective:
    """The objective of a student: cross-entropy with the labels, and with the teacher's softened answers.

    The soft part is scaled by the square of the temperature, as in the paper, so that both parts' gradients stay
    comparable. The teacher answers the very inputs the student sees, augmentation included.
    """
    teacher.eval()

    def objective(inputs: Tensor, labels: Tensor, outputs: Tensor) -> Tensor:
        with torch.no_grad():
            wanted = functional.log_softmax(teacher(inputs) / temperature, dim=1)
        given = functional.log_softmax(outputs / temperature, dim=1)
        soft = functional.kl_div(given, wanted, reduction="batchmean", log_target=True) * temperature**2
        return soft_share * soft + (1 - soft_share) * functional.cross_entropy(outputs, labels)

    return objective


def distill(
    student: Network,
    teacher: Network,
    train: tuple[Tensor, Tensor],
    validation: tuple[Tensor, Tensor],
    recipe: Recipe,
    report: Callable[[str], None],
) -> None:
    """Fit `student` in place to the teacher's answers; its best validation weights stay. Raises RejectedError."""
    fit(student, train, validation, recipe, distillation(teacher), report)
