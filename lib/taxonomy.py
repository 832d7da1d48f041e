"""What a coding request can be about: six task types by three subtypes, and how hard it is.

The taxonomy is fixed: the classifier's weights, every scorecard cell and every policy override are
indexed by it. A route is written ``task_type/subtask_type``.
"""

from typing import Final

SUBTASK_TYPES: Final[dict[str, tuple[str, str, str]]] = {
    "implementation": ("feature_development", "code_generation", "test_creation"),
    "debugging": ("bug_fixing", "test_repair", "root_cause_analysis"),
    "refactoring": ("code_cleanup", "architecture_improvement", "migration"),
    "planning_design": ("architecture_design", "technical_planning", "system_design"),
    "investigation": ("repo_exploration", "codebase_understanding", "external_research"),
    "agentic_execution": ("tool_usage", "terminal_operations", "multi_step_execution"),
}
TASK_TYPES: Final[tuple[str, ...]] = tuple(SUBTASK_TYPES)
ROUTES: Final[tuple[str, ...]] = tuple(
    f"{task_type}/{subtask_type}"
    for task_type, subtask_types in SUBTASK_TYPES.items()
    for subtask_type in subtask_types
)
ROUTE_INDEX: Final[dict[str, int]] = {route: index for index, route in enumerate(ROUTES)}
DIFFICULTIES: Final[tuple[str, str, str]] = ("low", "medium", "high")
# Where a name is more than its words.
LABELS: Final[dict[str, str]] = {
    "planning_design": "Planning and design",
    "multi_step_execution": "Multi-step execution",
}


def split_route(route: str) -> tuple[str, str]:
    """Return (task_type, subtask_type) of a route such as ``debugging/bug_fixing``."""
    task_type, _, subtask_type = route.partition("/")
    return task_type, subtask_type


def label(name: str) -> str:
    """Return a taxonomy name as people read it: ``bug_fixing`` becomes ``Bug fixing``."""
    return LABELS.get(name) or name.replace("_", " ").capitalize()
