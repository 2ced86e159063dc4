"""How a line learns: the sections `model` and `training` of its YAML.

Everything here is data, so that it loads without torch; `assets.families` builds the networks and `assets.fitting`
trains them.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from assets.line.data import OWN, Frozen

Plain = int | float | str | bool


class Augmentation(Frozen):
    """What training pictures suffer, anew in each epoch, as tensors. Validation and test pictures never do."""

    crop: int = Field(default=0, ge=0, le=64, description="Pixels that each side is padded with before a random crop.")
    flip: bool = Field(default=False, description="Mirror half of the pictures left to right.")
    rotate: float = Field(default=0, ge=0, le=180, description="Largest rotation in degrees, both ways.")
    scale: float = Field(default=0, ge=0, lt=1, description="Largest change of size, as a share, both ways.")
    colour: float = Field(default=0, ge=0, lt=1, description="Largest change of brightness and contrast, as a share.")
    cutout: int = Field(default=0, ge=0, le=512, description="Side in pixels of a square that is blanked.")
    mixup: float = Field(default=0, ge=0, le=4, description="Alpha of mixup (classes only); 0 for none.")

    @property
    def spatial(self) -> bool:
        """Whether anything here is about pictures (mixup is not)."""
        return bool(self.crop or self.flip or self.rotate or self.scale or self.colour or self.cutout)


class SearchSpace(Frozen):
    """Hyperparameters tried by Optuna before the teacher is trained; validation records choose."""

    trials: int = Field(default=10, ge=1, le=1000, description="How many settings are tried.")
    epochs: int = Field(default=5, ge=1, le=1000, description="Epochs of each trial; bad ones end earlier.")
    learning_rate: tuple[float, float] | None = Field(default=None, description="Least and largest, tried log-uniform.")
    weight_decay: tuple[float, float] | None = Field(default=None, description="Least and largest, tried log-uniform.")
    dropout: tuple[float, float] | None = Field(default=None, description="Least and largest.")
    batch_size: tuple[int, ...] = Field(default=(), max_length=16, description="The values to try.")
    width: tuple[int, ...] = Field(default=(), max_length=16, description="The values to try.")
    depth: tuple[int, ...] = Field(default=(), max_length=16, description="The values to try.")

    @model_validator(mode="after")
    def _a_space(self) -> Self:
        ranges = {"learning_rate": self.learning_rate, "weight_decay": self.weight_decay, "dropout": self.dropout}
        for name, ends in ranges.items():
            if ends is not None and not 0 <= ends[0] < ends[1]:
                raise ValueError(f"search.{name}: {list(ends)} is not a range from small to large")
            if ends is not None and name != "dropout" and ends[0] == 0:
                raise ValueError(f"search.{name}: is tried log-uniform, so it begins above 0")
        if self.dropout is not None and self.dropout[1] >= 1:
            raise ValueError("search.dropout: ends below 1")
        if not any(ranges.values()) and not (self.batch_size or self.width or self.depth):
            raise ValueError("search: names nothing to try")
        return self


class PrivateTraining(Frozen):
    """Differentially private SGD (Abadi et al. 2016): what one record can change is bounded."""

    epsilon: float = Field(default=8.0, gt=0, le=1000, description="The privacy that may be spent at most.")
    delta: float = Field(default=1e-5, gt=0, lt=1, description="Chance that the bound does not hold.")
    clip: float = Field(default=1.0, gt=0, le=1000, description="Largest norm of one record's gradient.")


class TrainingPolicy(Frozen):
    """How the teacher is trained."""

    epochs: int = Field(default=20, ge=1, le=10_000, description="Passes over the training records.")
    batch_size: int = Field(default=64, ge=2, le=65_536, description="Records per optimizer step, over all processes.")
    learning_rate: float = Field(default=1e-3, gt=0, le=10, description="The largest learning rate of the schedule.")
    weight_decay: float = Field(default=1e-4, ge=0, le=1, description="L2; decoupled in adamw.")
    l1: float = Field(default=0.0, ge=0, le=1, description="Weight of the sum of absolute weights in the loss.")
    label_smoothing: float = Field(default=0.0, ge=0, lt=1, description="Share of certainty taken from the true class.")
    seed: int = Field(default=0, ge=0, le=2**31 - 1, description="Seeds weights, shuffling and augmentation.")
    optimizer: Literal["adamw", "adam", "sgd"] = Field(default="adamw", description="sgd has Nesterov momentum.")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="Of sgd.")
    schedule: Literal["one-cycle", "constant", "step", "cosine", "plateau"] = Field(
        default="one-cycle",
        description="step: a tenth after 1/2 and 3/4 of the epochs. plateau: a third after 3 epochs without gain.",
    )
    warmup_epochs: float = Field(default=0, ge=0, le=1000, description="Epochs in which the rate rises linearly first.")
    loss: str | None = Field(
        default=None,
        description="None for the task's own; cross_entropy or focal for classes, mse, mae or huber for numbers; or a "
        "function of your own, `my_package.my_module:loss`.",
    )
    imbalance: Literal["none", "resample", "weights"] = Field(
        default="none", description="For rare classes: draw them more often, or weigh their loss."
    )
    augment: Augmentation = Field(default=Augmentation(), description="What training pictures suffer.")
    metric: str | None = Field(
        default=None, description="What chooses epochs and models, on validation records; None for the task's own."
    )
    metrics: tuple[str, ...] = Field(
        default=(), max_length=16, description="More metrics of your own, `my_package.my_module:metric`."
    )
    patience: int | None = Field(default=None, ge=1, description="Stop after so many epochs without gain; None: never.")
    ema: float = Field(default=0.0, ge=0, lt=1, description="Decay of the averaged weights that are kept; 0 for none.")
    clip: float | None = Field(default=None, gt=0, description="Largest norm of the whole gradient.")
    accumulate: int = Field(default=1, ge=1, le=1024, description="Parts a batch is computed in, to save memory.")
    precision: Literal["32", "bf16", "fp16"] = Field(default="32", description="Autocast; fp16 needs a GPU.")
    channels_last: bool = Field(
        default=False,
        description="Memory order of pictures; pays on some processors. Ignored on a CPU below 16 channels.",
    )
    compile: bool = Field(default=False, description="torch.compile; pays for large models and long trainings.")
    processes: int = Field(default=1, ge=1, le=64, description="Training processes (one per GPU), which share a batch.")
    threads: int | None = Field(default=None, ge=1, le=256, description="CPU threads per process; None: by step size.")
    checkpoint_seconds: float = Field(default=60, gt=0, le=86_400, description="Longest work that a crash can lose.")
    cache_gb: float = Field(
        default=4.0, ge=0, le=10_000, description="Disk for decoded pictures; larger sets are decoded in each epoch."
    )
    start: Literal["scratch", "last", "better"] = Field(
        default="scratch",
        description="Weights to start from. last: the line's newest accepted model. better: both are tried for a "
        "short while, and the one ahead on validation records goes on.",
    )
    folds: int = Field(
        default=0, ge=0, le=20, description="Parts of a cross-validation that states the spread; 0 for none."
    )
    search: SearchSpace | None = Field(default=None, description="Hyperparameters to search first.")
    privacy: PrivateTraining | None = Field(default=None, description="Differentially private training.")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.folds == 1:
            raise ValueError("folds: one part alone has nothing to be judged on; say 0, or 2 and more")
        if self.batch_size % self.accumulate:
            raise ValueError(f"accumulate: {self.accumulate} does not divide batch_size {self.batch_size}")
        if self.batch_size // self.accumulate < 2 * self.processes:
            raise ValueError("batch_size: each process needs at least 2 records of every part of a batch")
        if self.privacy is not None and (self.ema or self.clip or self.augment.mixup or self.imbalance != "none"):
            raise ValueError("privacy: goes with neither ema, clip, mixup nor imbalance, whose guarantees differ")
        if self.privacy is not None and (self.processes > 1 or self.accumulate > 1 or self.compile or self.l1):
            raise ValueError("privacy: needs whole batches in one process; take processes, accumulate, compile, l1 out")
        if self.privacy is not None and self.precision != "32":
            raise ValueError(f"privacy: goes with precision 32 only, not {self.precision}")
        for name in (self.loss, *self.metrics):
            if name is not None and ":" in name and not OWN.fullmatch(name):
                raise ValueError(f"{name!r} is not `my_package.my_module:function`")
        return self
