"""What a finished training says on its card: the comparison with the model in use, a generator's samples, notes.

`assets.training.card` makes the page of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from assets.evaluation.answers import answers, open_session
from assets.fitting.contract import Fitted
from assets.records.dataset import DatasetVersion
from assets.records.line_store import BoundLine
from assets.training.card import Facts, GanEvidence, ModelInUse, make_card
from assets.training.comparison import NotComparableError, against_the_model_in_use
from assets.training.documents import TrainedModel
from assets.training.finished import FinishedTraining
from assets.training.verify import Verified

SAMPLES = 64


def draw_card(
    line: BoundLine,
    dataset: DatasetVersion,
    done: FinishedTraining,
    verified: Verified,
    model: TrainedModel,
    report: Callable[[str], None],
) -> TrainedModel:
    """The model with its card and with what the paired test against the model in use says.

    Args:
        model: as it is so far.
    """
    task, sets, earlier, fitted = done.task, done.sets, done.earlier, done.fitted
    rival, versus = None, ""
    if earlier is not None and earlier.onnx.sha256 != model.onnx.sha256:
        try:
            found, metrics = against_the_model_in_use(line, dataset, task, sets, earlier, verified.outputs)
            versus = found.sentence
            better = {"better": True, "worse": False, "undecided": None}[found.verdict]
            rival = ModelInUse(earlier.onnx.sha256, metrics, found.sentence, better)
        except NotComparableError as error:
            versus = f"not compared: {error}"
        report(f"against the model in use: {versus}")
    model = replace(model, versus=versus)
    gan = None
    if task.spec.answer == "image":
        gan = GanEvidence(answers(open_session(line.store.fetch(model.onnx)), sets.test, SAMPLES), sets.train)
    facts = Facts(
        line.store,
        line.line,
        dataset,
        model,
        task,
        records=sets.test,
        spec=sets.records,
        outputs=verified.outputs,
        network=done.teacher.network,
        rival=rival,
        gan=gan,
        best_epoch=fitted.best_epoch,
        folds=model.folds,
        notes=_notes(model, fitted),
    )
    return replace(model, card=make_card(facts))


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
