"""Child processes: how they are started, heard and ended, and what such a process does first.

Foreign files are read by native code that may crash, hang or fill the memory, so that happens in a child. A child runs
one of our modules, in a session of its own that is ended with it. Three endings:

    run_child     waits until it ends: one answer, told apart from a crash and from taking too long
    JsonLines     lines of JSON, back and forth, while it lives
    start_child   nothing is heard; whoever started it ends it

`process_pool` starts several that take calls.

In the child: `die_with_parent`, `limit_memory`, `answer_pipe` where it answers on standard output, and `leave`.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO, NoReturn

if TYPE_CHECKING:
    from concurrent.futures import ProcessPoolExecutor

MAX_LINE = 64 * 1024**2
"""Bytes of one line of JSON."""
MAX_OUTPUT = 1024**2
"""Bytes of an answer that are read."""
STOP_SECONDS = 20.0
_TAIL = 2000
_ROOT = str(Path(__file__).parent.parent)
_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT")
_BOOT = """
import sys
sys.path[:] = [sys.argv.pop(1), *filter(None, sys.path)]
import runpy
from edge.child import leave
try:
    runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
except SystemExit as end:
    leave(end.code)
leave(0)
"""
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36


def python_module(module: str, *arguments: str) -> list[str]:
    """The command that runs a module of ours: `python -m`, but nothing is imported from the working directory.

    (`python -P` does that too, from Python 3.11 on.) The folder that holds our packages stands in its place, so that
    the child runs the code that this process runs.
    """
    return [sys.executable, "-c", _BOOT, _ROOT, module, *arguments]


def bare_environment(*names: str, **more: str) -> dict[str, str]:
    """An environment that is the same each time: what a program needs to start, the variables `names`, and `more`."""
    passed_on = {name: os.environ[name] for name in (*_PASSED_ON, *names) if name in os.environ}
    return {**passed_on, "LC_ALL": "C.UTF-8", **more}


def start_child(
    command: Sequence[str],
    output: int | IO[bytes],
    errors: int | IO[bytes],
    *,
    stdin: int = subprocess.DEVNULL,
    folder: str | Path | None = None,
    environment: Mapping[str, str] | None = None,
    own_session: bool = True,
) -> subprocess.Popen[bytes]:
    """Start a process.

    Args:
        folder: where it works; None: where this process does.
        environment: None: this process's.
        own_session: False for what runs under `assets.processes.supervisor`, which sees to that.
    """
    return subprocess.Popen(
        command, stdin=stdin, stdout=output, stderr=errors, cwd=folder, env=environment, start_new_session=own_session
    )


def stop_child(process: subprocess.Popen[bytes], seconds: float = STOP_SECONDS) -> None:
    """Ask a process to end, and kill it where it does not within `seconds`."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def kill_child(process: subprocess.Popen[bytes]) -> None:
    """End a process that has a session of its own, and what it started in there."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@dataclass(frozen=True)
class Ended:
    """How a child ended.

    Attributes:
        code: its exit status; negative: the signal that ended it.
        late: it took longer than it might, and was ended.
        output: what it wrote to its standard output, at most `MAX_OUTPUT` bytes.
        errors: the end of what it wrote to its standard error.
    """

    code: int
    late: bool
    output: bytes
    errors: str


def run_child(
    command: Sequence[str],
    seconds: float,
    *,
    folder: str | Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Ended:
    """Run a process to its end, and end what it leaves behind; see `start_child`. Raises OSError: no such command."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        process = start_child(command, output, errors, folder=folder, environment=environment)
        late = False
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            late = True
        finally:
            kill_child(process)
        output.seek(0)
        errors.seek(max(0, errors.seek(0, os.SEEK_END) - _TAIL))
        return Ended(process.returncode, late, output.read(MAX_OUTPUT), errors.read().decode("utf-8", "replace"))


def ending(code: int) -> str:
    """An exit status in words: "SIGSEGV", "signal 40" or "exit code 3"; 128 + a signal is how shells pass one on."""
    number = -code if code < 0 else code - 128
    if number in set(signal.Signals):
        return signal.Signals(number).name
    return f"signal {number}" if code < 0 else f"exit code {code}"


