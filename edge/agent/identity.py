"""The device's own key, what it signs with it (DSSE), and what it says it is."""

from __future__ import annotations

import base64
import binascii
import os
import platform
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from edge.agent.home import Enrolment, read_limited, sync_folder
from edge.contracts import DeviceProfile, Envelope
from edge.engine.library import PACKAGES, installed_version
from edge.errors import IncompatibleError, RejectedError, VerificationError
from edge.runtime.machine import cpu_features, machine_arch, machine_name

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PROFILE_TYPE = "application/vnd.edgeloop.device-profile+json"
REPORT_TYPE = "application/vnd.edgeloop.device-report+json"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


def is_name(text: str) -> bool:
    """Whether a device, line or group may be called so: it becomes part of paths and URLs."""
    return bool(_NAME.fullmatch(text)) and ".." not in text


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


def seal(key: Ed25519PrivateKey, device: str, payload_type: str, payload: bytes) -> Envelope:
    """A DSSE envelope. `key_id` is the device's name: a hint for finding the key, it proves nothing."""
    signature = key.sign(_pre_authentication(payload_type, payload))
    return Envelope(payload_type, base64.b64encode(payload).decode(), device, base64.b64encode(signature).decode())


def unseal(envelope: Envelope, payload_type: str, public_key: str) -> bytes:
    """The payload, its signature checked first.

    Args:
        public_key: 64 hex digits.

    Raises:
        VerificationError: another payload type, not base64, or not signed by this key.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if envelope.payload_type != payload_type:
        raise VerificationError(f"payload type {envelope.payload_type[:80]!r}; expected {payload_type!r}")
    try:
        payload = base64.b64decode(envelope.payload, validate=True)
        signature = base64.b64decode(envelope.signature, validate=True)
        verifier = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key))
        verifier.verify(signature, _pre_authentication(payload_type, payload))
    except (binascii.Error, ValueError) as error:
        raise VerificationError(f"the envelope is malformed ({error}); sign it again") from error
    except InvalidSignature as error:
        raise VerificationError("the signature is not by this device's enrolled key") from error
    return payload


def _pre_authentication(payload_type: str, payload: bytes) -> bytes:
    """DSSE's PAE (https://github.com/secure-systems-lab/dsse/blob/master/protocol.md)."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


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
        answer = subprocess.run(
            [tool, "--query-gpu=compute_cap", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        ).stdout.splitlines()[0]
        return round(float(answer) * 10)
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
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
