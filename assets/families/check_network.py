"""The contract of a network, checked on made records: what every family keeps, and what a user's own has to.

`edgeloop lines check LINE` runs this on the line's model, and the tests run it on every family.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from assets.errors import EdgeError
from assets.evaluation.answers import open_session
from assets.families.build import build_discriminator, build_network
from assets.families.export import MAX_RELATIVE_DIFF, answers, export_onnx
from assets.families.weights import architecture_of, parameters_of, predict, set_weights, weights_of
from assets.line.families import FAMILIES
from edge.contracts import InputSpec

BATCHES = (1, 2, 7)
"""Batch sizes that the exported file is run with."""
RECORDS = 8
SEED = 0

Loss = Callable[[Tensor, Tensor], Tensor]
"""(inputs, the network's outputs) to the loss of one batch."""


@dataclass(frozen=True)
class Finding:
    """One clause of a contract: whether it is kept, and what was seen, or what is wrong and what to do."""

    clause: str
    ok: bool
    note: str


@dataclass(frozen=True)
class Subject:
    """What is checked.

    Attributes:
        answer: shape of one record's answer: (outputs,), or (channels, height, width) of a generator.
        loss: what one step minimizes.
    """

    family: str
    spec: InputSpec
    outputs: int
    architecture: Mapping[str, Any]
    answer: tuple[int, ...]
    loss: Loss

    def build(self) -> nn.Module:
        """The network with the same fresh weights each time."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            return build_network(self.family, self.spec, self.outputs, self.architecture)


def made_records(spec: InputSpec, records: int) -> Tensor:
    """(records, *shape) as the network reads them: numbers of mean 0 and deviation 1, or token numbers with padding."""
    generator = torch.Generator().manual_seed(SEED)
    if spec.kind != "text":
        return torch.randn((records, *spec.shape), generator=generator)
    tokens = torch.randint(1, spec.buckets + 1, (records, *spec.shape), generator=generator)
    tokens[1::2, spec.shape[0] // 2 :] = 0
    return tokens


def check_network(subject: Subject) -> tuple[Finding, ...]:
    """Every clause in order; the later ones are left out where the network cannot be built."""
    try:
        with _as_in_training():
            network = subject.build()
    except Exception as error:
        return (Finding("builds", False, _reason(error)),)
    found = [Finding("builds", True, f"{subject.family}: {parameters_of(network):,} parameters")]
    clauses: list[tuple[str, Callable[[Subject], str]]] = [
        ("rebuilds from plain JSON", _rebuilds),
        ("answers", _answers),
        ("judges each record alone", _alone),
        ("trains", _trains),
        ("exports to ONNX, any batch", _exports),
    ]
    if subject.family in FAMILIES and FAMILIES[subject.family].prunable:
        clauses.append(("can be narrowed", _narrows))
    if subject.spec.kind == "noise":
        clauses.append(("has a discriminator", _discriminates))
    for clause, check in clauses:
        try:
            with _as_in_training():
                found.append(Finding(clause, True, check(subject)))
        except Exception as error:  # whatever a network of the user's own raises is what is wrong with it
            found.append(Finding(clause, False, _reason(error)))
    return tuple(found)


def _rebuilds(subject: Subject) -> str:
    again = json.loads(json.dumps(subject.architecture))
    _demand(again == dict(subject.architecture), "the architecture is not plain JSON: it changes on the way")
    network = subject.build()
    other = build_network(subject.family, subject.spec, subject.outputs, again)
    set_weights(other, weights_of(network), "the weights")
    x = made_records(subject.spec, 2)
    _demand(torch.equal(predict(network, x), predict(other, x)), "with the same weights it answers something else")
    return f"{len(network.state_dict())} tensors"


def _answers(subject: Subject) -> str:
    network = subject.build()
    for records in BATCHES:
        out: Any = predict(network, made_records(subject.spec, records))
        _demand(isinstance(out, Tensor), f"forward gives {type(out).__name__}, not a tensor")
        wanted = (records, *subject.answer)
        _demand(
            tuple(out.shape) == wanted, f"forward gives {list(out.shape)} for {records} records, not {list(wanted)}"
        )
        _demand(out.dtype == torch.float32, f"forward gives {out.dtype}, not float32")
        _demand(bool(out.isfinite().all()), "an answer is not a finite number")
    if subject.spec.kind == "noise":
        _demand(0 <= float(out.min()) <= float(out.max()) <= 1, "pixels are not within 0..1; end in a sigmoid")
    return f"(records, {', '.join(map(str, subject.answer))}) float32"


def _alone(subject: Subject) -> str:
    network, x = subject.build(), made_records(subject.spec, BATCHES[-1])
    together = predict(network, x)
    apart = predict(network, x, batch=1)
    diff = float((together - apart).abs().max())
    limit = MAX_RELATIVE_DIFF * max(1.0, float(together.abs().max()))
    _demand(diff <= limit, f"an answer changes by {diff:.1e} with the other records of its batch")
    return f"differs by at most {diff:.0e}"


def _trains(subject: Subject) -> str:
    network, x = subject.build(), made_records(subject.spec, RECORDS)
    parameters = {name: part for name, part in network.named_parameters() if part.requires_grad}
    _demand(bool(parameters), "it has nothing to train")
    before = {name: part.detach().clone() for name, part in parameters.items()}
    network.train()
    loss = subject.loss(x, network(x))
    _demand(bool(loss.isfinite()), f"the first loss is {float(loss.detach())}")
    loss.backward()  # type: ignore[no-untyped-call]
    idle = [name for name, part in parameters.items() if part.grad is None]
    _demand(not idle, f"{len(idle)} parameters have no part in the answer, the first is {idle[:1]}")
    _demand(all(part.grad is not None and bool(part.grad.isfinite().all()) for part in parameters.values()), "NaN")
    torch.optim.SGD(parameters.values(), lr=0.1).step()
    changed = sum(not torch.equal(before[name], part) for name, part in parameters.items())
    _demand(changed > 0, "a step changes nothing")
    return f"loss {float(loss.detach()):.3g}; a step changes {changed} of {len(parameters)} tensors"


def _exports(subject: Subject) -> str:
    network = subject.build()
    model = export_onnx(network, subject.spec)
    session = open_session(model)
    worst = 0.0
    for records in BATCHES:
        x = made_records(subject.spec, records)
        before, after = predict(network, x).numpy(), answers(session, x.numpy())
        _demand(after.shape == before.shape, f"ONNX Runtime answers {after.shape} for a batch of {records}")
        diff = float(np.abs(before - after).max())
        limit = MAX_RELATIVE_DIFF * max(1.0, float(np.abs(before).max()))
        _demand(diff <= limit, f"ONNX Runtime differs by {diff:.1e} with a batch of {records}")
        worst = max(worst, diff)
    return f"{len(model) / 1000:.0f} kB; batches of 1, 2 and 7 differ from torch by at most {worst:.0e}"


def _narrows(subject: Subject) -> str:
    module: Any = importlib.import_module(f"assets.families.{FAMILIES[subject.family].module}")
    sizes = module.counted(subject.build())
    narrow = module.full(subject.family, subject.architecture) | {name: _halved(size) for name, size in sizes.items()}
    network = build_network(subject.family, subject.spec, subject.outputs, narrow)
    _demand(architecture_of(network) == narrow, "a narrowed network does not say how it was built")
    out = predict(network, made_records(subject.spec, 2))
    _demand(tuple(out.shape) == (2, *subject.answer), "a narrowed network answers something else")
    return f"{parameters_of(network):,} parameters with half of the channels"


def _halved(size: Any) -> Any:
    """A number of channels, or lists of them."""
    return [_halved(part) for part in size] if isinstance(size, list) else max(1, size // 2)


def _discriminates(subject: Subject) -> str:
    generator, judge = subject.build(), build_discriminator(subject.family, subject.architecture)
    pictures = generator(made_records(subject.spec, RECORDS))
    out = judge(pictures)
    _demand(tuple(out.shape) == (RECORDS, 1), f"the discriminator gives {list(out.shape)}, not {[RECORDS, 1]}")
    out.mean().backward()
    idle = [name for part in (generator, judge) for name, one in part.named_parameters() if one.grad is None]
    _demand(not idle, f"{len(idle)} parameters have no part in the judgement, the first is {idle[:1]}")
    return f"{parameters_of(judge):,} parameters"


class _BrokenError(Exception):
    """A clause that is not kept."""


def _demand(kept: bool, wrong: str) -> None:
    if not kept:
        raise _BrokenError(wrong)


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())[:400]
    return text if isinstance(error, (EdgeError, _BrokenError)) else f"{type(error).__name__}: {text}"


@contextmanager
def _as_in_training() -> Iterator[None]:
    """Deterministic algorithms and seeded numbers, as training has them; as before afterwards."""
    before, warned = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warned)
