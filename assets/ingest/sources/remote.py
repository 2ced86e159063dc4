"""Sources on other machines, by fsspec URL: what lies there, and one stream for each file.

Only plain protocols are taken. A chained URL (`zip::https://…`) could read any file of this machine by what it names,
and nothing is gained by it: an archive is unpacked after it has landed in a scratch folder. Of an HTTP server, only
what lies below the page that was named is followed, on the same server.
"""

from __future__ import annotations

import errno
import io
import re
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any, BinaryIO, cast
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

from assets.errors import EdgeError, LandingError, RejectedError, TransientError
from assets.ingest.sources.members import read_exactly
from assets.records.limits import MAX_DEPTH, MAX_FILES, MAX_PAGE_BYTES, MAX_PAGES
from assets.records.paths import is_system_name, name_problem, printable, why_system
from assets.records.reason import Reason

LOCAL = ("file", "local")
PROTOCOLS = ("memory", "http", "https", "s3", "s3a", "gs", "gcs", "az", "abfs", "abfss")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)(::|://)")
_TIMEOUT = 60.0
_BLOCK = 8 * 1024**2
_AGAIN = frozenset(
    {errno.EBUSY, errno.EIO, errno.EREMOTEIO, errno.ETIMEDOUT, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EAGAIN}
)
_AWAY = frozenset({"ClientConnectionError", "ClientPayloadError", "HTTPClientError", "gaierror", "HttpProcessingError"})
_NO_KEY = frozenset({"NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "CredentialRetrievalError"})


@dataclass(frozen=True)
class RemoteFile:
    """A file elsewhere: its path below the source, its bytes where they are known, whether it is the whole source.

    `open` raises RejectedError ("reason; remedy") where this file cannot be had, TransientError where it may be later.
    """

    path: str
    size: int | None
    whole: bool
    open: Callable[[], BinaryIO]


def is_url(source: str) -> bool:
    """Whether a source is named by URL, not by path."""
    return _SCHEME.match(source) is not None


def local_path(url: str) -> str | None:
    """The path that a `file://` URL names; None for others. Raises LandingError for one of another machine."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise LandingError(f"{shown_url(url)}: cannot be read ({error}); write the address again") from error
    if parts.scheme.lower() not in LOCAL or "::" in url:
        return None
    if parts.netloc not in ("", "localhost"):
        raise LandingError(f"{shown_url(url)}: names another machine; write file:///path for a path of this one")
    return url.split("://", 1)[1].removeprefix("localhost")


def shown_url(url: str) -> str:
    """A URL without what may be secret in it: user, password, and everything behind `?`."""
    try:
        parts = urlsplit(url)
        netloc = parts.netloc.rpartition("@")[2]
        shown = urlunsplit((parts.scheme, netloc, parts.path, "", ""))
    except ValueError:
        shown = url.split("?", 1)[0]
    return printable(shown)


def list_remote(url: str) -> Iterator[RemoteFile | Reason]:
    """What lies below a URL.

    Raises:
        LandingError: the protocol is not read, or there is nothing that may be read.
        TransientError: the server is away or busy.
    """
    scheme = _SCHEME.match(url)
    protocol = scheme.group(1).lower() if scheme else ""
    if "::" in url.split("?", 1)[0]:
        raise LandingError(
            f"{shown_url(url)}: chained URLs are not read; name the file itself, e.g. https://host/data.zip: archives "
            "are unpacked by themselves"
        )
    if protocol not in PROTOCOLS:
        known = ", ".join((*LOCAL[:1], *PROTOCOLS))
        raise LandingError(
            f"{shown_url(url)}: the protocol {protocol!r} is not read, only {known}; download the files, then name "
            "their folder"
        )
    try:
        found = _http(url) if protocol in ("http", "https") else _bucket(url)
        yield from found
    except EdgeError:
        raise
    except Exception as error:  # every file system has its own errors
        raise network_error(url, error) from error


def network_error(url: str, error: BaseException) -> EdgeError:
    """What an error of a file system means: a LandingError, or a TransientError where another try may help."""
    chain: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in chain and len(chain) < 10:
        chain.append(following)
        following = following.__cause__ or following.__context__
    place = shown_url(url)
    for link in chain:
        kinds = {kind.__name__ for kind in type(link).__mro__}
        status = getattr(link, "status", None)
        if isinstance(status, int) and "ClientResponseError" in kinds:
            what = f"the server says {status} {getattr(link, 'message', '')}".rstrip()
            if status >= 500 or status in (408, 425, 429):
                return TransientError(f"{place}: {what}; try again later")
            return LandingError(f"{place}: {what}; look at the address, and at who may read it")
        if kinds & _NO_KEY:
            return LandingError(f"{place}: no credentials were found; set them as for the store's own tools")
        if isinstance(link, (TimeoutError, ConnectionError)) or kinds & _AWAY or getattr(link, "errno", 0) in _AGAIN:
            return TransientError(f"{place}: cannot be reached now ({_text(link)}); check the address, or try again")
    if isinstance(error, ImportError):
        return LandingError(f"{place}: cannot be read ({_text(error)}); install that package")
    return LandingError(f"{place}: cannot be read ({_text(error)}); name an existing folder or file")


def _text(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return printable(re.sub(r"\?\S*", "", text.split("\n", 1)[0])[:300]) or type(error).__name__


def _path_problem(path: str) -> Reason | None:
    parts = path.split("/")
    if system := next((part for part in parts if is_system_name(part) and part not in (".", "..")), None):
        return Reason(
            printable(path), "its name", "ignored", why_system(printable(system)),
            "nothing to do",
        )  # fmt: skip
    problem = name_problem(path)
    if problem is None and any(part in ("", ".", "..") for part in parts):
        problem = "its name is no plain path"
    if problem is None and len(parts) > MAX_DEPTH + 1:
        return Reason(
            printable(path), "whole file", "refused", f"it lies more than {MAX_DEPTH} folders deep", "move it up"
        )
    return None if problem is None else Reason(printable(path), "whole file", "refused", problem, "rename it")


def _bucket(url: str) -> Iterator[RemoteFile | Reason]:
    import fsspec

    filesystem, root = fsspec.core.url_to_fs(url, skip_instance_cache=True, use_listings_cache=False)
    listing = filesystem.find(root, detail=True)
    if not listing and not filesystem.exists(root):
        raise FileNotFoundError("there is no such folder or file")
    for name, info in sorted(listing.items()):
        if info["type"] != "file" or name.endswith("/"):
            continue
        path = name.removeprefix(root).removeprefix("/") or name.rsplit("/", 1)[-1]
        if (problem := _path_problem(path)) is not None:
            yield problem
            continue
        size = info.get("size")
        yield RemoteFile(path, None if size is None else int(size), name == root, _opener(filesystem, name, url))


def _opener(filesystem: Any, name: str, url: str) -> Callable[[], BinaryIO]:
    def open_file() -> BinaryIO:
        try:
            return cast(BinaryIO, filesystem.open(name, "rb", block_size=_BLOCK))
        except Exception as error:
            raise _of_one_file(f"{url.split('://', 1)[0]}://{name}", error) from error

    return open_file


def _of_one_file(url: str, error: BaseException) -> EdgeError:
    sorted_out = network_error(url, error)
    if isinstance(sorted_out, TransientError):
        return sorted_out
    return RejectedError(str(sorted_out).removeprefix(f"{shown_url(url)}: "))


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a" and len(self.found) < MAX_FILES:
            self.found.extend(value for name, value in attrs if name == "href" and value)


def _http(url: str) -> Iterator[RemoteFile | Reason]:
    """The one file that a URL names, or everything that a server's listing names below it."""
    filesystem = _http_filesystem()
    with closing(_Reply(filesystem, url)) as stream:
        page = _is_page(stream)
        length = stream.reply.headers.get("Content-Length", "")
        root, links = _links_below(stream) if page else ("", [])
    if not page:
        name = unquote(urlsplit(url).path.rstrip("/").rsplit("/", 1)[-1]) or "file"
        size = int(length) if length.isdigit() and len(length) < 19 else None
        yield _path_problem(name) or RemoteFile(name, size, True, _http_opener(filesystem, url))
    elif links:
        yield from _listed(filesystem, root, links)
    else:
        raise LandingError(
            f"{shown_url(url)}: the server gave a web page, not a file or a listing; use the address of the file itself"
        )


def _listed(filesystem: Any, root: str, links: list[str]) -> Iterator[RemoteFile | Reason]:
    waiting, seen = deque(links), set(links)
    pages = 1
    base = unquote(urlsplit(root).path)
    while waiting:
        link = waiting.popleft()
        path = unquote(urlsplit(link).path).removeprefix(base)
        if not link.endswith("/"):
            yield _path_problem(path) or RemoteFile(path, None, False, _http_opener(filesystem, link))
            continue
        if (problem := _path_problem(path.rstrip("/"))) is not None:
            yield problem
            continue
        pages += 1
        if pages > MAX_PAGES or len(seen) > MAX_FILES:
            raise LandingError(f"{shown_url(root)}: its listing has no end; name a smaller folder")
        with closing(_Reply(filesystem, link)) as stream:
            _, more = _links_below(stream) if _is_page(stream) else ("", [])
        fresh = [found for found in more if found not in seen and found.startswith(root)]
        seen.update(fresh)
        waiting.extend(fresh)


def _links_below(stream: _Reply) -> tuple[str, list[str]]:
    """A page's own folder, and the links on it that lie below that, sorted."""
    page = read_exactly(cast(BinaryIO, stream), MAX_PAGE_BYTES)
    parser = _Links()
    parser.feed(page.decode("utf-8", "replace"))
    here = urlsplit(str(stream.reply.url))
    folder = urlunsplit((here.scheme, here.netloc, here.path if here.path.endswith("/") else f"{here.path}/", "", ""))
    found = set()
    for href in parser.found:
        try:
            joined = urlsplit(urljoin(str(stream.reply.url), href))
        except ValueError:
            continue
        link = urlunsplit((joined.scheme, joined.netloc, joined.path, "", ""))
        if link.startswith(folder) and link != folder:
            found.add(link)
    return folder, sorted(found)


def _http_filesystem() -> Any:
    import aiohttp
    import fsspec

    timeout = aiohttp.ClientTimeout(total=None, sock_connect=_TIMEOUT, sock_read=_TIMEOUT)
    return fsspec.filesystem(
        "http", skip_instance_cache=True, client_kwargs={"timeout": timeout, "headers": {"Accept-Encoding": "identity"}}
    )


class _Reply(io.RawIOBase):
    """An answer of a server as a stream. Raises what aiohttp raises, a status of 400 and more included."""

    def __init__(self, filesystem: Any, url: str) -> None:
        from fsspec.asyn import sync

        self._sync, self._loop = sync, filesystem.loop

        async def ask() -> Any:
            session = await filesystem.set_session()
            reply = await session.get(filesystem.encode_url(url))
            if reply.status >= 400:
                reply.close()
            reply.raise_for_status()
            return reply

        self.reply = sync(self._loop, ask)

    def read(self, size: int = -1) -> bytes:
        return bytes(self._sync(self._loop, self.reply.content.read, size))

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        if not self.closed:
            self._loop.call_soon_threadsafe(self.reply.close)
        super().close()


def _is_page(stream: _Reply) -> bool:
    return str(stream.reply.headers.get("Content-Type", "")).lower().startswith(("text/html", "application/xhtml"))


def _http_opener(filesystem: Any, url: str) -> Callable[[], BinaryIO]:
    def open_file() -> BinaryIO:
        try:
            stream = _Reply(filesystem, url)
        except Exception as error:
            raise _of_one_file(url, error) from error
        if _is_page(stream):
            stream.close()
            raise RejectedError("the server gave a web page instead of the file; use the address of the file itself")
        return cast(BinaryIO, stream)

    return open_file
