"""The gate's checks on a section that is only proposed: in a store of its own, which is gone afterwards.

`python -m assets.quality.dry_run FOLDER BATCH EVERY MOST` is the child that judges, so that it can be ended in time.
What is judged is bounded in bytes, records and seconds; a sample is spread over the source, but for series, whose
readings must follow each other.
"""

from __future__ import annotations

import io
import json
import math
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from assets.errors import RejectedError, TransientError
from assets.ingest.copying import Taking
from assets.ingest.inspection.checked import Checked, Problem
from assets.ingest.landing import land_collected
from assets.ingest.sources.collecting import Collected, SourceFile
from assets.line.config import parse_line
from assets.line.data import DataContract
from assets.readers.rows import BINARY, is_named_as_rows
from assets.records.line_store import BoundLine, bind
from assets.records.reason import Reason
from assets.records.verdict import BatchVerdict, CheckOutcome
from assets.storage import layout
from assets.storage.scratch import scratch_folder, scratch_root
from assets.storage.store import Store
from edge.child import die_with_parent, ending, python_module, run_child

MAX_RECORDS = 20_000
MAX_BYTES = 64 * 1024**2
MAX_WHOLE_BYTES = 512 * 1024**2
"""Bytes of one file that cannot be cut."""
SECONDS = 60.0
MOST_REASONS = 20
_CUT_FROM = 1024**2
_NAME = "proposal"
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|\d[\d.,]*")
_REMEDIES = {
    "every file can be read": "correct that file, or leave it out of the source",
    "the share of bad records is small": "correct what the reasons say, or raise `quality.max_bad_share`",
    "there are enough good records": "land more records in one batch, or lower `quality.min_records`",
    "the batch has enough records": "land more records in one batch, or lower `quality.min_records`",
    "the classes are balanced": "bring more records of the smallest class, or raise `quality.max_imbalance`",
    "no column gives the label away": "take the column out of `columns` if it is not known before the answer is",
    "each column keeps one unit": "write the column in one unit",
    "nothing looks like personal data": "name it in `privacy.drop` or `privacy.pseudonymize`, or take it out",
    "every class is in the batch": "bring records of each class, or take the class out of `classes`",
}
_OTHERWISE = "look at these records; the line's `quality` section decides what they get"


def dry_run(data: DataContract, found: Collected, records: int) -> Checked:
    """What the gate would say of a source that is landed for a line with the section `data`. Nothing is kept.

    Args:
        found: what would land, those files first that are judged where not all are.
        records: that a look saw in them, refused ones too.
    """
    chosen, complete = bounded(found.files, data)
    if not chosen:
        largest = max((file.size for file in found.files), default=0)
        return Checked("unchecked", f"its files are too large to try the gate on ({largest:,} bytes); land it, and see")
    try:
        with scratch_folder(scratch_root(None)) as folder:
            part = sum(file.size for file in chosen) / max(1, sum(file.size for file in found.files))
            return _judged(folder, data, Collected(chosen, found.skipped), complete, math.ceil(records * part))
    except (RejectedError, TransientError, OSError) as error:
        return Checked("unchecked", f"the gate could not be tried: {error}")


def bounded(files: Sequence[SourceFile], data: DataContract) -> tuple[list[SourceFile], bool]:
    """As many of the files as are judged, and whether these are all; of a text of rows too large its first lines."""
    chosen: list[SourceFile] = []
    left = MAX_BYTES if data.form != "arrays" else MAX_WHOLE_BYTES
    for file in files:
        only = not chosen and data.form == "rows" and _is_whole(file)
        if file.size <= (MAX_WHOLE_BYTES if only else left):
            chosen.append(replace(file, owned=None))
            left -= file.size
        elif data.form == "rows" and left >= _CUT_FROM and not _is_whole(file):
            chosen.append(_first_lines(file, left))
            left = 0
        elif data.form == "arrays":
            return [], False  # pictures and their labels lie in files of their own
    return chosen, len(chosen) == len(files) and all(a.size == b.size for a, b in zip(chosen, files, strict=True))


def spread(items: Iterator[pa.Table | Reason], every: int, most: int) -> Iterator[pa.Table | Reason]:
    """Each `every`-th record and refusal of a batch, until there are `most` records; what is of a whole file stays."""
    kept = seen = refused = 0
    for item in items:
        if isinstance(item, Reason):
            refused += 1
            if item.place == "whole file" or item.outcome == "ignored" or not refused % every:
                yield item
            continue
        rows = list(range(-seen % every, item.num_rows, every))[: most - kept]
        seen += item.num_rows
        kept += len(rows)
        if rows:
            yield item if len(rows) == item.num_rows else item.take(pa.array(rows))
        if kept >= most:
            return


