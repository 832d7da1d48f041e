"""Balanced: the capable models that a policy names for what is unclear."""

from routing.engine.field import Field
from routing.engine.figures import Figures
from routing.engine.inputs import Rules
from routing.engine.outcome import Pick


def balanced(
    field: Field, figures: Figures, rules: Rules, reason: str, avoided: frozenset[str]
) -> Pick | None:
    """Return the fallback: the first usable Balanced model, or where none can be used, the most
    accurate able model.

    That is never below Balanced: when one is able, it is taken; when none is, nobody promised it.
    """
    pick = first_balanced(field, figures, rules, reason, avoided)
    if pick is not None or figures.best < 0:
        return pick
    return Pick(field.ids[figures.best], figures.best, reason)


def first_balanced(
    field: Field, figures: Figures, rules: Rules, reason: str, avoided: frozenset[str]
) -> Pick | None:
    """Return the first usable Balanced model."""
    for model in rules.balanced_models:
        pick = usable(field, figures, rules, model, reason, avoided)
        if pick is not None:
            return pick
    return None


def usable(
    field: Field, figures: Figures, rules: Rules, model: str, reason: str, avoided: frozenset[str]
) -> Pick | None:
    """Return the pick of a model that the policy names, None when it may not or cannot be used."""
    place = field.index.get(model)
    if place is None:
        permitted = model not in avoided and rules.permits(model)
        return Pick(model, None, reason) if permitted else None
    return None if figures.verdicts[place] else Pick(model, place, reason)
