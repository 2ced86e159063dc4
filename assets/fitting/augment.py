"""What training pictures suffer, anew in each epoch: whole batches at once, as tensors.

Everything is drawn from the generator that is given, so that a step's pictures are a function of its seed alone.
Crop and flip only pick pixels; rotation and scaling resample, and then crop and flip are part of the same resampling,
so that no picture is blurred twice. Colour and cutout work on normalized values: 0 is the data's mean and 1 its
standard deviation.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from assets.errors import RejectedError
from assets.line.training import Augmentation


def augment(
    x: Tensor, y: Tensor, policy: Augmentation, classes: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """One batch as the policy changes it; the batch that is given stays as it is.

    Args:
        x: (records, channels, height, width) normalized floats; with mixup alone, any shape.
        y: (records,) int64 classes. Anything else is handed through where there is no mixup.
        classes: how many there are; read by mixup only.
        generator: may be of another device than `x`; numbers are drawn on its own, so a seed means the same anywhere.

    Returns:
        Pictures of the same shape and dtype, and `y`; with mixup its shares, (records, classes) float32.

    Raises:
        RejectedError: mixup of token numbers, which have no middle.
        ValueError: picture changes of something that is no batch of pictures.
    """
    if policy.spatial:
        if x.ndim != 4:
            raise ValueError(f"pictures are (records, channels, height, width), not {tuple(x.shape)}")
        x = _moved(x, policy, generator)
        if policy.colour:
            x = _coloured(x, policy.colour, generator)
        if policy.cutout:
            x = _cut_out(x, policy.cutout, generator)
    return _mixed(x, y, policy.mixup, classes, generator) if policy.mixup else (x, y)


def _uniform(records: int, largest: float, generator: torch.Generator, like: Tensor) -> Tensor:
    """(records,) numbers between -largest and largest, of the dtype and on the device of `like`."""
    drawn = torch.rand(records, generator=generator, device=generator.device)
    return ((2 * drawn - 1) * largest).to(like)


def _integers(low: int, high: int, records: int, generator: torch.Generator, like: Tensor) -> Tensor:
    """(records,) int64 numbers from low to high, both included."""
    return torch.randint(low, high + 1, (records,), generator=generator, device=generator.device).to(like.device)


def _moved(x: Tensor, policy: Augmentation, generator: torch.Generator) -> Tensor:
    """Crop, flip, rotation and size; what comes in from outside repeats the edge."""
    records = len(x)
    down = right = flip = None
    if policy.crop:
        down = _integers(-policy.crop, policy.crop, records, generator, x)
        right = _integers(-policy.crop, policy.crop, records, generator, x)
    if policy.flip:
        flip = _integers(0, 1, records, generator, x)
    if policy.rotate or policy.scale:
        zero = torch.zeros(records, dtype=x.dtype, device=x.device)
        angle = _uniform(records, math.radians(policy.rotate), generator, x) if policy.rotate else zero
        size = 1 + _uniform(records, policy.scale, generator, x) if policy.scale else zero + 1
        shift = (zero if down is None else down.to(x), zero if right is None else right.to(x))
        return _resampled(x, angle, size, shift, zero + 1 if flip is None else 1 - 2 * flip.to(x))
    return _picked(x, down, right, flip)


def _picked(x: Tensor, down: Tensor | None, right: Tensor | None, flip: Tensor | None) -> Tensor:
    """Pictures whose pixels are others of the same picture: a crop of one padded with its edges, or its mirror image.

    An index held between 0 and the last pixel is the repeated edge, so nothing is padded.
    """
    records, channels, height, width = x.shape
    if down is None and right is None and flip is None:
        return x
    rows = torch.arange(height, device=x.device).expand(records, -1)
    columns = torch.arange(width, device=x.device).expand(records, -1)
    if flip is not None:
        columns = torch.where(flip[:, None] == 1, width - 1 - columns, columns)
    if down is not None and right is not None:
        rows = (rows + down[:, None]).clamp(0, height - 1)
        columns = (columns + right[:, None]).clamp(0, width - 1)
    pixels = (rows[:, :, None] * width + columns[:, None, :]).view(records, 1, height * width)
    return x.reshape(records, channels, -1).gather(2, pixels.expand(-1, channels, -1)).view(x.shape)


def _resampled(x: Tensor, angle: Tensor, size: Tensor, shift: tuple[Tensor, Tensor], mirror: Tensor) -> Tensor:
    """Pictures turned and scaled about their middle, bilinear.

    The grid's coordinates run from -1 to 1 along both sides, so a rotation of pictures that are not square mixes them
    in the ratio of the sides.
    """
    height, width = x.shape[2:]
    cosine, sine = torch.cos(angle) / size, torch.sin(angle) / size
    down, right = shift
    across = torch.stack([cosine * mirror, -sine * height / width, right * 2 / width], dim=1)
    along = torch.stack([sine * mirror * width / height, cosine, down * 2 / height], dim=1)
    grid = functional.affine_grid(torch.stack([across, along], dim=1), list(x.shape), align_corners=False)
    return functional.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _coloured(x: Tensor, largest: float, generator: torch.Generator) -> Tensor:
    """Contrast about each picture's own mean, and brightness in standard deviations of the data."""
    contrast = 1 + _uniform(len(x), largest, generator, x).view(-1, 1, 1, 1)
    brightness = _uniform(len(x), largest, generator, x).view(-1, 1, 1, 1)
    middle = x.mean(dim=(1, 2, 3), keepdim=True)
    return torch.addcmul(middle * (1 - contrast) + brightness, x, contrast)


def _cut_out(x: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """A square set to the data's mean; its middle is any pixel, so it may hang over (DeVries & Taylor 2017)."""
    records, _, height, width = x.shape
    top = _integers(0, height - 1, records, generator, x)[:, None] - side // 2
    left = _integers(0, width - 1, records, generator, x)[:, None] - side // 2
    rows, columns = torch.arange(height, device=x.device), torch.arange(width, device=x.device)
    inside = ((rows >= top) & (rows < top + side))[:, :, None] & ((columns >= left) & (columns < left + side))[:, None]
    return x.masked_fill(inside[:, None], 0)


def _mixed(x: Tensor, y: Tensor, alpha: float, classes: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Each record mixed with another of the batch, and so its class (Zhang et al. 2018, arXiv:1710.09412)."""
    if not x.is_floating_point():
        raise RejectedError("training.augment.mixup: token numbers of a text cannot be mixed; take `mixup` out")
    # torch has no public beta distribution that takes a generator; numpy's is seeded from it.
    seed = int(torch.randint(2**62, (1,), generator=generator, device=generator.device))
    share = torch.from_numpy(np.random.default_rng(seed).beta(alpha, alpha, len(x))).to(x)
    other = torch.randperm(len(x), generator=generator, device=generator.device).to(x.device)
    targets = functional.one_hot(y, classes).to(torch.float32)
    targets = torch.lerp(targets[other], targets, share.to(torch.float32)[:, None])
    return torch.lerp(x[other], x, share.view(-1, *[1] * (x.ndim - 1))), targets
