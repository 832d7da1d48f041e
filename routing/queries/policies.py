"""Reads of policies."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

from django.conf import settings
from django.db.models import Q, QuerySet, Subquery
from django.utils import timezone

from leaderboard.models import CatalogModel
from leaderboard.queries import current_table
from lib.money import format_usd
from lib.taxonomy import label, split_route
from routing.models import Mode, Policy
from teams.models import Project, Team

DEFAULT_POLICY_ID = "pol_default"
# Every setting of a policy in the order in which people read them.
SETTINGS = {
    "mode": "Mode",
    "quality_bar": "Quality bar",
    "evidence": "Evidence",
    "success_price_micro_usd": "Price of one more solved task",
    "accuracy_floor": "Accuracy floor",
    "confidence_threshold": "Confidence threshold",
    "allowed_models": "Allowed models",
    "denied_models": "Denied models",
    "balanced_models": "Balanced models",
    "price_ceiling_micro_usd": "Price ceiling",
    "baseline_model": "Baseline model",
    "route_overrides": "Overrides by route",
    "live_evidence": "Evidence from live use",
}
# Lists whose order means nothing.
SETS = ("allowed_models", "denied_models")

Owner = Project | Team


@dataclass(frozen=True)
class InForce:
    """What a project follows, or what a team's default is.

    `number` is that of the owner's newest saved version, 0 while there is none. `team` is the
    team's default; `inherited` tells that `policy` is that one, followed by a project.
    """

    policy: Policy
    number: int
    team: Policy
    inherited: bool

    @property
    def tag(self) -> str:
        """What changes whenever another version comes into force; the ETag of the API."""
        return f"{self.number}.{self.policy.public_id}"

    @property
    def team_mode(self) -> str:
        """What the mode `default` of a project stands for."""
        return self.team.mode


@dataclass(frozen=True)
class Change:
    """A setting that differs between two versions."""

    name: str
    before: Any
    after: Any

    @property
    def label(self) -> str:
        """The setting's name as people read it."""
        return SETTINGS[self.name]

    @property
    def shown_before(self) -> str:
        """The earlier value in words."""
        return shown(self.name, self.before)

    @property
    def shown_after(self) -> str:
        """The later value in words."""
        return shown(self.name, self.after)

    @property
    def phrase(self) -> str:
        """The change in one phrase."""
        if self.name not in SETS:
            return f"{self.label}: {self.shown_before} → {self.shown_after}"
        old, new = set(self.before), set(self.after)
        phrases = [f"+ {model}" for model in sorted(new - old)]
        phrases += [f"− {model}" for model in sorted(old - new)]
        return f"{self.label}: {', '.join(phrases)}"


@dataclass(frozen=True)
class PolicyVersion:
    """A version with the changes it made to the one before."""

    policy: Policy
    before: Policy
    changes: list[Change]

    @property
    def phrases(self) -> list[str]:
        """The changes as people read them."""
        return [*following(self.before, self.policy), *(one.phrase for one in self.changes)]


def default_policy() -> Policy:
    """Return the unsaved policy of a team that never saved one; its number is 0."""
    return Policy(
        number=0,
        public_id=DEFAULT_POLICY_ID,
        mode=Mode.DEFAULT,
        balanced_models=[settings.BALANCED_MODEL],
        baseline_model=settings.BASELINE_MODEL,
        author="",
    )


def settings_of(policy: Policy) -> dict[str, Any]:
    """Return a policy's settings by name."""
    return {name: getattr(policy, name) for name in SETTINGS}


def policy_versions(owner: Owner) -> QuerySet[Policy]:
    """Return all saved versions of a project, or of a team's default, newest first."""
    if isinstance(owner, Project):
        return Policy.objects.filter(project=owner).order_by("-number")
    return Policy.objects.filter(team=owner, project=None).order_by("-number")


def current_policy(project_id: int) -> Policy:
    """Return the policy that a project follows. Writes nothing."""
    return in_force(project_id).policy


def in_force(project_id: int) -> InForce:
    """Return what a project follows: its own newest version, else the team's default."""
    newest = Policy.objects.order_by("-number").values("pk")
    of_project = newest.filter(project_id=project_id)[:1]
    of_team = newest.filter(project=None, team__projects=project_id)[:1]
    found = Policy.objects.filter(Q(pk=Subquery(of_project)) | Q(pk=Subquery(of_team)))
    both = {policy.project_id: policy for policy in found}
    own, default = both.get(project_id), both.get(None) or default_policy()
    if own is None or own.inherits:
        return InForce(default, own.number if own else 0, default, inherited=True)
    return InForce(own, own.number, default, inherited=False)


def team_in_force(team_id: int) -> InForce:
    """Return a team's default policy."""
    newest = Policy.objects.filter(team_id=team_id, project=None).order_by("-number").first()
    policy = newest or default_policy()
    return InForce(policy, policy.number, policy, inherited=False)


