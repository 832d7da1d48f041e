"""A client that knows its own task is taken at its word."""

from lib.taxonomy import DIFFICULTIES, ROUTES, SUBTASK_TYPES
from routing.engine.classification import Classification


def narrow(
    classification: Classification | None,
    task_type: str,
    subtask_type: str | None = None,
    difficulty: str | None = None,
) -> Classification:
    """Move all mass into the named task type, and into its subtype and difficulty where named.

    Within what the client left open the classifier's proportions are kept; without a classification
    they are even. Raises ValueError for a name outside the taxonomy.
    """
    if task_type not in SUBTASK_TYPES:
        raise ValueError(f"Unknown task type {task_type!r}.")
    if subtask_type is not None and subtask_type not in SUBTASK_TYPES[task_type]:
        raise ValueError(f"Unknown subtask type {subtask_type!r} of {task_type}.")
    if difficulty is not None and difficulty not in DIFFICULTIES:
        raise ValueError(f"Unknown difficulty {difficulty!r}.")
    named_routes = tuple(
        f"{task_type}/{name}"
        for name in SUBTASK_TYPES[task_type]
        if subtask_type is None or name == subtask_type
    )
    named_difficulties = DIFFICULTIES if difficulty is None else (difficulty,)
    routes, difficulties = (
        (None, None)
        if classification is None
        else (classification.routes, classification.difficulties)
    )
    return Classification(
        routes=_within(routes, ROUTES, named_routes),
        difficulties=_within(difficulties, DIFFICULTIES, named_difficulties),
        source="client",
    )


def _within(
    masses: tuple[float, ...] | None, names: tuple[str, ...], kept: tuple[str, ...]
) -> tuple[float, ...]:
    given = masses or (1.0,) * len(names)
    inside = [mass if name in kept else 0.0 for name, mass in zip(names, given, strict=True)]
    total = sum(inside)
    if total <= 0.0:
        return tuple(1.0 / len(kept) if name in kept else 0.0 for name in names)
    return tuple(mass / total for mass in inside)
