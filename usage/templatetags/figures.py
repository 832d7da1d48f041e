"""Figures as people read them."""

from django import template

from lib import taxonomy
from lib.money import format_usd
from routing.engine.explain import FALLBACKS, REASONS, VERDICTS

register = template.Library()

STEPS = ((1_000_000_000, "B"), (1_000_000, "M"), (10_000, "k"))


@register.filter
def usd(micro_usd: int | None) -> str:
    """Write micro-USD as dollars."""
    return format_usd(micro_usd)


@register.filter
def percent(share: float | None) -> str:
    """Write a share as a percentage: whole, or with a decimal below ten."""
    if share is None:
        return "–"
    return f"{share:.0%}" if share == 0 or share >= 0.1 else f"{share:.1%}"


@register.filter
def count(number: int | None) -> str:
    """Write a count shortly: 9,999 in full, then 12.3k, 4.5M."""
    if number is None:
        return "–"
    for step, unit in STEPS:
        if number >= step:
            return f"{number / (1000 if unit == 'k' else step):.1f}{unit}"
    return f"{number:,}"


@register.filter
def route_label(route: str) -> str:
    """Write ``debugging/bug_fixing`` as ``Debugging / Bug fixing``."""
    return " / ".join(taxonomy.label(part) for part in route.split("/") if part)


@register.filter
def plain(name: str) -> str:
    """Write a code name such as ``auto_efficient`` with spaces."""
    return taxonomy.label(name)


@register.filter
def reason_text(code: str) -> str:
    """Say a reason code in a sentence."""
    return REASONS.get(code, taxonomy.label(code))


@register.filter
def is_fallback(code: str) -> bool:
    """Tell whether a reason code is one of the fallbacks to Balanced."""
    return code in FALLBACKS


@register.filter
def verdict_label(code: str) -> str:
    """Say in a few words why a candidate was taken or not."""
    return VERDICTS.get(code, taxonomy.label(code))
