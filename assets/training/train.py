"""Trains a line's teacher: `python -m torch.distributed.run … -m assets.training.train`, answering `TrainedModel`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from assets.errors import RejectedError
from assets.families.export import OUTPUT_NAME
from assets.families.weights import parameters_of
from assets.fitting.checkpoints import StorePlace
from assets.fitting.contract import CheckpointPlace, FitControl, Quiet, Watch
from assets.fitting.threads import set_up_torch
from assets.processes.worker import Job, serve
from assets.records.dataset import DatasetVersion
from assets.records.line_store import BoundLine
from assets.tasks.task import load_task
from assets.training.comparison import labels_of
from assets.training.cost import Meter
from assets.training.documents import TrainedModel
from assets.training.draw_card import draw_card
from assets.training.finished import FinishedTraining
from assets.training.previous_model import model_in_use
from assets.training.progress.watch import RunWatch
from assets.training.splits import open_sets
from assets.training.teacher import Teacher, build_teacher, fit_teacher
from assets.training.tuning.budgeted import SHARE_OF_TIME, Tuning, search_settings, validate_in_folds
from assets.training.verify import export_and_verify
from assets.training.warm_start import choose_start
from edge.contracts import digest, from_bytes


def train(
    line: BoundLine,
    dataset: DatasetVersion,
    report: Callable[[str], None],
    watch: Watch | None = None,
    place: CheckpointPlace | None = None,
) -> TrainedModel:
    """Train the teacher on a dataset version, export it, measure the exported file, and draw its card.

    The same dataset and line give the same weights on the same number of threads.

    Args:
        watch: looks on; None for nobody.
        place: where checkpoints are kept; training goes on from the last one.

    Raises:
        RejectedError: records that cannot be read, or a training that diverges.
        VerificationError: stored records that were changed.
    """
    meter = Meter()
    return publish(line, dataset, run(line, dataset, report, watch or Quiet(), place), meter, report)


def run(
    line: BoundLine,
    dataset: DatasetVersion,
    report: Callable[[str], None],
    watch: Watch,
    place: CheckpointPlace | None,
) -> FinishedTraining:
    """Open the records, choose the start, and fit the teacher. Of several processes each does this; see `train`."""
    config = line.config
    if config.model is None or config.task_spec is None:
        raise RejectedError(f"line {line.name!r} has no `model`: it collects data only; name a family to train one")
    task, model, policy = load_task(config.task_spec.name), config.model, config.training
    sets = open_sets(line, dataset, task, report=report)
    report(f"records: {len(sets.train)} train, {len(sets.validation)} validation, {len(sets.test)} test")
    set_up_torch(policy, sets.spec.shape)
    classes, earlier = config.data.classes, model_in_use(line)

    def trial(teacher: Teacher, epochs: int) -> float:
        short = policy.model_copy(update={"epochs": epochs, "patience": None})
        return fit_teacher(teacher, task, model, short, sets.learned, sets.validation, classes).best_score

    tuning = Tuning(line.store, line.line, dataset, task, sets, report)
    settings: dict[str, float] = {}
    folds: tuple[float, ...] = ()
    left = config.retrain.max_minutes
    if policy.search is not None:
        model, policy, settings, spent = search_settings(tuning, model, policy)
        left = None if left is None else left - min(spent, left * SHARE_OF_TIME)
    if policy.folds:
        spread, spent = validate_in_folds(tuning, model, policy)
        folds = spread.scores
        left = None if left is None else left - min(spent, left / 2)
    started = choose_start(
        line, task, model, earlier, lambda: build_teacher(task, model, sets, classes, policy.seed), trial
    )
    report(f"training starts {started.start.why or 'from scratch'}")
    fitted = fit_teacher(
        started.teacher, task, model, policy, sets.learned, sets.validation, classes, FitControl(watch, place, left)
    )
    return FinishedTraining(task, model, sets, started.teacher, started.start, earlier, fitted, settings, folds)


def publish(
    line: BoundLine,
    dataset: DatasetVersion,
    done: FinishedTraining,
    meter: Meter,
    report: Callable[[str], None],
) -> TrainedModel:
    """Export a trained teacher, verify the file, and draw its card."""
    task, fitted = done.task, done.fitted
    report(f"trained for {len(fitted.curve)} epochs, the best was {fitted.best_epoch}; exporting")
    verified = export_and_verify(line, task, done.teacher, done.sets, digest(dataset), report)
    cost = meter.cost()
    model = TrainedModel(
        line=line.name,
        dataset=digest(dataset),
        position=dataset.position,
        family=done.model.family,
        parameters=parameters_of(done.teacher.network),
        input=done.sets.spec,
        output=OUTPUT_NAME,
        labels=labels_of(task, line.line),
        weights=verified.weights,
        onnx=verified.onnx,
        evidence=replace(verified.evidence, seconds=cost.seconds),
        architecture=done.teacher.architecture,
        curve=fitted.curve,
        task=task.name,
        answer=verified.answer,
        metric=line.config.metric,
        baseline=verified.baseline,
        start=done.start,
        cost=cost,
        ended=fitted.ended,
        epsilon=fitted.epsilon,
        settings=done.settings,
        folds=done.folds,
    )
    return draw_card(line, dataset, done, verified, model, report)


@dataclass(frozen=True)
class Kept:
    """A place whose last checkpoint outlives the fitting: a crash while the model is verified costs no training."""

    place: CheckpointPlace

    def read(self) -> bytes | None:
        """See `CheckpointPlace`."""
        return self.place.read()

    def write(self, data: bytes) -> None:
        """See `CheckpointPlace`."""
        self.place.write(data)

    def remove(self) -> None:
        """Not yet."""


def step(job: Job) -> TrainedModel | None:
    """`Job.options`: "dataset", the dataset version's document as text; "training", what names this training."""
    meter = Meter()
    dataset = from_bytes(DatasetVersion, str(job.options["dataset"]).encode(), "options.dataset")
    training = str(job.options["training"])
    place = Kept(StorePlace(job.line.store, job.line.name, training))
    if job.rank:  # the others train along, and leave the rest to the first
        run(job.line, dataset, job.report, Quiet(), place)
        return None
    with RunWatch(job.line, training, report=job.report, send=job.send, metric=job.line.config.metric) as watch:
        done = run(job.line, dataset, job.report, watch, place)
        watch.say("exporting, and drawing the model card")
        model = publish(job.line, dataset, done, meter, job.report)
        watch.done(model.card)
    place.place.remove()
    return model


if __name__ == "__main__":
    serve(step)
