"""A student is taught a teacher's answers and features; its own weights are all that changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from assets.compression.documents import Recipe
from assets.compression.prune import prune
from assets.compression.students.distill import AT_ONCE, KEY_BYTES, Answers, Distillation, distillation, student_policy
from assets.compression.students.features import FEATURES, Seen, apart, attention_map, watching
from assets.errors import RejectedError
from assets.families.build import build_network
from assets.families.weights import predict, weights_of
from assets.fitting.fit import fit
from assets.line.training import Augmentation, TrainingPolicy
from assets.tasks.contract import Attending
from assets.tasks.task import load_task
from edge.contracts import InputSpec
from tests.memory_set import MemorySet

PICTURE = InputSpec("image", "input", (1, 8, 8), (0.0,), (1.0,))
TABLE = InputSpec("table", "input", (4,), (0.0,) * 4, (1.0,) * 4, ("a", "b", "c", "d"))
SERIES = InputSpec("series", "input", (12, 2), (0.0,) * 2, (1.0,) * 2, ("a", "b"))
RESNET = {"width": 16, "blocks": 1, "stem": "small"}
CLASSES = ("a", "b", "c")


def _resnet(seed: int = 0, **changes: Any) -> Any:
    torch.manual_seed(seed)
    return build_network("resnet", PICTURE, 3, RESNET | changes).eval()


def _pictures(records: int = 24) -> Tensor:
    return torch.randn((records, *PICTURE.shape), generator=torch.Generator().manual_seed(1))


def test_a_student_that_agrees_with_its_teacher_has_no_soft_loss() -> None:
    teacher = build_network("mlp", TABLE, 3, {"depth": 1, "channels_0": 8}).eval()
    x, labels = torch.randn(16, 4), torch.randint(0, 3, (16,))
    with torch.no_grad():
        outputs = teacher(x)
    soft = Distillation(teacher, soft_share=1.0)
    assert soft(x, labels, outputs).item() == pytest.approx(0, abs=1e-6)
    assert soft(x, labels, outputs.flip(1)).item() > 0
    hard = Distillation(teacher, soft_share=0.0)
    assert hard(x, labels, outputs).item() == pytest.approx(functional.cross_entropy(outputs, labels).item())


def test_numbers_are_taught_in_units_of_their_spread() -> None:
    teacher = build_network("mlp", TABLE, 1, {"depth": 1, "channels_0": 8, "target_mean": 5e6, "target_std": 1e6})
    x = torch.randn(16, 4)
    answers = predict(teacher, x)
    objective = distillation(teacher, 1e6)
    assert objective(x, answers[:, 0], answers).item() == pytest.approx(0, abs=1e-6)
    assert objective(x, answers[:, 0], answers + 1e6).item() == pytest.approx(1, rel=1e-3)


def test_shares_of_classes_are_taught_too() -> None:
    teacher, x = _resnet(), _pictures(4)
    shares = torch.full((4, 3), 1 / 3)  # as mixup makes them
    assert distillation(teacher)(x, shares, torch.zeros(4, 3)).isfinite()


def test_an_attention_map_has_length_one_whatever_the_channels() -> None:
    x = torch.rand(2, 5, 4, 4)
    found = attention_map(x, 1)
    assert found.shape == (2, 16)
    assert torch.allclose(found.norm(dim=1), torch.ones(2))
    assert torch.allclose(attention_map(torch.cat((x, x), 1), 1), found, atol=1e-6)


@pytest.mark.parametrize(
    ("family", "spec", "architecture", "places"),
    [
        ("resnet", PICTURE, RESNET, {(8, 8), (4, 4), (2, 2)}),
        ("cnn", PICTURE, {"depth": 2, "channels_0": 8, "channels_1": 8}, {(8, 8), (4, 4)}),
        ("vit", PICTURE, {"width": 8, "depth": 2, "heads": 2, "patch": 1}, {(64,)}),
        ("cnn1d", SERIES, {"width": 8, "depth": 2}, {(12,)}),
        ("gru", SERIES, {"width": 8, "depth": 1}, set()),
    ],
)
def test_maps_are_told_by_their_places(
    family: str, spec: InputSpec, architecture: dict[str, Any], places: set[tuple[int, ...]]
) -> None:
    network = build_network(family, spec, 3, architecture)
    seen: Seen = {}
    with watching(network, seen, training=False):
        network(torch.randn(2, *spec.shape))
    assert set(seen) == places | {FEATURES}
    seen.clear()
    network(torch.randn(2, *spec.shape))
    assert not seen  # nobody watches any more


def test_features_of_one_size_are_compared_and_else_where_networks_look() -> None:
    mine = {FEATURES: torch.ones(2, 3), (4, 4): attention_map(torch.rand(2, 3, 4, 4), 1)}
    its = {FEATURES: 2 * torch.ones(2, 3), (4, 4): attention_map(torch.rand(2, 3, 4, 4), 1)}
    assert apart(mine, mine).item() == 0
    assert apart(mine, its).item() == pytest.approx(0.25)
    narrow = mine | {FEATURES: torch.ones(2, 2)}
    assert apart(narrow, mine).item() == 0  # the maps agree
    assert 0 < apart(narrow, its).item() < 2
    with pytest.raises(RejectedError, match="share neither features nor maps"):
        apart({FEATURES: torch.ones(2, 2)}, its)


def test_networks_of_ones_own_show_no_features() -> None:
    objective: Any = distillation(_resnet(), features=1.0)
    with pytest.raises(RejectedError, match="shows no features"), objective.attend(nn.Linear(2, 2)):
        pass


def test_a_student_learns_features_through_fit_and_is_left_as_it_was_built() -> None:
    teacher, x = _resnet(), _pictures()
    with torch.no_grad():
        y = teacher(x).argmax(1).numpy().astype(np.int64)
    records, task = MemorySet(x, y), load_task("image_classification")
    policy = TrainingPolicy(epochs=2, batch_size=8, ema=0.5)
    kept, gaps = weights_of(teacher), []
    for weight in (0.0, 100.0):
        student = prune(teacher, PICTURE, 3, Recipe(prune=0.5))
        objective: Any = distillation(teacher, features=weight)
        fit(student, task, records, records, policy, classes=CLASSES, objective=objective)
        assert not [part for part in student.modules() if part._forward_hooks or part._forward_pre_hooks]
        mine: Seen = {}
        its: Seen = {}
        with torch.no_grad(), watching(student, mine, training=False), watching(teacher, its, training=False):
            student(x), teacher(x)
        gaps.append(apart(mine, its).item())
    assert weights_of(teacher) == kept
    assert gaps[1] < gaps[0]
    assert isinstance(distillation(teacher), Attending)


def test_answers_are_remembered_and_are_the_same_however_they_were_asked() -> None:
    teacher, x = _resnet(), _pictures(40)
    asked: list[int] = []
    teacher.register_forward_hook(lambda part, args, out: asked.append(len(args[0])))
    with torch.no_grad():
        first = Answers(teacher)
        wanted = first.of(teacher, x)
        assert asked == [AT_ONCE] * 3
        assert torch.equal(first.of(teacher, x[5:9]), wanted[5:9])
        assert len(asked) == 3
        order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
        later = Answers(teacher)
        found = torch.cat([later.of(teacher, x[order[:7]]), later.of(teacher, x[order[7:]])])
        assert torch.equal(found, wanted[order])
        assert torch.allclose(wanted, teacher(x), atol=1e-5)


def test_answers_beyond_the_memory_are_asked_anew_and_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assets.compression.students.distill.REMEMBERED_BYTES", 10 * (KEY_BYTES + 4 * 3))
    teacher, x = _resnet(), _pictures(24)
    asked: list[int] = []
    teacher.register_forward_hook(lambda part, args, out: asked.append(len(args[0])))
    kept = Answers(teacher)
    with torch.no_grad():
        first = kept.of(teacher, x)
        assert (len(kept._known), asked) == (10, [AT_ONCE] * 2)
        assert torch.equal(kept.of(teacher, x), first)
        assert (len(kept._known), asked) == (10, [AT_ONCE] * 3)
    assert not Answers(build_network("mlp", TABLE, 3, {"depth": 1, "channels_0": 8}))._on  # cheaper than looking up


def test_a_student_is_taught_fast_on_answers_that_are_remembered() -> None:
    policy = TrainingPolicy(learning_rate=1e-3, label_smoothing=0.1, patience=2, augment=Augmentation(flip=True))
    student = _resnet()
    taught = student_policy(policy, 10, student)
    assert (taught.epochs, taught.learning_rate, taught.label_smoothing, taught.patience) == (10, 5e-3, 0.0, None)
    assert not taught.augment.spatial
    assert student_policy(policy, 100, student).augment.flip  # records are not learned by heart
    plain = build_network("mlp_plain", TABLE, 3, {"depth": 1, "channels_0": 8})
    assert student_policy(policy, 10, plain).learning_rate == 1e-3
    assert student_policy(policy, 10, plain).augment.flip  # its teacher costs nothing
    sgd = policy.model_copy(update={"optimizer": "sgd", "learning_rate": 1e-2})
    assert student_policy(sgd, 10, student).learning_rate == 1e-2
