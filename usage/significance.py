"""Whether a change of a figure says anything, or may be chance. Pure."""

from collections.abc import Sequence
from itertools import accumulate
from math import sqrt
from operator import add
from typing import Final

from usage.latency import quantile

# Calls come in clumps: a bad minute of a provider, or one long session, is several of them. Below
# so many in either period the few clumps decide, whatever the arithmetic says.
ENOUGH: Final = 30
# A difference of so many standard errors comes about by chance one time in twenty.
STANDARD_ERRORS: Final = 1.96


def shares_differ(part: int, whole: int, part_before: int, whole_before: int) -> bool:
    """Tell whether two shares differ by more than chance, where there are enough calls to tell.

    A two-proportion test with one more case of each kind in either period, so that it holds for
    shares near 0 and 1 as well (Agresti and Caffo 2000, The American Statistician 54, 280-288).
    """
    if min(whole, whole_before) < ENOUGH:
        return False
    now, before = (part + 1) / (whole + 2), (part_before + 1) / (whole_before + 2)
    variance = now * (1 - now) / (whole + 2) + before * (1 - before) / (whole_before + 2)
    return abs(now - before) > STANDARD_ERRORS * sqrt(variance)


def medians_differ(counts: Sequence[int], counts_before: Sequence[int]) -> bool:
    """Tell the same of two medians, from counts by class.

    As in Mood's median test, it is whether the share of what lies below the median of both periods
    together differs; below the end of a class that is nearest to it. That is not always the way in
    which the medians moved, and then it tells nothing of them.
    """
    below = list(accumulate(map(add, counts, counts_before)))
    cut = 1 + min(range(len(below)), key=lambda place: abs(2 * below[place] - below[-1]))
    part, whole = sum(counts[:cut]), sum(counts)
    part_before, whole_before = sum(counts_before[:cut]), sum(counts_before)
    if not shares_differ(part, whole, part_before, whole_before):
        return False
    now, before = quantile(counts, 0.5) or 0, quantile(counts_before, 0.5) or 0
    has_more_below = part * whole_before > part_before * whole
    return now < before if has_more_below else now > before
