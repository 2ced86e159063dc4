"""Which records a step is made of."""

from __future__ import annotations

import numpy as np
import pytest

from assets.errors import RejectedError
from assets.fitting.distributed_batches import Sampling, sampling_of, step_seed
from assets.line.training import TrainingPolicy


def _sampling(records: int = 103, parts: int = 1, processes: int = 1, resample: bool = False) -> Sampling:
    y = (np.arange(records) % 10 == 0).astype(np.int64)
    return Sampling(y, 7, 20, resample, parts, processes)


def test_an_epoch_shows_each_record_once_in_an_order_of_its_own() -> None:
    first, second = (np.concatenate(_sampling().epoch(epoch)) for epoch in (1, 2))
    assert sorted(first) == sorted(second) == list(range(103))
    assert not np.array_equal(first, second)
    assert np.array_equal(first, np.concatenate(_sampling().epoch(1)))


@pytest.mark.parametrize(("records", "sizes"), [(2, [2]), (21, [21]), (40, [20, 20]), (103, [21, 21, 21, 20, 20])])
def test_no_batch_is_smaller_than_asked_for(records: int, sizes: list[int]) -> None:
    assert [len(batch) for batch in _sampling(records).epoch(1)] == sizes


@pytest.mark.parametrize(("parts", "processes"), [(1, 2), (3, 1), (2, 3)])
def test_parts_and_processes_share_a_batch(parts: int, processes: int) -> None:
    whole, shared = _sampling(), _sampling(parts=parts, processes=processes)
    for batch in whole.epoch(3):
        dealt = [shared.part(batch, part, rank) for part in range(parts) for rank in range(processes)]
        assert np.array_equal(np.concatenate(dealt), batch)
        assert min(map(len, dealt)) >= len(batch) // (parts * processes)


def test_resampling_gives_each_class_its_share_and_leaves_out_none_of_the_rare() -> None:
    sampling = _sampling(resample=True)
    rows = np.concatenate(sampling.epoch(1))
    rare = rows[sampling.y[rows] == 1]
    assert len(rows) == 103
    assert len(rare) in {51, 52}
    counts = np.unique(rare, return_counts=True)[1]
    assert len(counts) == 11
    assert counts.max() - counts.min() <= 1
    common = rows[sampling.y[rows] == 0]
    assert len(np.unique(common)) == len(common)


def test_too_few_records_are_refused() -> None:
    policy = TrainingPolicy(batch_size=16)
    with pytest.raises(RejectedError, match="at least 2 records"):
        sampling_of(policy, np.zeros(1), 1)
    with pytest.raises(RejectedError, match="5 training records are too few for 3 processes"):
        sampling_of(policy, np.zeros(5), 3)


def test_few_records_are_computed_in_fewer_parts() -> None:
    policy = TrainingPolicy(batch_size=16, accumulate=8)
    assert sampling_of(policy, np.zeros(100), 1).parts == 8
    assert sampling_of(policy, np.zeros(6), 1).parts == 3


def test_seeds_of_neighbours_differ() -> None:
    seeds = {step_seed(seed, step, rank) for seed in range(5) for step in range(5) for rank in range(5)}
    assert len(seeds) == 125
    assert all(0 <= seed < 2**63 for seed in seeds)
