"""All feed formats by the name that commands and runs give them."""

from typing import Final

from leaderboard.sources import Source
from leaderboard.sources.aider import Aider
from leaderboard.sources.kilobench import KiloBench
from leaderboard.sources.openhands_index import OpenHandsIndex
from leaderboard.sources.own import OwnFormat
from leaderboard.sources.swebench import SweBench
from leaderboard.sources.terminal_bench import TerminalBench

FORMATS: Final[dict[str, Source]] = {
    source.slug: source
    for source in (
        KiloBench(),
        OpenHandsIndex(),
        SweBench(),
        Aider(),
        TerminalBench(),
        OwnFormat(),
    )
}
