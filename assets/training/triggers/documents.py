"""A claim: the accepted batches that one retrain is for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edge.contracts import digest, document

Trigger = Literal["new batches", "nightly", "command"]


@document("edgeloop.retrain_claim")
@dataclass(frozen=True)
class Claim:
    """The accepted batches at positions `after` < p <= `upto`, to be trained on in one run.

    Attributes:
        batches: their ids, in the order of acceptance.
        records: how many records they hold.
        time: seconds since 1970.
    """

    line: str
    after: int
    upto: int
    batches: tuple[str, ...]
    records: int
    trigger: Trigger
    time: float

    @property
    def run_key(self) -> str:
        """What names the claim's run to Dagster; a retry appends `:retryN`."""
        return f"retrain-{digest(self)}"
