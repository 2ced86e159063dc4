"""What a model card shows, as plain data: `assets.training.card.page` turns it into HTML and decides nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from assets.pages.plots import Plot
from edge.contracts import Metric

State = Literal["better", "worse", "unsure", "first", "weak"]


@dataclass(frozen=True)
class ModelInUse:
    """The model in use, measured on the same test records.

    Attributes:
        model: digest of its ONNX file.
        metrics: its metrics on these records.
        sentence: what the paired test says, for people.
        better: whether the new one is really better; None where the test cannot tell.
    """

    model: str
    metrics: tuple[Metric, ...]
    sentence: str
    better: bool | None


@dataclass(frozen=True)
class Verdict:
    """What to think of the model, first of all.

    Attributes:
        state: "better", "worse" or "unsure" against the model in use; "first" where there is none; "weak" where it is
            not better than a model that has seen labels only.
        title: the page's first line.
        sentences: why.
    """

    state: State
    title: str
    sentences: tuple[str, ...]


@dataclass(frozen=True)
class Score:
    """One metric's row: the model, and what it is held against; places are in percent of the row's rail.

    Attributes:
        name: as people say it.
        better: "zero" where the best is in the middle, as of a bias.
        low, high: ends of the 95 % interval; None where there is none.
        at: places of value, low end, high end, baseline and rival on the rail; None where it is not there.
    """

    name: str
    better: Literal["higher", "lower", "zero"]
    value: float
    low: float | None
    high: float | None
    validation: float | None
    baseline: float | None
    rival: float | None
    records: int
    chief: bool
    at: tuple[float, float | None, float | None, float | None, float | None]


@dataclass(frozen=True)
class Batch:
    """A batch of the dataset, with the page of its quality report ("" where there is none)."""

    name: str
    link: str


@dataclass(frozen=True)
class Cell:
    """A cell of the confusion matrix: records, and their share of the true class in percent."""

    count: int
    share: float


@dataclass(frozen=True)
class Confusion:
    """Rows are true classes, columns are answers; of more classes than fit, the pairs most often mistaken.

    Attributes:
        pairs: (true, answered, records, share of the true class in percent), the most first.
    """

    classes: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    pairs: tuple[tuple[str, str, int, float], ...]


@dataclass(frozen=True)
class Slice:
    """Some of the test records.

    Attributes:
        values: one number for each column of its group.
        low, high: ends of the first number's 95 % interval.
        weak: whether that interval is wholly on the wrong side of what the model reaches on all records.
    """

    name: str
    records: int
    values: tuple[float, ...]
    low: float
    high: float
    weak: bool


@dataclass(frozen=True)
class SliceGroup:
    """Slices by one thing, worst first.

    Attributes:
        columns: what the numbers are.
        small: how many slices were left out since they have too few records; `more`: since there are too many.
        singles: whether the slices' names may tell values of single records.
    """

    title: str
    columns: tuple[str, ...]
    slices: tuple[Slice, ...]
    small: int
    more: int
    singles: bool = False


@dataclass(frozen=True)
class Shown:
    """A test record on the page.

    Attributes:
        mark: finds it again, where it is to be forgotten (see `assets.pages.redaction`).
        many: whether it shows other records too, as a window of readings does: then it goes with any of them.
        title: what it is and what was answered, for people.
        detail: how wrong, how sure.
        picture: data URI; heat: the same with what the answer rests on; "" without.
        waves: paths in a box of 120 x 48; names: of those columns.
        tokens: a text in pieces, each with what it adds to the answer, -1 to 1; weights are 0 where nobody knows.
        cells: (column, value) of a row.
    """

    mark: str
    title: str
    detail: str
    picture: str = ""
    heat: str = ""
    waves: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    tokens: tuple[tuple[str, float], ...] = ()
    cells: tuple[tuple[str, str], ...] = ()
    many: bool = False


@dataclass(frozen=True)
class Bar:
    """One input's share in the answers: `size` in percent of the largest, `text` its number."""

    name: str
    size: float
    text: str


@dataclass(frozen=True)
class Explained:
    """What the answers rest on.

    Attributes:
        method: in words, with its source.
        note: how it was made, or why there is nothing to show.
        bars: per column, the most important first; `more` are left out.
        plot: along the steps of a series.
        shown: single records.
    """

    method: str
    note: str
    bars: tuple[Bar, ...] = ()
    more: int = 0
    shown: tuple[Shown, ...] = ()
    plot: Plot | None = None


@dataclass(frozen=True)
class Generated:
    """Pictures that a generator made.

    Attributes:
        grid: data URI of one picture with all samples.
        neighbours: (sample, nearest training picture) as data URIs, the mark of that record, and their distance.
    """

    grid: str
    count: int
    neighbours: tuple[tuple[str, str, str, float], ...]


@dataclass(frozen=True)
class CardData:
    """Everything on the page.

    Attributes:
        model: digest of the ONNX file; also the page's name.
        hidden: why single records are not shown; "" where they are.
        tiles: (number, what it is).
        splits: (split, records).
        errors_title: what the shown records are the worst of.
        settings, training, cost, versions: (name, value) in words.
    """

    line: str
    description: str
    model: str
    task: str
    task_note: str
    verdict: Verdict
    tiles: tuple[tuple[str, str], ...]
    dataset: str
    position: int
    splits: tuple[tuple[str, int], ...]
    batches: tuple[Batch, ...]
    batches_more: int
    scores: tuple[Score, ...]
    test_records: int
    rival: str
    notes: tuple[str, ...]
    curves: tuple[Plot, ...]
    plots: tuple[Plot, ...]
    confusion: Confusion | None
    slices: tuple[SliceGroup, ...]
    errors_title: str
    errors: tuple[Shown, ...]
    explained: Explained | None
    generated: Generated | None
    hidden: str
    training: tuple[tuple[str, str], ...]
    settings: tuple[tuple[str, str], ...]
    cost: tuple[tuple[str, str], ...]
    cost_note: str
    versions: tuple[tuple[str, str], ...]
