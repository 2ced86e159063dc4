"""Backbones of timm by name, `timm:resnet18`, where timm is installed; the head is ours, so numbers are scaled too.

timm imports torchvision for data sets and transforms that no backbone uses, and not every torch has a
torchvision. While timm is imported, stand-ins take their place; huggingface_hub is hidden, so that nothing can be
fetched.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch
from torch import nn

from assets.errors import RejectedError
from assets.families.network import DROPOUT, Network
from assets.line.families import TIMM
from assets.line.model import ModelFamily
from edge.contracts import InputSpec

OPTIONS = None
"""Any: timm itself says which it takes."""
PARTS = (
    "torchvision",
    "torchvision.datasets",
    "torchvision.models",
    "torchvision.models.feature_extraction",
    "torchvision.ops",
    "torchvision.ops.misc",
    "torchvision.transforms",
    "torchvision.transforms.functional",
)


class _Nothing(type):
    """A class whose every attribute is its own name, as the members of an enumeration are."""

    def __getattr__(cls, name: str) -> str:
        if name.startswith("__"):
            raise AttributeError(name)
        return name


class _StandIn(ModuleType):
    """A module that has every name, as a class that nothing is an instance of."""

    __path__: tuple[str, ...] = ()  # type: ignore[assignment]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Nothing(name, (), {})


@contextmanager
def _without_torchvision() -> Iterator[None]:
    """Stand-ins for torchvision, unless it is loaded already, and no huggingface_hub."""
    hidden: dict[str, ModuleType | None] = {"huggingface_hub": None}
    if "torchvision" not in sys.modules:
        hidden |= {name: _StandIn(name) for name in PARTS}
        for name in PARTS[1:]:
            parent, _, child = name.rpartition(".")
            setattr(hidden[parent], child, hidden[name])
    before = {name: sys.modules[name] for name in hidden if name in sys.modules}
    sys.modules.update(hidden)  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
        sys.modules.update(before)


def load_timm() -> Any:
    """The module timm. Raises RejectedError where it is not installed."""
    if "timm" in sys.modules:
        return sys.modules["timm"]
    try:
        with _without_torchvision():
            import timm
    except ImportError as error:
        raise RejectedError(
            f"model.family `timm:`: timm cannot be imported ({error}); `pip install --no-deps timm` installs it "
            "without torchvision, which is not needed"
        ) from error
    return timm


def architecture(model: ModelFamily, spec: InputSpec) -> dict[str, Any]:
    """The options; timm knows the rest by the name."""
    if spec.kind != "image":
        raise RejectedError(f"model.family {model.family!r} reads pictures, not {spec.kind}; use another family")
    return {"options": dict(model.options)}


def build(family: str, spec: InputSpec, outputs: int, architecture: Mapping[str, Any]) -> Network:
    """See `assets.families.build`."""
    body = _create(family.removeprefix(TIMM), spec, architecture)
    body.eval()
    try:
        with torch.no_grad():
            found = body(torch.zeros(1, *spec.shape))
    except Exception as error:  # each backbone has its own way to dislike a size
        raise RejectedError(
            f"model.family {family!r}: does not read pictures of {list(spec.shape)} ({_short(error)}); change "
            "`data.image`, or take another backbone"
        ) from error
    body.train()
    return Network(body, found.shape[-1], outputs, architecture)


def _create(name: str, spec: InputSpec, architecture: Mapping[str, Any]) -> nn.Module:
    timm = load_timm()
    given: dict[str, Any] = {"num_classes": 0, "in_chans": spec.shape[0], "drop_rate": architecture.get(DROPOUT, 0.0)}
    given |= architecture["options"]
    if not timm.is_model(name):
        near = ", ".join(timm.list_models(f"*{name[:6]}*")[:8])
        raise RejectedError(f"model.family: timm {timm.__version__} has no {name!r}; it has {near or 'others'}")
    try:
        try:  # transformers are built for one size of picture, and convolutions refuse to be told
            model: nn.Module = timm.create_model(name, pretrained=False, img_size=spec.shape[1:], **given)
        except TypeError:
            model = timm.create_model(name, pretrained=False, **given)
    except Exception as error:  # a backbone raises what it likes about options
        raise RejectedError(f"model.options: timm cannot build {name!r} with {given} ({_short(error)})") from error
    return model


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
