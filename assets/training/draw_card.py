"""From a trained model to its card: against the model in use, samples of a generator, what else is worth saying."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from torch import nn

from assets.evaluation.answers import answers, open_session
from assets.fitting.contract import Fitted
from assets.line.config import Line
from assets.records.dataset import DatasetVersion
from assets.storage.store import Store
from assets.tasks.contract import Task
from assets.training.card import GanEvidence, Rival, make_card
from assets.training.comparison import NotComparableError, against_the_model_in_use
from assets.training.documents import TrainedModel
from assets.training.splits import Sets
from assets.training.verify import Judged

SAMPLES = 64


def draw_card(
    store: Store,
    line: Line,
    dataset: DatasetVersion,
    task: Task,
    sets: Sets,
    network: nn.Module,
    judged: Judged,
    model: TrainedModel,
    earlier: TrainedModel | None,
    fitted: Fitted,
    report: Callable[[str], None],
) -> TrainedModel:
    """The model with its card and with what the paired test against the model in use says.

    Args:
        model: as it is so far.
        earlier: the model in use; None before the first.
    """
    rival, versus = None, ""
    if earlier is not None and earlier.onnx.sha256 != model.onnx.sha256:
        try:
            found, metrics = against_the_model_in_use(store, line, dataset, task, sets, earlier, judged.outputs)
            versus = found.sentence
            better = {"better": True, "worse": False, "undecided": None}[found.verdict]
            rival = Rival(earlier.onnx.sha256, metrics, found.sentence, better)
        except NotComparableError as error:
            versus = f"not compared: {error}"
        report(f"against the model in use: {versus}")
    model = replace(model, versus=versus)
    gan = None
    if task.spec.answer == "image":
        gan = GanEvidence(answers(open_session(store.fetch(model.onnx)), sets.test, SAMPLES), sets.train)
    card = make_card(
        store,
        line,
        dataset,
        model,
        task,
        records=sets.test,
        spec=sets.records,
        outputs=judged.outputs,
        network=network,
        rival=rival,
        gan=gan,
        best_epoch=fitted.best_epoch,
        folds=model.folds,
        notes=_notes(model, fitted),
    )
    return replace(model, card=card)


def _notes(model: TrainedModel, fitted: Fitted) -> tuple[str, ...]:
    """Plain sentences about how the training went."""
    found = []
    if fitted.resumed_at:
        found.append(f"Training was interrupted, and went on from a checkpoint at step {fitted.resumed_at:,}.")
    if model.ended == "time limit":
        found.append(
            "Training was ended by `retrain.max_minutes`; the best epoch until then is the model, and more time may "
            "give a better one."
        )
    if model.settings:
        values = ", ".join(f"{name} {value:g}" for name, value in model.settings.items())
        found.append(f"The hyperparameter search chose {values}.")
    if model.start.why:
        found.append(f"Start: {model.start.why}.")
    return tuple(found)
