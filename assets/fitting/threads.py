"""How torch works in a training process: its seed, its determinism, its threads."""

from __future__ import annotations

import math
import os

import torch

from assets.line.training import TrainingPolicy

SMALL_STEP = 32_768
"""Input numbers per optimizer step below which one thread is faster on a machine that does other things too."""
MOST_THREADS = 8


def set_up_torch(policy: TrainingPolicy, shape: tuple[int, ...]) -> None:
    """Seed torch, insist on deterministic algorithms, and choose how many threads it uses.

    `torch.distributed.run` sets one thread, which is for several workers on one machine; a large step gets every core.
    A small one keeps one: its threads would spend their time waiting for each other, which on a machine that has other
    work takes 5 times as long (measured: 25 s against 5 s for digits on two busy cores). Several processes of one
    training share the cores. `policy.threads` overrules all this.

    Args:
        shape: of one record.
    """
    torch.manual_seed(policy.seed)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what cuBLAS asks for to be deterministic
    # Of a few operations CUDA has no deterministic version; there a warning is better than no training.
    torch.use_deterministic_algorithms(True, warn_only=torch.cuda.is_available())
    small = policy.batch_size * math.prod(shape) < SMALL_STEP
    cores = max(1, len(os.sched_getaffinity(0)) // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    torch.set_num_threads(policy.threads or (1 if small else min(cores, MOST_THREADS)))
