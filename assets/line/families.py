"""The families by name, and what each reads and answers; without torch, so that a line can be checked by it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

InputKind = Literal["image", "table", "series", "text", "noise"]
AnswerKind = Literal["class", "number", "anomaly", "image", "tensor"]
TIMM = "timm:"
Cut = Literal["channels", "blocks", "heads", "resolution"]
VECTOR: frozenset[AnswerKind] = frozenset({"class", "number"})


@dataclass(frozen=True)
class FamilySpec:
    """A family of networks.

    Attributes:
        module: of `assets.families`, whose `build` makes it.
        reads: kinds of input tensors.
        answers: what its output can stand for.
        note: one sentence for people.
        cuts: what can be taken out of it, so that the network is built again from numbers.
        batch_norm: it has BatchNorm, which differentially private training refuses.
    """

    module: str
    reads: frozenset[InputKind]
    answers: frozenset[AnswerKind]
    note: str
    cuts: frozenset[Cut] = frozenset()
    batch_norm: bool = True

    @property
    def prunable(self) -> bool:
        """Whether anything can be taken out of it."""
        return bool(self.cuts)


NARROWS: frozenset[Cut] = frozenset({"channels"})
BLOCKS: frozenset[Cut] = frozenset({"channels", "blocks"})
PICTURES: frozenset[Cut] = NARROWS | {"resolution"}
RESIDUAL: frozenset[Cut] = BLOCKS | {"resolution"}
ENCODER: frozenset[Cut] = frozenset({"channels", "blocks", "heads"})


def _reads(*kinds: InputKind) -> frozenset[InputKind]:
    return frozenset(kinds)


FAMILIES: Mapping[str, FamilySpec] = {
    "mlp": FamilySpec("mlp", _reads("table", "image", "series"), VECTOR, "Linear blocks; small and fast.", NARROWS),
    "mlp_plain": FamilySpec(
        "mlp", _reads("table", "image", "series"), VECTOR, "Linear layers only, for private training.", NARROWS, False
    ),
    "cnn": FamilySpec("cnn", _reads("image"), VECTOR, "Plain convolution blocks.", PICTURES),
    "cnn2": FamilySpec(
        "classic", _reads("image"), VECTOR, "The classic CNN of two blocks with pooling.", NARROWS, batch_norm=False
    ),
    "cnn3": FamilySpec(
        "classic", _reads("image"), VECTOR, "The classic CNN of three blocks with pooling.", NARROWS, batch_norm=False
    ),
    "resnet": FamilySpec(
        "resnet", _reads("image"), VECTOR, "Residual blocks in three stages (He et al. 2016).", RESIDUAL
    ),
    "mobilenet": FamilySpec(
        "mobilenet", _reads("image"), VECTOR, "Inverted residuals, depthwise (Sandler 2018).", BLOCKS
    ),
    "vit": FamilySpec("vit", _reads("image"), VECTOR, "A small vision transformer.", ENCODER, batch_norm=False),
    "lstm": FamilySpec("recurrent", _reads("series"), VECTOR, "Long short-term memory.", batch_norm=False),
    "gru": FamilySpec("recurrent", _reads("series"), VECTOR, "Gated recurrent units.", batch_norm=False),
    "cnn1d": FamilySpec("cnn1d", _reads("series"), VECTOR, "Convolutions over time.", NARROWS),
    "embedding_gru": FamilySpec("text", _reads("text"), VECTOR, "Embedding, then a GRU.", batch_norm=False),
    "transformer": FamilySpec(
        "text", _reads("text"), VECTOR, "Encoder with self-attention.", ENCODER, batch_norm=False
    ),
    "autoencoder": FamilySpec(
        "autoencoder",
        _reads("image", "table", "series"),
        frozenset({"anomaly"}),
        "What it cannot rebuild is anomalous; answers the error.",
        batch_norm=False,
    ),
    "dcgan": FamilySpec("gan", _reads("noise"), frozenset({"image"}), "Convolutional generator (Radford 2016)."),
    "mlp_gan": FamilySpec(
        "gan", _reads("noise"), frozenset({"image"}), "Generator of linear layers.", batch_norm=False
    ),
}


def cuts_of(family: str) -> frozenset[Cut]:
    """What can be taken out of a family's networks; nothing of timm's and of a user's own."""
    return FAMILIES[family].cuts if family in FAMILIES else frozenset()
