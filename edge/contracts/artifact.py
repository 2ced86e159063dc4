"""A reference to stored bytes: what rooms pass to each other instead of the bytes."""

from __future__ import annotations

import re
from dataclasses import dataclass

_SHA256 = re.compile(r"[0-9a-f]{64}")


def check_sha256(value: str) -> None:
    """Raise ValueError unless `value` is 64 lower-case hex digits."""
    if not _SHA256.fullmatch(value):
        raise ValueError(f"{value!r} is not a SHA-256 in lower-case hex (64 digits)")


def check_key(value: str) -> None:
    """Raise ValueError unless `value` is a relative path that stays below its root."""
    parts = value.split("/")
    if not value or "\\" in value or "\0" in value or any(part in ("", ".", "..") for part in parts):
        raise ValueError(f"{value!r} is not a relative path below its root")


@dataclass(frozen=True)
class ArtifactRef:
    """Names immutable bytes; whoever reads them checks size and digest.

    Attributes:
        uri: relative path below the store's root (in the cloud) or below the release's folder (on a device).
        sha256: 64 hex digits of the bytes.
        size: bytes.
        kind: "safetensors", "onnx", "plan", "parquet", "json" or "html".
        parents: digests of what it was made from.
    """

    uri: str
    sha256: str
    size: int
    kind: str
    parents: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_key(self.uri)
        check_sha256(self.sha256)
        if self.size < 0:
            raise ValueError(f"size {self.size} is negative")
