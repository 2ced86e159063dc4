"""Signed envelopes (DSSE): what a device says of itself, signed with its own key."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.contracts.codec import document
from edge.errors import VerificationError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PROFILE_TYPE = "application/vnd.edgeloop.device-profile+json"
REPORT_TYPE = "application/vnd.edgeloop.device-report+json"


@document("edgeloop.envelope")
@dataclass(frozen=True)
class Envelope:
    """A DSSE envelope (https://github.com/secure-systems-lab/dsse): payload and signature in base64, ed25519."""

    payload_type: str
    payload: str
    key_id: str
    signature: str


def sign(key: Ed25519PrivateKey, device: str, payload_type: str, payload: bytes) -> Envelope:
    """A DSSE envelope. `key_id` is the device's name: a hint for finding the key, it proves nothing."""
    signature = key.sign(_pre_authentication(payload_type, payload))
    return Envelope(payload_type, base64.b64encode(payload).decode(), device, base64.b64encode(signature).decode())


def verify(envelope: Envelope, payload_type: str, public_key: str) -> bytes:
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
