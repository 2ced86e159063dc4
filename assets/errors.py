"""The error tree of the platform. Its two branches are the device's own, so callers tell them apart in one way.

edge.errors.EdgeError
├── RejectedError             bad input: says file, place, reason and what to do; never retried
│   ├── LineError             a line's YAML that is broken, or a line that does not exist
│   ├── LandingError          a source or a landed batch that cannot be taken as a whole
│   ├── ConflictError         somebody else decided first
│   ├── BudgetError           no candidate fits the line's budget
│   └── CompileError          a model that a target's compiler refuses
└── TransientError            worth another try
    └── StepDiedError         a step's process that ended without an answer
"""

from __future__ import annotations

import errno

from edge.errors import EdgeError, RejectedError, TransientError

__all__ = [
    "BudgetError",
    "CompileError",
    "ConflictError",
    "EdgeError",
    "LandingError",
    "LineError",
    "RejectedError",
    "StepDiedError",
    "TransientError",
    "of_the_machine",
]

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_AGAIN = frozenset({errno.EAGAIN, errno.EBUSY, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ETIMEDOUT})


class LineError(RejectedError):
    """A line's YAML that is broken, or a line that does not exist."""


class LandingError(RejectedError):
    """A source or a landed batch that cannot be taken as a whole."""


class ConflictError(RejectedError):
    """Somebody else decided first; the text says who, what and when."""


class BudgetError(RejectedError):
    """No candidate fits the line's budget."""


class CompileError(RejectedError):
    """A model that a target's compiler refuses."""


class StepDiedError(TransientError):
    """A step's process that ended without an answer."""


def of_the_machine(error: OSError, place: str, remedy: str) -> RejectedError | TransientError:
    """What an error of the operating system means, in one sentence.

    Args:
        place: what was worked on, where the error names no file.
        remedy: what to do where another try is of no use.
    """
    named = error.filename if isinstance(error.filename, str) else place
    reason = error.strerror or str(error) or type(error).__name__
    if error.errno in _FULL:
        return TransientError(f"{named}: cannot be written ({reason}); make room, then try again")
    if error.errno in _AGAIN:
        return TransientError(f"{named}: cannot be used now ({reason}); try again")
    return RejectedError(f"{named}: cannot be used ({reason}); {remedy}")
