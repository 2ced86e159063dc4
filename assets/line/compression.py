"""A line's `compress` and `budget` sections: which smaller models are tried, and what the chosen one may cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, field_validator

from assets.line.data import Frozen
from assets.line.number_formats import TRIED, Format

Ranges = Literal["minmax", "entropy", "percentile"]
Allocation = Literal["even", "cost"]


class Budget(Frozen):
    """What the chosen model may cost; None means no limit."""

    max_drop: float = Field(
        default=0.01,
        ge=0,
        le=0.5,
        description="Largest loss of the line's metric against the teacher (0.01 is one point), on validation records.",
    )
    max_drop_per_class: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Largest loss of any one class's recall: an overall number hides a class that died.",
    )
    max_drops: Mapping[str, float] = Field(
        default_factory=dict,
        max_length=16,
        description="Largest losses of other metrics of the task, by name, e.g. `{macro_f1: 0.02}`.",
    )
    max_kb: float | None = Field(default=None, gt=0, description="Largest ONNX file in kB (1,000 bytes).")
    max_ms: float | None = Field(
        default=None,
        gt=0,
        description="Slowest median latency in ms: batch 1, one thread, this machine.",
    )

    @field_validator("max_drops")
    @classmethod
    def _shares(cls, drops: Mapping[str, float]) -> Mapping[str, float]:
        for name, drop in drops.items():
            if not 0 <= drop <= 1:
                raise ValueError(f"{name}: {drop} is not a loss; allowed is 0 to 1")
        return drops


class CompressionPolicy(Frozen):
    """Which smaller models are tried, and how long."""

    prune: tuple[float, ...] = Field(
        default=(0.3, 0.5), max_length=16, description="Shares of channels to remove; each gives students."
    )
    allocate: tuple[Allocation, ...] = Field(
        default=("even",),
        min_length=1,
        max_length=2,
        description="How a share is spread over layers: even, or cost: more of the layers that take more work.",
    )
    blocks: tuple[int, ...] = Field(
        default=(), max_length=8, description="How many residual blocks to take out, each also with each share."
    )
    heads: tuple[float, ...] = Field(
        default=(), max_length=8, description="Shares of attention heads to remove, each also with each share."
    )
    halvings: tuple[int, ...] = Field(
        default=(),
        max_length=2,
        description="How often the first layer halves the picture, each also with each share and number of blocks.",
    )
    distill_epochs: int = Field(
        default=10, ge=1, le=1000, description="Passes of a surviving student learning from the teacher."
    )
    distill_features: float = Field(
        default=0.0, ge=0, le=100, description="Weight of matching the teacher's features, where shapes allow; 0: none."
    )
    proxy_share: float = Field(
        default=0.2,
        gt=0,
        le=1,
        description="Share of `distill_epochs` after which students are compared; 1 teaches every student to the end.",
    )
    survivors: int = Field(default=3, ge=1, le=16, description="Students that are taught to the end.")
    formats: tuple[Format, ...] = Field(
        default=TRIED,
        min_length=1,
        max_length=len(TRIED),
        description="Formats that are tried.",
    )
    ranges: tuple[Ranges, ...] = Field(
        default=("minmax", "entropy", "percentile"),
        min_length=1,
        max_length=3,
        description="How INT8 ranges are found; the one that loses least is kept.",
    )
    calibration_records: int = Field(default=128, ge=8, le=10_000, description="Training records that set INT8 ranges.")
    max_float_layers: int = Field(
        default=3, ge=0, le=64, description="Most layers left in float, the most sensitive first, where INT8 loses."
    )
    qat_epochs: int = Field(
        default=1, ge=0, le=100, description="Passes of training with INT8 simulated, where INT8 loses; 0: none."
    )
    max_minutes: float | None = Field(
        default=None, gt=0, le=10_080, description="After so many minutes no new student is begun."
    )

    @field_validator("prune", "heads")
    @classmethod
    def _ratios(cls, ratios: tuple[float, ...]) -> tuple[float, ...]:
        for ratio in ratios:
            if not 0 < ratio < 0.95:
                raise ValueError(f"{ratio} is not a share; allowed is above 0 and below 0.95")
        return ratios

    @field_validator("halvings")
    @classmethod
    def _halvings(cls, halvings: tuple[int, ...]) -> tuple[int, ...]:
        for number in halvings:
            if not 1 <= number <= 2:
                raise ValueError(f"{number} is not a number of halvings; allowed is 1 or 2")
        return halvings

    @field_validator("blocks")
    @classmethod
    def _blocks(cls, blocks: tuple[int, ...]) -> tuple[int, ...]:
        for number in blocks:
            if not 1 <= number <= 64:
                raise ValueError(f"{number} is not a number of blocks; allowed is 1 to 64")
        return blocks
