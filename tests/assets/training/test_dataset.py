"""Which records a dataset version holds, and on which side each is."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.errors import RejectedError
from assets.records.forgotten import Tombstone
from assets.records.line_store import LineStore, bind
from assets.records.read import raw_inputs
from assets.records.splits import drawn_split, record_split
from assets.records.verdict import Accepted, BatchVerdict
from assets.storage import layout
from assets.storage.store import Store
from assets.training.dataset import build_dataset
from assets.training.normalize import input_spec, row_files
from edge.contracts import RowFiles, digest
from edge.errors import VerificationError
from platform_defs.catalog import find_line
from tests.assets.accepted_records import Record, accept, cancer_line, cancer_records, digit_records, digits_line
from tests.assets.loading.loading_parts import load_split

A, B = "a" * 64, "b" * 64


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path))


def test_the_union_of_accepted_batches(store: Store) -> None:
    records = digit_records(range(200))
    accept(LineStore(store, "digits"), records[:150], A)
    accept(LineStore(store, "digits"), records[150:], B)
    dataset = build_dataset(bind(store, digits_line()))
    assert (dataset.position, dataset.batches) == (2, (A, B))
    assert sum(dataset.splits.values()) == 200
    for split, count in dataset.splits.items():
        wanted = [record[0] for record in records if drawn_split(record[0], 0.15, 0.2) == split]
        assert len(wanted) == count
        assert load_split(store, dataset, split, input_spec(store, dataset, digits_line().config)).ids == tuple(wanted)


def test_a_batch_that_is_listed_twice_counts_once(store: Store) -> None:
    accept(LineStore(store, "digits"), digit_records(range(150)), A)
    once = build_dataset(bind(store, digits_line()))
    LineStore(store, "digits").accepted().append(Accepted(A, 150, 1.0))
    assert digest(build_dataset(bind(store, digits_line()))) == digest(once)
    accept(LineStore(store, "digits"), digit_records(range(150, 200)), B)
    assert build_dataset(bind(store, digits_line())).position == 3


def test_a_record_that_is_forgotten_makes_another_version(store: Store) -> None:
    records = digit_records(range(200))
    accept(LineStore(store, "digits"), records, A)
    accept(LineStore(store, "digits"), records[:5], B)
    before = build_dataset(bind(store, digits_line()))
    elsewhere = Tombstone("digits", "e" * 64, 1.0, "ann", "")
    store.save(layout.tombstone("digits", elsewhere.record), elsewhere)
    assert build_dataset(bind(store, digits_line())) == before
    store.save(layout.tombstone("digits", records[3][0]), Tombstone("digits", records[3][0], 1.0, "ann", ""))
    after = build_dataset(bind(store, digits_line()))
    assert (before.forgotten, after.forgotten) == (0, 1)
    assert sum(after.splits.values()) == sum(before.splits.values()) - 1
    assert digest(after) != digest(before)


def test_the_first_acceptance_of_a_record_counts(store: Store) -> None:
    records = digit_records(range(150))
    accept(LineStore(store, "digits"), records, A)
    relabelled: list[Record] = [(key, "9", "test", file, data) for key, _, _, file, data in records]
    accept(LineStore(store, "digits"), [*relabelled, *digit_records(range(150, 160))], B)
    dataset = build_dataset(bind(store, digits_line()))
    assert sum(dataset.splits.values()) == 160
    spec = input_spec(store, dataset, digits_line().config)
    labels = {key: label for key, label, *_ in records}
    for split in ("train", "validation", "test"):
        found = load_split(store, dataset, split, spec)
        for key, label in zip(found.ids, found.y, strict=True):
            assert labels.get(key, str(label)) == str(label)


def test_a_declared_split_wins(store: Store) -> None:
    records: list[Record] = []
    for number, (key, label, _, file, data) in enumerate(digit_records(range(30))):
        records.append((key, label, ("train", "validation", "test")[number % 3], file, data))
    accept(LineStore(store, "digits"), records, A)
    assert build_dataset(bind(store, digits_line())).splits == {"train": 10, "validation": 10, "test": 10}


def test_no_accepted_batch_says_what_to_do(store: Store) -> None:
    with pytest.raises(RejectedError, match="no accepted batch yet; land one"):
        build_dataset(bind(store, digits_line()))


@pytest.mark.parametrize("missing", ["train", "validation", "test"])
def test_an_empty_split_is_named(store: Store, missing: str) -> None:
    others = [split for split in ("train", "validation", "test") if split != missing]
    records: list[Record] = []
    for number, (key, label, _, file, data) in enumerate(digit_records(range(20))):
        records.append((key, label, others[number % 2], file, data))
    accept(LineStore(store, "digits"), records, A)
    with pytest.raises(RejectedError, match=f"the {missing} split is empty"):
        build_dataset(bind(store, digits_line()))


def test_a_class_that_the_line_no_longer_has_is_refused(store: Store) -> None:
    accept(LineStore(store, "digits"), digit_records(range(50)), A)
    data = {
        "reader": "image_folder",
        "classes": ["0", "1"],
        "image": {"height": 8, "width": 8, "channels": 1},
    }
    with pytest.raises(RejectedError, match=r"\.parquet: row \d+: label '[2-9]'"):
        build_dataset(bind(store, digits_line(data=data)))


def test_a_verdict_that_does_not_hold_is_refused(store: Store) -> None:
    accept(LineStore(store, "digits"), digit_records(range(50)), A)
    good = store.load(layout.verdict("digits", A), BatchVerdict)
    store.save(layout.verdict("digits", B), good)
    LineStore(store, "digits").accepted().append(Accepted(B, 50, 1.0))
    with pytest.raises(RejectedError, match="verdict of another batch"):
        build_dataset(bind(store, digits_line()))
    store.save(layout.verdict("digits", B), BatchVerdict("digits", B, "blocked", "", 0, 0, 0, 0, (), (), "r", 0.0))
    with pytest.raises(RejectedError, match="does not accept it"):
        build_dataset(bind(store, digits_line()))
    Path(store.path(layout.verdict("digits", B))).unlink()
    with pytest.raises(RejectedError, match="is missing; materialize partition bbb"):
        build_dataset(bind(store, digits_line()))


def test_records_that_were_changed_are_refused(store: Store) -> None:
    accept(LineStore(store, "digits"), digit_records(range(100)), A)
    dataset = build_dataset(bind(store, digits_line()))
    path = Path(store.path(dataset.shards[0].uri))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(VerificationError, match="expected SHA-256"):
        raw_inputs(store, dataset, "train")


@pytest.mark.parametrize("bytes_", [b"", b"not parquet", b"PAR1" * 10])
def test_records_that_are_no_parquet_are_refused(store: Store, bytes_: bytes) -> None:
    ref = store.put("digits", bytes_, "parquet", ".parquet")
    verdict = BatchVerdict("digits", A, "accepted", "", 1, 1, 0, 0, (), (), "r", 0.0, records=(ref,))
    store.save(layout.verdict("digits", A), verdict)
    LineStore(store, "digits").accepted().append(Accepted(A, 1, 0.0))
    with pytest.raises(RejectedError, match="not a records Parquet"):
        build_dataset(bind(store, digits_line()))


def test_a_release_tells_devices_how_the_lines_files_are_written() -> None:
    contracts = {name: find_line(name).config.data for name in ("turbofan", "sms-spam", "breast-cancer", "digits")}
    turbofan = row_files(contracts["turbofan"])
    assert turbofan is not None
    assert (turbofan.header[:2], turbofan.unit, turbofan.time) == (("unit", "cycle"), "unit", "cycle")
    assert row_files(contracts["sms-spam"]) == RowFiles(("label", "text"), text="text")
    assert row_files(contracts["breast-cancer"]) == RowFiles()
    assert row_files(contracts["digits"]) is None


def test_pictures_are_normalized_by_training_records(store: Store) -> None:
    accept(LineStore(store, "digits"), digit_records(range(300)), A)
    line = digits_line()
    dataset = build_dataset(bind(store, line))
    spec = input_spec(store, dataset, line.config)
    x = load_split(store, dataset, "train", spec).x
    assert x.shape[1:] == (1, 8, 8)
    assert abs(float(x.mean())) < 1e-4
    assert float(x.std()) == pytest.approx(1, abs=1e-3)
    assert load_split(store, dataset, "test", spec).x.mean() != 0


def test_columns_are_normalized_one_by_one(store: Store) -> None:
    line = cancer_line()
    accept(LineStore(store, line.name), cancer_records(), A)
    dataset = build_dataset(bind(store, line))
    x = load_split(store, dataset, "train", input_spec(store, dataset, line.config)).x
    assert abs(x.mean(axis=0)).max() < 1e-4
    assert x.std(axis=0) == pytest.approx(1, abs=1e-3)


@given(st.text("0123456789abcdef", min_size=64, max_size=64), st.floats(0.01, 0.45), st.floats(0.01, 0.45))
def test_a_larger_test_share_takes_no_test_record_back(record: str, share: float, more: float) -> None:
    small, large = sorted((share, more))
    first = drawn_split(record, 0.1, small)
    assert first == drawn_split(record, 0.1, small)
    if first == "test":
        assert drawn_split(record, 0.1, large) == "test"


def test_splits_have_the_configured_shares() -> None:
    sides = [drawn_split(f"{number:064x}", 0.15, 0.2) for number in range(20_000)]
    assert sides.count("test") / len(sides) == pytest.approx(0.2, abs=0.01)
    assert sides.count("validation") / len(sides) == pytest.approx(0.15, abs=0.01)


class Shares:
    """What a contract says about sides."""

    validation_share, test_share = 0.2, 0.3

    def __init__(self, *carve: str) -> None:
        self.carve = carve


def test_what_the_source_does_not_declare_is_drawn_from_its_train_records_only() -> None:
    ids = [f"{number:064x}" for number in range(2000)]
    carved = [record_split(key, "", "train", Shares("validation")) for key in ids]
    assert carved.count("test") == 0
    assert carved.count("validation") / len(carved) == pytest.approx(0.2, abs=0.03)
    assert {record_split(key, "", "test", Shares("validation")) for key in ids} == {"test"}
    assert {record_split(key, "", "train", Shares()) for key in ids} == {"train"}


def test_records_of_one_group_are_on_one_side() -> None:
    sides = [{record_split(f"{number:064x}", f"unit {number % 40}", "", Shares())} for number in range(2000)]
    for unit in range(40):
        assert len(set().union(*sides[unit::40])) == 1
    assert len(set().union(*sides)) == 3
