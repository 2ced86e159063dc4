"""What a search's page shows: words and places that are ready for the template, which escapes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from assets.pages.plots import Mark, Plot

State = Literal["chosen", "front", "beaten", "unproven"]


@dataclass(frozen=True)
class Fact:
    """A name with its value."""

    name: str
    value: str


@dataclass(frozen=True)
class Limit:
    """One limit of the budget, and what the model shown has of it.

    Attributes:
        held: None where nobody knows.
    """

    name: str
    allowed: str
    has: str
    held: bool | None


@dataclass(frozen=True)
class Fronts:
    """The two plots of targets that share them."""

    targets: str
    note: str
    plots: tuple[Plot, ...]


@dataclass(frozen=True)
class Entry:
    """A candidate in the table.

    Attributes:
        number: what the plots call it.
        test_lost: with its paired interval.
        why: why it was chosen, or why not.
    """

    number: int
    name: str
    state: State
    teacher: bool
    recipe: str
    validation: str
    lost: str
    test: str
    test_reach: str
    test_lost: str
    ms: str
    kb: str
    macs: str
    parameters: str
    why: str


@dataclass(frozen=True)
class TriedEntry:
    """Something that became no candidate."""

    name: str
    recipe: str
    lost: str
    ms: str
    seconds: str
    why: str


@dataclass(frozen=True)
class Bar:
    """A named bar, 0 to 100 wide; `second` is another number's, thinner; `tag` matters more than `note`."""

    name: str
    size: float
    text: str
    second: float | None = None
    bad: bool = False
    tag: str = ""
    note: str = ""


@dataclass(frozen=True)
class Layers:
    """What INT8 costs in each layer of one candidate, the worst first; those that have no bar are rows of a table."""

    title: str
    bars: tuple[Bar, ...]
    more: tuple[tuple[str, str, str], ...]
    left_out: int


@dataclass(frozen=True)
class Cell:
    """A count of the matrix.

    Attributes:
        kind: "hit", "miss" or "none" (0 records).
        shade: per cent of its colour.
        moved: the difference to the teacher's count with its sign; "" for none.
        strong: whether it is a hundredth of the row and at least two records.
    """

    count: int
    kind: str
    shade: int
    moved: str = ""
    strong: bool = False
    worse: bool = False


@dataclass(frozen=True)
class Confusion:
    """Both matrices, rows of the truth."""

    classes: tuple[str, ...]
    before: tuple[tuple[Cell, ...], ...]
    after: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True)
class Step:
    """A parity verdict."""

    stage: str
    state: Literal["passed", "failed", "pending"]
    kind: str
    text: str
    note: str
    child: str


@dataclass(frozen=True)
class Chain:
    """The verdicts that lead to one dialect's file."""

    title: str
    steps: tuple[Step, ...]
    gap: str


@dataclass(frozen=True)
class EngineEntry:
    """What was built for one target."""

    target: str
    size: str
    builder: str
    flags: str
    memory: str
    latency: str
    note: str


@dataclass(frozen=True)
class PageData:
    """Everything on the page.

    Attributes:
        linked: whether it is a line's page, which links to the others.
        subject: whose layers, mistakes and verdicts are shown: "the chosen model", "the nearest miss".
        nearest: where nothing fits, names with what they miss; `remedy` is what to do.
        scale: what one unit of a loss is; `unit` its name.
    """

    line: str
    linked: bool
    fits: bool
    title: str
    sentences: tuple[str, ...]
    limits: tuple[Limit, ...]
    tiles: tuple[tuple[str, str], ...]
    nearest: tuple[tuple[str, str], ...]
    remedy: str
    metric: str
    scale: str
    unit: str
    test_records: int
    targets: str
    legend: tuple[Mark, ...]
    fronts: tuple[Fronts, ...]
    clear: tuple[Entry, ...]
    beaten: tuple[Entry, ...]
    beaten_more: int
    tried: tuple[TriedEntry, ...]
    tried_more: int
    subject: str
    layers: tuple[Layers, ...]
    in_float: tuple[str, ...]
    in_float_more: int
    confusion: Confusion | None
    classes: tuple[Bar, ...]
    classes_more: int
    chains: tuple[Chain, ...]
    engines: tuple[EngineEntry, ...]
    note: str
    facts: tuple[Fact, ...]
