"""Teaching a small network what a large one answers (Hinton, Vinyals & Dean 2015, arXiv:1503.02531)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

from assets.compression.features import Seen, apart, watching
from assets.families.attention import Attention
from assets.tasks.contract import Objective

TEMPERATURE = 4.0
SOFT_SHARE = 0.7
REMEMBERED = 200_000
"""Most answers of a teacher that are remembered, about 200 bytes each for ten classes."""
AT_ONCE = 16
"""Records that a teacher is asked at a time where its answers are remembered. It is always so many, as arithmetic
rounds by the shape of a batch: an answer is the same whichever records it was asked with."""
SLOW = (nn.modules.conv._ConvNd, nn.RNNBase, Attention)
"""Layers of a teacher that costs more than looking its answers up, which takes 0.02 ms a record."""


class Distillation(nn.Module):
    """The objective of a student: to answer what is true, and what the teacher answers.

    Of classes: cross-entropy with the labels, and with the teacher's softened answers. The soft part is scaled by the
    square of the temperature, as in the paper, so that both parts' gradients stay comparable. Of numbers: the squared
    error against both, in units of `scale`. With `features`, the student's features are drawn to the teacher's too,
    see `assets.compression.features`; `fit` has it `attend` the student then.

    The teacher answers the very inputs the student sees, augmentation included. It is a part of this module, so that it
    goes where the training goes; `fit` trains the student alone.
    """

    def __init__(
        self,
        teacher: nn.Module,
        *,
        numbers: bool = False,
        scale: float = 1.0,
        features: float = 0.0,
        temperature: float = TEMPERATURE,
        soft_share: float = SOFT_SHARE,
    ) -> None:
        super().__init__()
        self.teacher = teacher.eval()
        self.numbers, self.scale, self.features = numbers, scale, features
        self.temperature, self.soft_share = temperature, soft_share
        self._answers, self._seen = Answers(self.teacher), Seen()

    @contextmanager
    def attend(self, network: nn.Module) -> Iterator[None]:
        """Look into the student while it is trained, where features are compared. Its weights are not touched."""
        if not self.features:
            yield
            return
        with watching(network, self._seen, training=True):
            yield

    def forward(self, inputs: Tensor, labels: Tensor, outputs: Tensor) -> Tensor:
        """The loss of one batch: see `assets.tasks.contract.Objective`.

        Raises:
            RejectedError: features are asked for, and the student has none that compare.
        """
        self.teacher.eval()
        seen: Seen = {}
        with torch.no_grad():
            if self.features:
                with watching(self.teacher, seen, training=False):
                    wanted = self.teacher(inputs)
            else:
                wanted = self._answers.of(self.teacher, inputs)
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
        loss = self.soft_share * soft + (1 - self.soft_share) * hard
        if self.features:
            loss = loss + self.features * apart(self._seen, seen)
            self._seen.clear()  # or it would keep a graph alive
        return loss


class Answers:
    """What a teacher answered before, by the bytes of the record: its forward pass is most of a small student's step.

    Records that are augmented are never the same twice. Where the memory is full and few were met again, it is given
    up. Records on a GPU are answered anew: hashing them would cost more.
    """

    def __init__(self, teacher: nn.Module) -> None:
        self._known: dict[bytes, Tensor] = {}
        self._asked = self._met = 0
        self._on = any(isinstance(part, SLOW) for part in teacher.modules())

    def of(self, teacher: nn.Module, inputs: Tensor) -> Tensor:
        """(records, outputs), as `teacher(inputs)` answers."""
        if not self._on or inputs.device.type != "cpu":
            return teacher(inputs)  # type: ignore[no-any-return]
        rows = inputs.detach().contiguous().flatten(1).numpy()
        names = [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in rows]
        new = {name: place for place, name in enumerate(names) if name not in self._known}
        self._asked, self._met = self._asked + len(names), self._met + len(names) - len(new)
        places = list(new.values())
        for start in range(0, len(places), AT_ONCE):
            part = places[start : start + AT_ONCE]
            answers = teacher(inputs[part + part[:1] * (AT_ONCE - len(part))])
            self._known.update((names[place], answer.clone()) for place, answer in zip(part, answers, strict=False))
        found = torch.stack([self._known[name] for name in names])
        if len(self._known) > REMEMBERED:
            self._known.clear()
            self._on = self._met > self._asked / 4
        return found


def distillation(teacher: nn.Module, scale: float | None = None, features: float = 0.0) -> Objective:
    """The objective of a student of `teacher`.

    Args:
        scale: spread of the numbers to predict; None where the answer is a class.
        features: weight of the features' distance, where shapes allow; 0 for none.
    """
    return Distillation(teacher, numbers=scale is not None, scale=scale or 1.0, features=features)
