"""Money is integer micro-USD everywhere inside; dollars appear only at the edges."""

from decimal import ROUND_HALF_EVEN, Decimal

MICRO = 1_000_000


def to_micro_usd(dollars: Decimal | float | str) -> int:
    """Return dollars as micro-USD, half to even."""
    return int((Decimal(str(dollars)) * MICRO).to_integral_value(ROUND_HALF_EVEN))


def format_usd(micro_usd: int | float | None) -> str:
    """Return an amount as people read it: two decimals from a dollar up, else two significant
    digits.
    """
    if micro_usd is None:
        return "–"
    if micro_usd < 0:
        return f"−{format_usd(-micro_usd)}"
    dollars = micro_usd / MICRO
    if dollars == 0:
        return "$0"
    if dollars >= 1:
        return f"${dollars:,.2f}"
    if dollars >= 0.1:
        return f"${dollars:.3f}"
    return f"${float(f'{dollars:.2g}'):.8f}".rstrip("0")
