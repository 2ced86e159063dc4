"""Students: smaller networks that are taught by the teacher, first a little, then the survivors to the end."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from assets.compression.documents import Recipe, Tried
from assets.compression.evidence import timings_of
from assets.compression.formats.network import Network, assess, refused, spread
from assets.compression.prune import count_macs, prune
from assets.compression.quantize import needs_7_bits
from assets.compression.rule import network_name
from assets.compression.students.distill import distillation, student_policy
from assets.compression.subject import Subject, Trainable
from assets.compression.trials import Cut, Made, Trial, Trials
from assets.errors import RejectedError
from assets.evaluation.machine import machine_name
from assets.families.build import build_network
from assets.families.export import export_onnx, export_verdict
from assets.families.weights import architecture_of, parameters_of, predict, set_weights
from assets.fitting.contract import CheckpointPlace, FitControl, Fitted, Progress, Quiet
from assets.fitting.fit import fit
from assets.tasks.contract import Objective
from edge.contracts import ArtifactRef

PROXY_ROUNDS = 10
RANKED_RECORDS = 64


def try_cut(trials: Trials, teacher: Trainable, recipe: Recipe) -> Trial:
    """The network that a recipe leaves of the teacher, untrained; or why there is none."""
    subject, name = trials.subject, network_name(recipe)

    def make() -> Trial:
        start = time.monotonic()
        try:
            student = prune(teacher.network, subject.input, teacher.outputs, recipe, _shown(subject))
        except RejectedError as error:
            return _not(f"{name}-cut", recipe, refused(error), start)
        if parameters_of(student) >= parameters_of(teacher.network) and not recipe.halvings:
            return _not(f"{name}-cut", recipe, "there is nothing to take out: channels stay multiples of 8", start)
        weights = subject.keep(student, teacher.weights.sha256)
        after = predict(student, subject.validation).numpy()
        verdict = subject.verdict("prune", subject.teacher_held, after, subject.onnx.sha256, weights.sha256)
        macs = count_macs(student, subject.input)
        subject.report(f"{name}: cut to {architecture_of(student)}")
        cut = Cut(weights, architecture_of(student), parameters_of(student), macs, verdict)
        return Trial(f"{name}-cut", recipe, 0.0, cut=cut)

    untaught = replace(recipe, epochs=0)
    return trials.take(f"{name}-cut", untaught, (teacher.weights.sha256,), lambda _: make())


def _shown(subject: Subject) -> Tensor:
    """The records that blocks and heads are ranked on."""
    return subject.calibration.batch(spread(len(subject.calibration), RANKED_RECORDS))


def same_network(cut: Cut) -> str:
    """Cuts of the same text leave the same network."""
    return json.dumps(dict(cut.architecture), sort_keys=True, default=str)


def try_student(trials: Trials, teacher: Trainable, recipe: Recipe, cut: Cut, proxy: Made | None = None) -> Trial:
    """A student taught for `recipe.epochs` in all, exported; a proxy where those are not all of the policy's.

    Args:
        proxy: goes on from its weights.
    """
    subject, policy = trials.subject, trials.subject.policy
    short = recipe.epochs < policy.distill_epochs
    name = f"{network_name(recipe)}-proxy" if short else network_name(recipe)

    def make(place: CheckpointPlace) -> Trial:
        student = build_network(teacher.family, subject.input, teacher.outputs, cut.architecture)
        set_weights(student, subject.store.fetch(cut.weights), cut.weights.uri)
        before = predict(student, subject.validation).numpy()
        if proxy is not None and proxy.weights is not None:
            set_weights(student, subject.store.fetch(proxy.weights), proxy.weights.uri)
        start = time.monotonic()
        try:
            fitted = teach(subject, teacher, student, recipe.epochs - (proxy.epochs if proxy else 0), name, place)
        except RejectedError as error:  # one that diverges; the others may do well
            return _not(name, recipe, refused(error), start)
        earlier = max(0.0, float(fitted.curve[-1]["seconds"]) - (time.monotonic() - start))
        after = predict(student, subject.validation).numpy()
        weights = subject.keep(student, cut.weights.sha256)
        distilled = subject.verdict(
            "distill", before, after, cut.weights.sha256, weights.sha256, teacher=subject.teacher_held
        )
        file = export_onnx(student, subject.input)
        onnx = subject.keep_onnx(file, weights.sha256)
        exported = export_verdict(student, file, weights.sha256, onnx.sha256, subject.validation, subject.lost)
        chain = (cut.verdict, distilled, exported)
        made = Made(
            name=network_name(recipe),
            recipe=recipe,
            onnx=onnx,
            chain=chain,
            parameters=cut.parameters,
            macs=cut.macs,
            drop=subject.lost(subject.teacher_held, after),
            epochs=len(fitted.curve),
            architecture=cut.architecture,
            weights=weights,
        )
        return Trial(name, recipe, earlier, made=with_quick_int8(subject, made) if short else made)

    decides: tuple[str, ...] = (
        teacher.policy.model_dump_json(),
        f"{policy.distill_features:g}",
        cut.weights.sha256,
        str(policy.calibration_records),
        proxy.weights.sha256 if proxy and proxy.weights else "",
    )
    if short:  # has an INT8 file
        decides = (*decides, ",".join(subject.shipped), f"7 bits: {needs_7_bits(subject.targets)}")
    return trials.take(name, recipe, decides, make)


def with_quick_int8(subject: Subject, made: Made) -> Made:
    """The network with an INT8 file of min-max ranges, as students are compared; without, where it stands none."""
    network = Network(subject, made)
    dialect = network.dialects[0]
    try:
        calibration = network.calibrated(("minmax",))["minmax"]
        files = network.quantized(calibration, network.dialects)
        seen = assess(network, files, time.monotonic())
    except RejectedError as error:
        refused(error)
        return replace(made, int8=made.onnx, int8_drop=made.drop)
    return replace(made, int8=subject.keep_onnx(files[dialect], made.onnx.sha256), int8_drop=seen.lost)


def try_paces(trials: Trials, made: Mapping[str, ArtifactRef]) -> Trial:
    """Milliseconds of proxies' INT8 files, all timed in turn: on this machine, so its name decides too.

    What was timed once is kept, so that a search that goes on decides as it did.
    """
    subject = trials.subject

    def make() -> Trial:
        files = ((name, subject.store.fetch(ref)) for name, ref in made.items())
        taken = timings_of(files, subject.validation, PROXY_ROUNDS)
        return Trial("paces", Recipe(), 0.0, ms={name: float(np.median(ms)) for name, ms in taken.items()})

    decides = (machine_name(), *(ref.sha256 for ref in made.values()), *made)
    return trials.take("proxies' paces", Recipe(), decides, lambda _: make())


def teach(
    subject: Subject, teacher: Trainable, student: nn.Module, epochs: int, name: str, place: CheckpointPlace
) -> Fitted:
    """Fit the student in place to the teacher's answers; its best validation weights stay. Raises RejectedError."""
    torch.manual_seed(teacher.policy.seed)  # so that it learns the same whatever was made before it
    return fit(
        student,
        subject.task,
        teacher.train,
        subject.validation,
        student_policy(teacher.policy, epochs, student).model_copy(update={"metric": subject.metric}),
        classes=subject.classes,
        objective=objective_of(subject, teacher),
        control=FitControl(Told(subject.report, name), place),
    )


def objective_of(subject: Subject, teacher: Trainable) -> Objective | None:
    """To answer what the teacher answers; None for the task's own, where a teacher's answers are no better."""
    if subject.answer.kind not in {"class", "number"}:
        return None
    scale = None
    if subject.answer.kind == "number":
        scale = float(np.std(teacher.train.y)) or 1.0
    return distillation(teacher.network, scale, subject.policy.distill_features, teacher.answers)


@dataclass(frozen=True)
class Told(Quiet):
    """Tells of each epoch of a student."""

    report: Callable[[str], None]
    name: str

    def epoch(self, row: Mapping[str, float], progress: Progress) -> None:
        """One line."""
        self.report(f"{self.name}: epoch {progress.epoch}/{progress.epochs}  loss {row['train_loss']:.3f}")

    def note(self, text: str) -> None:
        """One line."""
        self.report(f"{self.name}: {text}")


def _not(name: str, recipe: Recipe, why: str, start: float) -> Trial:
    return Trial(name, recipe, 0.0, tried=(Tried(name, recipe, None, None, why, time.monotonic() - start),))
