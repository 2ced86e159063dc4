"""The data contract of a line: which reader reads a batch, what a record is, how records are split and protected."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from assets.line.cell_form import PLAIN, CellForm, none_if_plain
from assets.line.readers import READERS, Form, Reader

SECTIONS: Mapping[str, str] = {name: spec.section for name, spec in READERS.items()}
"""Reader to the section of the contract that it reads."""

OWN = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
"""A user's own function, `my_package.my_module:build`."""
RESERVED = "_"
"""Names of the gate's own columns begin with it, so no column of the data may."""

UnitIds = Literal["batch", "file", "global"]
"""How far the name of a unit reaches: see `SeriesData.unit_ids`."""


class Frozen(BaseModel):
    """A section of a line's YAML."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def quoted(value: Any) -> Any:
    """Words as they are; refuses what YAML made of a word without quotes, and says what to write."""
    if isinstance(value, bool):
        words, one = ("yes, on and true", "yes") if value else ("no, off and false", "no")
        raise ValueError(  # noqa: TRY004
            f'YAML reads {words} as a truth value, not as a word; write the word in quotes, e.g. "{one}"'
        )
    if value is None:
        raise ValueError('YAML reads null, ~ and nothing as no value; write the word in quotes, e.g. "null"')
    if isinstance(value, int | float | datetime.date):
        raise ValueError(  # noqa: TRY004
            f"YAML reads it as the {'date' if isinstance(value, datetime.date) else 'number'} {value}, not as a word; "
            f'write it in quotes, as the data writes it, e.g. "{value}"'
        )
    return value


Word = Annotated[str, BeforeValidator(quoted)]
"""A word of the data or a column's name: `no`, `1` and `2024-01-01` are words only in quotes."""
Cells = Annotated[CellForm | None, AfterValidator(none_if_plain)]
CELLS = "How cells of text are written; without it 1234.5, ISO 8601 and exact words."


class ImageData(Frozen):
    """Pictures as the model sees them."""

    height: int = Field(ge=4, le=1024, description="Height in pixels the picture is resized to.")
    width: int = Field(ge=4, le=1024, description="Width in pixels the picture is resized to.")
    channels: Literal[1, 3] = Field(default=3, description="1 for grey, 3 for RGB.")


class _Columns(Frozen):
    """Named columns, numbers or categories, that become a record's input."""

    columns: tuple[Word, ...] = Field(min_length=1, max_length=2000, description="The input columns, in order.")
    categories: Mapping[Word, tuple[Word, ...]] = Field(
        default={}, description="Input columns that hold words, each with its words; the model sees their position."
    )
    other: Mapping[Word, Word] = Field(
        default={},
        description="Column to the one of its words that stands for every word not named in `categories`, e.g. "
        "`color: other`; without it such rows are quarantined.",
    )
    header: tuple[Word, ...] = Field(
        default=(), max_length=10_000, description="Names of all columns, for files without a header line."
    )
    skip_lines: int = Field(
        default=0, ge=0, le=1_000, description="Lines of a text before its header or first row: a title, for example."
    )
    cells: Cells = Field(default=None, description=CELLS)

    @model_validator(mode="after")
    def _columns_are_distinct(self) -> Self:
        _refuse_twice("columns", self.columns)
        _refuse_twice("header", self.header)
        for name, words in self.categories.items():
            if name not in self.columns:
                raise ValueError(f"`categories` names {name!r}, which is not one of `columns`")
            if len(words) < 2 or len(set(words)) < len(words):
                raise ValueError(f"categories.{name}: at least two words are needed, each once")
            if not all(words):
                raise ValueError(
                    f"categories.{name}: an empty text is no word; leave it out, empty cells have no value"
                )
        for name, word in self.other.items():
            if word not in self.categories.get(name, ()):
                raise ValueError(f"other.{name}: {word!r} is not one of `categories.{name}`; add it there")
        for name in (*self.columns, *self.header):
            if not name.strip() or name.startswith(RESERVED):
                raise ValueError(f"a column is named {name!r}; names that are blank or begin with _ are reserved")
        _refuse_spaces(self)
        return self


class TableData(_Columns):
    """Rows as the model sees them."""

    target: Word = Field(min_length=1, description="The column that holds the class, or the number to predict.")
    group: Word | None = Field(
        default=None, description="A column, e.g. a patient; records of one group are never on different sides."
    )

    @model_validator(mode="after")
    def _target_is_no_input(self) -> Self:
        if self.target in self.columns:
            raise ValueError(f"the target {self.target!r} is also listed as an input column; take it out of `columns`")
        if self.cells is not None and self.cells.day_first:
            raise ValueError("cells.day_first is for the times of a series, and a table has none; take it out")
        return self


