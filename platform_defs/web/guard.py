"""What stands between a page with forms and the rest of the web: whose host, whose form, how large a body.

A page on loopback is reached by every page that this browser has open. So a request must name a host that is known to
be this machine (else a stranger's name that was pointed at 127.0.0.1 would do), and what changes something must come
from a page that this process made for this browser: by `Origin`, by `Sec-Fetch-Site`, and by a token bound to a cookie
that no other site's request carries.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, unquote

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from assets.storage.audit import USER_VARIABLE

HOSTS_VARIABLE = "EDGELOOP_HOSTS"
LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
SESSION_COOKIE, NAME_COOKIE = "edgeloop_session", "edgeloop_who"
MAX_FORM_BYTES = 256 * 1024
MAX_FIELDS = 4000
BODY_SECONDS = 60.0
_SESSION = re.compile(r"[A-Za-z0-9_-]{32}")
_HALF_YEAR = 182 * 24 * 3600


class FormError(Exception):
    """A form that is not taken.

    Attributes:
        status: of the HTTP answer.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class Form:
    """A form's fields, each with its values in order, and the file it carries (b"" for none)."""

    fields: Mapping[str, tuple[str, ...]]
    file: bytes = b""

    def one(self, name: str) -> str:
        """The last value of a field; "" where it is missing."""
        values = self.fields.get(name, ())
        return values[-1].strip() if values else ""

    def all(self, name: str) -> tuple[str, ...]:
        """Every value of a field."""
        return self.fields.get(name, ())


class KnownHosts:
    """Refuses requests for hosts that are not this machine: loopback names, and what $EDGELOOP_HOSTS adds."""

    def __init__(self, app: ASGIApp, hosts: Iterable[str] = ()) -> None:
        self._app = app
        self._hosts = LOOPBACK | {host.lower() for host in (*hosts, *os.environ.get(HOSTS_VARIABLE, "").split())}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or host_name(Request(scope).headers.get("host", "")) in self._hosts:
            await self._app(scope, receive, send)
            return
        reason = f"this server does not go by that name; open it as 127.0.0.1, or add the name to {HOSTS_VARIABLE}"
        headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
        await JSONResponse({"reason": reason}, 421, headers)(scope, receive, send)


def host_name(header: str) -> str:
    """The name in a Host header, without its port."""
    found = re.fullmatch(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,255})(:[0-9]{1,5})?", header)
    return found.group(1).lower() if found else ""


@dataclass(frozen=True)
class Sessions:
    """Tokens for forms, good as long as this process lives."""

    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32))

    def of(self, request: Request) -> str:
        """The browser's session; a new one where it has none."""
        found = request.cookies.get(SESSION_COOKIE, "")
        return found if _SESSION.fullmatch(found) else secrets.token_urlsafe(24)

    def token(self, session: str) -> str:
        """What a form of this session carries."""
        return hmac.new(self.secret, session.encode(), hashlib.sha256).hexdigest()

    def remember(self, response: Response, session: str, name: str = "") -> None:
        """Set the session's cookie, and the reviewer's name's where there is one."""
        response.set_cookie(SESSION_COOKIE, session, path="/review", httponly=True, samesite="strict")
        if name:
            response.set_cookie(
                NAME_COOKIE, quote(name), max_age=_HALF_YEAR, path="/review", httponly=True, samesite="strict"
            )

    def check(self, request: Request, form: Form) -> None:
        """Raise FormError unless the form came from a page that was made for this browser."""
        origin = request.headers.get("origin")
        if origin is not None and origin not in {
            f"{scheme}://{request.headers['host']}" for scheme in ("http", "https")
        }:
            raise FormError(403, "the form came from another site; open the page here, and decide there")
        if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
            raise FormError(403, "the form came from another site; open the page here, and decide there")
        session = request.cookies.get(SESSION_COOKIE, "")
        expected = self.token(session)
        if not _SESSION.fullmatch(session) or not hmac.compare_digest(expected.encode(), form.one("token").encode()):
            raise FormError(
                403, "the page is too old, the server was started anew since; open it again, and decide there"
            )


def remembered_name(request: Request) -> str:
    """The reviewer's name as this browser remembers it, else $EDGELOOP_USER; "" where neither says."""
    return (unquote(request.cookies.get(NAME_COOKIE, "")) or os.environ.get(USER_VARIABLE, ""))[:100]


async def read_form(request: Request, max_file: int = 0) -> Form:
    """The form that a request carries.

    Args:
        max_file: bytes that a file in it may have; 0 takes none.

    Raises:
        FormError: too large, too slow, or no form.
    """
    kind = request.headers.get("content-type", "")
    limit = MAX_FORM_BYTES + (max_file if kind.startswith("multipart/form-data") else 0)
    try:
        body = await asyncio.wait_for(_body(request, limit), BODY_SECONDS)
    except TimeoutError as error:
        raise FormError(408, f"the form did not arrive within {BODY_SECONDS:.0f} s") from error
    if kind.startswith("application/x-www-form-urlencoded"):
        try:
            pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
        except ValueError as error:
            raise FormError(400, "the form cannot be read; open the page again") from error
        return Form(_grouped(pairs))
    boundary = re.fullmatch(r'multipart/form-data; *boundary="?([A-Za-z0-9\'()+_,./:=?-]{1,70})"?', kind)
    if max_file and boundary:
        return _parts(body, boundary.group(1).encode())
    raise FormError(415, "that is no form of these pages; open the page again")


async def _body(request: Request, limit: int) -> bytes:
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared[:20]) > limit:
        raise FormError(413, f"more than {limit:,} bytes; choose fewer records or a smaller file")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise FormError(413, f"more than {limit:,} bytes; choose fewer records or a smaller file")
    return bytes(body)


def _parts(body: bytes, boundary: bytes) -> Form:
    """A multipart form; a part with a file's name is the file, whatever the name is."""
    pairs, file = [], b""
    parts = (b"\r\n" + body).split(b"\r\n--" + boundary)
    if len(parts) > MAX_FIELDS or parts[-1].rstrip() != b"--":
        raise FormError(400, "the form cannot be read; open the page again")
    for part in parts[1:-1]:
        head, mark, content = part.partition(b"\r\n\r\n")
        name = re.search(rb'; name="([A-Za-z0-9_.:-]{1,100})"', head)
        if not mark or not name:
            raise FormError(400, "the form cannot be read; open the page again")
        if b"filename=" in head:
            file = content
        else:
            pairs.append((name.group(1).decode(), content.decode("utf-8", "replace")))
    return Form(_grouped(pairs), file)


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return {name: tuple(values) for name, values in found.items()}
