"""`edgeloop`: land batches, run lines, and see what became of them."""

from __future__ import annotations

import io
import os
import sys

import typer

from edge.errors import TransientError
from platform_defs.cli import data, listing, privacy, work
from platform_defs.cli.compress import compress
from platform_defs.cli.failures import explain
from platform_defs.cli.lines import lines
from platform_defs.cli.output import printable
from platform_defs.cli.quarantine import quarantine
from platform_defs.cli.retrains import retrains

app = typer.Typer(
    name="edgeloop",
    help="Turns new data into better models on edge devices, and proves every step.\n\n"
    "Start with `edgeloop demo`, then `edgeloop ui`. "
    "State lives in $EDGELOOP_HOME, or in .edgeloop beside workspace.yaml.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(work.demo)
app.command()(data.inspect)
app.command()(work.land)
app.command()(work.run)
app.command()(work.promote)
app.command()(work.ui)
app.command()(listing.batches)
app.command()(listing.releases)
app.command()(listing.fleet)
app.command()(retrains)
app.command()(compress)
app.command()(privacy.forget)
app.command()(privacy.data_key)
app.add_typer(privacy.audit)
app.add_typer(lines)
app.add_typer(quarantine)


def main() -> None:
    """Entry point. Exit codes: 0 done, 1 refused, 2 wrong usage, 3 worth another try, 130 interrupted."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal of another alphabet shows escapes, and ends nothing
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        failure = explain(error)
        if failure is None:
            raise
        sys.stderr.write(f"edgeloop: {printable(str(failure))}\n")
        sys.exit(3 if isinstance(failure, TransientError) else 1)
