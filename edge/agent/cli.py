"""`edgeloop-agent`: enroll, poll, run, status, predict. Exit codes: 0 fine, 1 refused (what served before still
serves), 2 wrong usage or not enrolled, 3 the server is away (or another agent works in this home)."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edge.agent.home import HOME_VARIABLE, Home, NotEnrolledError, UsageError, find_home
from edge.errors import RejectedError, TransientError

OK, REFUSED, USAGE, AWAY = 0, 1, 2, 3


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; expected faults are one line on stderr and an exit code."""
    options = _parser().parse_args(argv)
    try:
        return int(options.command(find_home(options.home), options))
    except UsageError as error:
        return _fail(options, USAGE, error)
    except RejectedError as error:
        return _fail(options, REFUSED, error)
    except (TransientError, OSError) as error:
        return _fail(options, AWAY, error)
    except KeyboardInterrupt:
        return 130


def _enroll(home: Home, options: argparse.Namespace) -> int:
    from edge.agent.enrol import enrol

    fingerprint = enrol(home, options.server, options.device, options.line, options.group, options.root)
    told = {"device": options.device, "line": options.line, "group": options.group, "root_sha256": fingerprint}
    text = f"enrolled {options.device} in {home.path}\nroot of trust (SHA-256): {fingerprint}"
    if options.root is None:
        text += "\n  trusted on first use; compare it with the platform's, or enroll with --root FILE"
    return _say(options, told, text)


def _poll(home: Home, options: argparse.Namespace) -> int:
    from edge.agent.poll import poll

    outcome = poll(home, retry=options.retry)
    text = f"{outcome.event}: {outcome.reason}\nin use: {outcome.release[:12] or 'nothing'} {outcome.target}"
    for note in outcome.notes:
        text += f"\nnote: {note}"
    _say(options, asdict(outcome), text)
    return REFUSED if outcome.event == "refused" else OK


def _run(home: Home, options: argparse.Namespace) -> int:
    from edge.agent.daemon import run

    return run(home, options.interval)


def _status(home: Home, options: argparse.Namespace) -> int:
    from edge.agent import slots
    from edge.agent.report import queued

    enrolment, state = home.enrolment(), home.state()
    healthy, damage, sequence = not state.active, "", 0
    if state.active:
        try:
            manifest, _ = slots.verify_slot(home, state.active, state.target)
            healthy, sequence = True, manifest.sequence
        except RejectedError as error:
            damage = str(error)
    told = {
        "device": enrolment.device,
        "line": enrolment.line,
        "group": enrolment.group,
        "server": enrolment.server,
        "release": state.active,
        "sequence": sequence,
        "target": state.target,
        "previous": state.previous,
        "serial": state.serial,
        "healthy": healthy,
        "damage": damage,
        "refused": asdict(state.refusal) if state.refusal else None,
        "waiting_reports": len(queued(home)),
    }
    rows = [
        f"device    {enrolment.device} (line {enrolment.line}, group {enrolment.group})",
        f"server    {enrolment.server}",
        f"in use    {state.active[:12] or 'nothing yet'} {state.target} {damage or ''}".rstrip(),
        f"way back  {state.previous[:12] or 'none'}",
        f"waiting   {told['waiting_reports']} reports",
    ]
    if state.refusal:
        rows.append(f"refused   {state.refusal.release[:12]}: {state.refusal.reason}")
    _say(options, told, "\n".join(rows))
    return OK if healthy else REFUSED


def _predict(home: Home, options: argparse.Namespace) -> int:
    from edge.agent import slots
    from edge.agent.asking import ask_each, shown_answer
    from edge.runtime.predict import answered, drawn_noise
    from edge.runtime.session import open_session

    home.enrolment()
    state = home.state()
    if not state.active:
        raise NotEnrolledError(f"{home.path}: no release is in use yet; run: edgeloop-agent poll")
    manifest, artifact = slots.verify_slot(home, state.active, state.target)
    spec = manifest.input
    if options.file is None and spec.kind != "noise":
        raise RejectedError(f"the model reads a {spec.kind}; name the FILE that holds one, or a folder of such files")
    session = open_session(artifact, home.slot(state.active) / artifact.file.uri)
    if options.file is None:
        what = f"noise of seed {options.seed}"
        answer = answered(session, drawn_noise(spec, options.seed), manifest.labels, manifest.answer, what)
        told, text = shown_answer(answer, options.out)
        return _say(options, {**told, "release": state.active, "target": state.target}, text)
    release = {"release": state.active, "target": state.target}
    tally = ask_each(session, manifest, options.file, release, as_json=options.json, out=options.out)
    return REFUSED if tally.refused else OK


