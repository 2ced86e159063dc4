"""Fitting a GAN (Goodfellow et al. 2014, arXiv:1406.2661): a generator against a discriminator, step by step in turn.

Lightning's Trainer runs the steps, with optimization by hand as two optimizers take turns. As in `fit`, every step is
a function of (seed, step), the last checkpoint holds all that a step depends on, and the weights of the best epoch are
kept. What is judged and kept is the average of the generator's weights where the policy asks for one (`ema`): a GAN's
single steps swing too much to be used.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Literal, cast

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import nn

from assets.errors import RejectedError
from assets.fitting.checkpoints import Checkpoints, fingerprint
from assets.fitting.contract import FitControl, Fitted, TrainingSet
from assets.fitting.distributed_batches import sampling_of
from assets.fitting.fit import FREE, PRECISIONS, set_memory_format
from assets.fitting.gan_module import GanModule, GanParts
from assets.line.training import TrainingPolicy


def fit_gan(
    generator: nn.Module,
    discriminator: nn.Module,
    train: TrainingSet,
    policy: TrainingPolicy,
    *,
    latent: int,
    distance: Callable[[NDArray[np.float32]], float] | None = None,
    control: FitControl = FREE,
) -> Fitted:
    """Fit both in place; the generator ends with the weights of its best epoch, on the CPU, in evaluation mode.

    Args:
        generator: (records, latent) normal noise to (records, channels, height, width) in 0..1.
        discriminator: such pictures to (records, 1) logits, above 0 for real ones; or to (records, 1 + classes), those
            of the classes after it: then the first numbers of the noise, as many, say which class is made.
        train: real pictures, values 0 to 1; their labels are looked at by a discriminator of classes only.
        policy: `augment` changes real and generated pictures alike (Zhao et al. 2020, arXiv:2006.10738), so that the
            generator does not learn it; `label_smoothing` is one-sided, of real pictures.
        distance: of generated pictures from real ones. It is told in the curve as `validation_frechet`.

    Raises:
        RejectedError: a setting that a GAN does not have, too few pictures, or a loss that is not finite.
        TransientError: a checkpoint that cannot be written now; the last one still stands.
    """
    _refuse(policy)
    watch = control.watch
    sampling = sampling_of(policy, train.y, 1)
    known = {
        "policy": policy.model_dump(mode="json", exclude={"checkpoint_seconds", "threads", "cache_gb"}),
        "records": len(train),
        "latent": latent,
    }
    fits = fingerprint(nn.ModuleList([generator, discriminator]), known)
    checkpoints = Checkpoints(control.place, policy.checkpoint_seconds, fits)
    seconds = None if control.minutes is None else 60 * control.minutes
    module = GanModule(
        generator, discriminator, GanParts(policy, train, sampling, latent, distance, watch, checkpoints, seconds)
    )
    state = module.state
    if (body := checkpoints.read(watch)) is not None:
        module.resume(body)
        watch.note(f"training goes on from its last checkpoint: epoch {state.epoch}, step {state.step}")
    if not state.ended:
        _run(module, policy)
    generator.load_state_dict(state.best_weights)
    generator.eval()
    assert state.best is not None, "an epoch was judged"
    return Fitted(
        tuple(state.curve),
        state.best_epoch,
        state.best.score,
        state.step,
        state.resumed_at,
        cast(Literal["epochs", "patience", "time limit"], state.ended),
        module.clock.records_per_second,
        data_wait=module.clock.data_wait,
    )


def _refuse(policy: TrainingPolicy) -> None:
    """Raise RejectedError for what a GAN cannot do."""
    if policy.loss not in {None, "adversarial", "hinge"}:
        raise RejectedError(f"training.loss: a GAN's is adversarial or hinge, not {policy.loss}")
    if policy.loss == "hinge" and policy.label_smoothing:
        raise RejectedError("training.label_smoothing: goes with the adversarial loss, not with hinge")
    if policy.privacy is not None:
        raise RejectedError("training.privacy: a GAN is not trained privately; take it out")
    if policy.augment.mixup:
        raise RejectedError("training.augment.mixup: mixes classes, and a GAN has none; take it out")
    for name, value, wanted in (
        ("processes", policy.processes, 1),
        ("accumulate", policy.accumulate, 1),
        ("compile", policy.compile, False),
        ("l1", policy.l1, 0.0),
    ):
        if value != wanted:
            raise RejectedError(f"training.{name}: a GAN has {wanted!r} only, not {value!r}")
    if policy.precision == "fp16":
        raise RejectedError("training.precision: a GAN's two losses do not share a scale; use bf16 or 32")


def _run(module: GanModule, policy: TrainingPolicy) -> None:
    networks = (module.generator, module.discriminator)
    if policy.channels_last:
        for network in networks:
            set_memory_format(network, torch.channels_last)
    with warnings.catch_warnings():
        # Lightning's advice to people who call it by hand.
        warnings.filterwarnings("ignore", module=r"(pytorch_)?lightning.*")
        trainer = pl.Trainer(
            accelerator="gpu" if torch.cuda.is_available() else "cpu",
            devices=1,
            precision=PRECISIONS[policy.precision],
            max_epochs=policy.epochs,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
        )
        try:
            trainer.fit(module)
        finally:
            module.feed.close()
    for network in networks:
        set_memory_format(network.cpu().eval(), torch.contiguous_format)
