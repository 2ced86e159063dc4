"""One answer for one file: a picture, a row, a unit's rows, a text, or a generator's noise."""

from __future__ import annotations

import csv
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.contracts import CLASS_ANSWER, AnswerSpec, InputSpec
from edge.errors import RejectedError
from edge.runtime.inputs.rows import parse_list, parse_row, series_tensor, series_values
from edge.runtime.inputs.words import text_tensor
from edge.runtime.preprocess import decode_image, image_tensor, noise_tensor, row_tensor
from edge.runtime.signature import InferenceSession

MAX_FILE_BYTES = 256 * 1024 * 1024
MAX_ROW_BYTES = 1024 * 1024
MAX_SERIES_BYTES = 16 * 1024 * 1024


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


def predict(
    session: InferenceSession,
    spec: InputSpec,
    labels: tuple[str, ...],
    path: str | Path,
    answer: AnswerSpec = CLASS_ANSWER,
) -> Answer:
    """Answer one file.

    Args:
        path: a picture; for a table, a JSON object, or a CSV file with a header and one row; for a series, one unit's
            rows, oldest first, as a JSON list of objects or lists, or a CSV file; a text file; for noise, a JSON list
            of numbers.

    Raises:
        RejectedError: names the file, and says why it cannot be read or answered.
    """
    try:
        tensor = _tensor(spec, Path(path))
    except RejectedError as error:
        raise RejectedError(f"{path}: {error}") from error
    return answered(session, tensor, labels, answer, str(path))


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


def _tensor(spec: InputSpec, path: Path) -> NDArray[Any]:
    if spec.kind == "image":
        return image_tensor(spec, decode_image(_read(path, MAX_FILE_BYTES), spec.shape[0]))
    limit = MAX_SERIES_BYTES if spec.kind == "series" else MAX_ROW_BYTES
    try:
        text = _read(path, limit).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RejectedError(f"not text in UTF-8 ({error.reason} at byte {error.start})") from error
    if spec.kind == "text":
        return text_tensor(spec, text.rstrip("\r\n"))
    if spec.kind == "noise":
        return noise_tensor(spec, parse_list(text, "numbers"))
    json = text.lstrip().startswith(("{", "["))
    if spec.kind == "series":
        return series_tensor(spec, series_values(spec, parse_list(text, "rows") if json else _csv_rows(text)))
    if json:
        return row_tensor(spec, parse_row(text))
    rows = _csv_rows(text)
    if len(rows) != 1:
        raise RejectedError(f"{len(rows)} rows under the header; give one record per file")
    return row_tensor(spec, rows[0])


def _read(path: Path, limit: int) -> bytes:
    try:
        if path.exists() and not path.is_file():
            raise RejectedError("not a plain file")
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise RejectedError(error.strerror or str(error)) from error
    if not data.strip():
        raise RejectedError("the file is empty")
    if len(data) > limit:
        raise RejectedError(f"more than {limit:,} bytes; give one record per file")
    return data


def _csv_rows(text: str) -> list[dict[str, Any]]:
    try:
        lines = [(number, row) for number, row in enumerate(csv.reader(text.splitlines(), strict=True), 1) if row]
    except csv.Error as error:
        raise RejectedError(f"not a CSV file ({error})") from error
    (_, header), rows = lines[0], lines[1:]
    names = [name.strip() for name in header]
    if len(set(names)) != len(names):
        raise RejectedError("a column is named twice in the header")
    for number, row in rows:
        if len(row) != len(header):
            raise RejectedError(f"line {number} has {len(row)} cells, the header has {len(header)}")
    return [dict(zip(names, row, strict=True)) for _, row in rows]
