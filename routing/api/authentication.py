"""API keys where the database may be away."""

from routing.queries.live import holder_of
from teams.authentication import ApiKeyAuthentication
from teams.queries import KeyHolder


class RememberedKeyAuthentication(ApiKeyAuthentication):
    """Knows the keys that the request path has in memory, see `routing.queries.live`."""

    def verify(self, token: str) -> KeyHolder | None:
        """Return the holder of a key; None when it is not valid."""
        return holder_of(token)
