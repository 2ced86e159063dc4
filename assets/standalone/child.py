"""The child of `edgeloop compress`: `python -m assets.standalone.child REQUEST.json`, answering lines of JSON.

Whatever reads the foreign file runs in here: if it crashes, the parent says so in one sentence.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from assets.compression.choosing.choose import choose
from assets.compression.documents import Candidates
from assets.errors import BudgetError, RejectedError, TransientError, of_the_machine
from assets.evaluation.machine import machine_name
from assets.records.line_store import LineStore
from assets.standalone.request import REVISION, Request, read_request
from edge.child import answer_pipe, die_with_parent, limit_memory, send_line

READ_SECONDS = 300.0
"""The longest that reading a model and answering its first records may take."""
LEAST_MEMORY = 4 * 1024**3
STAGES = ("reading the model", "reading the records", "searching", "choosing", "compiling", "drawing the page")
Send = Callable[[Mapping[str, Any]], None]


def main(order: Path) -> None:
    """Do what the request says, and answer."""
    die_with_parent()
    send = partial(send_line, answer_pipe())
    limit_memory(_memory())
    name = ""
    try:
        request = read_request(order.read_bytes())
        name = request.model or f"line {request.line!r}"
        send({"done": work(request, send)})
    except RejectedError as error:
        send({"rejected": str(error)})
    except TransientError as error:
        send({"again": str(error)})
    except MemoryError:
        send({"rejected": f"{name}: needs more memory than this machine has; give fewer records, or a smaller model"})
    except OSError as error:
        send({"again": str(of_the_machine(error, name, "see that it may be read and written"))})


def work(request: Request, send: Send) -> dict[str, Any]:
    """Search, choose, compile and write; tells on the way. Returns plain JSON, see `folder.Finished`.

    Raises:
        RejectedError: a model, records or a budget that cannot be used.
        TransientError: what may pass.
    """
    if request.model:  # before anything slow is loaded; nothing but protobuf's parser touches the bytes before
        from assets.compilation.lint import check_model
        from assets.standalone.external_data import whole_model

        send({"stage": STAGES[0], "at": 0, "of": len(STAGES), "within": READ_SECONDS})
        check_model(whole_model(Path(request.model)), "float", request.model, interface="any")
    from assets.compression.search import search
    from assets.standalone.result import write_result
    from assets.standalone.subject import open_request

    def report(text: str) -> None:
        send({"text": text})

    def stage(at: int, **more: float) -> None:
        send({"stage": STAGES[at], "at": at, "of": len(STAGES), **more})

    stage(1, within=READ_SECONDS)
    subject, note = open_request(request, report, lambda: stage(1))
    report(note)
    stage(2)
    decided = (
        REVISION,
        subject.onnx.sha256,
        subject.dataset,
        subject.metric,
        subject.budget.model_dump_json(),
        subject.policy.model_dump_json(),
        "" if subject.trainable is None else subject.trainable.policy.model_dump_json(),
        ",".join(subject.own_metrics),
        repr([target.name for target in subject.targets]),
        str(request.max_minutes),
        metadata.version("onnx"),
        machine_name(),  # latencies belong to it
    )
    found, _ = LineStore(subject.store, subject.name).cached_step(decided, Candidates, lambda: search(subject))
    found = replace(found, note="; ".join(filter(None, (note, found.note))))
    stage(3)
    chosen, why_not = None, ""
    try:
        chosen = choose(found, subject.budget, subject.targets)
    except BudgetError as error:
        why_not = _for_a_command(str(error), subject.name, bool(request.line))
    stage(4)
    source = request.model or f"line {request.line!r}"
    return write_result(Path(request.out), subject, found, chosen, why_not, source, report, lambda: stage(5))


def _for_a_command(text: str, name: str, trainable: bool) -> str:
    """What `choose` says to a line's owner, for who typed a command: its last sentence says what to do."""
    rows = text.replace(f"line {name!r}: ", "", 1).splitlines()
    if rows and rows[-1].startswith("  Raise `budget`"):
        more = (
            "" if trainable else "; an ONNX file alone can only get other number formats, a line's model is pruned too"
        )
        rows[-1] = f"  Raise the limits in --budget, or give more records{more}."
    return "\n".join(rows)


def _memory() -> int:
    """Three quarters of the machine's memory in bytes, so that a hostile file ends this process and no other."""
    return max(LEAST_MEMORY, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 3 // 4)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
