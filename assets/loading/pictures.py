"""Pictures as pixels of the model's size, and pixels as the model's input: many at once, the same to the last bit."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from assets.errors import RejectedError
from edge.contracts import InputSpec
from edge.runtime.inputs.pictures import decode_image, resized

T = TypeVar("T")
R = TypeVar("R")
Pixels = NDArray[np.uint8]
MOST_THREADS = 16
AT_ONCE = 64
"""Pictures that are handed to the threads together, so that what waits for its turn stays small."""


def pixels_of(spec: InputSpec, data: bytes) -> Pixels:
    """A picture file's bytes as (channels, height, width) uint8 of the model's size. Raises RejectedError."""
    return np.ascontiguousarray(resized(spec, decode_image(data, spec.shape[0])).transpose(2, 0, 1))


def normalized_batch(spec: InputSpec, pixels: Pixels) -> Tensor:
    """(records, channels, height, width) uint8 as float32, with the very operations of `image_tensor`.

    By numpy, in the caller's thread: torch would split it over threads, which costs more than it spares, and on a busy
    machine each of them is waited for.
    """
    shape = (1, spec.shape[0], 1, 1)
    scaled = pixels.astype(np.float32)
    scaled /= np.float32(255)
    scaled -= np.asarray(spec.mean, dtype=np.float32).reshape(shape)
    scaled /= np.asarray(spec.std, dtype=np.float32).reshape(shape)
    return torch.from_numpy(scaled)


class Decoders:
    """Threads that decode pictures; Pillow's decoders leave Python's lock. Made when first used, also after a fork."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._owner = 0

    def map(self, work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """`work` of each item, in order; the first error is raised."""
        if self._pool is None or self._owner != os.getpid():
            self._owner = os.getpid()
            self._pool = ThreadPoolExecutor(min(MOST_THREADS, len(os.sched_getaffinity(0))), "decode")
        return self._pool.map(work, items)


DECODERS = Decoders()


def decoded(spec: InputSpec, files: Iterable[tuple[str, bytes]], place: Callable[[str], str] = str) -> Iterator[Pixels]:
    """Blocks of (up to `AT_ONCE`, channels, height, width) uint8, in order.

    Args:
        files: id and picture file of each record.
        place: names the record with this id in an error.

    Raises:
        RejectedError: a picture cannot be read.
    """

    def one(file: tuple[str, bytes]) -> Pixels:
        try:
            return pixels_of(spec, file[1])
        except (RejectedError, TypeError) as error:
            raise RejectedError(f"{place(file[0])}: {error}") from error

    block: list[tuple[str, bytes]] = []
    for file in files:
        block.append(file)
        if len(block) == AT_ONCE:
            yield np.stack(list(DECODERS.map(one, block)))
            block = []
    if block:
        yield np.stack(list(DECODERS.map(one, block)))
