"""The line's sections on the model: its family, and how a series is cut into windows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from assets.line.data import OWN, Frozen
from assets.line.families import FAMILIES, TIMM
from assets.line.training import Plain


class ModelFamily(Frozen):
    """The teacher; smaller models are made from it. `model: resnet` says the same as `model: { family: resnet }`."""

    family: str = Field(
        description="One of the families of docs/families.md; `timm:NAME` for a timm backbone; or a function of your "
        "own, `my_package.my_module:build`."
    )
    width: int = Field(default=32, ge=4, le=2048, description="Channels, units or embedding size of the first block.")
    depth: int = Field(default=2, ge=1, le=32, description="How many blocks (of a ResNet: blocks per stage).")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="Share of units left out at random in training.")
    heads: int = Field(default=4, ge=1, le=64, description="Attention heads of vit and transformer.")
    latent: int = Field(default=64, ge=1, le=4096, description="Size of a GAN's noise or an autoencoder's bottleneck.")
    derive: tuple[tuple[str, Literal["*", "-"], str], ...] = Field(
        default=(),
        max_length=64,
        description="mlp on tables: products and differences of columns as inputs, e.g. `[Torque, '*', Speed]`.",
    )
    knots: int = Field(
        default=0,
        ge=0,
        le=256,
        description="mlp on tables: steps that each column is cut into, for thresholds.",
    )
    options: Mapping[str, Plain] = Field(
        default={}, description="Keyword arguments of timm's or your own function; of a GAN `spectral` and `labels`."
    )
    weights: str | None = Field(
        default=None,
        description="Pretrained weights to start from: a local .safetensors file, or `cache` for those timm finds in "
        "the user's cache. Nothing is fetched.",
    )
    freeze: bool = Field(default=False, description="Train the last layer only; the pretrained ones stay as they are.")

    @field_validator("family")
    @classmethod
    def _known(cls, family: str) -> str:
        if family in FAMILIES or OWN.fullmatch(family) or (family.startswith(TIMM) and family != TIMM):
            return family
        raise ValueError(
            f"{family!r} is no family; allowed are {', '.join(FAMILIES)}, timm:NAME, or my_package.my_module:build"
        )

    @model_validator(mode="after")
    def _frozen_needs_weights(self) -> Self:
        if self.freeze and self.weights is None:
            raise ValueError("`freeze` without `weights` would keep random layers; name the weights to start from")
        return self


class FeaturePolicy(Frozen):
    """How records become the model's input, for series and texts. Pictures and tables need nothing here."""

    steps: int = Field(default=30, ge=1, le=4096, description="Readings per window; shorter ones repeat their first.")
    stride: int = Field(default=1, ge=1, le=4096, description="Readings from one training window to the next.")
    cap: float | None = Field(default=None, gt=0, description="Larger numbers to predict are set to this, as in RUL.")
    judge: Literal["all", "last"] = Field(
        default="all", description="last: of each unit's test windows only the last is judged, as C-MAPSS is."
    )
    tokens: int = Field(default=64, ge=4, le=4096, description="Tokens of a text that are read; the rest is cut off.")
    buckets: int = Field(default=8192, ge=16, le=1_000_000, description="Numbers that tokens are hashed to.")
    unit: Literal["word", "byte"] = Field(default="word", description="What a token of a text is.")


def model_section(value: Any) -> Any:
    """`model: resnet` as the mapping it stands for."""
    return {"family": value} if isinstance(value, str) else value
