"""The stretches of time, ending now, that pages and calls offer."""

from datetime import timedelta
from typing import Final

LENGTHS: Final[dict[str, timedelta]] = {
    "24h": timedelta(days=1),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
    "90d": timedelta(days=90),
}
