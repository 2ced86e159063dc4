"""Reads what a step's process says, whole lines only.

Dagster's own file reader takes whatever stands at the file's end for a line. Where the process is in the middle of
writing one, that is no JSON: the reader gives up, and the answer of hours of training is lost. This one waits for the
line's end.
"""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import dagster as dg
from dagster._core.pipes.context import PipesMessageHandler
from dagster_pipes import PipesDefaultMessageWriter, PipesParams

POLL_SECONDS = 0.02
Progress = Mapping[str, Any]
"""How far a step is: plain numbers and texts."""


class WholeLineReader(dg.PipesMessageReader):
    """Carries Pipes messages through a temporary file, one JSON document per line.

    A custom message `{"progress": ...}` is no answer: it goes to `on_progress` as soon as it is read.
    """

    def __init__(self, on_progress: Callable[[Mapping[str, Any]], None] = lambda progress: None) -> None:
        self._on_progress = on_progress

    @contextlib.contextmanager
    def read_messages(self, handler: PipesMessageHandler) -> Iterator[PipesParams]:
        """Follow the file in a thread until the session closes; yields where the process shall write."""
        over = threading.Event()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "messages"
            path.touch()
            thread = threading.Thread(target=_follow, args=(path, handler, self._on_progress, over.is_set), daemon=True)
            thread.start()
            try:
                yield {PipesDefaultMessageWriter.FILE_PATH_KEY: str(path)}
            finally:
                over.set()
                thread.join()

    def no_messages_debug_text(self) -> str:
        """Where messages were looked for."""
        return "Looked for messages in a temporary file."


def whole_lines(file: BinaryIO, is_over: Callable[[], bool]) -> Iterator[bytes]:
    """Lines of a file that grows, each when it is complete, until it is over; a last one without an end is dropped."""
    rest = b""
    while True:
        over = is_over()  # before the read: nothing is written after the end
        chunk = file.read()
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
        if over and not chunk:
            return
        if not chunk:
            time.sleep(POLL_SECONDS)


def _follow(
    path: Path,
    handler: PipesMessageHandler,
    on_progress: Callable[[Mapping[str, Any]], None],
    is_over: Callable[[], bool],
) -> None:
    with path.open("rb") as file:
        for line in whole_lines(file, is_over):
            try:
                message = json.loads(line)
                if (progress := progress_of(message)) is not None:
                    on_progress(progress)
                else:
                    handler.handle_message(message)
            except Exception:  # told in the run's page; what follows may still be good
                handler.report_pipes_framework_exception("message reader", sys.exc_info())


def progress_of(message: Any) -> Progress | None:
    """What a message says of progress; None for any other message."""
    if not isinstance(message, dict) or message.get("method") != "report_custom_message":
        return None
    payload = (message.get("params") or {}).get("payload")
    progress = payload.get("progress") if isinstance(payload, dict) else None
    return progress if isinstance(progress, dict) else None
