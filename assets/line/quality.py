"""When the gate blocks a batch, sets a record aside, or warns: a line's `quality` section."""

from __future__ import annotations

import datetime
import difflib
from typing import Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from assets.line.data import Frozen, quoted
from assets.line.expectations import EXPECTATIONS

Severity = Literal["critical", "warning"]
Action = Literal["off", "warn", "quarantine"]
Copies = Literal["once", "per_batch", "all"]


class UserExpectation(Frozen):
    """One Great Expectations expectation of the user's own; every other field is handed to it as it is."""

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)

    expect: str = Field(description="Its class, e.g. ExpectColumnValuesToBeBetween; its settings stand beside this.")
    severity: Severity = Field(
        default="critical", description="critical quarantines or blocks; warning is only reported."
    )
    description: str = Field(default="", max_length=500, description="Why it must hold, for the report.")
    mostly: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Share of records that must hold. Without it each record that breaks it is set aside; with it the "
        "batch is judged as a whole.",
    )

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.expect not in EXPECTATIONS:
            near = difflib.get_close_matches(self.expect, EXPECTATIONS, 1, 0.5)
            hint = f"; is {near[0]} meant?" if near else ""
            raise ValueError(f"{self.expect!r} is no expectation of Great Expectations{hint}")
        return self

    @model_validator(mode="after")
    def _words_are_words(self) -> Self:
        for name, value in self.settings.items():
            try:
                if name.startswith("column"):
                    _ = [quoted(one) for one in (value if isinstance(value, list) else [value])]
                elif isinstance(value, list):  # numbers may stand in a list of values, truth values may not
                    _ = [quoted(one) for one in value if isinstance(one, bool | datetime.date)]
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from error
        return self

    @property
    def settings(self) -> dict[str, Any]:
        """What the expectation itself is told."""
        return dict(self.model_extra or {})


class DriftPolicy(Frozen):
    """How far a batch may be from the data that the model in use was trained on; sizes of effect, not p-values."""

    action: Literal["off", "warn", "block"] = Field(default="warn", description="What a drift does to the batch.")
    psi: float = Field(
        default=0.25, gt=0, le=10, description="Population stability index of one feature from which it has drifted."
    )
    jensen_shannon: float = Field(
        default=0.2, gt=0, le=1, description="Jensen-Shannon distance (base 2) from which a feature has drifted."
    )
    wasserstein: float = Field(
        default=0.5,
        gt=0,
        le=100,
        description="Wasserstein distance, in standard deviations, from which it has drifted.",
    )
    domain_auc: float = Field(
        default=0.8,
        gt=0.5,
        le=1,
        description="ROC-AUC with which a classifier tells new pictures, sounds or texts from accepted ones.",
    )
    min_records: int = Field(default=100, ge=10, description="Smaller batches are not compared: they always differ.")


class QualityPolicy(Frozen):
    """When a batch is blocked as a whole, and what its records must be."""

    min_records: int = Field(default=20, ge=1, le=10_000_000, description="Fewer good records than this block a batch.")
    max_bad_share: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="A larger share of bad records blocks the batch; exact copies are left out.",
    )
    expectations: tuple[UserExpectation, ...] = Field(
        default=(), max_length=500, description="Your own expectations, over the table of records."
    )
    near_duplicates: Action = Field(default="warn", description="What almost equal records on the same side get.")
    leakage: Action = Field(
        default="quarantine", description="What a train record gets that is almost a validation or test record."
    )
    label_suspects: Action = Field(default="warn", description="What a record gets whose label looks wrong.")
    conflicts: Action | None = Field(
        default=None,
        description="What equal inputs under different targets get. None is quarantine for pictures, texts and sounds "
        "(one of the labels is wrong), off for tables and series (the inputs do not tell everything).",
    )
    copies: Copies | None = Field(
        default=None,
        description="How often equal records (input and target) count. once: one of them; per_batch: as often as the "
        "batch that has most of them, so the same file again adds nothing; all: each that lands, in every batch. None "
        "is once for pictures, texts and sounds, per_batch for tables and series.",
    )
    target_leakage: Literal["off", "warn", "block"] = Field(
        default="warn", description="What a column does to the batch that predicts the label alone."
    )
    max_imbalance: float = Field(
        default=100, ge=1, description="Records of the largest class for one of the smallest, from which to warn."
    )
    drift: DriftPolicy = Field(default=DriftPolicy(), description="How far a batch may be from accepted data.")
