"""One answer for one file: a picture, or a row in CSV or JSON."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.contracts import InputSpec
from edge.errors import RejectedError
from edge.runtime.preprocess import decode_image, image_tensor, parse_row, row_tensor
from edge.runtime.session import InferenceSession

MAX_FILE_BYTES = 256 * 1024 * 1024
MAX_ROW_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Prediction:
    """The most probable label, and each label's probability (they sum to 1), most probable first."""

    label: str
    probabilities: Mapping[str, float]


def predict(session: InferenceSession, spec: InputSpec, labels: tuple[str, ...], path: str | Path) -> Prediction:
    """Answer one file.

    Args:
        path: a picture for an image model; for a table, a JSON object or a CSV file with a header and one row.

    Raises:
        RejectedError: names the file, and says why it cannot be read or answered.
    """
    try:
        tensor = _tensor(spec, Path(path))
    except RejectedError as error:
        raise RejectedError(f"{path}: {error}") from error
    logits = session.run(tensor[np.newaxis])[0]
    if len(logits) != len(labels):
        raise RejectedError(f"the model gives {len(logits)} outputs for {len(labels)} labels; activate a sound release")
    if not np.isfinite(logits).all():
        raise RejectedError(f"{path}: the model answers with NaN or infinity; report this file")
    probabilities = softmax(logits)
    order = np.argsort(-probabilities, kind="stable")
    return Prediction(labels[order[0]], {labels[index]: float(probabilities[index]) for index in order})


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Probabilities of finite logits (k,), shifted by the largest so that no exponential overflows."""
    powers = np.exp(logits.astype(np.float64) - float(logits.max()))
    probabilities: NDArray[np.float64] = powers / powers.sum()
    return probabilities


def _tensor(spec: InputSpec, path: Path) -> NDArray[np.float32]:
    if spec.kind == "image":
        return image_tensor(spec, decode_image(_read(path, MAX_FILE_BYTES), spec.shape[0]))
    try:
        text = _read(path, MAX_ROW_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RejectedError(f"not text in UTF-8 ({error.reason} at byte {error.start})") from error
    return row_tensor(spec, parse_row(text) if text.lstrip().startswith(("{", "[")) else _csv_row(text))


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


def _csv_row(text: str) -> dict[str, Any]:
    try:
        rows = list(csv.reader(text.splitlines(), strict=True))
    except csv.Error as error:
        raise RejectedError(f"not a CSV file ({error})") from error
    rows = [row for row in rows if row]
    if len(rows) != 2:
        raise RejectedError(f"{max(len(rows) - 1, 0)} rows under the header; give one record per file")
    header, row = rows
    if len(row) != len(header):
        raise RejectedError(f"line 2 has {len(row)} cells, the header has {len(header)}")
    names = [name.strip() for name in header]
    if len(set(names)) != len(names):
        raise RejectedError("a column is named twice in the header")
    return dict(zip(names, row, strict=True))
