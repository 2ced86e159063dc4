"""An answer for each record of a file: a picture, a row, a unit's rows, a text, or a generator's noise."""

from __future__ import annotations

import itertools
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.contracts import CLASS_ANSWER, AnswerSpec, InputSpec
from edge.errors import RejectedError
from edge.runtime.records import read_records
from edge.runtime.signature import InferenceSession


@dataclass(frozen=True)
class Prediction:
    """The most probable label, and each label's probability (they sum to 1), most probable first."""

    label: str
    probabilities: Mapping[str, float]


@dataclass(frozen=True)
class NumberAnswer:
    """A number in the target's own unit."""

    value: float


@dataclass(frozen=True)
class AnomalyAnswer:
    """How far a record is from the normal ones, and from where on it counts as anomalous."""

    score: float
    threshold: float

    @property
    def anomalous(self) -> bool:
        """Whether the score is above the threshold."""
        return self.score > self.threshold


@dataclass(frozen=True)
class PictureAnswer:
    """A picture: (height, width, 1 or 3) uint8."""

    pixels: NDArray[np.uint8]

    def png(self) -> bytes:
        """The picture as a PNG file (ISO/IEC 15948): 8 bits, grey or RGB."""
        height, width, channels = self.pixels.shape
        head = struct.pack(">2I5B", width, height, 8, 0 if channels == 1 else 2, 0, 0, 0)
        rows = np.concatenate([np.zeros((height, 1), np.uint8), self.pixels.reshape(height, -1)], axis=1)
        chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows.tobytes())), (b"IEND", b""))
        return b"\x89PNG\r\n\x1a\n" + b"".join(
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
            for kind, data in chunks
        )


Answer = Prediction | NumberAnswer | AnomalyAnswer | PictureAnswer


@dataclass(frozen=True)
class Answered:
    """One record of a file: which ("" for the only one), and its answer, or why there is none."""

    place: str
    answer: Answer | None
    problem: str = ""


def predict_each(
    session: InferenceSession,
    spec: InputSpec,
    labels: tuple[str, ...],
    path: str | Path,
    answer: AnswerSpec = CLASS_ANSWER,
) -> Iterator[Answered]:
    """Answer every record of a file, in order; one that cannot be answered says why and stops no other.

    Args:
        path: as `edge.runtime.records.read_records` reads it: a picture; rows or units in delimited text, JSON, Parquet
            or Arrow; texts; or noise.

    Raises:
        RejectedError: names the file, and says why it cannot be read as a whole.
    """
    try:
        for found in read_records(spec, Path(path)):
            if found.tensor is None:
                yield Answered(found.place, None, found.problem)
                continue
            what = f"{path}: {found.place}" if found.place else str(path)
            try:
                yield Answered(found.place, answered(session, found.tensor, labels, answer, what))
            except RejectedError as error:
                yield Answered(found.place, None, str(error).removeprefix(f"{what}: "))
    except RejectedError as error:
        raise RejectedError(f"{path}: {error}") from error


def predict(
    session: InferenceSession,
    spec: InputSpec,
    labels: tuple[str, ...],
    path: str | Path,
    answer: AnswerSpec = CLASS_ANSWER,
) -> Answer:
    """Answer a file that holds one record, as `predict_each` reads it.

    Raises:
        RejectedError: names the file, and says why it cannot be read or answered, or that it holds several records.
    """
    found = list(itertools.islice(predict_each(session, spec, labels, path, answer), 2))
    if len(found) > 1:
        raise RejectedError(
            f"{path}: it has several records ({found[0].place}, {found[1].place}, …); give one per file"
        )
    if found[0].answer is None:
        raise RejectedError(f"{path}: {found[0].problem}")
    return found[0].answer


def answered(
    session: InferenceSession, tensor: NDArray[Any], labels: Sequence[str], answer: AnswerSpec, what: str
) -> Answer:
    """Answer one input tensor.

    Args:
        what: names the input in an error.

    Raises:
        RejectedError: the model answers with something else than the release says, or with NaN or infinity.
    """
    outputs = session.run(tensor[np.newaxis])[0]
    if not np.isfinite(outputs).all():
        raise RejectedError(f"{what}: the model answers with NaN or infinity; report this file")
    if answer.kind == "image":
        if outputs.ndim != 3 or outputs.shape[0] not in {1, 3}:
            raise RejectedError(f"the model gives {outputs.shape}, which is no picture; activate a sound release")
        pixels = np.rint(np.clip(outputs, 0, 1) * 255).astype(np.uint8)
        return PictureAnswer(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    if answer.kind == "class":
        if outputs.shape != (len(labels),):
            raise RejectedError(
                f"the model gives {outputs.size} outputs for {len(labels)} labels; activate a sound release"
            )
        probabilities = softmax(outputs)
        order = np.argsort(-probabilities, kind="stable")
        return Prediction(labels[order[0]], {labels[index]: float(probabilities[index]) for index in order})
    if outputs.size != 1:
        raise RejectedError(f"the model gives {outputs.size} outputs for one number; activate a sound release")
    value = float(outputs.reshape(-1)[0])
    return NumberAnswer(value) if answer.threshold is None else AnomalyAnswer(value, answer.threshold)


def drawn_noise(spec: InputSpec, seed: int) -> NDArray[np.float32]:
    """A generator's input drawn from a normal distribution; the same seed gives the same picture."""
    return np.random.default_rng(seed).standard_normal(spec.shape, dtype=np.float32)


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Probabilities of finite logits (k,), shifted by the largest so that no exponential overflows."""
    powers = np.exp(logits.astype(np.float64) - float(logits.max()))
    probabilities: NDArray[np.float64] = powers / powers.sum()
    return probabilities
