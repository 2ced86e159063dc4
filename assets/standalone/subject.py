"""From a request of `edgeloop compress` to what the search works on; runs in the child."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from assets.compression.subject import Subject, open_subject
from assets.errors import RejectedError
from assets.line.compression import Budget, CompressionPolicy
from assets.line.config import Line
from assets.loading.held_out import open_held_out
from assets.records.dataset import DatasetVersion
from assets.records.line_store import BoundLine, bind
from assets.standalone.external_data import whole_model
from assets.standalone.foreign_model import (
    OnnxFile,
    Ours,
    SearchSettings,
    check_budget,
    open_foreign,
    open_model,
    probe,
    subject_of,
)
from assets.standalone.heldout import HeldOut, Truth, truth_of
from assets.standalone.line_models import asked_line, trained_model
from assets.standalone.request import WORK, Request
from assets.standalone.signature import Signature, read_signature
from assets.standalone.sources import Reading, picture_spec
from assets.storage.store import Store
from edge.contracts import TARGETS, InputSpec, digest

Report = Callable[[str], None]


def open_request(request: Request, report: Report, answered: Callable[[], None] = lambda: None) -> tuple[Subject, str]:
    """The subject, and how its records were split and judged, in words. An ONNX file was linted before.

    Args:
        answered: called once the model has answered its first records; what comes then may take as long as it takes.

    Raises:
        RejectedError: see `assets.standalone.foreign_model.open_foreign` and `assets.compression.subject.open_subject`.
    """
    if request.line:
        return _open_line(request, report, answered)
    path = Path(request.model)
    file, how = OnnxFile(whole_model(path), str(path)), _reading(request)
    settings = SearchSettings(
        Store(str(Path(request.out) / WORK)),
        _name_of(path),
        request.metric,
        _budget(request),
        _policy(request, CompressionPolicy()),
        _targets(request),
        report,
    )
    if not request.data_line:
        return open_foreign(file, Path(request.data), how, settings, answered)
    signature = read_signature(open_model(file), file.source)
    line = asked_line(request, request.data_line)
    spec = _spec_of_line(line, signature, how)
    held, truth = records_of_line(bind(Store(request.home), line), spec, signature, file)
    answered()
    return subject_of(file, signature, spec, held, truth, settings)


def _open_line(request: Request, report: Report, answered: Callable[[], None]) -> tuple[Subject, str]:
    """One of our models: its network is there, so students are tried too; judged on its line's records or others."""
    line = bind(Store(request.home), asked_line(request, request.line))
    model = trained_model(line, request.weights)
    subject = open_subject(line, line.dataset(model.dataset), model, report)
    work = Store(str(Path(request.out) / WORK))
    for ref, kind, suffix in ((model.onnx, "onnx", ".onnx"), (model.weights, "safetensors", ".safetensors")):
        work.put(line.name, line.store.fetch(ref), kind, suffix, ref.parents)
    subject = replace(
        subject,
        store=work,
        budget=_budget(request) if request.budget is not None else line.config.budget,
        targets=_targets(request),
        policy=_policy(request, line.config.compress),
    )
    measured = {metric.name for metric in model.evidence.metrics}  # a metric of later than the model is not
    subject = replace(subject, own_metrics=tuple(name for name in subject.own_metrics if name in measured))
    if request.data_line == line.name:
        metric = request.metric or subject.metric
        metric = check_budget(subject.task, metric, subject.budget, subject.classes, subject.own_metrics)
        counts = f"{len(subject.validation):,} validation and {len(subject.test):,} test records of line {line.name!r}"
        return replace(subject, metric=metric), f"judged on {counts}"
    return _verified_elsewhere(request, subject, report, answered)


