"""What the gate says of a section that `edgeloop inspect` proposes, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from platform_defs.cli.output import say, tell

if TYPE_CHECKING:
    from assets.ingest.inspection.checked import Checked, Problem


def show_checked(checked: Checked) -> None:
    """How many records would be accepted, and all that is against the others, each with what to do."""
    judged = f"{'all' if checked.complete else 'a sample of'} {checked.seen:,} records, {checked.seconds:.1f} s"
    say(f"\nthe gate on this section{'' if checked.state == 'unchecked' else f' ({judged})'}:", style="bold")
    if checked.state == "unchecked":
        tell(checked.why)
        return
    if checked.state == "blocked":
        say(f"the batch would be blocked: none of {checked.seen:,} records would be accepted", style="bold red")
    else:
        parts = [f"{checked.accepted:,} of {checked.seen:,} records would be accepted"]
        parts += [f"{checked.quarantined:,} quarantined"] * bool(checked.quarantined)
        parts += [f"{checked.refused:,} refused"] * bool(checked.refused)
        say(", ".join(parts))
    _list("it blocks", checked.blocking)
    _list("it warns", checked.warnings)
    _list("why records are not accepted", checked.reasons)


def _list(title: str, problems: Sequence[Problem]) -> None:
    if problems:
        say(f"{title}:")
    for problem in problems:
        count = f"{problem.count:,} x, first in {problem.example}: " if problem.count else ""
        say(f"  {count}{problem.what.rstrip('.')}; {problem.remedy}")
