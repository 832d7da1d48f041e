"""Figures as people read them."""

from collections.abc import Iterable
from html import escape
from typing import Any

import msgspec
from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from lib import taxonomy
from lib.money import format_usd
from routing.counterfactual import Span
from routing.engine.explain import FALLBACKS, REASONS, VERDICTS
from usage import wording

register = template.Library()
# What a script may not hold as it is, as JSON can also write it.
UNSAFE = {character: f"\\u{ord(character):04x}" for character in "<>&"}
NO_FIGURE = '<span class="muted">–</span>'


@register.filter
def usd(micro_usd: float | None) -> str:
    """Write micro-USD as dollars."""
    return format_usd(micro_usd)


@register.filter
def usd_if_any(micro_usd: float | None) -> str:
    """Write micro-USD as dollars, nothing for zero, and a question mark for what is not known."""
    return "?" if micro_usd is None else format_usd(micro_usd) if micro_usd else ""


@register.filter
def usd_change(micro_usd: float | None) -> str:
    """Write a change in micro-USD as dollars with its sign."""
    return f"{'+' if micro_usd and micro_usd > 0 else ''}{format_usd(micro_usd)}"


@register.filter
def percent(share: float | None) -> str:
    """Write a share as a percentage: whole, or with a decimal below ten."""
    return "–" if share is None else wording.share(share)


@register.filter
def route_label(route: str) -> str:
    """Write ``debugging/bug_fixing`` as ``Debugging / Bug fixing``."""
    return " / ".join(taxonomy.label(part) for part in route.split("/") if part)


@register.filter
def subtask_label(route: str) -> str:
    """Write ``debugging/bug_fixing`` as ``Bug fixing``."""
    return taxonomy.label(route.rpartition("/")[2])


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


@register.filter
def thousandths(share: float) -> str:
    """Write a bar or a threshold without trailing zeros: 0.95, 0.911, 1."""
    return f"{share:.3f}".rstrip("0").rstrip(".")


@register.filter
def bars(span: Span) -> str:
    """Say at which quality bars a model wins."""
    low, high = thousandths(span.low), thousandths(span.high)
    if span.low == 0:
        return "at any bar" if span.high == 1 else f"at a bar of {high} or below"
    return f"at a bar of {low} or above" if span.high == 1 else f"at a bar from {low} to {high}"


@register.filter
def usd_at_most(micro_usd: int) -> str:
    """Write micro-USD as dollars, rounded down to what is written."""
    if micro_usd >= 1_000_000:
        step = 10_000
    elif micro_usd >= 100_000:
        step = 1_000
    else:
        step = 10 ** max(len(str(micro_usd)) - 2, 0)
    return format_usd(micro_usd // step * step)


@register.filter
def number_cells(cells: Iterable[str]) -> SafeString:
    """Write a row's figures as cells of a table, with a dash where there is none.

    A loop in the template takes much longer, and a year by day has thousands of them.
    """
    written = (f'<td class="num">{escape(cell) or NO_FIGURE}</td>' for cell in cells)
    return mark_safe("".join(written))  # noqa: S308 - escaped one by one


@register.filter
def figure_script(figure: dict[str, Any], name: str) -> SafeString:
    """Write a figure for static/js/chart.js, as `json_script` would more slowly."""
    text = msgspec.json.encode(figure).decode()
    for character, escaped in UNSAFE.items():
        text = text.replace(character, escaped)
    safe = mark_safe(text)  # noqa: S308 - escaped above
    return format_html('<script id="{}" type="application/json">{}</script>', name, safe)