class SeriesData(_Columns):
    """Readings of units (machines, people) over time; windows are cut later, by unit."""

    unit: Word = Field(min_length=1, description="The column that says which unit a reading is of.")
    time: Word = Field(
        min_length=1, description="The column that orders a unit's readings: a number, or an ISO 8601 time."
    )
    target: Word | None = Field(
        default=None, description="The column to predict; none where the target is the time a unit has left."
    )
    remaining: bool = Field(
        default=False,
        description="The target is the time left until the unit's last reading, as in C-MAPSS; files RUL_* say how "
        "much more the units of test_* had.",
    )
    unit_ids: UnitIds = Field(
        default="batch",
        description="How far a unit's name reaches. batch: unit 1 of another batch is another unit, as where each "
        "delivery numbers its machines from 1. file: the same for each file. global: names hold for good, and a later "
        "batch goes on with its units; there a time that repeats or goes back is an error.",
    )
    max_gap: float | None = Field(
        default=None,
        gt=0,
        description="Longest step between a unit's readings, in units of `time` (seconds for times).",
    )

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        if (self.target is None) == (not self.remaining):
            raise ValueError("name a `target` column, or say `remaining: true`; exactly one of them")
        if self.remaining and self.unit_ids == "global":
            raise ValueError(
                "with `remaining: true` a unit's life ends in its file, so no later batch goes on with it; take "
                "`unit_ids: global` out"
            )
        taken = [name for name in (self.unit, self.time, self.target) if name in self.columns]
        if taken:
            raise ValueError(f"{taken[0]!r} is unit, time or target, and also one of `columns`; take it out there")
        return self


class TextData(Frozen):
    """Texts with a label each."""

    column: Word = Field(default="text", min_length=1, description="The column that holds the text.")
    target: Word = Field(default="label", min_length=1, description="The column that holds the class.")
    header: tuple[Word, ...] = Field(
        default=(), max_length=10_000, description="Names of all columns, for files without a header line."
    )
    skip_lines: int = Field(
        default=0, ge=0, le=1_000, description="Lines of a text before its header or first row: a title, for example."
    )
    max_chars: int = Field(default=10_000, ge=1, le=100_000, description="Longer texts are quarantined.")
    cells: Cells = Field(default=None, description=f"{CELLS} Of it, only `trim` is for texts.")

    @model_validator(mode="after")
    def _cells_are_words(self) -> Self:
        if self.cells is not None and set(self.cells.settings) - {"trim"}:
            raise ValueError("cells: texts and labels are no numbers or times; of `cells`, only `trim` is for them")
        _refuse_spaces(self)
        return self


class AudioData(Frozen):
    """Sounds as the model sees them."""

    rate: int = Field(ge=1_000, le=192_000, description="Samples per second.")
    seconds: float = Field(gt=0, le=600, description="Length the sound is cut or padded to.")
    tolerance: float = Field(default=0.5, ge=0, le=1, description="Share by which a sound's length may differ.")


class PrivacyPolicy(Frozen):
    """What is taken out of records before anything is stored, and what reports never show."""

    pseudonymize: tuple[Word, ...] = Field(
        default=(),
        max_length=100,
        description="Columns whose values are replaced by a keyed digest (HMAC-SHA-256); losing the key forgets them.",
    )
    drop: tuple[Word, ...] = Field(default=(), max_length=1000, description="Columns that are removed when data lands.")
    private: tuple[Word, ...] = Field(
        default=(), max_length=1000, description="Columns whose values no report, message or log ever shows."
    )
    strip_metadata: bool = Field(
        default=True, description="Remove EXIF, GPS and comments from pictures before they are stored."
    )
    scan: bool = Field(
        default=True, description="Warn where texts or cells look like e-mail addresses, cards and so on."
    )
    encrypt: bool = Field(
        default=False, description="Store records encrypted (AES-256-GCM) with the key that EDGELOOP_DATA_KEY names."
    )


