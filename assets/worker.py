"""The child's side of a heavy step: `python -m assets.<room>.<module>` ends in `serve(step)`.

It reads its job from Dagster Pipes, streams progress into the run's page, and answers with one contract document, or
with the text of a refusal, or of what hinders it now.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dagster_pipes import PipesContext, open_dagster_pipes

from assets.errors import RejectedError, TransientError, of_the_machine
from assets.line import Line, LineConfig
from assets.store import Store
from assets.supervisor import die_with_parent
from edge.contracts import to_bytes


@dataclass(frozen=True)
class Job:
    """What a step is asked to do.

    Attributes:
        store: where everything is kept.
        line: whose step it is.
        options: what else this step needs, plain JSON.
        report: tells people how far it is; a line of text in the run's page.
        send: hands plain JSON to the parent; `{"progress": {...}}` becomes an observation that Dagster plots.
    """

    store: Store
    line: Line
    options: Mapping[str, Any]
    report: Callable[[str], None]
    send: Callable[[Mapping[str, Any]], None] = lambda message: None


def serve(step: Callable[[Job], Any]) -> None:
    """Run `step` on the job that Pipes carries, and send back the document it returns.

    Under `torch.distributed.run` only rank 0 may speak to the pipe; more than one rank is refused for now.
    """
    die_with_parent()
    if int(os.environ.get("RANK", "0")) != 0:
        raise SystemExit("more than one training process is not supported yet")
    with open_dagster_pipes() as pipes:
        job = _job(pipes)
        try:
            answer = {"document": to_bytes(step(job)).decode()}
        except RejectedError as error:
            answer = {"rejected": str(error)}
        except TransientError as error:
            answer = {"again": str(error)}
        except FileNotFoundError:
            raise
        except OSError as error:  # a full disk is nothing that a traceback explains
            known = of_the_machine(error, f"the state of line {job.line.name!r}", "see that it may be read and written")
            answer = {"again": str(known)}
        pipes.report_custom_message(answer)
    sys.stdout.flush()


def _job(pipes: PipesContext) -> Job:
    body = pipes.extras

    def report(text: str) -> None:
        pipes.log.info(text)

    line = Line(body["line"], LineConfig.model_validate(body["config"]))
    return Job(Store(body["home"]), line, body["options"], report, pipes.report_custom_message)
