"""The page that shows a training while it goes on; it asks for itself again by `meta refresh`, without a script."""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from assets.fitting.contract import Progress
from assets.pages.templates import duration, words
from assets.training.progress.curves import learning_plots, rate_plot
from assets.training.templates import environment

State = Literal["running", "done", "ended", "failed"]
TITLES: Mapping[State, str] = {
    "running": "is being trained",
    "done": "was trained",
    "ended": "training ended",
    "failed": "training failed",
}


@dataclass(frozen=True)
class Live:
    """How far a training is, and how it went so far.

    Attributes:
        rows: of the epochs that ended (see `TrainedModel.curve`).
        loss: of the last step.
        doing: what happens besides training, or why it failed.
        tensorboard: the folder of its logs; "" without.
        card: URL of the model's card, once it is there.
        began, said: seconds since 1970: when this process began, and when it last had news.
    """

    line: str
    training: str
    metric: str
    state: State = "running"
    rows: tuple[Mapping[str, float], ...] = ()
    progress: Progress | None = None
    loss: float = math.nan
    doing: str = ""
    notes: tuple[str, ...] = ()
    tensorboard: str = ""
    card: str = ""
    began: float = 0.0
    said: float = 0.0

    @property
    def value(self) -> float | None:
        """The metric after the last epoch; None before the first ended."""
        return self.rows[-1].get(f"validation_{self.metric}") if self.rows else None

    def figures(self) -> dict[str, float]:
        """The numbers of now, under the names that Dagster plots them by."""
        found: dict[str, float] = {}
        if self.progress is not None:
            found = {"epoch": self.progress.epoch, "epochs": self.progress.epochs, "step": self.progress.step}
            found |= {"steps": self.progress.steps, "records per second": round(self.progress.records_per_second, 1)}
            if self.progress.eta_seconds is not None:
                found["seconds left"] = round(self.progress.eta_seconds, 1)
        found |= {"loss": self.loss} if math.isfinite(self.loss) else {}
        if self.rows:
            last = self.rows[-1]
            names = ("train_loss", "validation_loss", f"validation_{self.metric}", "learning_rate")
            found |= {name.replace("_", " "): last[name] for name in names if math.isfinite(last.get(name, math.nan))}
        return found

    def sentence(self) -> str:
        """One line: "epoch 3/20, loss 0.41, accuracy 0.912, 1,240 records/s, about 2 min 10 s left"."""
        progress = self.progress
        if progress is None:
            return "training begins"
        parts = [f"epoch {progress.epoch}/{progress.epochs}"]
        parts += [f"loss {self.loss:.3g}"] if math.isfinite(self.loss) else []
        parts += [f"{words(self.metric)} {self.value:.4g}"] if self.value is not None else []
        parts.append(f"{progress.records_per_second:,.0f} records/s")
        parts += [eta_words(progress.eta_seconds)] if progress.eta_seconds is not None else []
        return ", ".join(parts)


def eta_words(seconds: float) -> str:
    """How long it still takes: "about 2 min 10 s left"."""
    return f"about {duration(seconds)} left" if seconds >= 1 else "almost done"


def numbers(live: Live) -> bytes:
    """The rows for programs, and for a training that goes on after a crash."""
    rows = [{name: value for name, value in row.items() if math.isfinite(value)} for row in live.rows]
    body = {"line": live.line, "training": live.training, "metric": live.metric, "rows": rows}
    return json.dumps(body, allow_nan=False).encode()


def live_page(live: Live) -> str:
    """The HTML page, at most some 40 kB."""
    progress = live.progress
    share = 100.0 if live.state == "done" else 100 * min(progress.step / max(progress.steps, 1), 1) if progress else 0.0
    return (
        environment()
        .get_template("live.html")
        .render(
            live=live,
            title=TITLES[live.state],
            share=share,
            left=eta_words(progress.eta_seconds) if progress and progress.eta_seconds is not None else "",
            took=duration(max(live.said - live.began, 0)),
            plots=_plots(live),
            said=f"{datetime.datetime.fromtimestamp(live.said, datetime.UTC):%Y-%m-%d %H:%M:%S} UTC",
        )
    )


def _plots(live: Live) -> list[Any]:
    rate = rate_plot(live.rows) if live.rows else None
    return [*learning_plots(live.rows, live.metric), *([rate] if rate else [])]
