"""The error tree of what runs on a device.

    EdgeError
    ├── RejectedError            bad input: says file, place, reason and what to do; never retried
    │   ├── ContractError        a document that is malformed, or of a version this code does not know
    │   ├── VerificationError    a digest, signature or freshness check that did not hold
    │   ├── IncompatibleError    an artifact that cannot run on this device
    │   └── SelfTestError        an artifact that runs, but does not give the golden outputs
    └── TransientError           worth another try: a server that is away, a disk that is full

ValueError stands for a caller's mistake, assert for an invariant.
"""

from __future__ import annotations


class EdgeError(Exception):
    """The root of every error that this package raises on purpose."""


class RejectedError(EdgeError):
    """Bad input. Trying again with the same input gives the same answer."""


class ContractError(RejectedError):
    """A document that is malformed, or of a version this code does not know."""


class VerificationError(RejectedError):
    """A digest, signature or freshness check that did not hold."""


class IncompatibleError(RejectedError):
    """An artifact that cannot run on this device."""


class SelfTestError(RejectedError):
    """An artifact that runs on this device, but does not give the golden outputs."""


class TransientError(EdgeError):
    """A fault that may pass: the caller may try the same thing again."""
