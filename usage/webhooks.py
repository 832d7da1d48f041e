"""How a webhook is signed, so that its receiver knows who sent it and when."""

import hashlib
import hmac
from typing import Final

SIGNATURE_HEADER: Final = "X-Kilo-Signature"
ID_HEADER: Final = "X-Kilo-Id"


def signature(secret: str, body: bytes, at_seconds: int) -> str:
    """Return the value of `SIGNATURE_HEADER` for a body that is sent at a Unix time.

    It is HMAC-SHA256 (RFC 2104) under the secret over the time in decimal, a full stop and the
    body, in hex: the time is signed too, so that a recorded webhook cannot be played again later.
    """
    signed = f"{at_seconds}.".encode() + body
    return f"t={at_seconds},v1={hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()}"
