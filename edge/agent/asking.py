"""`predict`: every record of a file or a folder is answered; one that cannot be says why and stops no other."""

from __future__ import annotations

import base64
import itertools
import json
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.agent.home import UsageError
from edge.contracts import ReleaseManifest
from edge.errors import RejectedError
from edge.runtime.predict import AnomalyAnswer, Answer, Answered, NumberAnswer, PictureAnswer, predict_each
from edge.runtime.records import files_below
from edge.runtime.signature import InferenceSession

WIDTH = 30
EVERY_SECONDS = 0.2


@dataclass
class Tally:
    """How many records were answered, and how many could not be."""

    answered: int = 0
    refused: int = 0


class _Bar:
    """How far it is, on stderr, for a person who waits; nothing where nobody looks."""

    def __init__(self, files: int) -> None:
        self._files = files
        self._shown = sys.stderr.isatty()
        self._last = time.monotonic()

    def move(self, file: int, tally: Tally) -> None:
        if self._shown and time.monotonic() - self._last >= EVERY_SECONDS:
            self._last = time.monotonic()
            done = WIDTH * file // self._files
            bar = f"[{'#' * done}{'.' * (WIDTH - done)}] {file} of {self._files} files, "
            records = f"{tally.answered + tally.refused:,} records"
            sys.stderr.write(f"\r{bar if self._files > 1 else ''}{records}")
            sys.stderr.flush()

    def clear(self) -> None:
        if self._shown:
            sys.stderr.write("\r\x1b[K")


def ask_each(
    session: InferenceSession,
    manifest: ReleaseManifest,
    path: Path,
    release: Mapping[str, str],
    *,
    as_json: bool,
    out: Path | None,
) -> Tally:
    """Answer every record of a file or of a folder's files, and print the answers, a line each.

    Args:
        release: what `--json` tells beside each answer.
        out: where a generated picture is written; for one record only.

    Raises:
        RejectedError: the file cannot be read as a whole, or its only record cannot be answered; the folder is empty.
        UsageError: `out` and more than one record.
    """
    files, many = [path], path.is_dir()
    if many:
        if out is not None:
            raise UsageError("--out is for one picture; name one FILE")
        files = files_below(path)
        if not files:
            raise RejectedError(f"{path}: no file in this folder; name one that holds what the model reads")
    tally, bar = Tally(), _Bar(len(files))
    for number, file in enumerate(files):
        for place, found, alone in _answers(session, manifest, file, many):
            bar.move(number, tally)
            if out is not None and not alone:
                raise UsageError(f"--out is for one picture; {path} has several records")
            bar.clear()
            _print(place, found, release, as_json=as_json, out=out, alone=alone)
            if found.answer is None:
                tally.refused += 1
            else:
                tally.answered += 1
    if tally.answered + tally.refused > 1:
        refused = f"; {tally.refused:,} refused" if tally.refused else ""
        sys.stderr.write(f"{tally.answered:,} of {tally.answered + tally.refused:,} records answered{refused}\n")
    return tally


def _answers(
    session: InferenceSession, manifest: ReleaseManifest, file: Path, many: bool
) -> Iterator[tuple[str, Answered, bool]]:
    """Where each record stands, its answer, and whether it is the only one.

    Of a folder a file that cannot be read is one that is refused; so is the rest of a file that ends in rubble.
    """
    begun = False
    try:
        each = predict_each(session, manifest.input, manifest.labels, file, manifest.answer)
        first = list(itertools.islice(each, 2))
        alone = len(first) == 1 and not many
        if alone and first[0].answer is None:
            raise RejectedError(f"{file}: {_at(first[0].place)}{first[0].problem}")
        for found in itertools.chain(first, each):
            begun = True
            place = str(file) if len(first) == 1 or not found.place else f"{file}: {found.place}"
            yield place, found, alone
    except RejectedError as error:
        if not many and not begun:
            raise
        yield str(file), Answered("", None, str(error).removeprefix(f"{file}: ")), False


def _at(place: str) -> str:
    return f"{place}: " if place else ""


def _print(
    place: str, found: Answered, release: Mapping[str, str], *, as_json: bool, out: Path | None, alone: bool
) -> None:
    """An answer on stdout, or why there is none: on stderr for people, on stdout for programs."""
    if found.answer is None:
        if as_json:
            print(json.dumps({"record": place, "error": found.problem}, sort_keys=True))
        else:
            print(f"{place}: {found.problem}", file=sys.stderr)
        return
    told, text = shown_answer(found.answer, out)
    if as_json:
        print(json.dumps({**told, **release, "record": place}, sort_keys=True))
    else:
        print(text if alone else f"{place}: {text}")


def shown_answer(answer: Answer, out: Path | None) -> tuple[dict[str, Any], str]:
    """An answer for programs and for people; a picture is written to `out`, or told in base64."""
    if isinstance(answer, NumberAnswer):
        return {"value": answer.value}, f"{answer.value:.6g}"
    if isinstance(answer, AnomalyAnswer):
        told = {"score": answer.score, "threshold": answer.threshold, "anomalous": answer.anomalous}
        verdict = "anomalous" if answer.anomalous else "normal"
        return told, f"{verdict}  (score {answer.score:.4g}, anomalous above {answer.threshold:.4g})"
    if isinstance(answer, PictureAnswer):
        height, width, _ = answer.pixels.shape
        size = {"width": width, "height": height}
        if out is None:
            picture = base64.b64encode(answer.png()).decode()
            return {**size, "png": picture}, f"a picture of {width}x{height}; write it with --out FILE.png"
        try:
            out.write_bytes(answer.png())
        except OSError as error:
            raise RejectedError(
                f"{out}: the picture cannot be written ({error.strerror}); name another file"
            ) from error
        return {**size, "file": str(out)}, f"{out}  ({width}x{height})"
    best = ", ".join(f"{name} {share:.3f}" for name, share in list(answer.probabilities.items())[:3])
    return {"label": answer.label, "probabilities": dict(answer.probabilities)}, f"{answer.label}  ({best})"
