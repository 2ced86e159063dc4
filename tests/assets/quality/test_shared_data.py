"""The gate on real data: pets, and a folder of deliberately broken inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from assets.ingest.landing import land
from assets.line.config import Line, parse_line
from assets.quality.gate import judge
from assets.records.line_store import BoundLine, bind
from assets.records.verdict import BatchVerdict
from assets.storage.store import Store

DATA = Path(__file__).parents[4] / "shared" / "data"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data is not on this machine")
MACHINE = ["Air temperature [K]", "Process temperature [K]", "Rotational speed [rpm]", "Torque [Nm]", "Tool wear [min]"]


def line_of(reader: str, classes: list[str], section: dict[str, Any]) -> Line:
    image = reader == "image_folder"
    data = {"reader": reader, "classes": classes, "image" if image else "table": section}
    return parse_line("real", {"data": data, "model": {"family": "cnn" if image else "mlp"}}, "test")


def verdict_of(line: BoundLine, source: Path) -> BatchVerdict:
    return judge(line, land(line, source).batch)


def test_pets_are_accepted_with_their_splits(store: Store) -> None:
    pets = line_of("image_folder", ["cat", "dog"], {"height": 64, "width": 64, "channels": 3})
    verdict = verdict_of(bind(store, pets), DATA / "oxford-pets")
    assert (verdict.state, verdict.accepted, verdict.reasons) == ("accepted", 100, ())
    assert verdict.per_class == {"cat": 50, "dog": 50}


def test_broken_pictures_are_refused_and_odd_ones_taken(store: Store, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(DATA / "bad" / "images", tmp_path / "in" / "cat")
    pets = line_of("image_folder", ["cat", "dog"], {"height": 64, "width": 64, "channels": 3})
    verdict = verdict_of(bind(store, pets), tmp_path / "in")
    assert verdict.state == "blocked"
    refused = {Path(reason.file).name for reason in verdict.reasons if reason.outcome == "refused"}
    assert refused == {"truncated_half.jpg", "zero_byte.jpg", "html_named.jpg", "bomb_16000x16000_8bit.png"}
    assert verdict.seen - verdict.refused == 4


@pytest.mark.parametrize(
    ("name", "state", "why"),
    [
        ("good", "accepted", "400 of 400"),
        ("missing_target", "blocked", "the target column 'Machine failure' is missing"),
        ("ragged_rows", "accepted", "refused"),
        ("nan_inf_empty", "blocked", "are bad"),
        ("duplicate_rows", "accepted", "450 of 450 records accepted"),
        ("header_only", "blocked", "it has a header, but no rows"),
    ],
)
def test_tables(store: Store, name: str, state: str, why: str) -> None:
    line = line_of("csv", ["0", "1"], {"target": "Machine failure", "columns": MACHINE})
    verdict = verdict_of(bind(store, line), DATA / "bad" / "csv" / f"{name}.csv")
    assert (verdict.state, why in verdict.why) == (state, True), verdict.why
    assert all(reason.reason and reason.remedy for reason in verdict.reasons)


def test_label_typos_are_named(store: Store, tmp_path: Path) -> None:
    header = (DATA / "bad" / "text" / "label_typos.csv").read_text().splitlines()[0]
    target = header.split(",")[0]
    text = (DATA / "bad" / "text" / "label_typos.csv").read_text().splitlines()
    (tmp_path / "x.csv").write_text("\n".join([f"{text[0]},n", *(f"{row},{n}" for n, row in enumerate(text[1:]))]))
    line = line_of("csv", ["ham", "spam"], {"target": target, "columns": ["n"]})
    verdict = verdict_of(bind(store, line), tmp_path / "x.csv")
    typos = [reason for reason in verdict.reasons if "'HAM'" in reason.reason]
    assert typos
    assert "if 'ham' is meant, write it so" in typos[0].remedy
