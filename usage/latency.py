"""How long calls took, counted in classes, so that counts of any stretch of time can be added up.

Pure. Between two bounds a quantile is interpolated: it is off by less than the width of its class.
Above the last bound nothing is told apart.
"""

from collections.abc import Sequence
from typing import Final

# The upper ends of the classes in milliseconds; the last class has none.
BOUNDS_MS: Final = (
    *(100, 200, 300, 500, 700),
    *(1_000, 1_500, 2_000, 3_000, 4_000, 5_000, 7_000),
    *(10_000, 15_000, 20_000, 30_000, 45_000, 60_000, 120_000, 300_000),
    *(600_000, 1_200_000, 3_600_000),
)
LONGEST_MS: Final = BOUNDS_MS[-1]
CLASSES: Final = len(BOUNDS_MS) + 1
# The columns of a rollup that hold the counts.
COLUMNS: Final = tuple(f"latency_{place}" for place in range(CLASSES))


def quantile(counts: Sequence[int], share: float) -> float | None:
    """Return the latency in ms that `share` of the calls did not exceed; None without calls.

    Inside a class the calls are taken to be spread evenly. In the last class, which has no upper
    end, it is `LONGEST_MS`.
    """
    wanted = share * sum(counts)
    below = 0
    for place, count in enumerate(counts):
        if count and below + count >= wanted:
            low = BOUNDS_MS[place - 1] if place else 0
            if place == len(BOUNDS_MS):
                return float(LONGEST_MS)
            return low + (BOUNDS_MS[place] - low) * max(0.0, wanted - below) / count
        below += count
    return None
