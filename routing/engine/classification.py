"""What the router believes a request to be about."""

from dataclasses import dataclass

from lib.taxonomy import DIFFICULTIES, SUBTASK_TYPES, TASK_TYPES
from routing.engine.lazy import lazy


@dataclass(frozen=True)
class Classification:
    """Probabilities over routes and difficulties; each tuple sums to one.

    `routes` follows `lib.taxonomy.ROUTES`, `difficulties` follows `lib.taxonomy.DIFFICULTIES`.
    `source` says who knew: ``classifier``, or ``client`` when the request named its own task.
    """

    routes: tuple[float, ...]
    difficulties: tuple[float, ...]
    source: str = "classifier"

    @lazy
    def masses(self) -> list[float]:
        """Summed probability of each task type's three routes, in the order of `TASK_TYPES`."""
        routes = self.routes
        return [
            routes[first] + routes[first + 1] + routes[first + 2]
            for first in range(0, len(routes), 3)
        ]

    @property
    def task_type_masses(self) -> dict[str, float]:
        """The masses by the name of the task type."""
        return dict(zip(TASK_TYPES, self.masses, strict=True))

    @lazy
    def leading(self) -> int:
        """Place of the best task type in `TASK_TYPES`; of equal ones the first."""
        return self.masses.index(max(self.masses))

    @property
    def confidence(self) -> float:
        """Mass of the best task type, 0..1."""
        return self.masses[self.leading]

    @property
    def task_type(self) -> str:
        """The task type with the largest mass."""
        return TASK_TYPES[self.leading]

    @lazy
    def route_place(self) -> int:
        """Place in `ROUTES` of the best task type's likeliest subtype."""
        first = 3 * self.leading
        inside = self.routes[first : first + 3]
        return first + inside.index(max(inside))

    @property
    def subtask_type(self) -> str:
        """The likeliest subtype within the best task type."""
        return SUBTASK_TYPES[self.task_type][self.route_place % 3]

    @property
    def route(self) -> str:
        """Best task type and its likeliest subtype, as ``task_type/subtask_type``."""
        return f"{self.task_type}/{self.subtask_type}"

    @property
    def difficulty(self) -> str:
        """The likeliest difficulty."""
        return DIFFICULTIES[self.difficulties.index(max(self.difficulties))]
