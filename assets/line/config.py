"""A line's configuration: one YAML, validated once, frozen ever after.

The text of each field's `description` is the help people see in the Dagster UI and in `dg`.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from pydantic import Field, ModelWrapValidatorHandler, ValidationError, field_validator, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from assets.errors import LineError
from assets.line.compression import Budget, CompressionPolicy
from assets.line.data import SECTIONS, DataContract, Frozen
from assets.line.families import FAMILIES, TIMM
from assets.line.model import FeaturePolicy, ModelFamily, model_section
from assets.line.profiles import FULL, PROFILE_NAME, merge
from assets.line.quality import Action, Copies, QualityPolicy
from assets.line.tasks import TaskSpec, default_task, task_specs
from assets.line.training import TrainingPolicy
from edge.contracts import TARGETS

LINE_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


class RetrainPolicy(Frozen):
    """When accepted batches become a training run."""

    min_new_records: int = Field(default=1, ge=1, description="Wait until so many new accepted records are there.")
    cooldown_minutes: float = Field(default=0, ge=0, le=525_600, description="Least minutes between triggered runs.")
    max_per_day: int = Field(default=24, ge=1, le=10_000, description="Most triggered runs in 24 hours.")
    max_minutes: float | None = Field(
        default=None, gt=0, description="Longest training; then the best weights so far are kept, and the card says so."
    )
    nightly: str = Field(default="0 2 * * *", description="Cron of the nightly retrain, in UTC.")
    coalesce: bool = Field(default=True, description="One run for all waiting batches; false gives each its own run.")
    max_retries: int = Field(default=3, ge=0, le=20, description="How often unfinished work is started again.")

    @field_validator("nightly")
    @classmethod
    def _cron(cls, value: str) -> str:
        if not re.fullmatch(r"(\S+\s+){4}\S+", value):
            raise ValueError(f"{value!r} is not a cron line of five fields, e.g. '0 2 * * *'")
        return value


class RolloutPolicy(Frozen):
    """How a release reaches devices."""

    promotion: Literal["manual", "gated", "auto"] = Field(
        default="manual",
        description="manual: a person promotes. gated: promoted when nothing is pending on a device. auto: always.",
    )
    group: str = Field(default="canary", pattern=r"^[a-z0-9][a-z0-9-]{0,62}$", description="The devices to point.")


class Resources(Frozen):
    """What a heavy step gets where it runs in a pod of its own; elsewhere it takes what the machine has."""

    gpus: int = Field(default=0, ge=0, le=64, description="NVIDIA GPUs of the training step; no other step gets any.")
    cpus: float | None = Field(default=None, gt=0, le=1024, description="Cores; None: the cluster's default.")
    memory_gb: float | None = Field(
        default=None, gt=0, le=65_536, description="Memory in GB (1,000,000,000 bytes); None: the cluster's default."
    )


A_LIST = "Input should be a list, e.g. [cat, dog]"
ADDED: Mapping[str, Any] = {
    "other": {}, "unit_ids": "batch", "conflicts": None, "copies": None, "skip_lines": 0, "splits_from": None,
    "cells": None,
}  # fmt: skip
"""Settings that came after digests were put on record, with their defaults: who does not use them keeps the digest."""


class LineConfig(Frozen):
    """One thing being learned and shipped: data contract, model, budget, targets, retrain and rollout policy."""

    description: str = Field(default="", description="One sentence for people.")
    data: DataContract = Field(description="What a batch must look like.")
    quality: QualityPolicy = Field(default=QualityPolicy(), description="When a batch is blocked.")
    task: str | None = Field(default=None, description="What is learned; None for what such data usually is for.")
    features: FeaturePolicy = Field(
        default=FeaturePolicy(), description="How series and texts become the model's input."
    )
    model: ModelFamily | None = Field(
        default=None, description="The teacher; a line without one checks and collects data only."
    )
    training: TrainingPolicy = Field(default=TrainingPolicy(), description="How the teacher is trained.")
    compress: CompressionPolicy = Field(default=CompressionPolicy(), description="Which smaller models are tried.")
    budget: Budget = Field(default=Budget(), description="What the chosen model may cost.")
    targets: tuple[str, ...] = Field(
        default=("cpu-x86",),
        min_length=1,
        description="Kinds of devices to compile for; `assets/compilation/README.md` lists them.",
    )
    resources: Resources = Field(default=Resources(), description="What a heavy step gets in a cluster.")
    retrain: RetrainPolicy = Field(default=RetrainPolicy(), description="When accepted batches are trained on.")
    rollout: RolloutPolicy = Field(default=RolloutPolicy(), description="How a release reaches devices.")
    profiles: Mapping[str, Mapping[str, Any]] = Field(
        default={},
        description="Other settings by name, e.g. `debug`: what each says replaces what stands above, field by field. "
        "`--profile NAME` or EDGELOOP_PROFILE chooses one; `full` is the line as it stands.",
    )

    @model_validator(mode="wrap")
    @classmethod
    def _profiles_hold(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Validate every profile over the rest, so that a mistake in one is told when the line is read."""
        config = handler(data)
        problems = [problem for name in config.profiles for problem in config._problems(name)]
        if problems:
            raise ValidationError.from_exception_data(cls.__name__, problems)
        return config

    @field_validator("profiles")
    @classmethod
    def _profile_names(cls, profiles: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Mapping[str, Any]]:
        for name, body in profiles.items():
            if name == FULL:
                raise ValueError(f"`{FULL}` is the line as it stands; give the profile another name")
            if not PROFILE_NAME.fullmatch(name):
                raise ValueError(f"{name!r}: a profile's name has lower-case letters, digits and hyphens only")
            if "profiles" in body:
                raise ValueError(f"{name}: a profile has no profiles of its own")
        return profiles

    def _problems(self, name: str) -> list[InitErrorDetails]:
        """What is wrong with a profile, each with its place below `profiles`."""
        try:
            self.in_profile(name)
        except ValidationError as error:
            return [
                InitErrorDetails(
                    type=PydanticCustomError(
                        "profile", "{reason}", {"reason": problem["msg"].removeprefix("Value error, ")}
                    ),
                    loc=("profiles", name, *problem["loc"]),
                    input=problem["input"] if problem["loc"] else name,
                )
                for problem in error.errors(include_url=False)
            ]
        return []

    def in_profile(self, name: str) -> Self:
        """The configuration that a profile makes of this one; it has no profiles itself.

        Raises:
            KeyError: there is no such profile.
            ValidationError: it does not hold, which a line that was read rules out.
        """
        base = self.model_dump(mode="json", exclude_unset=True, exclude={"profiles"})
        return type(self).model_validate(base if name == FULL else merge(base, _sections(self.profiles[name])))

    @field_validator("targets")
    @classmethod
    def _known_targets(cls, targets: tuple[str, ...]) -> tuple[str, ...]:
        for name in targets:
            if name not in TARGETS:
                raise ValueError(f"{name!r} is not a known target; allowed are {', '.join(TARGETS)}")
        if len(set(targets)) != len(targets):
            raise ValueError("a target is listed twice")
        return targets

    @field_validator("model", mode="before")
    @classmethod
    def _family_by_name(cls, value: Any) -> Any:
        return model_section(value)

    @model_validator(mode="after")
    def _task_fits_data(self) -> Self:
        if self.model is None:
            return self
        section, spec = SECTIONS[self.data.reader], self.task_spec
        if spec is None:
            raise ValueError(
                f"no task reads {self.data.reader} with {'numbers to predict' if self.data.regression else 'classes'} "
                "yet; leave `model` out: the line then collects data only"
            )
        if section not in spec.sections:
            raise ValueError(f"task {spec.name} reads {' or '.join(spec.sections)}, not reader {self.data.reader}")
        if spec.regression != self.data.regression:
            wrong = "a number: take `data.classes` out" if spec.regression else "classes: name them in `data.classes`"
            raise ValueError(f"task {spec.name} predicts {wrong}")
        self._refuse_misfits(spec, self.model)
        self._refuse_columns(self.model)
        return self

    def _refuse_columns(self, model: ModelFamily) -> None:
        """Raise ValueError where `derive` and `knots` would not be read, or name no column of numbers."""
        if not (model.derive or model.knots):
            return
        if self.data.table is None or model.family not in {"mlp", "mlp_plain"}:
            raise ValueError("model.derive and model.knots are for mlp and mlp_plain on tables; take them out")
        numbers = [name for name in self.data.table.columns if name not in self.data.table.categories]
        for name in (name for first, _, second in model.derive for name in (first, second)):
            if name not in numbers:
                raise ValueError(f"model.derive names {name!r}; the columns of numbers are {', '.join(numbers[:20])}")

    def _refuse_misfits(self, spec: TaskSpec, model: ModelFamily) -> None:
        """Raise ValueError where family, loss, metric or augmentation do not belong to the task."""
        kind, training = spec.input_kind(self.data), self.training
        family = FAMILIES.get(model.family)
        if family is not None and (kind not in family.reads or spec.answer not in family.answers):
            fitting = [name for name, one in FAMILIES.items() if kind in one.reads and spec.answer in one.answers]
            raise ValueError(f"model.family {model.family!r} does not do {spec.name}; use {' or '.join(fitting)}")
        if model.family.startswith(TIMM) and kind != "image":
            raise ValueError(f"model.family {model.family!r} reads pictures only")
        if training.loss is not None and ":" not in training.loss and training.loss not in spec.losses:
            raise ValueError(f"training.loss {training.loss!r} is not for {spec.name}; use {' or '.join(spec.losses)}")
        if training.metric is not None and training.metric not in (*spec.metrics, *training.metrics):
            raise ValueError(f"training.metric {training.metric!r}: allowed are {', '.join(spec.metrics)}")
        if training.augment.spatial and kind not in {"image", "noise"}:
            raise ValueError("training.augment is for pictures; only mixup goes with other data")
        if spec.regression and (training.augment.mixup or training.label_smoothing or training.imbalance != "none"):
            raise ValueError("mixup, label_smoothing and imbalance are for classes, and this line predicts a number")
        if spec.answer == "image" and training.folds:
            raise ValueError("training.folds: a generator of pictures is not cross-validated; take it out")
        if training.augment.mixup and (kind == "text" or spec.answer != "class"):
            raise ValueError("training.augment.mixup mixes numbers and classes; this line has not both")
        if spec.answer == "image" and (training.privacy is not None or training.accumulate > 1 or training.compile):
            raise ValueError("training: a GAN has neither privacy, accumulate nor compile; take them out")
        if training.privacy is not None and (family is None or family.batch_norm):
            private = [
                name
                for name, one in FAMILIES.items()
                if kind in one.reads and spec.answer in one.answers and not one.batch_norm
            ]
            raise ValueError(f"training.privacy: goes with families without BatchNorm only: {' or '.join(private)}")

    @property
    def task_spec(self) -> TaskSpec | None:
        """The line's task, or the usual one for its data; None where no task reads them. Raises ValueError."""
        if self.task is None:
            return default_task(self.data)
        if self.task not in task_specs():
            raise ValueError(f"task {self.task!r} is not known; allowed are {', '.join(task_specs())}")
        return task_specs()[self.task]

    @property
    def metric(self) -> str:
        """What chooses epochs and models of a line with a model."""
        spec = self.task_spec
        assert spec is not None, "a line with a model has a task"
        return self.training.metric or spec.metric

    @property
    def conflicts(self) -> Action:
        """What equal inputs under different targets get: `quality.conflicts`, by default as the kind of data has it."""
        return self.quality.conflicts or ("quarantine" if self.data.inputs is None else "off")

    @property
    def copies(self) -> Copies:
        """How often equal records count: `quality.copies`, by default as the kind of data has it."""
        return self.quality.copies or ("once" if self.data.inputs is None else "per_batch")

    @property
    def counting(self) -> Literal["by_id", "once", "per_batch", "all"]:
        """How a dataset counts equal records: where an input has one target and one record, by the input alone."""
        return "by_id" if self.conflicts == "quarantine" and self.copies == "once" else self.copies

    def digest(self, *sections: str) -> str:
        """SHA-256 of the named sections: a step that reads only these need not run again while they stay the same."""
        body = _as_on_record(self.model_dump(mode="json", include=set(sections) or None))
        return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _as_on_record(body: Any) -> Any:
    """Settings without those that came later and are not used."""
    if not isinstance(body, dict):
        return body
    return {key: _as_on_record(value) for key, value in body.items() if key not in ADDED or value != ADDED[key]}


