"""Two small web servers: what devices fetch and say, and the pages that people read.

Both serve files of named folders of the state and nothing else: plain names only, no links that lead out, no listings
of folders, never the keys. `device_app` may stand on the network (behind TLS); `report_app` shows data, so it stands on
this machine unless told otherwise.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from assets.errors import RejectedError, TransientError
from assets.feedback.intake import MAX_BODY_BYTES, Intake, RefusedError
from assets.storage import layout
from assets.storage.store import Store
from platform_defs.web.guard import KnownHosts

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,254}")
BODY_SECONDS = 20.0
PAGE_TYPES = {".html": "text/html", ".json": "application/json", ".png": "image/png", ".svg": "image/svg+xml"}
NO_REPORTS = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Data reports</title></head>'
    '<body style="font-family: sans-serif; margin: 2rem"><h1>Data reports</h1><p>No batch was judged yet.</p>'
    "</body></html>"
)
PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data: 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def device_app(store: Store) -> Starlette:
    """What devices talk to.

    GET and HEAD `/metadata/...` and `/targets/...` give the TUF repository's files. POST `/enroll` takes a device's
    profile, POST `/reports` its reports, both in signed envelopes of at most `MAX_BODY_BYTES`; refusals are JSON with
    a `reason`.
    """
    intake = Intake(store)

    async def enroll(request: Request) -> Response:
        return await _take(request, lambda body: (201 if intake.enroll(body) else 200, {}))

    async def report(request: Request) -> Response:
        return await _take(request, lambda body: (201, {"sequence": intake.report(body).report.sequence}))

    async def metadata(request: Request) -> Response:
        return await _file(store, layout.tuf_metadata(request.path_params["path"]), "no-cache")

    async def targets(request: Request) -> Response:
        return await _file(store, layout.tuf_target(request.path_params["path"]), "public, max-age=31536000, immutable")

    return Starlette(
        routes=[
            Route("/metadata/{path:path}", metadata, methods=["GET", "HEAD"]),
            Route("/targets/{path:path}", targets, methods=["GET", "HEAD"]),
            Route("/enroll", enroll, methods=["POST"]),
            Route("/reports", report, methods=["POST"]),
        ]
    )


def report_app(store: Store, review: Sequence[BaseRoute] | None = None) -> Starlette:
    """The pages below `reports/`: HTML, JSON, PNG and SVG, without scripts, frames or anything remote.

    `/` is `reports/index.html`, which the gate writes; a small page stands in until the first batch was judged. Below
    `/review/` people decide about quarantined records. It answers to names of this machine only (`KnownHosts`).

    Args:
        review: the routes below `/review/`; those over this project's lines without.
    """
    if review is None:
        from platform_defs.web.review.app import review_routes

        review = review_routes(store)

    async def index(request: Request) -> Response:
        page = await _file(store, layout.LINES_PAGE, None, PAGE_TYPES[".html"])
        return page if page.status_code == 200 else HTMLResponse(NO_REPORTS, headers=PAGE_HEADERS)

    async def page(request: Request) -> Response:
        path = request.path_params["path"]
        if path.endswith("/"):
            path += "index.html"
        media_type = PAGE_TYPES.get(Path(path).suffix)
        if media_type is None:
            return _refuse(404, "only pages and pictures are here; add /index.html to open a report")
        return await _file(store, layout.page(path), None, media_type)

    return Starlette(
        routes=[
            *review,
            Route("/", index, methods=["GET", "HEAD"]),
            Route("/{path:path}", page, methods=["GET", "HEAD"]),
        ],
        middleware=[Middleware(KnownHosts)],
    )


class Server:
    """Serves an app in a thread of this process; a context manager, for tests and the demo.

    Attributes:
        url: where it answers, e.g. "http://127.0.0.1:40123".
    """

    def __init__(self, app: Starlette, host: str = "127.0.0.1", port: int = 0) -> None:
        """Bind at once; port 0 takes a free one. Raises RejectedError where the port is taken."""
        self._listener = _bind(host, port)
        self.url = f"http://{host}:{self._listener.getsockname()[1]}"
        self._server = uvicorn.Server(_config(app))
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._listener]}, name="edgeloop-server", daemon=True
        )

    def __enter__(self) -> Self:
        """Start, and wait until it answers. Raises TransientError where it does not within 20 s."""
        self._thread.start()
        deadline = time.monotonic() + 20
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise TransientError(f"{self.url}: the server did not start")
            time.sleep(0.005)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join(20)
        self._listener.close()


def _config(app: Starlette) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=10,
        timeout_graceful_shutdown=5,
    )


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off only where the protocol is named; with it each file waits 40 ms
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        listener.close()
        raise RejectedError(f"{host}:{port}: cannot listen there ({error}); choose another port") from error
    return listener


async def _take(request: Request, take: Callable[[bytes], tuple[int, dict[str, Any]]]) -> Response:
    """Read a bounded body, hand it over, and answer."""
    try:
        body = await asyncio.wait_for(_body(request), BODY_SECONDS)
        status, answer = await run_in_threadpool(take, body)
    except RefusedError as error:
        return _refuse(error.status, str(error))
    except RejectedError as error:
        return _refuse(400, str(error))
    except TimeoutError:
        return _refuse(408, f"the body did not arrive within {BODY_SECONDS:.0f} s")
    except ClientDisconnect:
        return _refuse(400, "the connection ended early")
    except OSError as error:
        return _refuse(503, f"the platform cannot store this now ({error.strerror}); try again later")
    return JSONResponse(answer, status)


async def _body(request: Request) -> bytes:
    """The body, refused as soon as it is known to be too long: declared so, or while it streams."""
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared[:20]) > MAX_BODY_BYTES:
        raise RefusedError(413, f"{declared[:20]} bytes; at most {MAX_BODY_BYTES:,} are taken")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise RefusedError(413, f"more than {MAX_BODY_BYTES:,} bytes")
    return bytes(body)


async def _file(store: Store, key: str, cache: str | None, media_type: str = "application/octet-stream") -> Response:
    headers = PAGE_HEADERS if cache is None else {"Cache-Control": cache, "X-Content-Type-Options": "nosniff"}
    if all(NAME.fullmatch(part) for part in key.split("/")):
        if store.local:
            path = await run_in_threadpool(_plain_file, store, key)
            if path is not None:
                return FileResponse(path, headers=headers, media_type=media_type)
        else:
            with contextlib.suppress(FileNotFoundError):
                return Response(await run_in_threadpool(store.read, key), headers=headers, media_type=media_type)
    return _refuse(404, "there is no such file")


def _plain_file(store: Store, key: str) -> Path | None:
    """The file's path, unless it is missing, not a plain file, or reached through a link below the root."""
    root = Path(store.folder).resolve()
    path = root / key
    try:
        return path if path.resolve(strict=True) == path and path.is_file() else None
    except OSError:
        return None


def _refuse(status: int, reason: str) -> JSONResponse:
    headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
    return JSONResponse({"reason": reason}, status, headers)
