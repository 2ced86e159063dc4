"""Teaching a small network what a large one answers (Hinton, Vinyals & Dean 2015, arXiv:1503.02531)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from assets.tasks.contract import Objective

TEMPERATURE = 4.0
SOFT_SHARE = 0.7


class Distillation(nn.Module):
    """The objective of a student: to answer what is true, and what the teacher answers.

    Of classes: cross-entropy with the labels, and with the teacher's softened answers. The soft part is scaled by the
    square of the temperature, as in the paper, so that both parts' gradients stay comparable. Of numbers: the squared
    error against both, in units of `scale`.

    The teacher answers the very inputs the student sees, augmentation included. It is a part of this module, so that it
    goes where the training goes; `fit` trains the student alone.
    """

    def __init__(
        self,
        teacher: nn.Module,
        *,
        numbers: bool = False,
        scale: float = 1.0,
        temperature: float = TEMPERATURE,
        soft_share: float = SOFT_SHARE,
    ) -> None:
        super().__init__()
        self.teacher = teacher.eval()
        self.numbers, self.scale = numbers, scale
        self.temperature, self.soft_share = temperature, soft_share

    def forward(self, inputs: Tensor, labels: Tensor, outputs: Tensor) -> Tensor:
        """The loss of one batch: see `assets.tasks.contract.Objective`."""
        self.teacher.eval()
        with torch.no_grad():
            wanted = self.teacher(inputs)
        if self.numbers:
            given = outputs.reshape(-1) / self.scale
            soft = functional.mse_loss(given, wanted.reshape(-1) / self.scale)
            hard = functional.mse_loss(given, labels.reshape(-1) / self.scale)
        else:
            soft = functional.kl_div(
                functional.log_softmax(outputs / self.temperature, dim=1),
                functional.log_softmax(wanted / self.temperature, dim=1),
                reduction="batchmean",
                log_target=True,
            )
            soft = soft * self.temperature**2
            hard = functional.cross_entropy(outputs, labels)
        return self.soft_share * soft + (1 - self.soft_share) * hard


def distillation(teacher: nn.Module, scale: float | None = None) -> Objective:
    """The objective of a student of `teacher`.

    Args:
        scale: spread of the numbers to predict; None where the answer is a class.
    """
    return Distillation(teacher, numbers=scale is not None, scale=scale or 1.0)
