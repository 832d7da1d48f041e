"""What the router believes a request to be about."""

from dataclasses import dataclass
from functools import cached_property

from lib.taxonomy import DIFFICULTIES, ROUTES, SUBTASK_TYPES, split_route


@dataclass(frozen=True)
class Classification:
    """Probabilities over routes and difficulties; each tuple sums to one.

    `routes` follows `lib.taxonomy.ROUTES`, `difficulties` follows `lib.taxonomy.DIFFICULTIES`.
    `source` says who knew: ``classifier``, or ``client`` when the request named its own task.
    """

    routes: tuple[float, ...]
    difficulties: tuple[float, ...]
    source: str = "classifier"

    @cached_property
    def task_type_masses(self) -> dict[str, float]:
        """Summed probability of each task type's three routes."""
        return {
            task_type: sum(self.routes[3 * index : 3 * index + 3])
            for index, task_type in enumerate(SUBTASK_TYPES)
        }

    @cached_property
    def task_type(self) -> str:
        """The task type with the largest mass."""
        return max(self.task_type_masses, key=lambda name: self.task_type_masses[name])

    @property
    def confidence(self) -> float:
        """Mass of the best task type, 0..1."""
        return self.task_type_masses[self.task_type]

    @cached_property
    def subtask_type(self) -> str:
        """The likeliest subtype within the best task type."""
        inside = [
            index for index, route in enumerate(ROUTES) if route.startswith(self.task_type + "/")
        ]
        return split_route(ROUTES[max(inside, key=lambda index: self.routes[index])])[1]

    @property
    def route(self) -> str:
        """Best task type and its likeliest subtype, as ``task_type/subtask_type``."""
        return f"{self.task_type}/{self.subtask_type}"

    @property
    def difficulty(self) -> str:
        """The likeliest difficulty."""
        return DIFFICULTIES[max(range(3), key=lambda index: self.difficulties[index])]
