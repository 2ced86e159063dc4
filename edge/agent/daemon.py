"""`edgeloop-agent run`: poll for ever, through outages, until SIGTERM."""

from __future__ import annotations

import random
import signal
import sys
import time
from types import FrameType
from typing import NoReturn

from edge.agent.home import Home
from edge.agent.poll import Outcome, poll
from edge.errors import EdgeError

LONGEST_WAIT = 3600.0


def run(home: Home, interval: float) -> int:
    """Poll every `interval` seconds; after failures wait longer, up to an hour. Returns 0 after SIGTERM or SIGINT.

    Stopping may interrupt a poll anywhere: every step of it survives a power cut, so it survives this too.
    """
    home.enrolment()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    failures, told = 0, ""
    try:
        while True:
            try:
                outcome = poll(home)
                failures, text = 0, describe(outcome)
            except EdgeError as error:
                failures, text = failures + 1, f"waiting: {error}"
            except Exception as error:  # a fault nobody thought of must not end a device's updates
                failures, text = failures + 1, f"unexpected: {type(error).__name__}: {error}"
            if text != told:
                _log(text)
                told = text
            time.sleep(wait_seconds(interval, failures, random.random()))  # noqa: S311 -- spreads load, hides nothing
    except _Stopped:
        _log("stopped")
        return 0


def wait_seconds(interval: float, failures: int, draw: float) -> float:
    """How long to wait: `interval` doubled per failure in a row, at most an hour, and spread over 0.75 to 1.25 of it.

    Args:
        draw: a uniform number in [0, 1), so that a fleet does not come back all at once.
    """
    longest = max(interval, LONGEST_WAIT)
    return float(min(interval * 2 ** min(failures, 20), longest) * (0.75 + draw / 2))


def describe(outcome: Outcome) -> str:
    """One line for the log."""
    notes = "".join(f"; {note}" for note in outcome.notes)
    return f"{outcome.event}: {outcome.release[:12] or 'nothing'} in use; {outcome.reason}{notes}"


class _Stopped(BaseException):
    """The daemon was asked to stop."""


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise _Stopped


def _log(text: str) -> None:
    print(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {text}", file=sys.stderr, flush=True)
