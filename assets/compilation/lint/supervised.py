"""Lints a file, and opens it in ONNX Runtime, in a child process with limits on time and memory.

onnx's checker and ONNX Runtime are native code that reads whatever the bytes say. What ends them, stops them or fills
their memory ends the child, and comes back as a finding like any other.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

from assets.compilation.lint.rules import MAX_MODEL_BYTES, RULES, Finding, found
from assets.compilation.lint.run import Interface
from assets.errors import CompileError, TransientError
from edge.child import JsonLines, bare_environment, ending, python_module
from edge.contracts.target import Dialect

SECONDS = 120.0
MEMORY_MB = 6144
START_SECONDS = 120.0
_MAX_ANSWER = 1_000_000


class Checker:
    """One child process that checks files one after another; a file that ends it is a finding, and a new one starts.

    Args:
        seconds: for one file.
        memory_mb: MiB of data that the child may allocate (RLIMIT_DATA).
    """

    def __init__(self, seconds: float = SECONDS, memory_mb: int = MEMORY_MB) -> None:
        self._seconds, self._memory_mb = seconds, memory_mb
        self._folder = tempfile.TemporaryDirectory(prefix="edgeloop-lint-")
        self._child: JsonLines | None = None
        self.restarts = 0

    def __enter__(self) -> Checker:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the child, and remove its folder."""
        self._end()
        self._folder.cleanup()

    def lint(
        self,
        data: bytes,
        dialect: Dialect,
        interface: Interface = "device",
        sms: Collection[int] = (),
        *,
        load: bool = True,
    ) -> tuple[Finding, ...]:
        """Every rule that a file breaks, see `run.lint_model`; one that breaks none is opened in ONNX Runtime.

        Args:
            load: False leaves ONNX Runtime out.

        Raises:
            TransientError: the child itself does not start.
        """
        if len(data) > MAX_MODEL_BYTES:
            return (found("size-limit", "", f"{len(data):,} bytes, at most {MAX_MODEL_BYTES:,} are taken"),)
        path = Path(self._folder.name) / "model.onnx"
        path.write_bytes(data)
        path.with_name("stage").unlink(missing_ok=True)
        child = self._started()
        request = {"path": str(path), "dialect": dialect, "interface": interface, "sms": sorted(sms), "load": load}
        answer = self._ask(child, request, self._seconds)
        if isinstance(answer, dict):
            return tuple(Finding(**row) for row in answer["findings"])
        self._end()
        stage = self._stage()
        rule = "loads" if stage.startswith("ONNX Runtime") else "survives-checking"
        return (found(rule, "", f"{stage} {answer}"),)

    def _ask(self, child: JsonLines, request: dict[str, Any], seconds: float) -> dict[str, Any] | str:
        """The child's answer, or in words how it ended."""
        child.send(request)
        try:
            answer = child.receive(seconds, _MAX_ANSWER)
        except TimeoutError:
            return f"took longer than {seconds:g} s on it"
        except ValueError:
            return "gave no answer"
        return f"crashed on it ({ending(child.wait())})" if answer is None else answer

    def _started(self) -> JsonLines:
        if self._child is not None and self._child.alive():
            return self._child
        self._end()
        command = python_module("assets.compilation.lint.child", str(self._memory_mb))
        environment = bare_environment("TMPDIR", OMP_NUM_THREADS="1", PYTHONWARNINGS="ignore")
        self._child = JsonLines(command, self._log(), folder=self._folder.name, environment=environment)
        ready = self._ask(self._child, {}, START_SECONDS)
        if not isinstance(ready, dict):
            told = self._log().read_text("utf-8", "replace")[-300:]
            self._end()
            raise TransientError(f"the process that lints models does not start: it {ready}: {told}; try again")
        return self._child

    def _stage(self) -> str:
        """Who was at work when the child ended; the child notes it before each step."""
        try:
            return (Path(self._folder.name) / "stage").read_text("utf-8") or "the checker"
        except OSError:
            return "the checker"

    def _log(self) -> Path:
        return Path(self._folder.name) / "log"

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            self.restarts += not child.alive()
            child.end()


def check_model(
    data: bytes, dialect: Dialect, source: str, interface: Interface = "device", sms: Collection[int] = ()
) -> None:
    """Raise CompileError, naming `source` and up to ten broken rules, unless the file keeps all of them.

    Runs in a child process: nothing that the bytes do there reaches this one. See `run.lint_model` for the arguments.
    """
    check_models([(data, dialect, source)], interface, sms)


def check_models(
    files: Iterable[tuple[bytes, Dialect, str]], interface: Interface = "device", sms: Collection[int] = ()
) -> None:
    """`check_model` of several files (bytes, dialect, source), in one child process; stops at the first bad one."""
    with Checker() as checker:
        for data, dialect, source in files:
            if findings := checker.lint(data, dialect, interface, sms if dialect == "tensorrt" else ()):
                raise refusal(source, findings)


def refusal(source: str, findings: tuple[Finding, ...]) -> CompileError:
    """The error that a file's findings make: up to ten of them."""
    rows = "\n".join(f"  {finding}" for finding in findings[:10])
    more = f"\n  and {len(findings) - 10} more" if len(findings) > 10 else ""
    broken = len({finding.rule for finding in findings})
    assert all(finding.rule in RULES for finding in findings)
    return CompileError(f"{source}: not compiled, the model breaks {broken} rule(s)\n{rows}{more}")
