"""Trains a line's teacher: `python -m torch.distributed.run … -m assets.training.train`, answering `TrainedModel`."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch

from assets.errors import RejectedError
from assets.export import OUTPUT_NAME, export_onnx, export_verdict
from assets.fitting.old import cross_entropy, fit, recipe_of, set_up_torch
from assets.line import Line
from assets.measure import accuracy_metrics, interleaved_ms, latency, logits, open_session
from assets.networks import build_network, parameters_of, teacher_architecture, weights_of
from assets.records import Records, load_split
from assets.store import Store
from assets.training.contract import DatasetVersion, TrainedModel
from assets.training.normalize import input_spec
from assets.worker import Job, serve
from edge.contracts import Evidence, Metric, digest, from_bytes


def train(store: Store, line: Line, dataset: DatasetVersion, report: Callable[[str], None]) -> TrainedModel:
    """Train the teacher on a dataset version, export it and measure the exported file.

    The same dataset and line give the same weights on the same number of threads.

    Raises:
        RejectedError: records that cannot be read, or a training that diverges.
        VerificationError: stored records that were changed.
    """
    start = time.monotonic()
    config = line.config
    spec = input_spec(store, dataset, config.data)
    train_set = load_split(store, dataset, "train", spec)
    validation = load_split(store, dataset, "validation", spec)
    test = load_split(store, dataset, "test", spec)
    report(f"records: {len(train_set.y)} train, {len(validation.y)} validation, {len(test.y)} test")

    set_up_torch(config.training, spec.shape)
    if config.model is None:
        raise RejectedError(f"line {line.name!r} has no `model`: it collects data only; name a family to train one")
    family = config.model.family
    architecture = teacher_architecture(config.model, spec.shape)
    network = build_network(family, spec.shape, len(dataset.classes), architecture)
    recipe = recipe_of(config.training, shift=family == "cnn")
    objective = cross_entropy(config.training.label_smoothing)
    curve = fit(network, _tensors(train_set), _tensors(validation), recipe, objective, report)
    report(f"trained in {time.monotonic() - start:.1f} s; exporting")

    weights = store.put(line.name, weights_of(network), "safetensors", ".safetensors", (digest(dataset),))
    model = export_onnx(network, spec)
    onnx = store.put(line.name, model, "onnx", ".onnx", (weights.sha256,))
    verdict = export_verdict(network, model, weights.sha256, onnx.sha256, validation.x, validation.y)
    if not verdict.passed:
        raise RejectedError(f"{onnx.uri}: the exported file does not answer as the network does ({verdict.note})")
    evidence = Evidence(
        artifact=onnx.sha256,
        metrics=_metrics(model, validation, test),
        parity=(verdict,),
        latency=latency(interleaved_ms({"teacher": open_session(model)}, test.x[:1])["teacher"]),
        seconds=time.monotonic() - start,
    )
    accuracy = evidence.metric("accuracy", "test")
    report(f"test accuracy {accuracy.value:.4f} on {accuracy.records} records, {onnx.size / 1000:.0f} kB")
    return TrainedModel(
        line=line.name,
        dataset=digest(dataset),
        position=dataset.position,
        family=family,
        parameters=parameters_of(network),
        input=spec,
        output=OUTPUT_NAME,
        labels=dataset.classes,
        weights=weights,
        onnx=onnx,
        evidence=evidence,
        architecture=architecture,
        curve=curve,
    )


def step(job: Job) -> TrainedModel:
    """`Job.options`: "dataset", the dataset version's document as text."""
    dataset = from_bytes(DatasetVersion, str(job.options["dataset"]).encode(), "options.dataset")
    return train(job.store, job.line, dataset, job.report)


def _tensors(records: Records) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(records.x), torch.from_numpy(np.asarray(records.y))


def _metrics(model: bytes, validation: Records, test: Records) -> tuple[Metric, ...]:
    session = open_session(model)
    return (
        *accuracy_metrics("validation", logits(session, validation.x), validation.y),
        *accuracy_metrics("test", logits(session, test.x), test.y),
    )


if __name__ == "__main__":
    serve(step)