def owner_in_force(owner: Owner) -> InForce:
    """Return what is in force for a project or a team."""
    return in_force(owner.pk) if isinstance(owner, Project) else team_in_force(owner.pk)


def find_version(owner: Owner, public_id: str) -> Policy | None:
    """Return a version that is or was in force for an owner, by its public id."""
    if public_id == DEFAULT_POLICY_ID:
        return default_policy()
    found = policy_versions(owner).filter(public_id=public_id).first()
    if found is None and isinstance(owner, Project):
        found = policy_versions(owner.team).filter(public_id=public_id).first()
    return found


def version_behind(owner: Owner, tag: str) -> Policy | None:
    """Return the version that an `InForce.tag` was made of; None for a tag of something else."""
    return find_version(owner, tag.partition(".")[2].replace("\x00", ""))


def numbered(owner: Owner, number: int) -> Policy | None:
    """Return a saved version, or for 0 what held before the first one was saved."""
    found = policy_versions(owner).filter(number=number).first()
    if found is None and number == 0:
        first = policy_versions(owner).last()
        return before_any(owner, first.created_at if first else timezone.now())
    return found


def before_any(owner: Owner, moment: datetime) -> Policy:
    """Return what an owner followed before its first version: for a project the team's default."""
    if isinstance(owner, Team):
        return default_policy()
    followed = policy_versions(owner.team).filter(created_at__lte=moment).first()
    before = followed or default_policy()
    before.inherits = True
    return before


def with_changes(owner: Owner, versions: Iterable[Policy]) -> list[PolicyVersion]:
    """Return consecutive versions, newest first, each with what it changed."""
    chain = list(versions)
    if chain:
        oldest = chain[-1]
        before = policy_versions(owner).filter(number__lt=oldest.number).first()
        chain.append(before or before_any(owner, oldest.created_at))
    return [
        PolicyVersion(after, before, changes_between(before, after))
        for after, before in pairwise(chain)
    ]


def policy_history(owner: Owner, limit: int = 20) -> list[PolicyVersion]:
    """Return the newest versions, each with what it changed."""
    return with_changes(owner, policy_versions(owner)[:limit])


def following(before: Policy, after: Policy) -> list[str]:
    """Return in a phrase whether a project began or ceased to follow its team's default."""
    if before.inherits == after.inherits:
        return []
    return ["Follows the team’s default" if after.inherits else "Settings of the project’s own"]


def changes_between(before: Policy, after: Policy) -> list[Change]:
    """Return the settings that differ."""
    old, new = settings_of(before), settings_of(after)
    return [Change(name, old[name], new[name]) for name in SETTINGS if differs(name, old, new)]


def differs(name: str, old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Tell whether a setting has another value."""
    if name in SETS:
        return set(old[name]) != set(new[name])
    return bool(old[name] != new[name])


def shown(name: str, value: Any) -> str:
    """Return a setting's value in words."""
    match name:
        case "mode":
            return str(Mode(value).label)
        case "allowed_models":
            return ", ".join(value) or "All"
        case "denied_models" | "balanced_models":
            return ", ".join(value) or "None"
        case "success_price_micro_usd":
            return "None, the bar is strict" if value is None else f"Up to {format_usd(value)}"
        case "price_ceiling_micro_usd":
            return "None" if value is None else f"{format_usd(value)} a task"
        case "live_evidence":
            return "Counts" if value else "Only shown"
        case "accuracy_floor":
            return str(value) if value else "None"
        case "route_overrides":
            return "; ".join(f"{work(route)}: {target(one)}" for route, one in value.items()) or (
                "None"
            )
    return str(value)


def work(route: str) -> str:
    """Return a route's name as people read it."""
    return label(split_route(route)[1])


def target(name: str) -> str:
    """Return what a route is overridden with: a mode's label, or the model's id."""
    return str(Mode(name).label) if name in Mode.values else name


def selectable_models(team_id: int, *policies: Policy) -> list[str]:
    """Return the ids that a policy may name, sorted.

    These are the available models of the team's routing table, the site's defaults, and whatever
    these policies name already, so that a model that left the table can still be kept.
    """
    table = current_table(team_id)
    names = {model.model_id for model in table.models if model.available} if table else set()
    names |= {settings.BALANCED_MODEL, settings.BASELINE_MODEL}
    return sorted(names.union(*(named_by(settings_of(policy)) for policy in policies)))


def unknown_models(team_id: int, named: Iterable[str], *policies: Policy) -> list[str]:
    """Return which of the models neither the table, the catalogue nor these policies know."""
    left = set(named).difference(selectable_models(team_id, *policies))
    known = CatalogModel.objects.filter(model_id__in=left).values_list("model_id", flat=True)
    return sorted(left.difference(known))


def named_by(values: dict[str, Any]) -> set[str]:
    """Return the models that settings name, without patterns and modes."""
    named = {*values["allowed_models"], *values["denied_models"], *values["balanced_models"]}
    named |= {values["baseline_model"], *values["route_overrides"].values()}
    return {name for name in named if "*" not in name and name not in Mode.values and name}
