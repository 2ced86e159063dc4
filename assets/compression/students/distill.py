"""Teaching a small network what a large one answers (Hinton, Vinyals & Dean 2015, arXiv:1503.02531)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from assets.compression.students.features import Seen, apart, watching
from assets.families.attention import Attention
from assets.line.training import Augmentation, TrainingPolicy
from assets.tasks.contract import Objective

TEMPERATURE = 4.0
SOFT_SHARE = 0.7
REMEMBERED_BYTES = 100_000_000
"""Most of a teacher's answers that are remembered, with `KEY_BYTES` for what keeping one takes besides its numbers."""
KEY_BYTES = 200
AT_ONCE = 16
"""Records that a teacher is asked at a time where its answers are remembered. It is always so many, as arithmetic
rounds by the shape of a batch: an answer is the same whichever records it was asked with."""
SLOW = (nn.modules.conv._ConvNd, nn.RNNBase, Attention)
"""Layers of a teacher that costs more than looking its answers up, which takes 0.02 ms a record."""
RATE = 5e-3
"""Adam's learning rate for students with BatchNorm, at least."""
LONG = 10
"""Epochs beyond which records that are always the same would be learned by heart, see `student_policy`."""


def student_policy(policy: TrainingPolicy, epochs: int, student: nn.Module) -> TrainingPolicy:
    """How a student of a teacher that was trained by `policy` is taught: in little time, on answers that are there.

    On Fashion-MNIST at 14 x 14 pixels, 12,000 records and a resnet with a fifth of its teacher's work (teacher 0.877 on
    validation and test records, one thread) 12 seconds brought, by what was changed:

    - rate 0.001, augmented, the teacher asked in each step: 0.803 (2.3 epochs); rate 0.003: 0.840
    - labels alone, rate 0.001, augmented: 0.837 (3.6 epochs)
    - not augmented, so that answers are remembered, rate 0.001: 0.847 (4.0 epochs); rate 0.003: 0.868
    - the same in 10 seconds: rate 0.003: 0.864; 0.006: 0.870; 0.01: 0.872; temperature 2 for 4, at 0.003: 0.868
    - in 45 seconds at rate 0.003: not augmented 0.878 (14 epochs), augmented 0.863 (8 epochs)
    - the same with labels alone, augmented: 0.870 (15 epochs)
    - in 180 steps: without features 0.861, with their weight 1 or 10: 0.862 or 0.861; they cost the remembering

    On CIFAR-10 (4,018 records), a resnet with a halved picture (teacher 0.688 on test records), SGD; one seed each:

    - 12 epochs: not augmented 0.660 in 23 s, augmented 0.665 in 31 s; labels alone, augmented: 0.667 in 30 s
    - 30 epochs: not augmented 0.653 (4 and then 26 epochs), augmented 0.684 in 80 s; labels alone, augmented: 0.691

    So a student is not augmented unless it is taught for long, or its teacher costs nothing; and its rate is high. The
    first augmented student pays for its teacher's answers too, which the others are given.
    """
    normed = any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in student.modules())
    changes: dict[str, Any] = {
        "epochs": epochs,
        "schedule": "one-cycle",
        "warmup_epochs": 0,
        "label_smoothing": 0.0,
        "patience": None,
        "privacy": None,
    }
    if normed and policy.optimizer != "sgd":
        changes["learning_rate"] = max(policy.learning_rate, RATE)
    if epochs <= LONG and any(isinstance(part, SLOW) for part in student.modules()):
        changes["augment"] = Augmentation()
    return policy.model_copy(update=changes)


class Distillation(nn.Module):
    """The objective of a student: to answer what is true, and what the teacher answers.

    Of classes: cross-entropy with the labels, and with the teacher's softened answers. The soft part is scaled by the
    square of the temperature, as in the paper, so that both parts' gradients stay comparable. Of numbers: the squared
    error against both, in units of `scale`. With `features`, the student's features are drawn to the teacher's too,
    see `assets.compression.students.features`; `fit` has it `attend` the student then.

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
        answers: Answers | None = None,
    ) -> None:
        super().__init__()
        self.teacher = teacher.eval()
        self.numbers, self.scale, self.features = numbers, scale, features
        self.temperature, self.soft_share = temperature, soft_share
        self._answers, self._seen = answers or Answers(self.teacher), Seen()

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

    Records that are augmented are hardly the same twice in one training, but trainings of the same seed see the same
    ones, so students share this. When the memory is full, what is there stays and the rest is asked anew, in the same
    batches: what a student learns does not depend on what was remembered before it. Records on a GPU are answered anew:
    hashing them would cost more.
    """

    def __init__(self, teacher: nn.Module) -> None:
        self._known: dict[bytes, Tensor] = {}
        self._bytes = 0
        self._on = any(isinstance(part, SLOW) for part in teacher.modules())

    def of(self, teacher: nn.Module, inputs: Tensor) -> Tensor:
        """(records, outputs), as `teacher(inputs)` answers."""
        if not self._on or inputs.device.type != "cpu":
            return teacher(inputs)  # type: ignore[no-any-return]
        rows = inputs.detach().contiguous().flatten(1).numpy()
        names = [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in rows]
        new = {name: place for place, name in enumerate(names) if name not in self._known}
        places, made = list(new.values()), dict[bytes, Tensor]()
        for start in range(0, len(places), AT_ONCE):
            part = places[start : start + AT_ONCE]
            answers = teacher(inputs[part + part[:1] * (AT_ONCE - len(part))])
            made |= {names[place]: answer.clone() for place, answer in zip(part, answers, strict=False)}
        found = torch.stack([self._known[name] if name in self._known else made[name] for name in names])
        for name, answer in made.items():
            self._bytes += KEY_BYTES + answer.numel() * answer.element_size()
            if self._bytes > REMEMBERED_BYTES:
                self._bytes -= KEY_BYTES + answer.numel() * answer.element_size()
                break
            self._known[name] = answer
        return found


def distillation(
    teacher: nn.Module, scale: float | None = None, features: float = 0.0, answers: Answers | None = None
) -> Objective:
    """The objective of a student of `teacher`.

    Args:
        scale: spread of the numbers to predict; None where the answer is a class.
        features: weight of the features' distance, where shapes allow; 0 for none.
        answers: what this teacher was asked before: students of one seed see the same augmented records.
    """
    return Distillation(teacher, numbers=scale is not None, scale=scale or 1.0, features=features, answers=answers)
