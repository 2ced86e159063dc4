"""What goes into a model and what comes out: names, shapes, types, and the checks of a batch against them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge.contracts import CLASS_ANSWER, MAX_BATCH, AnswerSpec, InputSpec
from edge.errors import RejectedError


@dataclass(frozen=True)
class Signature:
    """What a model reads and answers, without the batch axis.

    Attributes:
        input, output: names.
        shape: of the input.
        outputs: how many numbers are answered.
        picture: (channels, height, width) of the answer where it is a picture; empty where it is a row of numbers.
        tokens: the input is int64 token numbers, not float32.
    """

    input: str
    shape: tuple[int, ...]
    output: str
    outputs: int
    picture: tuple[int, ...] = ()
    tokens: bool = False

    @property
    def answer(self) -> tuple[int, ...]:
        """The answer's shape for one record."""
        return self.picture or (self.outputs,)


class InferenceSession(Protocol):
    """A model that is ready to answer. `runtime` names what executes it, with its version."""

    runtime: str
    threads: int
    signature: Signature

    def run(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        """Answer records: (n, *shape) float32 or int64, 1 <= n <= `MAX_BATCH`, to float32 (n, *answer)."""


def check_signature(
    session: InferenceSession,
    spec: InputSpec,
    output: str,
    labels: tuple[str, ...],
    answer: AnswerSpec = CLASS_ANSWER,
) -> None:
    """Raise RejectedError unless the model reads `spec` and answers, under the name `output`, what `answer` says.

    Of classes one number per label, of numbers and anomalies one, of pictures the pixels of one.
    """
    found = session.signature
    tokens = spec.kind == "text"
    if answer.kind == "image":
        expected = Signature(spec.name, spec.shape, output, found.outputs, found.picture, tokens)
        sound = found == expected and len(found.picture) == 3
    else:
        outputs = len(labels) if answer.kind == "class" else 1
        expected = Signature(spec.name, spec.shape, output, outputs, (), tokens)
        sound = found == expected
    if not sound:
        what = f"{expected}, answering an {answer.kind}" if answer.kind != "class" else str(expected)
        raise RejectedError(f"the model has {found}, its release says {what}; release it again")


def check_batch(batch: NDArray[Any], signature: Signature) -> None:
    """Raise ValueError unless `batch` is (n, *shape) with n from 1 to `MAX_BATCH`, float32 or int64 as the model's."""
    wanted = np.int64 if signature.tokens else np.float32
    if batch.dtype != wanted or batch.shape[1:] != signature.shape or not 1 <= len(batch) <= MAX_BATCH:
        expected = ", ".join(map(str, (f"1..{MAX_BATCH}", *signature.shape)))
        raise ValueError(f"expected {np.dtype(wanted)} ({expected}), found {batch.dtype} {batch.shape}")


def check_model_file(path: str | Path) -> None:
    """Raise RejectedError unless there is a plain file with something in it."""
    file = Path(path)
    if not file.is_file():
        raise RejectedError(f"{file}: there is no such file")
    if not file.stat().st_size:
        raise RejectedError(f"{file}: the file is empty; fetch it again")


def signature_of(
    name: str, shape: Sequence[int], output: str, answer: Sequence[int], tokens: bool, path: str | Path
) -> Signature:
    """The signature of a model whose input and answer have these shapes, batch axis first. Raises RejectedError."""
    if len(answer) not in (2, 4):
        raise RejectedError(
            f"{path}: the output has shape {list(answer)}; expected (batch, numbers) or "
            "(batch, channels, height, width)"
        )
    picture = tuple(answer[1:]) if len(answer) == 4 else ()
    return Signature(name, tuple(shape[1:]), output, prod(answer[1:]), picture, tokens)
