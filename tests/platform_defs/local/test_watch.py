"""What a run's events say of progress reaches the bar of a terminal, and only there.

Dagster reads the annotations of asset functions as they are: no `from __future__ import annotations` here.
"""

import io

import dagster as dg
import pytest
from rich.console import Console

from platform_defs.cli import output
from platform_defs.local.watch import Watcher


@dg.asset
def trained(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
    for step in (1, 2):
        metadata = {"step": step, "steps": 4, "loss": 0.5}
        context.log_event(dg.AssetObservation("trained", description=f"epoch {step}/4", metadata=metadata))
    context.log_event(dg.AssetObservation("trained", description="of something else", metadata={"rows": 3}))
    context.log.info("exporting")
    return dg.MaterializeResult()


def test_observations_move_the_bar_and_lines_are_told() -> None:
    told: list[str] = []
    moved: list[tuple[float, float, str]] = []
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([trained], instance=instance)
        with Watcher(instance, told.append, result.run_id, lambda *far: moved.append(far)):
            pass
    assert moved == [(1.0, 4.0, "epoch 1/4"), (2.0, 4.0, "epoch 2/4")]
    assert any("exporting" in text for text in told)
    assert not any("epoch" in text for text in told)


@pytest.mark.parametrize("terminal", [True, False])
def test_a_bar_is_drawn_in_terminals_only(monkeypatch: pytest.MonkeyPatch, terminal: bool) -> None:
    written = io.StringIO()
    console = Console(file=written, force_terminal=terminal, force_interactive=terminal, width=100, color_system=None)
    monkeypatch.setattr(output, "console", console)
    with output.progress("running tiny") as report:
        report("trained_model …")
        report.moved(50, 100, "epoch 5/10, loss 0.4 [red]\x1b[2J")
        if terminal:
            report._shown.refresh()
        report.moved(100, 100, "epoch 10/10")
        report("exporting")
    text = written.getvalue()
    assert "trained_model …" in text
    assert "exporting" in text
    assert ("━━━━" in text) == terminal
    assert ("epoch 5/10, loss 0.4 [red]\N{REPLACEMENT CHARACTER}[2J" in text) == terminal
    if not terminal:
        assert text.count("\n") == 2
