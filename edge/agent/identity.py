"""The device's own key, and what the device says it is."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING

from edge.agent.home import Enrolment, read_limited, sync_folder
from edge.child import run_child
from edge.contracts import DeviceProfile
from edge.engine.library import PACKAGES, installed_version
from edge.errors import IncompatibleError, RejectedError
from edge.runtime.machine import cpu_features, machine_arch, machine_name

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def device_key(path: Path) -> Ed25519PrivateKey:
    """The device's private key, made on first use with mode 600 and never overwritten.

    Raises:
        RejectedError: the file is readable by others, or is not an ed25519 key in PEM.
    """
    from cryptography.hazmat.primitives import serialization as pem
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if not path.exists():
        made = Ed25519PrivateKey.generate().private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption())
        temporary = path.with_name(".tmp-key")
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(made)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
        sync_folder(path.parent)
    if path.stat().st_mode & 0o077:
        raise RejectedError(f"{path}: others may read this key; run: chmod 600 '{path}'")
    try:
        key = pem.load_pem_private_key(read_limited(path, 64 * 1024), password=None)
    except (ValueError, TypeError) as error:
        raise RejectedError(f"{path}: not an unencrypted PKCS#8 key in PEM; restore it") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise RejectedError(f"{path}: not an ed25519 key; restore it")
    return key


def public_hex(key: Ed25519PrivateKey) -> str:
    """The raw public key, 64 hex digits."""
    return key.public_key().public_bytes_raw().hex()


def detect_profile(enrolment: Enrolment, public_key: str) -> DeviceProfile:
    """What this machine is: architecture, GPU, installed runtimes, free memory.

    Raises:
        IncompatibleError: neither x86-64 nor 64-bit Arm.
    """
    arch = machine_arch()
    if arch is None:
        raise IncompatibleError(f"this machine is {platform.machine()!r}; artifacts are made for x86_64 and aarch64")
    return DeviceProfile(
        device=enrolment.device,
        line=enrolment.line,
        group=enrolment.group,
        arch=arch,
        public_key=public_key,
        sm=_compute_capability(),
        runtimes={runtime: version for runtime in PACKAGES if (version := installed_version(runtime))},
        memory_mb=_memory_mb(),
        machine=machine_name(),
        cpu_features=cpu_features(),
    )


def _compute_capability() -> int | None:
    """Of the first NVIDIA GPU, times ten; None without one or without its tool."""
    tool = next((path for path in ("/usr/bin/nvidia-smi", "/usr/sbin/nvidia-smi") if Path(path).is_file()), None)
    if tool is None:
        return None
    try:
        ended = run_child([tool, "--query-gpu=compute_cap", "--format=csv,noheader"], seconds=10)
        return round(float(ended.output.splitlines()[0]) * 10) if ended.code == 0 else None
    except (OSError, ValueError, IndexError):
        return None


def _memory_mb() -> int | None:
    """MiB that a new program could use now."""
    try:
        for row in Path("/proc/meminfo").read_text().splitlines():
            if row.startswith("MemAvailable:"):
                return int(row.split()[1]) // 1024
    except (OSError, ValueError, IndexError):
        pass
    return None
