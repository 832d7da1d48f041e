"""Writes of policies."""

import re
from collections.abc import Collection, Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction

from lib.taxonomy import ROUTES
from routing.engine.inputs import MODES, names
from routing.models import Policy
from routing.queries.policies import (
    SETTINGS,
    InForce,
    Owner,
    default_policy,
    numbered,
    owner_in_force,
    settings_of,
)
from teams.actions import Actor, announce_change, audit
from teams.models import Project

MAX_LISTED = 200
MAX_BALANCED = 10
NAME = re.compile(r"[^\s*]+/[^\s*]+")
PATTERN = re.compile(r"\S*\*\S*")
SHARES = ("quality_bar", "evidence", "accuracy_floor", "confidence_threshold")


class StalePolicyError(Exception):
    """Another version came into force after the one that the edit began from."""

    def __init__(self, current: InForce) -> None:
        super().__init__(f"The policy in force is {current.policy.public_id}.")
        self.current = current


def faults(values: Mapping[str, Any]) -> dict[str, str]:
    """Return what settings cannot be: setting to a message that mends it."""
    found = {
        name: "Enter a number between 0 and 1, such as 0.95."
        for name in SHARES
        if not 0 <= values[name] <= 1
    }
    for name in ("allowed_models", "denied_models"):
        if fault := list_fault(values[name]):
            found[name] = fault
    balanced = values["balanced_models"]
    if not balanced or len(balanced) > MAX_BALANCED:
        found["balanced_models"] = f"Name 1 to {MAX_BALANCED} models, the preferred one first."
    for name in balanced:
        if not is_model(name):
            found["balanced_models"] = f"{name} is no model. Name one, such as openai/gpt-5.4."
    if not is_model(values["baseline_model"]):
        found["baseline_model"] = "Choose a model, such as anthropic/claude-opus-4.6."
    for route, target in values["route_overrides"].items():
        if route not in ROUTES:
            found["route_overrides"] = f"{route} is no route. Use one of {', '.join(ROUTES)}."
        elif target not in MODES and not is_model(target):
            found["route_overrides"] = (
                f"{route} cannot be set to {target}. Use one of {', '.join(MODES)}, or a model."
            )
    if not found:
        found = contradictions(
            values["allowed_models"],
            values["denied_models"],
            balanced,
            [target for target in values["route_overrides"].values() if target not in MODES],
        )
    return found


def list_fault(listed: Collection[str]) -> str:
    """Return what is wrong with a list of models and patterns; empty when nothing is."""
    if len(listed) > MAX_LISTED:
        return f"Name at most {MAX_LISTED}. A pattern such as anthropic/* names many at once."
    for name in listed:
        if not is_model(name) and not is_pattern(name):
            return (
                f"{name} is neither a model such as openai/gpt-5.4 nor a pattern such as"
                " anthropic/*."
            )
    return ""


def is_model(name: str) -> bool:
    """Tell whether this can be a model's id: ``provider/name``."""
    return len(name) <= 120 and name.isprintable() and NAME.fullmatch(name) is not None


def is_pattern(name: str) -> bool:
    """Tell whether this can stand for any number of models: it has a ``*``."""
    return len(name) <= 120 and name.isprintable() and PATTERN.fullmatch(name) is not None


def contradictions(
    allowed_models: Collection[str],
    denied_models: Collection[str],
    balanced_models: Collection[str],
    pinned_models: Collection[str] = (),
) -> dict[str, str]:
    """Return which of a policy's models cannot hold at once: setting to a message that mends it."""
    errors = {}
    allowed, denied = frozenset(allowed_models), frozenset(denied_models)
    if both := sorted(allowed & denied):
        errors["denied_models"] = (
            f"Allowed and denied at once: {', '.join(both)}. Remove each from one of the two lists."
        )
    for model in balanced_models:
        if names(denied, model):
            errors["balanced_models"] = (
                f"{model} is denied, so unclear requests could not go to it."
                " Choose another Balanced model, or take it off the denied list."
            )
        elif allowed and not names(allowed, model):
            errors["balanced_models"] = (
                f"{model} is not among the allowed models."
                " Choose one of those, or add it to the allowed list."
            )
    for model in pinned_models:
        if names(denied, model) or (allowed and not names(allowed, model)):
            errors["route_overrides"] = (
                f"{model} is not allowed, so nothing can be pinned to it. Allow it, or pin another."
            )
    return errors


def draft_policy(owner: Owner, fields: Mapping[str, Any]) -> Policy:
    """Return an unsaved policy with these settings; what is left out takes the default.

    Raises ValidationError with messages by setting.
    """
    project = owner if isinstance(owner, Project) else None
    team = owner.team if isinstance(owner, Project) else owner
    values = settings_of(default_policy()) | {
        name: value for name, value in fields.items() if name in SETTINGS
    }
    policy = Policy(project=project, team=team, number=1, author="draft", **values)
    if found := faults(values):
        raise ValidationError(found)
    policy.full_clean(exclude=["project", "team", "public_id"], validate_constraints=False)
    return policy


@transaction.atomic
def do_save_policy(
    owner: Owner,
    *,
    actor: Actor,
    based_on: str | None,
    inherits: bool = False,
    note: str = "",
    restores: int | None = None,
    **fields: Any,
) -> Policy:
    """Save a new version of a project's policy, or of a team's default.

    `fields` are settings; what is left out takes the default. With `inherits` a project follows the
    team's default again. `based_on` is the tag of what was in force when the edit began; None
    overwrites whatever is there. Raises StalePolicyError, or ValidationError with messages by
    setting.
    """
    type(owner)._default_manager.select_for_update().get(pk=owner.pk)
    current = owner_in_force(owner)
    if based_on is not None and based_on != current.tag:
        raise StalePolicyError(current)
    if inherits:
        fields = settings_of(current.team)
    policy = draft_policy(owner, fields)
    policy.number, policy.author = current.number + 1, actor.public_id
    policy.inherits, policy.note = inherits and isinstance(owner, Project), note
    policy.full_clean(exclude=["project", "team"])
    policy.save()
    audit(
        actor,
        "policy.saved" if restores is None else "policy.restored",
        policy.public_id,
        team=policy.team,
        project=policy.project,
        number=policy.number,
        **({} if restores is None else {"restores": restores}),
    )
    announce_change()
    return policy


def do_restore_policy(
    owner: Owner, number: int, *, actor: Actor, based_on: str | None, note: str = ""
) -> Policy:
    """Save a new version with the settings of an earlier one.

    Raises Policy.DoesNotExist for a number that there is not, else as `do_save_policy`.
    """
    earlier = numbered(owner, number)
    if earlier is None:
        raise Policy.DoesNotExist
    return do_save_policy(
        owner,
        actor=actor,
        based_on=based_on,
        inherits=earlier.inherits,
        note=note or (f"Back to version {number}" if number else "Back to before version 1"),
        restores=number,
        **settings_of(earlier),
    )
