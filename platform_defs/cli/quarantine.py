"""`edgeloop quarantine`: see what was set aside, decide about it, and send back what is good."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from assets.errors import RejectedError
from assets.line.config import Line
from assets.records.verdict import BatchVerdict
from assets.review import decisions
from assets.review.corrections import MAX_FILE_BYTES
from assets.review.documents import end_of_day
from assets.review.returns import release as release_decided
from assets.review.selection import Selection
from assets.review.state import State
from assets.review.waivers import Scope
from assets.review.waivers import waive as waive_rule
from assets.storage.audit import current_user
from platform_defs.cli import held
from platform_defs.cli.held import Batch, opened
from platform_defs.cli.output import JsonFlag, LineName, print_json, say
from platform_defs.local.instance import prepare_home

if TYPE_CHECKING:
    import pyarrow as pa

quarantine = typer.Typer(
    name="quarantine",
    help="See what was set aside, decide about it, and send back what is good.\n\n"
    "Name records by the first digits of an id or by their file, or choose undecided ones with --batch, --rule, "
    "--labelled and --good. What was accepted, fixed or waived goes back with `release`, as a new batch.",
    no_args_is_help=True,
)
quarantine.command("list")(held.list_held)
quarantine.command()(held.show)
quarantine.command()(held.waivers)

Records = Annotated[
    list[str] | None, typer.Argument(metavar="RECORD", help="First digits of a record's id, or its file.")
]
Rule = Annotated[str, typer.Option("--rule", metavar="RULE", help="Those that this rule set aside.")]
Labelled = Annotated[str | None, typer.Option("--labelled", metavar="LABEL", help="Those that came with this label.")]
Good = Annotated[bool, typer.Option("--good", help="The good records of blocked batches, which break no rule.")]
Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="The reason, for the record.")]
Who = Annotated[str, typer.Option("--who", metavar="NAME", help="Who decides; else $EDGELOOP_USER, else the user.")]
Revise = Annotated[int, typer.Option("--revise", min=0, metavar="POSITION", help="Replace this decision knowingly.")]
Decide = Callable[[State, Line, BatchVerdict, "pa.Table"], int]


@quarantine.command()
def accept(
    line: LineName,
    records: Records = None,
    batch: Batch = "",
    rule: Rule = "",
    labelled: Labelled = None,
    good: Good = False,
    why: Why = "",
    who: Who = "",
    revise: Revise = 0,
    as_json: JsonFlag = False,
) -> None:
    """Records are good as they are: the rule that set them aside is not asked of them again. Needs --why."""

    def decide(state: State, config: Line, verdict: BatchVerdict, members: pa.Table) -> int:
        return decisions.accept(state, config, verdict, members, who or current_user(), why, revise)

    _decide(line, batch, _selection(records, batch, rule, labelled, good, revise), decide, as_json)


@quarantine.command()
def fix(
    line: LineName,
    records: Records = None,
    batch: Batch = "",
    rule: Rule = "",
    labelled: Labelled = None,
    label: Annotated[str, typer.Option("--label", metavar="LABEL", help="The true class, or number.")] = "",
    file: Annotated[
        Path | None, typer.Option("--file", metavar="FILE", help="The repaired file of one record.")
    ] = None,
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="COLUMN=VALUE", help="A corrected cell; may be repeated.")
    ] = None,
    why: Why = "",
    who: Who = "",
    revise: Revise = 0,
    as_json: JsonFlag = False,
) -> None:
    """Correct records: a new --label, a repaired --file, cells with --set. They are judged anew once they are back."""
    correction = decisions.Correction(label, _cells(changes or ()), _contents(file))

    def decide(state: State, config: Line, verdict: BatchVerdict, members: pa.Table) -> int:
        return decisions.fix(state, config, verdict, members, who or current_user(), correction, why, revise)

    _decide(line, batch, _selection(records, batch, rule, labelled, revise=revise), decide, as_json)


@quarantine.command()
def reject(
    line: LineName,
    records: Records = None,
    batch: Batch = "",
    rule: Rule = "",
    labelled: Labelled = None,
    good: Good = False,
    why: Why = "",
    who: Who = "",
    revise: Revise = 0,
    as_json: JsonFlag = False,
) -> None:
    """Records stay out for good. Needs --why."""

    def decide(state: State, config: Line, verdict: BatchVerdict, members: pa.Table) -> int:
        return decisions.reject(state, verdict, members, who or current_user(), why, revise)

    _decide(line, batch, _selection(records, batch, rule, labelled, good, revise), decide, as_json)


@quarantine.command()
def waive(
    line: LineName,
    rule: Annotated[str, typer.Argument(metavar="RULE", help="The rule's name, as `quarantine list` shows it.")],
    until: Annotated[str, typer.Option("--until", metavar="DATE", help="Last day (UTC), e.g. 2027-01-31.")],
    why: Why = "",
    batch: Batch = "",
    record: Annotated[
        list[str] | None, typer.Option("--record", metavar="RECORD", help="Only this record; may be repeated.")
    ] = None,
    who: Who = "",
    as_json: JsonFlag = False,
) -> None:
    """Do not ask a rule until a date: of the line's batches to come, of one batch, or of single records. Needs --why.

    With --batch or --record, what the rule holds there goes back with `release`.
    """
    from assets.quality.rules import refuse_unknown

    end, name = _end_of(until), who or current_user()
    if not batch and not record:
        state, config, verdicts = opened(line)
        refuse_unknown(rule, config, verdicts)
        position = waive_rule(state, config, rule, name, why, end)
        _print_results(line, [_result(state, position)], as_json)
        return

    def decide(state: State, config: Line, verdict: BatchVerdict, members: pa.Table) -> int:
        return waive_rule(state, config, rule, name, why, end, Scope(verdict, members if record else None))

    selection = replace(_selection(record, batch, rule, None), empty=not record)
    _decide(line, batch, selection, decide, as_json)


@quarantine.command()
def revoke(
    line: LineName,
    position: Annotated[int, typer.Argument(metavar="POSITION", min=1, help="The decision's number.")],
    why: Why = "",
    who: Who = "",
    as_json: JsonFlag = False,
) -> None:
    """Take a decision back: a waiver ends, and records that have not gone back are undecided again. Needs --why."""
    state, _, _ = opened(line)
    _print_results(line, [_result(state, decisions.revoke(state, position, who or current_user(), why))], as_json)


@quarantine.command()
def release(line: LineName, batch: Batch = "", why: Why = "", who: Who = "", as_json: JsonFlag = False) -> None:
    """Send everything that was accepted, fixed or waived back as one new batch, once; it is judged like any other."""
    prepare_home()
    state, config, verdicts = opened(line, batch)
    done = release_decided(state, config, who or current_user(), why, verdicts[0].batch if batch else "")
    if as_json:
        print_json({**vars(done), "completed": list(done.completed)})
        return
    for finished in done.completed:
        say(f"batch {finished} of an earlier release was cut short; it has landed now")
    if done.batch:
        say(
            f"{done.records:,} records landed as batch {done.batch}; `edgeloop run {line}` judges it, or the sensors do"
        )
    elif not done.completed:
        say("nothing is to be released: decide with accept, fix or waive first")


def _selection(
    records: Sequence[str] | None, batch: str, rule: str, labelled: str | None, good: bool = False, revise: int = 0
) -> Selection:
    """The records that a command's options mean. Raises RejectedError where they mean none, or contradict."""
    if not records and not (batch or rule or labelled is not None or good):
        raise RejectedError("which records? name them, or choose with --batch, --rule, --labelled or --good")
    if good and rule:
        raise RejectedError("good records break no rule; say --good or --rule, not both")
    return Selection(tuple(records or ()), bool(batch), "" if good else rule or None, labelled, decided=bool(revise))