def _judged(folder: Path, data: DataContract, found: Collected, complete: bool, records: int) -> Checked:
    line = bind(Store(str(folder / "home")), parse_line(_NAME, {"data": data.model_dump(mode="json")}, "the proposal"))
    (folder / "line.json").write_text(line.config.model_dump_json())
    batch = land_collected(line, found, Taking("the source")).batch
    every = 1 if data.series is not None else max(1, math.ceil(records / MAX_RECORDS))
    command = python_module("assets.quality.dry_run", str(folder), batch, str(every), str(MAX_RECORDS))
    ended = run_child(command, SECONDS)
    verdict = line.verdict(batch)
    if verdict is None:
        why = f"it took longer than {SECONDS:.0f} s" if ended.late else f"it ended by {ending(ended.code)}"
        return Checked("unchecked", f"the gate could not be tried on a sample: {why}; land it, and see")
    return _checked(line, verdict, complete and records <= MAX_RECORDS)


def _checked(line: BoundLine, verdict: BatchVerdict, complete: bool) -> Checked:
    failed = [check for check in verdict.checks if check.outcome != "passed"]
    blocked = verdict.state == "blocked"
    return Checked(
        state=verdict.state,
        why=verdict.why,
        seen=verdict.seen,
        accepted=verdict.accepted,
        quarantined=verdict.quarantined,
        refused=verdict.refused,
        complete=complete,
        blocking=tuple(_problem(check) for check in failed if blocked and _blocks(check, verdict)),
        warnings=tuple(map(_problem, verdict.warnings)),
        reasons=_by_count(_reasons(line, verdict)),
        seconds=verdict.seconds,
    )


def _blocks(check: CheckOutcome, verdict: BatchVerdict) -> bool:
    """Whether a check is one of those that the verdict's sentence names."""
    told = check.detail.rstrip(".").lower()
    return check.severity == "critical" and (told in verdict.why.lower() or f"“{check.name}”" in verdict.why)


def _problem(check: CheckOutcome) -> Problem:
    return Problem(f"{check.name}: {check.detail}", _REMEDIES.get(check.name, _OTHERWISE))


def _reasons(line: BoundLine, verdict: BatchVerdict) -> list[Reason]:
    if verdict.all_reasons is None:
        return list(verdict.reasons)
    body = json.loads(line.store.read(layout.reasons(line.name, verdict.batch)))
    return [Reason(**reason) for reason in body["reasons"]]


def _by_count(reasons: Sequence[Reason]) -> tuple[Problem, ...]:
    """Reasons that differ by values alone counted together, each by its first one."""
    found: dict[str, Problem] = {}
    for reason in reasons:
        if reason.outcome == "ignored":
            continue
        key = _QUOTED.sub("…", f"{reason.outcome} {reason.reason}")
        known = found.get(key) or Problem(reason.reason, reason.remedy, 0, f"{reason.file}, {reason.place}")
        found[key] = replace(known, count=known.count + 1)
    return tuple(sorted(found.values(), key=lambda problem: -problem.count)[:MOST_REASONS])


def _is_whole(file: SourceFile) -> bool:
    """Whether a file cannot be cut at a line: it is packed, or holds columns."""
    name = file.path.lower()
    return name.endswith((".gz", *BINARY)) or not is_named_as_rows(name, plain=True)


def _first_lines(file: SourceFile, size: int) -> SourceFile:
    """The lines that fit into `size` bytes."""
    with file.open() as stream:
        part = stream.read(size)
    part = part[: part.rfind(b"\n") + 1] or part
    return SourceFile(file.path, len(part), lambda: io.BytesIO(part))


def main(arguments: Sequence[str]) -> None:
    """Judge the landed batch of a proposal; the verdict stands in its store afterwards."""
    from assets.quality.gate import judge  # Great Expectations: only the child that judges loads it

    folder, batch, every, most = Path(arguments[0]), arguments[1], int(arguments[2]), int(arguments[3])
    die_with_parent()
    line = parse_line(_NAME, json.loads((folder / "line.json").read_text()), "the proposal")
    judge(bind(Store(str(folder / "home")), line), batch, part=lambda items: spread(items, every, most))


if __name__ == "__main__":
    main(sys.argv[1:])
