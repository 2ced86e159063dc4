"""Looks at a source before anything lands: what would be read, what would be refused, and a `data:` section for it.

The same code collects the files as for landing, and the same readers read them as for the gate, so what is said here is
what will happen. A look is bounded in time and memory: of a large source a sample is read, and the answer says so.
Nothing is written, but for a scratch folder in $TMPDIR while archives are open.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from assets.ingest.inspection.checked import Check, Checked
from assets.ingest.inspection.class_order import ordered, told
from assets.ingest.inspection.columns import Column
from assets.ingest.inspection.grid import draw_grid
from assets.ingest.inspection.guess import Guess, guess
from assets.ingest.inspection.seen import Seen
from assets.ingest.inspection.source_files import SourceFiles
from assets.ingest.inspection.spellings import Spelling, label_order, spellings
from assets.ingest.sources.collecting import Collected, Limits, Progress, collect, shown_source
from assets.ingest.sources.remote import is_url, local_path
from assets.line.data import SECTIONS, DataContract
from assets.readers.dispatch import read_files
from assets.readers.rows import named_splits
from assets.records.batch import LandedFile
from assets.records.limits import MAX_BATCH_BYTES, MAX_FILES, largest_file
from assets.records.paths import system_part
from assets.records.reason import Reason
from assets.storage.scratch import scratch_folder, scratch_root

SAMPLE_FILES = 2_000
"""Pictures, sounds or texts that are read of a source of single files."""
SAMPLE_RECORDS = 500_000
SAMPLE_SECONDS = 20.0
SAMPLE_BYTES = 2 * 1024**3
"""Bytes that are unpacked from archives, or fetched from other machines."""
REFUSALS = 20
"""Refusals that are shown, of all that are counted."""


@dataclass(frozen=True)
class Inspection:
    """What a look at a source found.

    Attributes:
        reader: "" where nothing was recognized.
        guessed: whether the contract was guessed, not a line's.
        files, size: plain files that would land, and their bytes.
        records: that were read, of `files_read` files.
        complete: whether everything was read; else `limits` says what was not.
        counts: split ("" where none is declared) to label to records; numbers to predict are not counted.
        unknown: labels that are no class of the line, with how often they occur.
        aliases: labels that may be other spellings of labels; the section only offers them, in a comment.
        columns: of rows: name, kind, share of missing cells, an example.
        facts: e.g. the largest and smallest picture, cells without a value by column.
        rows: the first records as people read them; private columns hidden.
        refused, ignored: how many; the first refusals in `reasons`.
        data: a `data:` section in YAML, ready to paste; "" where none fits.
        checked: what the gate says of that section; None where it was not asked, as of a line's own contract.
        grid: PNG of sample pictures, or None.
    """

    source: str
    reader: str
    guessed: bool
    files: int
    size: int
    files_read: int
    records: int
    complete: bool
    limits: tuple[str, ...]
    counts: dict[str, dict[str, int]]
    unknown: dict[str, int]
    aliases: dict[str, str]
    columns: tuple[Column, ...]
    facts: dict[str, Any]
    rows: tuple[dict[str, Any], ...]
    refused: int
    ignored: int
    reasons: tuple[Reason, ...]
    notes: tuple[str, ...]
    data: str
    seconds: float
    checked: Checked | None = None
    grid: bytes | None = field(default=None, repr=False)


def inspect_source(
    source: str | Path,
    data: DataContract | None = None,
    reader: str | None = None,
    forbidden: str | None = None,
    tell: Progress | None = None,
    check: Check | None = None,
) -> Inspection:
    """Look at a source as a line would read it, or as it seems to be.

    Args:
        source: a folder, one file, or an fsspec URL of one.
        data: a line's contract; None guesses one.
        reader: the reader to guess a contract for; None guesses that too.
        forbidden: a local folder that is never entered.
        check: asks the gate about the section that is proposed, while the source is at hand.

    Raises:
        LandingError: the source is missing or holds no plain file.
        TransientError: another machine is away, or $TMPDIR is full.
    """
    began = time.monotonic()
    name = str(source)
    elsewhere = not isinstance(source, Path) and is_url(name) and local_path(name) is None
    wanted = (lambda path: largest_file(data.reader, path)) if data else (lambda path: largest_file(reader or "", path))
    limits = Limits(wanted, SAMPLE_FILES if elsewhere else MAX_FILES, MAX_BATCH_BYTES, SAMPLE_BYTES, cut=True)
    with scratch_folder(scratch_root(None)) as scratch:
        found = collect(source, limits, scratch, forbidden, tell)
        files = SourceFiles(found.files)
        listed = [file for file in files.listed() if system_part(file.path) is None]
        guessed = Guess(data) if data else guess(listed, files, reader)
        seen = Seen(guessed.data)
        cut = [] if not found.cut else [_cut(found)]
        chosen = _sample(listed, guessed.data)
        if len(chosen) < len(listed):
            cut.append(f"{len(chosen):,} of {len(listed):,} files were read, spread over all of them")
        if guessed.data is not None:
            cut += _read(chosen, files, guessed.data, seen)
        answer = _answer(shown_source(source), found, guessed, data is None, seen, chosen, cut, began)
        if check is None or data is not None or not answer.data:
            return answer
        proposed = DataContract.model_validate(yaml.safe_load(answer.data)["data"])
        if tell is not None:
            tell("asking the gate", 0, 0)
        read = {file.path: file for file in found.files}
        would_land = Collected([read[file.path] for file in chosen], found.skipped)
        checked = check(proposed, would_land, answer.records + answer.refused)
        return replace(answer, checked=replace(checked, complete=checked.complete and answer.complete))


def _cut(found: Collected) -> str:
    return f"only the first {len(found.files):,} files were looked at: the rest is more than a look takes"


def _sample(files: Sequence[LandedFile], data: DataContract | None) -> list[LandedFile]:
    """All files, or as many of those that are a record each as a look takes, in no order, so that any part is fair."""
    if data is None or (data.form != "files" and len(files) <= SAMPLE_FILES):
        return list(files)
    step = max(1, len(files) // SAMPLE_FILES)
    chosen = list(files[::step])
    if data.form == "files":
        random.Random(0).shuffle(chosen)  # noqa: S311 -- the same every time
    return chosen[:SAMPLE_FILES]


def _read(files: Sequence[LandedFile], source: SourceFiles, data: DataContract, seen: Seen) -> list[str]:
    """Read until all is read, or enough; says what ended it."""
    end = time.monotonic() + SAMPLE_SECONDS
    items = read_files(files, source, data)
    for item in items:
        seen.add(item)
        if seen.records >= SAMPLE_RECORDS:
            return [f"reading ended after {seen.records:,} records"]
        if time.monotonic() > end:
            return [f"reading ended after {SAMPLE_SECONDS:.0f} seconds and {seen.records:,} records"]
    return []


def _answer(
    source: str,
    found: Collected,
    guessed: Guess,
    is_guess: bool,
    seen: Seen,
    chosen: Sequence[LandedFile],
    cut: list[str],
    began: float,
) -> Inspection:
    data = guessed.data
    reasons = [*found.skipped, *seen.reasons]
    refused = [reason for reason in reasons if reason.outcome == "refused"]
    labels = seen.labels() if data and not data.regression else {}
    alike = spellings(labels, () if is_guess or data is None else data.classes)
    known = set(data.classes) if data and not is_guess else set(labels)
    return Inspection(
        source=source,
        reader=data.reader if data else "",
        guessed=is_guess,
        files=len(found.files),
        size=sum(file.size for file in found.files),
        files_read=len(chosen) if data else 0,
        records=seen.records,
        complete=not cut,
        limits=tuple(cut),
        counts={} if data is None or data.regression else seen.counts(),
        unknown={label: count for label, count in labels.items() if label not in known},
        aliases={spelling.written: spelling.meant for spelling in alike},
        columns=guessed.columns,
        facts=seen.facts(),
        rows=tuple(seen.rows),
        refused=len(refused) + seen.more_refused,
        ignored=sum(reason.outcome == "ignored" for reason in reasons),
        reasons=tuple(sorted(refused, key=lambda reason: reason.file)[:REFUSALS]),
        notes=(*guessed.notes, *filter(None, [named_splits((file.path for file in chosen), data) if data else ""])),
        data=_yaml(guessed, is_guess, seen, labels, alike),
        seconds=time.monotonic() - began,
        grid=draw_grid(seen.samples),
    )


def _yaml(guessed: Guess, is_guess: bool, seen: Seen, labels: dict[str, int], alike: list[Spelling]) -> str:
    """A `data:` section: the guess with what reading showed; of a line's own contract, aliases that are offered."""
    data = guessed.data
    if data is None or (is_guess and not seen.records):
        return ""
    offer = _offer(data, alike)
    if not is_guess:
        return offer
    body: dict[str, Any] = {"reader": data.reader}
    if not data.regression:
        body["classes"] = _classes(data, labels, guessed.aside)
    section = SECTIONS[data.reader]
    body[section] = {**guessed.section.get(section, {}), **seen.section()}
    declared = {split for split, counts in seen.counts().items() if split and counts}
    carve = [split for split in ("validation", "test") if split not in declared]
    if "train" in declared and carve:
        body["carve"] = carve
    try:
        DataContract.model_validate(body)
    except ValidationError:
        return ""
    asked = "".join(f"# {text}.\n" for text in guessed.asked)
    return _dump({"data": body}) + told(body.get("classes", []), section) + offer + asked


def _offer(data: DataContract, alike: Sequence[Spelling]) -> str:
    """Aliases as a comment: whether two labels are one, only people know."""
    if not alike:
        return ""
    aliases = {**dict(data.aliases), **{spelling.written: spelling.meant for spelling in alike}}
    head = "# If these labels are one class written otherwise, take the first of each pair out of `classes` and add:"
    return "\n".join([head, *(f"#   {row}" for row in _dump({"aliases": aliases}).splitlines())]) + "\n"


def _classes(data: DataContract, labels: dict[str, int], aside: frozenset[str]) -> list[str]:
    if data.form == "arrays":
        if label_order(data.classes[0])[0]:  # names, as batches.meta has them
            return list(data.classes)
        highest = max((label_order(label)[1] for label in labels), default=9)
        return [str(number) for number in range(max(highest, 1) + 1)]
    found = [label for label in labels if label.strip() and (label in data.classes or label not in aside)]
    if len(found) < 2:
        return list(data.classes)
    return ordered(found)


def _dump(body: dict[str, Any]) -> str:
    return yaml.safe_dump(body, sort_keys=False, allow_unicode=True, width=100)