def _decide(
    line: str,
    batch: str,
    selection: Selection,
    decide: Decide,
    as_json: bool,
) -> None:
    state, config, verdicts = opened(line, batch)
    results = []
    for verdict, members in selection.members(state, config, verdicts):
        results.append(_result(state, decide(state, config, verdict, members)))
        if not as_json:
            _print_results(line, results[-1:], as_json)
    if not results:
        raise RejectedError("no undecided record is meant; `edgeloop quarantine list` shows what there is")
    if as_json:
        _print_results(line, results, as_json)


def _result(state: State, position: int) -> dict[str, Any]:
    entry = state.entry(position)
    return {
        "position": position,
        "action": entry.action,
        "batch": entry.batch,
        "records": entry.count,
        "sentence": entry.sentence(),
        "goes_back": entry.action in ("accept", "fix", "waive") and entry.count > 0,
    }


def _print_results(line: str, results: Sequence[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json(list(results))
        return
    for result in results:
        about = f"{result['records']:,} records of batch {result['batch'][:12]}: " if result["records"] else ""
        say(f"decision {result['position']}: {about}{result['sentence']}")
        if result["action"] == "waive" and result["batch"] and not result["records"]:
            say(
                "the rule holds no record there; good records of a blocked batch come back with accept --good",
                style="dim",
            )
        if result["goes_back"]:
            say(f"`edgeloop quarantine release {line}` sends them back as a new batch", style="dim")


def _cells(changes: Sequence[str]) -> dict[str, str]:
    cells: dict[str, str] = {}
    for change in changes:
        column, mark, value = change.partition("=")
        if not mark or not column:
            raise RejectedError(f"--set {change!r}: say COLUMN=VALUE")
        cells[column] = value
    return cells


def _contents(file: Path | None) -> bytes | None:
    if file is None:
        return None
    if not file.is_file():
        raise RejectedError(f"{file}: there is no such file")
    if file.stat().st_size > MAX_FILE_BYTES:
        raise RejectedError(f"{file}: more than {MAX_FILE_BYTES:,} bytes; make it smaller")
    return file.read_bytes()


def _end_of(text: str) -> float:
    """The end of a day in UTC, or a moment, as seconds since 1970."""
    try:
        return end_of_day(text)
    except ValueError as error:
        raise RejectedError(f"--until {text!r}: not a date; write it like 2027-01-31") from error