class JsonLines:
    """A child that is spoken with in lines of JSON.

    Args:
        log: the file that takes its standard error.
        supervised: it runs under `assets.processes.supervisor`: it is asked to end, not killed, and it only speaks.
    """

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        *,
        folder: str | Path | None = None,
        environment: Mapping[str, str] | None = None,
        supervised: bool = False,
    ) -> None:
        with log.open("wb") as errors:
            self._process = start_child(
                command,
                subprocess.PIPE,
                errors,
                stdin=subprocess.DEVNULL if supervised else subprocess.PIPE,
                folder=folder,
                environment=environment,
                own_session=not supervised,
            )
        self._supervised, self._rest = supervised, b""

    def alive(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def send(self, message: Mapping[str, Any]) -> None:
        """Write a line to it; one that has ended takes it too, and `receive` says so."""
        assert self._process.stdin is not None, "one that is supervised is not spoken to"
        with contextlib.suppress(OSError):
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()

    def receive(self, seconds: float | None = None, limit: int = MAX_LINE) -> dict[str, Any] | None:
        """The next line it writes; None once it writes no more.

        Args:
            seconds: how long to wait for the line; None: as long as it takes.

        Raises:
            TimeoutError: it did not come.
            ValueError: it is no JSON object, or longer than `limit` bytes.
        """
        assert self._process.stdout is not None, "it is a pipe"
        deadline = None if seconds is None else time.monotonic() + seconds
        while b"\n" not in self._rest and len(self._rest) <= limit:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and (left <= 0 or not select.select([self._process.stdout], [], [], left)[0]):
                raise TimeoutError(f"no line within {seconds:g} s")
            if not (part := os.read(self._process.stdout.fileno(), 1024**2)):
                return None
            self._rest += part
        line, _, self._rest = self._rest.partition(b"\n")
        if len(line) > limit or not isinstance(message := json.loads(line), dict):
            raise ValueError(f"{line[:100]!r} is no JSON object of at most {limit:,} bytes")
        return message

    def wait(self) -> int:
        """Its exit status, once it has ended."""
        return self._process.wait()

    def end(self) -> None:
        """End it, where it has not ended."""
        if self._supervised:
            stop_child(self._process)
        else:
            kill_child(self._process)
        for pipe in filter(None, (self._process.stdin, self._process.stdout)):
            with contextlib.suppress(BrokenPipeError):  # what was not yet sent is of no use to anybody
                pipe.close()


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends (Linux; elsewhere it does nothing)."""
    parent = os.getppid()
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended in between, and the kernel tells of no end before it was asked
        os.kill(os.getpid(), signal.SIGKILL)


def leave(code: Any = 0) -> NoReturn:
    """End this process at once, with all it wrote: for a child whose work is done.

    The interpreter's own end stops threads wherever they are. One inside ONNX Runtime or TensorRT cannot be stopped, so
    the process aborts: "terminate called without an active exception", exit 134, after an answer that was sound.

    Args:
        code: as `sys.exit` takes it.
    """
    if code is not None and not isinstance(code, int):
        sys.stderr.write(f"{code}\n")
        code = 1
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # closed, or nobody listens any more
            stream.flush()
    os._exit(code or 0)


def adopt_orphans() -> None:
    """Become the parent of every descendant that loses its own (Linux; elsewhere it does nothing)."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def limit_memory(size: int | None) -> None:
    """Allocate at most so many bytes of data (RLIMIT_DATA) from now on, None: any; and leave no core file."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if size is not None:
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        limit = size if hard == resource.RLIM_INFINITY else min(size, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def answer_pipe() -> BinaryIO:
    """What was standard output: the answer alone goes there, what libraries print goes where errors go."""
    pipe = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return pipe


def send_line(pipe: BinaryIO, message: Mapping[str, Any]) -> None:
    """Write a line of JSON, at once."""
    pipe.write(json.dumps(message).encode() + b"\n")
    pipe.flush()


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def peak_mb() -> float:
    """This process's largest resident memory so far in MiB (getrusage counts the parent's before exec); 0 unknown."""
    try:
        rows = Path("/proc/self/status").read_text("utf-8").splitlines()
    except OSError:
        return 0.0
    return next((int(row.split()[1]) / 1024 for row in rows if row.startswith("VmHWM:")), 0.0)


def process_pool(workers: int, preload: Sequence[str], begin: Callable[[], None]) -> ProcessPoolExecutor:
    """Processes that take calls of one kind after another, and end when this one does, however it ends.

    Args:
        preload: modules that are loaded once, for all of them to be forked from.
        begin: what each does first.
    """
    # Imported here: an agent on a device starts no pool.
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import forkserver, get_context

    forkserver.set_forkserver_preload(list(preload))
    context = get_context("forkserver")
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_begin_in_pool, initargs=(begin,))


def _begin_in_pool(begin: Callable[[], None]) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    begin()


def _end_with_parent() -> None:
    """End this process once the one that started it is gone: a killed one cannot say so, and nothing else would."""
    from multiprocessing import parent_process

    if (parent := parent_process()) is not None:
        parent.join()
        os._exit(1)