@dataclass(frozen=True)
class Line:
    """A line by its name, which is its folder's name, and its configuration.

    Attributes:
        read: when the configuration was read, in seconds since 1970: of two that differ the later one counts.
    """

    name: str
    config: LineConfig
    read: float = field(default_factory=time.time, compare=False)

    def in_profile(self, name: str) -> Line:
        """The line as a profile has it. Raises LineError where it has no such profile."""
        if name != FULL and name not in self.config.profiles:
            there = ", ".join((FULL, *self.config.profiles))
            raise LineError(f"line {self.name!r} has no profile {name!r}; it has {there}. Add it below `profiles:`")
        return Line(self.name, self.config.in_profile(name), self.read)

    @property
    def identifier(self) -> str:
        """The name as Dagster allows it in jobs, sensors and groups."""
        return self.name.replace("-", "_")


def parse_line(name: str, attributes: Any, source: str) -> Line:
    """Validate a line's attributes.

    Args:
        name: the line's name, which is its folder's name.
        attributes: the YAML's `attributes`, as read.
        source: the YAML's path, for the error's text.

    Raises:
        LineError: names line, field, value and what is allowed, one row per problem.
    """
    if not LINE_NAME.fullmatch(name):
        raise LineError(f"{source}: line {name!r}: a line's name has lower-case letters, digits and hyphens only")
    try:
        return Line(name, LineConfig.model_validate(attributes))
    except ValidationError as error:
        rows = [f"{source}: line {name!r} is broken"]
        for problem in error.errors(include_url=False):
            place = problem["loc"]
            key = " (a name in it)" if place[-1:] == ("[key]",) else ""
            field = ".".join(map(str, place[:-2] if key else place)) + key or "(the whole line)"
            value = "" if problem["type"] == "missing" else f" = {_short(problem['input'])}"
            told = problem["msg"].removeprefix("Value error, ").replace("Input should be a valid tuple", A_LIST)
            told = told.replace("Tuple should have", "The list should have").replace(" after validation", "")
            rows.append(f"  {field}{value}: {told}")
        raise LineError("\n".join(rows)) from error


def _sections(profile: Mapping[str, Any]) -> dict[str, Any]:
    """A profile's sections; `model: resnet` as the mapping it stands for, so that it can be merged."""
    return {name: model_section(value) if name == "model" else value for name, value in profile.items()}


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
