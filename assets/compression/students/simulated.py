"""Training with INT8 simulated, where a network loses too much in INT8 otherwise."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch

from assets.compression.documents import Candidate, Tried
from assets.compression.formats.network import Network, refused
from assets.compression.quantize import needs_7_bits
from assets.compression.rule import candidate_name
from assets.compression.students.qat import quantized_policy, train_quantized
from assets.compression.students.teach import Told, objective_of
from assets.compression.subject import Trainable
from assets.compression.trials import Trial, Trials
from assets.errors import RejectedError
from assets.families.build import build_network
from assets.families.export import export_onnx, export_verdict
from assets.families.weights import predict, set_weights
from assets.fitting.contract import CheckpointPlace, FitControl, Progress


@dataclass(frozen=True)
class Clocked(Told):
    """Keeps how long the training has run after each epoch, interrupted times included."""

    seconds: list[float] = field(default_factory=list)

    def epoch(self, row: Mapping[str, float], progress: Progress) -> None:
        """One line."""
        self.seconds.append(float(row["seconds"]))
        super().epoch(row, progress)


def try_qat(trials: Trials, teacher: Trainable, network: Network, int8: Candidate) -> Trial:
    """The network trained on with INT8 simulated, exported in float; its INT8 file is a trial of its own."""
    subject, made = trials.subject, network.made
    epochs = subject.policy.qat_epochs
    recipe = replace(made.recipe, format="int8", qat=epochs, ranges=int8.recipe.ranges)
    name = f"{candidate_name(recipe)}-training"
    narrow = needs_7_bits(subject.targets)

    def make(place: CheckpointPlace) -> Trial:
        start, watch = time.monotonic(), Clocked(subject.report, name)
        assert made.weights is not None, "what is trainable has weights"
        student = build_network(teacher.family, subject.input, teacher.outputs, made.architecture)
        set_weights(student, subject.store.fetch(made.weights), made.weights.uri)
        torch.manual_seed(teacher.policy.seed)
        try:
            learned = train_quantized(
                student,
                subject.task,
                teacher.train,
                subject.validation,
                quantized_policy(teacher.policy, epochs).model_copy(update={"metric": subject.metric}),
                classes=subject.classes,
                objective=objective_of(subject, teacher),
                reduce_range=narrow,
                control=FitControl(watch, place),
            )
        except RejectedError as error:
            why = refused(error)
            tried = Tried(name, recipe, None, None, why, time.monotonic() - start)
            return Trial(name, recipe, 0.0, tried=(tried,))
        earlier = max(0.0, max(watch.seconds, default=0.0) - (time.monotonic() - start))
        weights = subject.keep(learned, made.weights.sha256)
        after = predict(learned, subject.validation).numpy()
        distilled = subject.verdict(
            "distill", network.held, after, made.onnx.sha256, weights.sha256, teacher=subject.teacher_held
        )
        file = export_onnx(learned, subject.input)
        onnx = subject.keep_onnx(file, weights.sha256)
        exported = export_verdict(learned, file, weights.sha256, onnx.sha256, subject.validation, subject.lost)
        taught = replace(
            made,
            recipe=recipe,
            onnx=onnx,
            chain=(*made.chain, distilled, exported),
            drop=subject.lost(subject.teacher_held, after),
            epochs=epochs,
            weights=weights,
            int8=None,
        )
        return Trial(name, recipe, earlier, made=taught)

    decides = (
        teacher.policy.model_dump_json(),
        f"{subject.policy.distill_features:g}",
        made.onnx.sha256,
        f"7 bits: {narrow}",
    )
    return trials.take(name, recipe, decides, make)
