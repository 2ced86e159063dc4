"""A user's own network: `build(spec, outputs, **options)` of `model: my_package.my_module:build`.

`spec` is an `edge.contracts.InputSpec`. The function gives an `nn.Module` whose forward takes (records, *spec.shape)
and gives (records, outputs): logits of classes, or numbers of mean 0 and deviation 1, which are scaled here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from torch import Tensor, nn

from assets.errors import RejectedError
from assets.families.network import scale_of
from assets.line.model import ModelFamily
from assets.line.user_functions import load_user_function
from edge.contracts import InputSpec

OPTIONS = None
"""Any: the function itself says which it takes."""


class OwnNetwork(nn.Module):
    """The user's module, and the scale of numbers.

    Attributes:
        head: the module's own `head`, `fc` or `classifier`, else its last layer with weights: what is trained where the
            rest is frozen, and what pretrained weights need not fit.
    """

    def __init__(self, body: nn.Module, architecture: Mapping[str, Any]) -> None:
        super().__init__()
        self.frozen = False
        self.body = body
        self.scale = scale_of(architecture)

    def forward(self, x: Tensor) -> Tensor:
        """(records, *shape) to (records, outputs)."""
        out: Tensor = self.scale(self.body(x))
        return out

    @property
    def head_name(self) -> str:
        """Where the head is within the body; "" where nothing in it has weights."""
        names = dict(self.body.named_modules())
        for name in ("head", "fc", "classifier"):
            if name in names and any(True for _ in names[name].parameters()):
                return name
        weighted = [name for name, module in names.items() if name and any(True for _ in module.parameters(False))]
        return weighted[-1] if weighted else ""

    def freeze(self) -> None:
        """Train the head only from now on."""
        if not self.head_name:
            raise RejectedError("model.freeze: the network has no last layer to train alone; take `freeze` out")
        self.frozen = True
        self.body.requires_grad_(False)
        self.body.get_submodule(self.head_name).requires_grad_(True)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """As torch's, but frozen layers stay in evaluation mode."""
        super().train(mode)
        if self.frozen:
            self.body.eval()
            self.body.get_submodule(self.head_name).train(mode)
        return self


def architecture(model: ModelFamily, spec: InputSpec) -> dict[str, Any]:
    """The options, as the line has them."""
    del spec
    return {"options": dict(model.options)}


def build(family: str, spec: InputSpec, outputs: int, architecture: Mapping[str, Any]) -> OwnNetwork:
    """See `assets.families.build`."""
    function, options = load_user_function(family, "model.family"), dict(architecture["options"])
    try:
        body = function(spec, outputs, **options)
    except RejectedError:
        raise
    except Exception as error:  # a user's function raises what it likes
        raise RejectedError(
            f"model.family: {family} fails with {options} on {spec.kind} {list(spec.shape)} ({type(error).__name__}: "
            f"{error}); it is called as build(spec, outputs, **options)"
        ) from error
    if not isinstance(body, nn.Module):
        raise RejectedError(f"model.family: {family} gives {type(body).__name__}; have it give a torch.nn.Module")
    return OwnNetwork(body, architecture)
