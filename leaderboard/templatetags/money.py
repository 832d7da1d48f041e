"""Money as people read it."""

from django import template

from lib.money import format_usd

register = template.Library()
register.filter("usd", format_usd)
