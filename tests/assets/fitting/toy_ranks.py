"""A step that several processes take together and that ends badly, without importing what training needs."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from assets.errors import RejectedError
from assets.processes.worker import Job, serve


def step(job: Job) -> object:
    """`Job.options`: "end", how it ends; "pids", where each process says who it is."""
    if job.options["end"] == "refuse":
        raise RejectedError("this cannot be trained; do something else")
    part = Path(str(job.options["pids"])).with_suffix(f".{job.rank}.part")
    part.write_text(f"{os.getpid()} {os.getppid()}")
    part.rename(part.with_suffix(""))
    if job.rank == 1:
        while not part.with_suffix("").with_suffix(".0").exists():
            time.sleep(0.02)  # else the first one is ended before it has said who it is
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(600)
    return None


if __name__ == "__main__":
    serve(step)
