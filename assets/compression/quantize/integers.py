"""Numbers in 8 bits: scales, zero points, weights and biases."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
_TINY = float(np.finfo(np.float32).tiny)
_BIAS_ROOM = 2.0**30
"""Largest bias in its integer unit; the sums of products need the rest of the 32 bits."""


def unsigned(low: float, high: float) -> tuple[Floats, NDArray[np.uint8]]:
    """Scale and zero point of u8 numbers over [low, high] and 0, which must be exact: padding and ReLU make zeros."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = np.float32(max((high - low) / 255, _TINY))
    if high == low:
        scale = np.float32(1)
    zero = int(np.clip(np.rint(-low / float(scale)), 0, 255))
    return np.asarray(scale), np.asarray(zero, np.uint8)


def signed(low: float, high: float) -> tuple[Floats, NDArray[np.int8]]:
    """Scale and zero point 0 of s8 numbers over ±the larger of both."""
    most = max(-low, high)
    return np.asarray(np.float32(max(most / 127, _TINY) if most > 0 else 1)), np.asarray(0, np.int8)


def weight_scales(weight: Floats, axis: int, channels: int, most: int) -> Floats:
    """One scale per channel (channels,), or a single one (); a channel of zeros takes the largest of the others.

    Args:
        most: the largest integer: 127, or 64 for processors that add u8 x s8 products in 16 bits.
    """
    if channels == 1:
        largest = np.asarray(np.abs(weight).max(initial=0), np.float32)
    else:
        rest = tuple(at for at in range(weight.ndim) if at != axis)
        largest = np.abs(weight).max(rest, initial=0).astype(np.float32)
    scales = largest / most
    usual = float(scales.max(initial=0)) or 1.0
    return np.where(scales > _TINY, scales, np.float32(usual)).astype(np.float32)


def widen_for_bias(scales: Floats, bias: Floats, data: float) -> Floats:
    """Weight scales no smaller than what lets the bias fit 32 bits, in units of (weight scale x data scale)."""
    least = np.abs(bias.astype(np.float64)) / (_BIAS_ROOM * data)
    return np.maximum(scales, least if scales.ndim else least.max(initial=0)).astype(np.float32)


def to_s8(weight: Floats, scales: Floats, axis: int, most: int) -> NDArray[np.int8]:
    """Rounded to the nearest integer of each channel's scale."""
    shape = [1] * weight.ndim
    if scales.ndim:
        shape[axis] = -1
    rounded: NDArray[np.int8] = np.clip(np.rint(weight / scales.reshape(shape)), -most, most).astype(np.int8)
    return rounded


def to_s32(bias: Floats, scales: Floats) -> NDArray[np.int32]:
    """A bias in units of (weight scale x data scale)."""
    limits = np.iinfo(np.int32)
    rounded = np.rint(bias.astype(np.float64) / scales.astype(np.float64))
    return np.clip(rounded, limits.min, limits.max).astype(np.int32)
