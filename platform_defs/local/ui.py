"""`edgeloop ui`: the Dagster UI and daemon, the reports and the device gateway, over one state."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from assets.errors import RejectedError, TransientError
from assets.release.repository import ensure_repository
from assets.storage import layout
from assets.storage.store import Store
from platform_defs.catalog import LINES_FOLDER, list_lines
from platform_defs.local.instance import daemon_lock, open_instance
from platform_defs.local.processes import script, supervised
from platform_defs.web.serve import Server, device_app, report_app

HOST = "127.0.0.1"
POLL_SECONDS = 1.0


def serve_all(store: Store, port: int, reports_port: int, devices_port: int, report: Callable[[str], None]) -> None:
    """Serve until interrupted; `report` is told the addresses once all of them answer.

    Raises:
        RejectedError: a port is taken, or given twice.
        TransientError: the Dagster UI or its daemon ended by itself.
    """
    ports = {"--port": port, "--reports-port": reports_port, "--devices-port": devices_port}
    _refuse_taken(ports)
    os.environ["EDGELOOP_REPORTS_URL"] = f"http://{HOST}:{reports_port}"
    workspace = str(LINES_FOLDER.parent.parent / "workspace.yaml")
    logs = Path(store.path(layout.LOGS))  # not in Dagster's home: its telemetry sends away, then removes, `logs/` there
    ensure_repository(store, [entry.name for entry in list_lines() if entry.line])
    with open_instance():
        pass  # its databases exist now: children that all found none would make each twice, and break them for good
    stop = threading.Event()
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, lambda *_: stop.set())
    with contextlib.ExitStack() as stack:
        stack.enter_context(Server(report_app(store), port=reports_port))
        stack.enter_context(Server(device_app(store), port=devices_port))
        webserver = [script("dagster-webserver"), "-w", workspace, "-h", HOST, "-p", str(port)]
        processes = {"Dagster UI": stack.enter_context(supervised(webserver, logs / "webserver.log"))}
        daemon = [script("dagster-daemon"), "run", "-w", workspace]
        announced = False
        while not stop.wait(POLL_SECONDS):
            for name, process in processes.items():
                if process.poll() is not None:
                    raise TransientError(f"the {name} ended with code {process.returncode}; {logs} says why")
            if "Dagster daemon" not in processes and (started := _only_daemon(stack, store, daemon, logs)):
                processes["Dagster daemon"] = started
            if not announced and _answers(port):
                announced = True
                report(f"Dagster UI     http://{HOST}:{port}")
                report(f"reports        http://{HOST}:{reports_port}")
                report(f"device gateway http://{HOST}:{devices_port}")
                report("Ctrl-C ends it")


def _only_daemon(
    stack: contextlib.ExitStack, store: Store, command: Sequence[str], logs: Path
) -> subprocess.Popen[bytes] | None:
    """Start the daemon; None while another process, such as the demo, runs this state's one daemon."""
    with contextlib.ExitStack() as held:
        if held.enter_context(daemon_lock(store)):
            process = held.enter_context(supervised(command, logs / "daemon.log"))
            stack.enter_context(held.pop_all())
            return process
    return None


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def _refuse_taken(ports: Mapping[str, int]) -> None:
    """Raise RejectedError for a port that another process has, or that two options name."""
    for option, port in ports.items():
        if list(ports.values()).count(port) > 1:
            raise RejectedError(f"port {port} is given twice; choose another with {option}")
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError as error:
                raise RejectedError(f"port {port} is taken ({error.strerror}); choose another with {option}") from error
