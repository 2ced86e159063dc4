"""What the agent says to its server over HTTP: small posts with small answers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from urllib.parse import urlsplit

import urllib3

from edge.agent.home import UsageError
from edge.errors import TransientError

SECONDS = 15.0
MAX_ANSWER_BYTES = 512 * 1024


@dataclass(frozen=True)
class Answer:
    """What the server said: the HTTP status and the body."""

    status: int
    body: bytes

    @property
    def reason(self) -> str:
        """The server's own words, at most 300 characters."""
        try:
            said = json.loads(self.body)["reason"]
        except (ValueError, KeyError, TypeError, RecursionError):
            said = self.body.decode("utf-8", "replace")
        return " ".join(str(said).split())[:300]


def check_server(url: str) -> str:
    """The server's URL without a trailing slash. Raises UsageError for anything but http(s)://host[:port][/path]."""
    try:
        parts = urlsplit(url)
        sound = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound or parts.query or parts.fragment or parts.username or any(char.isspace() for char in url):
        raise UsageError(f"--server {url!r}: expected http://HOST:PORT or https://HOST, e.g. http://127.0.0.1:8088")
    return url.rstrip("/")


def get(url: str) -> Answer:
    """Fetch a small file. Raises TransientError."""
    return _ask("GET", url, None)


def post(url: str, data: bytes) -> Answer:
    """Send a JSON document. Raises TransientError: the server is away, slow, or broken (5xx, 408, 429)."""
    return _ask("POST", url, data)


def _ask(method: str, url: str, data: bytes | None) -> Answer:
    try:
        with urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(SECONDS)) as pool:
            response = pool.request(
                method,
                url,
                body=data,
                headers={"Content-Type": "application/json"} if data is not None else None,
                redirect=False,
                preload_content=False,
            )
            try:
                body = response.read(MAX_ANSWER_BYTES + 1)
            finally:
                response.close()
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise TransientError(f"{url}: the server cannot be reached ({_short(error)}); trying again later") from error
    if len(body) > MAX_ANSWER_BYTES:
        raise TransientError(f"{url}: the server's answer is too long; is this an Edgeloop server?")
    if response.status >= 500 or response.status in {408, 425, 429}:
        raise TransientError(f"{url}: the server answered {response.status}; trying again later")
    return Answer(response.status, body)


def _short(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0][:200] or type(error).__name__
