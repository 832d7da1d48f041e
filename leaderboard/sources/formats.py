"""All feed formats by the name that commands and runs give them."""

from typing import Final

from leaderboard.sources import Source
from leaderboard.sources.openhands_index import OpenHandsIndex

FORMATS: Final[dict[str, Source]] = {source.slug: source for source in (OpenHandsIndex(),)}