def _verified_elsewhere(
    request: Request, subject: Subject, report: Report, answered: Callable[[], None]
) -> tuple[Subject, str]:
    """Our model on records that are not its line's; students learn from the line's all the same, if its task counts."""
    file = OnnxFile(subject.file, f"the model of line {subject.name!r}")
    how = replace(_reading(request), classes=subject.labels)
    ours = Ours(subject.task, subject.metric, subject.answer, subject.input, subject.own_metrics)
    settings = SearchSettings(
        subject.store, subject.name, request.metric, subject.budget, subject.policy, subject.targets, report
    )
    if request.data_line:
        signature = read_signature(open_model(file), file.source)
        line = asked_line(request, request.data_line)
        held, truth = records_of_line(bind(Store(request.home), line), subject.input, signature, file)
        answered()
        other, note = subject_of(file, signature, subject.input, held, truth, settings, ours)
    else:
        other, note = open_foreign(file, Path(request.data), how, settings, answered, ours)
    trainable = subject.trainable if other.task is subject.task else None
    if trainable is None and subject.trainable is not None:
        note += f"; judged by {other.metric}, not as line {subject.name!r} is, so no smaller network was tried"
    return replace(other, trainable=trainable, output=subject.output), note


def records_of_line(line: BoundLine, spec: InputSpec, signature: Signature, file: OnnxFile) -> tuple[HeldOut, Truth]:
    """A line's newest accepted records as a model reads them, and what they judge it by."""
    dataset = line.newest(DatasetVersion)
    train, validation, test = (
        open_held_out(line.store, dataset, split, spec, line.config) for split in ("train", "validation", "test")
    )
    shapes = probe(open_model(file), _First(validation), file.source)
    truth = truth_of(validation.y, line.config.data.classes, (), shapes, len(signature.inputs[0].shape))
    counts = ", ".join(f"{len(one):,} {name}" for name, one in (("validation", validation), ("test", test)))
    note = "; ".join(filter(None, (f"{counts} records of line {line.name!r}", truth.note)))
    facts = (digest(dataset), spec, truth.classes, truth.task.name)  # all that decides what is read and judged by
    return HeldOut(train, validation, test, hashlib.sha256(repr(facts).encode()).hexdigest(), note), truth


class _First:
    """The first two records of a set."""

    def __init__(self, records: Any) -> None:
        self.y, self.ids, self.groups = records.y[:2], records.ids[:2], records.groups[:2]
        self.batch, self.input_of = records.batch, records.input_of

    def __len__(self) -> int:
        return len(self.ids)


def _spec_of_line(line: Line, signature: Signature, how: Reading) -> InputSpec:
    """How a line's records become a foreign model's input. Raises RejectedError where that is not known."""
    data, place = line.config.data, f"--data {line.name}"
    if data.image is not None:
        return picture_spec(place, signature, how)
    port = signature.inputs[0]
    if data.table is None or len(signature.inputs) > 1 or len(port.shape) != 2 or port.dtype != "float32":
        raise RejectedError(
            f"{place}: its records are pictures or rows for a model from elsewhere, this one reads {signature}; save "
            "what it reads as arrays in an .npz"
        )
    columns = data.table.columns
    if port.shape[1] not in (None, len(columns)):
        raise RejectedError(f"{place}: has {len(columns)} columns, the model reads {port}")
    zeros, ones = (0.0,) * len(columns), (1.0,) * len(columns)
    return InputSpec(
        "table",
        port.name,
        (len(columns),),
        zeros,
        ones,
        tuple(columns),
        dict(data.table.categories),
        other=dict(data.table.other),
    )


def _reading(request: Request) -> Reading:
    return Reading(request.mean, request.std, request.scale, request.target, request.classes)


def _budget(request: Request) -> Budget:
    return Budget.model_validate(request.budget or {})


def _policy(request: Request, policy: CompressionPolicy) -> CompressionPolicy:
    if request.max_minutes is None:
        return policy
    return CompressionPolicy.model_validate({**policy.model_dump(), "max_minutes": request.max_minutes})


def _targets(request: Request) -> Any:
    return tuple(TARGETS[name] for name in request.targets)


def _name_of(path: Path) -> str:
    """What a file's artifacts are stored under: a key's part is of plain letters."""
    return re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-")[:40] or "model"
