"""A user's own losses, `my_package.my_module:loss`: called as `loss(outputs, targets)`, they give a scalar tensor."""

from __future__ import annotations

from torch import Tensor

from assets.errors import RejectedError
from assets.line.user_functions import load_user_function
from assets.tasks.contract import Objective


def user_loss(name: str) -> Objective:
    """The objective that calls the user's function.

    It gets what the network answers, and the targets: (records,) int64 classes (with mixup (records, classes) float32
    shares), or numbers, both then (records,) float32. It gives the mean over the records.

    Raises:
        RejectedError: it cannot be loaded; and when called, that it fails or gives no scalar with a gradient.
    """
    function = load_user_function(name, "training.loss")

    def loss(_inputs: Tensor, targets: Tensor, outputs: Tensor) -> Tensor:
        if targets.is_floating_point() and targets.ndim == 1:
            outputs = outputs.reshape(len(targets), -1).squeeze(1)
        try:
            value = function(outputs, targets)
        except Exception as error:  # whatever a user's function raises is told in one sentence
            raise RejectedError(
                f"training.loss: {name} fails on outputs {tuple(outputs.shape)} and targets {tuple(targets.shape)} "
                f"({type(error).__name__}: {error}); it is called as loss(outputs, targets)"
            ) from error
        if not isinstance(value, Tensor) or value.ndim or (outputs.requires_grad and not value.requires_grad):
            raise RejectedError(
                f"training.loss: {name} has to give a scalar tensor that depends on the outputs, the mean over records"
            )
        return value

    return loss
