"""Sends a webhook, to checked addresses only and within a bounded time."""

import time
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import httpcore2

from leaderboard.fetching import REDIRECTS, AddressInside, FetchFailed, GuardedBackend, checked_url

SECONDS: Final = 10.0


class NotPosted(Exception):
    """The receiver did not take the webhook; the message says why."""


def post(url: str, body: bytes, headers: Mapping[str, str], *, allow_private: bool) -> None:
    """Send JSON to a receiver, which has to answer 2xx itself. Raises NotPosted."""
    backend = GuardedBackend(time.monotonic() + SECONDS, allow_private=allow_private)
    sent: dict[bytes | str, bytes | str] = {
        "Host": urlsplit(url).netloc,
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "User-Agent": "kilo-webhooks/1",
    }
    sent.update(headers.items())
    try:
        with (
            httpcore2.ConnectionPool(network_backend=backend) as pool,
            # The answer's body is not read: nothing is believed of it, and it may have no end.
            pool.stream("POST", checked_url(url), headers=sent, content=body) as answer,
        ):
            status = answer.status
    except AddressInside as error:
        raise NotPosted(
            f"{error.host} is an address inside this server's own network. Webhooks go there only"
            " where an operator sets WEBHOOK_PRIVATE_ADDRESSES."
        ) from error
    except FetchFailed as error:
        raise NotPosted(str(error)) from error
    except httpcore2.TimeoutException as error:
        raise NotPosted(f"The receiver gave no answer within {SECONDS:.0f} seconds.") from error
    except (httpcore2.NetworkError, httpcore2.ProtocolError) as error:
        raise NotPosted(f"The connection failed: {cause_of(error)}") from error
    if status in REDIRECTS:
        raise NotPosted(
            f"The receiver answered {status}, a redirect, which webhooks do not follow. Enter the"
            " address that it leads to."
        )
    if not 200 <= status < 300:
        raise NotPosted(f"The receiver answered {status}.")


def cause_of(error: Exception) -> str:
    """Return why a connection failed in the words of the system, without its error number."""
    words = (one.strerror for one in error.args if isinstance(one, OSError))
    return next((said for said in words if said), str(error))
