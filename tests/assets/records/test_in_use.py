"""The model in use is what the line's devices are pointed at, not the newest release."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from assets.records.in_use import released_model, trained_batches
from assets.records.line_store import BoundLine, bind
from assets.release import assets as release_assets
from assets.release.published import releases
from assets.rollout import assets as rollout_assets
from assets.rollout.promote import promote
from assets.storage.store import Store
from tests.assets.release.release_parts import land_heads, toy_line


def _release(line: BoundLine, batches: int) -> None:
    land_heads(line, batches)
    made = [*release_assets.build_assets(line.line), *rollout_assets.build_assets(line.line)]
    assert dg.materialize(made, resources={"store": line.store}).success


def test_before_any_promotion_it_is_the_newest_release(tmp_path: Path) -> None:
    line = bind(Store(str(tmp_path)), toy_line("manual"))
    assert (released_model(line), trained_batches(line)) == (None, ())
    _release(line, 1)
    assert released_model(line) == releases(line)[0].manifest.provenance.teacher


def test_a_release_that_waits_changes_nothing_and_a_rollback_does(tmp_path: Path) -> None:
    line = bind(Store(str(tmp_path)), toy_line("auto"))
    _release(line, 1)
    _release(line, 2)
    first, second = releases(line)
    of = second.manifest.provenance
    assert (released_model(line), trained_batches(line)) == (of.teacher, of.batches)
    promote(line, first.release)
    of = first.manifest.provenance
    assert (released_model(line), trained_batches(line)) == (of.teacher, of.batches)
    waits = bind(line.store, toy_line("manual"))
    _release(waits, 3)
    assert len(releases(line)) == 3
    assert trained_batches(waits) == of.batches
