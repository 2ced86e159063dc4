"""Weights to start from that others trained: a local .safetensors file, or timm's in the user's own cache."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn

from assets.errors import RejectedError, of_the_machine
from assets.families.user_network import OwnNetwork
from assets.line.families import TIMM
from assets.line.model import ModelFamily

CACHE = "cache"
COUNTER = ".num_batches_tracked"
"""BatchNorm's count of batches, which many files leave out and nothing here reads."""
SCALE = "scale."
"""Of numbers to predict: theirs is not ours."""


def load_pretrained(network: nn.Module, model: ModelFamily) -> str:
    """Start a network, as `build_network` made it, from `model.weights`.

    The last layer may be missing or of other classes, and then stays random. Everything else has to be there and to
    fit, but for the first convolution of a timm backbone, which is fitted to grey pictures by summing its colours, as
    timm does.

    Returns:
        One sentence: what was loaded, and what was not.

    Raises:
        RejectedError: no such file, no safetensors, or weights of another network; names the first that do not fit.
    """
    assert model.weights is not None, "there is something to load"
    path = cached(model.family, network) if model.weights == CACHE else Path(model.weights).expanduser()
    try:
        found = load(path.read_bytes())
    except SafetensorError as error:
        raise RejectedError(
            f"{path}: model.weights is no safetensors file ({error}); convert it with safetensors.torch.save_file"
        ) from error
    except OSError as error:
        raise of_the_machine(error, str(path), "name a .safetensors file in `model.weights`") from error
    return _fit(network, found, model, str(path))


def cached(family: str, network: nn.Module) -> Path:
    """timm's weights for a backbone in the Hugging Face cache, which `HF_HUB_CACHE` or `HF_HOME` may have moved."""
    config = getattr(getattr(network, "blocks", None), "pretrained_cfg", None)
    if not family.startswith(TIMM) or not isinstance(config, Mapping):
        raise RejectedError(f"model.weights: `cache` is for timm's backbones, not {family!r}; name a .safetensors file")
    name = str(config.get("hf_hub_id") or "")
    home = os.environ.get("HF_HOME") or str(Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface")
    folder = (
        Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub").expanduser() / f"models--{name.replace('/', '--')}"
    )
    files = sorted(folder.glob("snapshots/*/model.safetensors"), key=lambda path: path.stat().st_mtime)
    if not name or not files:
        raise RejectedError(
            f"model.weights: the cache has none for {family!r} (looked in {folder}); nothing is fetched here, so "
            f"download {name or 'them'} first, or name a .safetensors file"
        )
    return files[-1]


def _fit(network: nn.Module, found: Mapping[str, Tensor], model: ModelFamily, source: str) -> str:
    """Load what fits, and refuse what should."""
    into, head, first = _parts(network, model.family)
    wanted = {name: tensor for name, tensor in into.state_dict().items() if not name.startswith(SCALE)}
    given = {name: tensor for name, tensor in found.items() if name in wanted}
    if first and first in given and given[first].shape != wanted[first].shape:
        given[first] = _colours(given[first], wanted[first])
    odd = [name for name, tensor in given.items() if tensor.shape != wanted[name].shape]
    missing = [name for name in wanted if name not in given and not name.endswith(COUNTER)]
    wrong = [name for name in odd + missing if not head or not name.startswith(f"{head}.")]
    if wrong:
        name = wrong[0]
        there = f"{list(found[name].shape)} in it" if name in found else "missing in it"
        raise RejectedError(
            f"{source}: model.weights do not fit {model.family!r}: {len(wrong)} of {len(wanted)} tensors, the first "
            f"{name!r} of {list(wanted[name].shape)}, is {there}; name weights of the same network"
        )
    kept = {name: tensor for name, tensor in given.items() if name not in odd}
    into.load_state_dict(kept, strict=False)
    rest = (
        ""
        if not head or not any(name.startswith(f"{head}.") for name in odd + missing)
        else f"; the last layer ({head}) is new"
    )
    return f"started from {source}: {len(kept)} of {len(wanted)} tensors{rest}"


def _parts(network: nn.Module, family: str) -> tuple[nn.Module, str, str]:
    """What the weights are of, the name of its head, and of its first convolution's weight where that may be fitted."""
    if family.startswith(TIMM):
        body = network.blocks
        assert isinstance(body, nn.Module), "timm's backbones are the blocks of a Network"
        first = next((name for name, part in body.named_modules() if isinstance(part, nn.Conv2d)), "")
        return body, "", f"{first}.weight" if first else ""
    if isinstance(network, OwnNetwork):
        return network.body, network.head_name, ""
    return network, "head", ""


def _colours(weight: Tensor, wanted: Tensor) -> Tensor:
    """A first convolution (out, colours, height, width) for another number of colours, where only those differ."""
    if wanted.ndim != 4 or weight.ndim != 4 or weight[:, :1].shape != wanted[:, :1].shape:
        return weight
    total = weight.float().sum(1, keepdim=True)
    return (total / wanted.shape[1]).expand_as(wanted).to(torch.float32).contiguous()
