"""From a line's `model` section to an architecture, and from an architecture to a network.

An architecture is plain JSON and builds the network again, wherever its weights are loaded: `architecture` of each
module writes its own numbers, and what all families share is added here.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from torch import nn

from assets.errors import RejectedError
from assets.families.network import DROPOUT, FREEZE, Network
from assets.families.user_network import OwnNetwork
from assets.line.data import OWN
from assets.line.families import FAMILIES, TIMM
from assets.line.model import ModelFamily
from edge.contracts import InputSpec


def teacher_architecture(model: ModelFamily, spec: InputSpec) -> dict[str, Any]:
    """The architecture that a line's `model` section asks for, for inputs of `spec`; plain JSON.

    Of mlp and cnn it has `depth` and `channels_0`, `channels_1`, ... which pruning narrows. To it the trainer adds
    `target_mean` and `target_std` where numbers are predicted, and `picture` (channels, height, width) of a GAN.

    Raises:
        RejectedError: the section asks for what the family cannot do.
    """
    _refuse_input(model.family, spec)
    module = _module(model.family)
    allowed: frozenset[str] | None = getattr(module, "OPTIONS", frozenset())
    if allowed is not None and (odd := sorted(set(model.options) - allowed)):
        knows = " and ".join(sorted(allowed)) or "none"
        raise RejectedError(f"model.options: {model.family!r} does not know {odd[0]!r}; it has {knows}")
    found: dict[str, Any] = module.architecture(model, spec)
    if model.dropout:
        found[DROPOUT] = model.dropout
    if model.freeze:
        found[FREEZE] = True
    return found


def build_network(family: str, spec: InputSpec, outputs: int, architecture: Mapping[str, Any]) -> nn.Module:
    """A network with fresh weights (seed torch before). Its forward takes (records, *spec.shape).

    It answers (records, outputs): logits; numbers in the target's own unit, where the architecture has `target_mean`
    and `target_std`; the autoencoder (records, 1) mean squared errors; a generator (records, *picture) in 0..1.

    Args:
        family: as `model.family` says it.
        outputs: how many numbers are answered per record, see `Task.outputs`.

    Raises:
        RejectedError: an unknown family, an input that it does not read, or an architecture that is not this family's.
    """
    _refuse_input(family, spec)
    if outputs < 1:
        raise RejectedError(f"family {family!r}: {outputs} outputs answer nothing; name classes, or a target")
    try:
        network: nn.Module = _module(family).build(family, spec, outputs, architecture)
    except KeyError as error:
        raise RejectedError(
            f"family {family!r}: the architecture lacks {error.args[0]!r}; it is another family's, train again"
        ) from error
    network.family, network.architecture = family, dict(architecture)  # type: ignore[assignment]
    if architecture.get(FREEZE):
        if not isinstance(network, (Network, OwnNetwork)):
            raise RejectedError(f"model.freeze: {family!r} has no last layer to train alone; take `freeze` out")
        network.freeze()
    return network


def build_discriminator(family: str, architecture: Mapping[str, Any]) -> nn.Module:
    """What tells a GAN's pictures from real ones: (records, channels, height, width) in 0..1 to (records, 1) logits.

    Raises:
        RejectedError: a family that is no GAN, or an architecture without `picture`.
    """
    if family not in FAMILIES or "image" not in FAMILIES[family].answers:
        raise RejectedError(f"family {family!r} makes no pictures, so it has no discriminator; use dcgan or mlp_gan")
    try:
        discriminator: nn.Module = _module(family).discriminator(family, architecture)
    except KeyError as error:
        raise RejectedError(f"family {family!r}: the architecture lacks {error.args[0]!r}; train again") from error
    return discriminator


def _refuse_input(family: str, spec: InputSpec) -> None:
    """Raise RejectedError where the family does not read such input."""
    if family in FAMILIES and spec.kind not in FAMILIES[family].reads:
        reads = " or ".join(sorted(FAMILIES[family].reads))
        raise RejectedError(f"family {family!r} reads {reads}, not {spec.kind}; name another `model.family`")


def _module(family: str) -> Any:
    """The module of this package whose functions `architecture` and `build` make the family."""
    if family in FAMILIES:
        name = FAMILIES[family].module
    elif family.startswith(TIMM):
        name = "backbone"
    elif OWN.fullmatch(family):
        name = "user_network"
    else:
        raise RejectedError(
            f"{family!r} is no family; allowed are {', '.join(FAMILIES)}, timm:NAME, or my_package.my_module:build"
        )
    return importlib.import_module(f"assets.families.{name}")
