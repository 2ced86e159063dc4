"""What a search has found so far."""

from __future__ import annotations

from dataclasses import dataclass, field

from assets.compression.documents import Candidate, Tried
from assets.compression.subject import Subject
from assets.compression.trials import Trial, Trials


@dataclass
class SearchState:
    """What a search has found so far.

    Attributes:
        found: candidates without latency, each with the seconds that its trials took.
        no_time_for: what there was no time for.
    """

    trials: Trials
    found: list[tuple[Candidate, float]] = field(default_factory=list)
    tried: list[Tried] = field(default_factory=list)
    no_time_for: list[str] = field(default_factory=list)

    @property
    def subject(self) -> Subject:
        """What is compressed."""
        return self.trials.subject

    def add(self, trial: Trial, before: float = 0.0) -> Candidate | None:
        """Keep what a trial found; `before` are seconds that its network took. Returns its candidate."""
        self.tried += trial.tried
        for candidate in trial.candidates:
            self.found.append((candidate, before + trial.seconds))
        return trial.candidates[0] if trial.candidates else None

    def too_late_for(self, name: str) -> bool:
        """Whether the minutes are spent, which is told of what would have come next."""
        if self.trials.late:
            self.no_time_for.append(name)
        return self.trials.late

    def swap(self, old: Candidate, new: Candidate) -> None:
        """Put a candidate that more is known of in the place of an old one."""
        self.found = [(new if candidate is old else candidate, seconds) for candidate, seconds in self.found]