def _say(options: argparse.Namespace, told: dict[str, Any], text: str) -> int:
    print(json.dumps(told, sort_keys=True) if options.json else text)
    return OK


def _fail(options: argparse.Namespace, code: int, error: Exception) -> int:
    if getattr(options, "json", False):
        print(json.dumps({"error": str(error), "exit_code": code}))
    print(f"edgeloop-agent: {error}", file=sys.stderr)
    return code


def _seconds(text: str) -> float:
    value = float(text)
    if not 1 <= value <= 86_400:
        raise argparse.ArgumentTypeError(f"{text} is not between 1 and 86400 seconds")
    return value


def _seed(text: str) -> int:
    if not text.isdecimal() or len(text) > 18:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 0")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="edgeloop-agent",
        description="Fetch, verify, test, activate and report the model that this device should run.",
        epilog=(
            "examples:\n"
            "  edgeloop-agent --home /var/lib/edgeloop enroll --server http://10.0.0.5:8088 "
            "--device gate-7 --line digits --group canary\n"
            "  edgeloop-agent --home /var/lib/edgeloop poll\n"
            "  edgeloop-agent --home /var/lib/edgeloop run --interval 60\n"
            "  edgeloop-agent --home /var/lib/edgeloop predict picture.png\n\n"
            "exit codes: 0 fine, 1 refused (what served before still serves), 2 usage or not enrolled, 3 server away"
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--home", metavar="DIR", help=f"this device's folder (default: ${HOME_VARIABLE})")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = _command(commands, "enroll", _enroll, "make this device's key and tell the server who it is")
    command.add_argument("--server", required=True, metavar="URL", help="e.g. http://127.0.0.1:8088")
    command.add_argument("--device", required=True, metavar="NAME", help="its name, unique in the fleet")
    command.add_argument("--line", required=True, metavar="LINE", help="the line whose releases it runs, e.g. digits")
    command.add_argument("--group", required=True, metavar="GROUP", help="how rollouts address it, e.g. canary")
    command.add_argument(
        "--root", type=Path, metavar="FILE", help="trusted root.json (default: the server's, on first use)"
    )
    command = _command(commands, "poll", _poll, "look once for another release, and use it if it proves sound")
    command.add_argument("--retry", action="store_true", help="try again a release that failed here before")
    command = _command(commands, "run", _run, "poll for ever; ends cleanly on SIGTERM")
    command.add_argument("--interval", type=_seconds, default=60.0, metavar="S", help="seconds between polls (60)")
    _command(commands, "status", _status, "what is in use, and whether it is sound")
    command = _command(
        commands, "predict", _predict, "answer a picture, every row, unit or text of a file, or a folder of files"
    )
    command.add_argument(
        "file",
        type=Path,
        nargs="?",
        metavar="FILE",
        help="what the line reads: pictures; rows or units as CSV, TSV, JSON, Parquet or Arrow; texts; or a folder of "
        "such files. Not needed where the model reads noise",
    )
    command.add_argument(
        "--seed", type=_seed, default=0, metavar="N", help="draws the noise for a generated picture (0)"
    )
    command.add_argument("--out", type=Path, metavar="FILE", help="where a generated picture is written, as PNG")
    return parser


def _command(commands: Any, name: str, run: Any, text: str) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    command.add_argument("--home", metavar="DIR", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    command.add_argument("--json", action="store_true", help="print JSON")
    command.set_defaults(command=run)
    return command


if __name__ == "__main__":
    sys.exit(main())
