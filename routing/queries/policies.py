"""Reads of policies."""

from dataclasses import dataclass
from itertools import pairwise

from django.conf import settings
from django.db.models import QuerySet

from leaderboard.queries import current_table
from routing.models import Mode, Policy
from teams.models import Project

DEFAULT_POLICY_ID = "pol_default"
FIGURES = {
    "quality_bar": "Quality bar",
    "evidence": "Evidence",
    "confidence_threshold": "Confidence threshold",
}
MODELS = {"balanced_model": "Balanced model", "baseline_model": "Baseline model"}
MODEL_LISTS = {"allowed_models": "Allowed models", "denied_models": "Denied models"}


@dataclass(frozen=True)
class PolicyVersion:
    """A version with the changes it made to the one before, as people read them."""

    policy: Policy
    changes: list[str]


def default_policy(project_id: int) -> Policy:
    """Return the unsaved policy of a project that never saved one; its number is 0."""
    return Policy(
        project_id=project_id,
        number=0,
        public_id=DEFAULT_POLICY_ID,
        mode=Mode.DEFAULT,
        balanced_model=settings.BALANCED_MODEL,
        baseline_model=settings.BASELINE_MODEL,
        author="",
    )


def policy_versions(project: Project) -> QuerySet[Policy]:
    """Return all saved versions, newest first."""
    return Policy.objects.filter(project=project).order_by("-number")


def current_policy(project_id: int) -> Policy:
    """Return the policy in force: the newest saved one, else the default. Writes nothing."""
    newest = Policy.objects.filter(project_id=project_id).order_by("-number").first()
    return newest or default_policy(project_id)


def policy_history(project: Project, limit: int = 20) -> list[PolicyVersion]:
    """Return the newest versions, each with what it changed."""
    versions = list(policy_versions(project)[: limit + 1])
    if len(versions) <= limit:
        versions.append(default_policy(project.pk))
    return [
        PolicyVersion(after, policy_changes(before, after)) for after, before in pairwise(versions)
    ]


def changes_since(number: int, current: Policy) -> list[str]:
    """Return what differs between a project's version of that number and the current one."""
    before = Policy.objects.filter(project_id=current.project_id, number=number).first()
    return policy_changes(before or default_policy(current.project_id), current)


def policy_changes(before: Policy, after: Policy) -> list[str]:
    """Return what differs between two policies, one phrase per setting."""
    changes = []
    if before.mode != after.mode:
        changes.append(f"Mode: {Mode(before.mode).label} → {Mode(after.mode).label}")
    for name, label in (FIGURES | MODELS).items():
        old, new = getattr(before, name), getattr(after, name)
        if old != new:
            changes.append(f"{label}: {old} → {new}")
    for name, label in MODEL_LISTS.items():
        old, new = set(getattr(before, name)), set(getattr(after, name))
        if old != new:
            phrases = [f"+ {model}" for model in sorted(new - old)]
            phrases += [f"− {model}" for model in sorted(old - new)]
            changes.append(f"{label}: {', '.join(phrases)}")
    return changes


def selectable_models(policy: Policy) -> list[str]:
    """Return the ids that a policy may name, sorted.

    These are the available models of the team's routing table, the site's defaults, and whatever
    the policy in force names already, so that a model that left the table can still be kept.
    """
    table = current_table(policy.project.team_id)
    names = {model.model_id for model in table.models if model.available} if table else set()
    names |= {settings.BALANCED_MODEL, settings.BASELINE_MODEL}
    names |= {policy.balanced_model, policy.baseline_model}
    return sorted(names.union(policy.allowed_models, policy.denied_models))
