"""Signed files from the server, over python-tuf's `Updater`. Every failure is one of two kinds.

VerificationError: what the server gave is not what was signed, is stale, goes back, or is missing though signed.
TransientError: the server is away, slow, or broken; try later.
"""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import urllib3
from tuf.api.exceptions import (
    BadVersionNumberError,
    DownloadError,
    DownloadHTTPError,
    DownloadLengthMismatchError,
    ExpiredMetadataError,
    LengthOrHashMismatchError,
    RepositoryError,
    UnsignedMetadataError,
)
from tuf.api.metadata import Metadata, Root, TargetFile
from tuf.ngclient import Updater
from tuf.ngclient.urllib3_fetcher import Urllib3Fetcher

from edge.agent.home import sync_tree
from edge.errors import EdgeError, TransientError, VerificationError

SOCKET_SECONDS = 15
DOWNLOAD_SECONDS = 1800.0
CLOCK_SLACK_SECONDS = 300.0
MAX_ROOT_BYTES = 512_000
PASSING_STATUS = {408, 425, 429}


class _Fetcher(Urllib3Fetcher):
    """Ends a download that drips for ever: each byte comes in time, the file never does."""

    def _chunks(self, response: urllib3.response.BaseHTTPResponse) -> Iterator[bytes]:
        deadline = time.monotonic() + DOWNLOAD_SECONDS
        for chunk in super()._chunks(response):
            if time.monotonic() > deadline:
                raise DownloadError(f"the download took more than {DOWNLOAD_SECONDS:.0f} s")
            yield chunk


class Repository:
    """One look at the server's repository. All its files belong to one snapshot.

    Args:
        url: the server's, without a path.
        folder: TUF's cache; survives between looks, so that nothing may go back.
        root: bytes of the trusted root metadata that the device enrolled with.
        floor: seconds since 1970; the clock must be past it, else expiry dates mean nothing.

    Raises:
        VerificationError, TransientError: on every method too; the text says what and why.
    """

    def __init__(self, url: str, folder: Path, root: bytes, floor: float) -> None:
        self._url = url.rstrip("/")
        if time.time() + CLOCK_SLACK_SECONDS < floor:
            raise VerificationError(
                f"this device's clock says {_utc(time.time())}, but it has already seen {_utc(floor)}; "
                "set the clock, or old metadata would pass as fresh"
            )
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        with self._explained(f"{self._url}/metadata/"):
            self._updater = Updater(
                str(folder),
                f"{self._url}/metadata/",
                target_base_url=f"{self._url}/targets/",
                fetcher=_Fetcher(socket_timeout=SOCKET_SECONDS, app_user_agent="edgeloop-agent"),
                bootstrap=root,
            )
            self._updater.refresh()
        sync_tree(folder)  # else a power cut could bring back an old timestamp, and with it an old release

    def read(self, path: str, limit: int) -> bytes | None:
        """The bytes of a signed target file of at most `limit` bytes; None where nothing of that name is signed."""
        target = self._find(path)
        if target is None:
            return None
        if target.length > limit:
            raise VerificationError(f"{path}: signed with {target.length:,} bytes; at most {limit:,} are expected")
        with tempfile.TemporaryDirectory(prefix=".tmp-", dir=self._folder) as folder:
            return self._download(target, Path(folder) / "file").read_bytes()

    def save(self, path: str, destination: Path, sha256: str, size: int) -> None:
        """Download a signed target file whose digest and size are known, and check that it is that file."""
        target = self._find(path)
        if target is None:
            raise VerificationError(f"{path}: named by the manifest, but not signed by the line's release key")
        if target.length != size:
            raise VerificationError(f"{path}: signed with {target.length:,} bytes, but the manifest says {size:,}")
        self._download(target, destination)
        if (found := file_sha256(destination)) != sha256:
            raise VerificationError(f"{path}: SHA-256 {found[:12]}…, but the manifest says {sha256[:12]}…")

    def _find(self, path: str) -> TargetFile | None:
        with self._explained(path):
            return self._updater.get_targetinfo(path)

    def _download(self, target: TargetFile, destination: Path) -> Path:
        with self._explained(f"{self._url}/targets/{target.path}"):
            self._updater.download_target(target, str(destination))
        return destination

    @contextlib.contextmanager
    def _explained(self, place: str) -> Iterator[None]:
        try:
            yield
        except EdgeError:
            raise
        except (RepositoryError, DownloadError, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise explain(place, error) from error


def explain(place: str, error: Exception) -> VerificationError | TransientError:  # noqa: PLR0911 -- a table
    """What a failure of python-tuf or the network means for the device."""
    if isinstance(error, ExpiredMetadataError):
        return VerificationError(
            f"{place}: stale metadata ({error}); either this is an old copy, the platform stopped signing "
            "(its schedule refreshes the timestamp), or this device's clock is wrong"
        )
    if isinstance(error, BadVersionNumberError):
        return VerificationError(f"{place}: metadata goes back to an older version ({error}); refused as a rollback")
    if isinstance(error, UnsignedMetadataError):
        return VerificationError(f"{place}: not signed by the keys this device trusts ({error})")
    if isinstance(error, (LengthOrHashMismatchError, DownloadLengthMismatchError)):
        return VerificationError(f"{place}: the file is not the one that was signed ({error}); it was changed")
    if isinstance(error, DownloadHTTPError):
        if error.status_code >= 500 or error.status_code in PASSING_STATUS:
            return TransientError(f"{place}: the server answered {error.status_code}; trying again later")
        return VerificationError(f"{place}: the server does not have this file (HTTP {error.status_code})")
    if isinstance(error, RepositoryError):
        return VerificationError(f"{place}: the metadata does not hold together ({error})")
    if isinstance(error, ValueError):
        return VerificationError(f"{place}: not a TUF repository ({error})")
    cause = error.__cause__ or error
    return TransientError(f"{place}: could not be fetched ({_short(cause)}); trying again later")


def check_root(data: bytes, source: str) -> str:
    """The fingerprint (SHA-256, 64 hex digits) of root metadata that is signed by itself. Raises VerificationError."""
    try:
        metadata = Metadata[Root].from_bytes(data)
        if not isinstance(metadata.signed, Root):
            raise VerificationError(f"{source}: holds {metadata.signed.type} metadata, not a root")
        metadata.signed.verify_delegate("root", metadata.signed_bytes, metadata.signatures)
    except (RepositoryError, ValueError) as error:
        raise VerificationError(f"{source}: not a signed TUF root ({_short(error)})") from error
    return hashlib.sha256(data).hexdigest()


def file_sha256(path: Path) -> str:
    """The digest of a file, read in pieces."""
    with path.open("rb") as file:
        hasher = hashlib.sha256()
        while block := file.read(1024 * 1024):
            hasher.update(block)
    return hasher.hexdigest()


def _utc(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))


def _short(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0][:200] or type(error).__name__
