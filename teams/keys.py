"""API keys: ``kr_live_<lookup>_<secret>``. Only an HMAC of the whole key is ever stored."""

import hashlib
import hmac
import re
import secrets
from enum import StrEnum
from typing import NamedTuple

PATTERN = re.compile(r"kr_live_([a-z0-9]{12})_([A-Za-z0-9]{40})\Z")
ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ" + ALPHABET


class Scope(StrEnum):
    """What a key may be used for."""

    ROUTE_WRITE = "route:write"
    USAGE_WRITE = "usage:write"
    USAGE_READ = "usage:read"
    POLICY_WRITE = "policy:write"
    BENCHMARKS_WRITE = "benchmarks:write"


class NewKey(NamedTuple):
    """A key as it is shown once to its maker: `text` whole, `lookup` its public part."""

    text: str
    lookup: str


def generate() -> NewKey:
    """Return a fresh key with 238 random bits in its secret part."""
    lookup = "".join(secrets.choice(ALPHABET) for _ in range(12))
    secret = "".join(secrets.choice(LETTERS) for _ in range(40))
    return NewKey(f"kr_live_{lookup}_{secret}", lookup)


def lookup_of(text: str) -> str | None:
    """Return the public part of a well-formed key, else None."""
    match = PATTERN.match(text)
    return match[1] if match else None


def digest(text: str, pepper: str) -> str:
    """Return the HMAC-SHA256 of a whole key under the site's API_KEY_SECRET, as hex."""
    return hmac.new(pepper.encode(), text.encode(), hashlib.sha256).hexdigest()


def matches(text: str, stored_digest: str, pepper: str) -> bool:
    """Compare a key with a stored digest in constant time."""
    return hmac.compare_digest(digest(text, pepper), stored_digest)
