"""The child's side of a heavy step: `python -m assets.<room>.<module>` ends in `serve(step)`.

It reads its job from Dagster Pipes, streams progress into the run's page, and answers with one contract document, or
with the text of a refusal, or of what hinders it now.

Under `torch.distributed.run` every process reads the same job and takes the same step; the first one leads: it alone
speaks to the pipe. The others end in order when the leader has, whatever it answered, and with an error, which ends
all, when the leader has not.
"""

from __future__ import annotations

import datetime
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dagster_pipes import PipesDefaultContextLoader, PipesMappingParamsLoader, open_dagster_pipes

from assets.errors import RejectedError, TransientError, of_the_machine
from assets.line.config import Line, LineConfig
from assets.records.line_store import BoundLine, bind
from assets.storage.store import Store
from edge.child import die_with_parent, leave
from edge.contracts import to_bytes

LEADER_SECONDS = 10
"""How long a process that cannot go on waits for the leader to say why."""
_ENDED = "edgeloop/leader-ended"


def _silent(_: Any) -> None:
    """Nobody is told."""


@dataclass(frozen=True)
class Job:
    """What a step is asked to do.

    Attributes:
        line: whose step it is, and where everything is kept.
        options: what else this step needs, plain JSON.
        report: tells people how far it is; a line of text in the run's page.
        send: hands a message of plain JSON to the parent, see `assets.processes.messages`.
        rank: of this process among those that take the step together; 0 leads. The others' answers are dropped, and
            so are their reports.
    """

    line: BoundLine
    options: Mapping[str, Any]
    report: Callable[[str], None]
    send: Callable[[Mapping[str, Any]], None] = _silent
    rank: int = 0


def serve(step: Callable[[Job], Any]) -> None:
    """Run `step` on the job that Pipes carries, send back the document it returns, and end the process."""
    die_with_parent()
    rank = int(os.environ.get("RANK", "0"))
    if rank:
        _follow(step, rank)
    else:
        _lead(step)
    leave()


def _lead(step: Callable[[Job], Any]) -> None:
    with open_dagster_pipes() as pipes:
        job = _job(pipes.extras, pipes.log.info, lambda message: pipes.report_custom_message(dict(message)))
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
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        _meeting_place().set(_ENDED, "1")


def _follow(step: Callable[[Job], Any], rank: int) -> None:
    """Take the step without a word; what goes wrong is the leader's to tell, where it went wrong there too."""
    parameters = PipesMappingParamsLoader(os.environ).load_context_params()
    with PipesDefaultContextLoader().load_context(parameters) as data:
        job = _job(data["extras"] or {}, _silent, _silent, rank)
    try:
        step(job)
    except Exception as error:
        if not _leader_ended():
            raise
        sys.stderr.write(f"process {rank} ended after the leader: {error}\n")


def _leader_ended() -> bool:
    """Wait until the leader has ended in order; False where it has not, after a while."""
    from torch.distributed import DistStoreError

    try:
        _meeting_place().wait([_ENDED], datetime.timedelta(seconds=LEADER_SECONDS))
    except (DistStoreError, RuntimeError):
        return False
    return True


def _meeting_place() -> Any:
    """The store of keys that `torch.distributed.run` keeps for its processes."""
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    return TCPStore(host, port, is_master=False, timeout=datetime.timedelta(seconds=LEADER_SECONDS))


def _job(
    body: Mapping[str, Any], report: Callable[[str], None], send: Callable[[Mapping[str, Any]], None], rank: int = 0
) -> Job:
    line = Line(body["line"], LineConfig.model_validate(body["config"]), body["read"])
    return Job(bind(Store(body["home"]), line), body["options"], report, send, rank)