class DataContract(Frozen):
    """What a batch of this line must look like."""

    reader: Reader = Field(description="The form of the data; `edgeloop inspect SOURCE` suggests one.")
    classes: tuple[Word, ...] = Field(
        default=(),
        max_length=10_000,
        description="Every class, in the model's order; none where a number is predicted.",
    )
    aliases: Mapping[Word, Word] = Field(
        default={}, description="Other spellings of classes, e.g. `HAM: ham`; labels are exact otherwise."
    )
    image: ImageData | None = Field(default=None, description="For readers image_folder, idx and cifar10.")
    table: TableData | None = Field(default=None, description="For reader table: CSV, TSV, Parquet or Arrow.")
    series: SeriesData | None = Field(default=None, description="For reader series.")
    text: TextData | None = Field(default=None, description="For reader text.")
    audio: AudioData | None = Field(default=None, description="For reader audio_folder.")
    carve: tuple[Literal["validation", "test"], ...] = Field(
        default=(), description="Splits that the source does not declare; they are drawn from its train records."
    )
    splits_from: Literal["names", "folders", "none"] | None = Field(
        default=None,
        description="What of a file of rows declares a split: `names` (its first folder, else its own name: train.csv, "
        "test_1.csv, valid.csv), `folders` (its first folder only) or `none`. Unset it is names, and a note says where "
        "a name was taken for a split.",
    )
    validation_share: float = Field(default=0.15, gt=0, lt=0.5, description="Share of records used to choose models.")
    test_share: float = Field(default=0.2, gt=0, lt=0.5, description="Share of records used to report, not to choose.")
    privacy: PrivacyPolicy = Field(default=PrivacyPolicy(), description="What is taken out, hidden or encrypted.")
    source: str | None = Field(
        default=None,
        description="A function of your own, `my_package.my_module:write`, that writes the data set into the folder it "
        "is given, in its original format; `edgeloop land LINE` without a SOURCE lands that.",
    )

    @field_validator("source")
    @classmethod
    def _a_function(cls, source: str | None) -> str | None:
        if source is not None and not OWN.fullmatch(source):
            raise ValueError(f"{source!r} is not `my_package.my_module:function`")
        return source

    @field_validator("reader", mode="before")
    @classmethod
    def _csv_is_a_table(cls, reader: Any) -> Any:
        return "table" if reader == "csv" else reader  # its name until 0.1

    @field_validator("classes")
    @classmethod
    def _distinct(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(classes)) != len(classes):
            raise ValueError("a class is listed twice")
        if not all(map(str.strip, classes)):
            raise ValueError("a class has no name; a record whose label is blank has no label")
        if len(classes) == 1:
            raise ValueError("one class alone teaches nothing; name at least two, or none to predict a number")
        return classes

    @model_validator(mode="after")
    def _reader_has_its_section(self) -> Self:
        section = SECTIONS[self.reader]
        if getattr(self, section) is None:
            raise ValueError(f"reader {self.reader} needs the section `{section}`")
        for other in sorted(set(SECTIONS.values()) - {section}):
            if getattr(self, other) is not None:
                raise ValueError(f"reader {self.reader} does not read the section `{other}`; remove it")
        return self

    @model_validator(mode="after")
    def _splits_are_declared_by_files_of_rows(self) -> Self:
        if self.splits_from is not None and SECTIONS[self.reader] not in {"table", "series", "text"}:
            raise ValueError(
                f"splits_from is for readers table, series and text; reader {self.reader} has its own form, "
                "so remove it"
            )
        return self

    @model_validator(mode="after")
    def _labels_make_sense(self) -> Self:
        self.cells.refuse_spaces("classes", self.classes)
        if not self.classes and self.inputs is None:
            raise ValueError(f"reader {self.reader} needs `classes`, at least two")
        for spelling, name in self.aliases.items():
            if name not in self.classes:
                raise ValueError(f"aliases.{spelling}: {name!r} is not one of `classes`")
            if spelling in self.classes:
                raise ValueError(f"aliases.{spelling}: is itself one of `classes`")
        return self

    @model_validator(mode="after")
    def _privacy_leaves_what_is_learned(self) -> Self:
        section = self.table or self.series
        needed = set(section.columns) if section is not None else set()
        needed |= {self.text.column, self.text.target} if self.text is not None else set()
        needed |= {name for name in (getattr(section, "target", None), getattr(section, "time", None)) if name}
        keys = {name for name in (getattr(section, "unit", None), getattr(section, "group", None)) if name}
        if lost := sorted(set(self.privacy.drop) & (needed | keys)):
            raise ValueError(f"privacy.drop names {lost[0]!r}, which the line learns from; take it out of one of them")
        skipped = getattr(section or self.text, "skip_lines", 0)
        if skipped and (self.privacy.drop or self.privacy.pseudonymize):
            raise ValueError(
                "skip_lines cannot stand beside privacy.drop or privacy.pseudonymize, which look for the header in the "
                "first line; take the lines out of the files"
            )
        if lost := sorted(set(self.privacy.pseudonymize) & needed):
            raise ValueError(
                f"privacy.pseudonymize names {lost[0]!r}, which the line learns from; a token says nothing to a model"
            )
        return self

    @property
    def regression(self) -> bool:
        """Whether a number is predicted: there are no classes."""
        return not self.classes

    @property
    def form(self) -> Form:
        """How the reader's files hold their records."""
        return READERS[self.reader].form

    @property
    def inputs(self) -> _Columns | None:
        """The section with columns, for tables and series."""
        return self.table or self.series

    @property
    def cells(self) -> CellForm:
        """How cells of text are written."""
        section = self.inputs or self.text
        return PLAIN if section is None or section.cells is None else section.cells


def _refuse_spaces(section: _Columns | TextData) -> None:
    """Raise ValueError where a section names what `cells.trim` makes unfindable."""
    if section.cells is None:
        return
    for name in ("columns", "header", "target", "group", "unit", "time", "column"):
        value = getattr(section, name, None) or ()
        section.cells.refuse_spaces(name, (value,) if isinstance(value, str) else value)
    for name, words in getattr(section, "categories", {}).items():
        section.cells.refuse_spaces(f"categories.{name}", words)


def _refuse_twice(what: str, names: tuple[str, ...]) -> None:
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice!r} is listed twice in `{what}`")
