"""Runs one step as a run of Dagster does, and prints how it ended: `python drive.py STORE MODULE PROCESSES OPTIONS`."""

import json
import sys

import dagster as dg

from assets.errors import RejectedError, StepDiedError
from assets.line.config import parse_line
from assets.processes.launch import run_step, torch_run
from assets.records.line_store import bind
from assets.storage.store import Store
from assets.training.triggers.documents import Claim
from tests.projects import TINY


@dg.asset
def heavy(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    line = parse_line("tiny", TINY, "test")
    try:
        run_step(
            context,
            sys.argv[2],
            Claim,
            bind(Store(sys.argv[1]), line),
            json.loads(sys.argv[4]),
            torch_run(int(sys.argv[3])),
        )
    except RejectedError as error:
        print(f"refused: {error}", flush=True)
    except StepDiedError as error:
        print(f"died: {error}", flush=True)
    else:
        print("done", flush=True)
    return dg.MaterializeResult()


with dg.DagsterInstance.ephemeral() as instance:
    dg.materialize([heavy], instance=instance)
