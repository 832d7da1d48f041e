"""Writes of policies."""

from collections.abc import Collection
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction

from routing.models import Policy
from routing.queries.policies import current_policy
from teams.actions import Actor, announce_change, audit
from teams.models import Project


class StalePolicyError(Exception):
    """Somebody saved a version after the one that the edit began from."""

    def __init__(self, current: Policy) -> None:
        super().__init__(f"The policy in force is version {current.number}.")
        self.current = current


def contradictions(
    allowed_models: Collection[str], denied_models: Collection[str], balanced_model: str
) -> dict[str, str]:
    """Return which of a policy's models cannot hold at once: field to a message that mends it."""
    errors = {}
    if both := sorted(set(allowed_models) & set(denied_models)):
        errors["denied_models"] = (
            f"Allowed and denied at once: {', '.join(both)}. Remove each from one of the two lists."
        )
    if balanced_model in denied_models:
        errors["balanced_model"] = (
            f"{balanced_model} is denied, so unclear requests would have no model."
            " Choose another Balanced model, or take it off the denied list."
        )
    elif allowed_models and balanced_model not in allowed_models:
        errors["balanced_model"] = (
            f"{balanced_model} is not among the allowed models."
            " Choose one of those, or add it to the allowed list."
        )
    return errors


@transaction.atomic
def do_save_policy(
    project: Project, *, actor: Actor, based_on: int | None, **fields: Any
) -> Policy:
    """Save a new version of a project's policy.

    `fields` are those of `Policy`; what is left out takes the model's default. `based_on` is the
    number of the version that the edit began from (0: none was saved yet); None overwrites whatever
    is there. Raises StalePolicyError, or ValidationError with messages by field.
    """
    Project.objects.select_for_update().get(pk=project.pk)
    current = current_policy(project.pk)
    if based_on is not None and based_on != current.number:
        raise StalePolicyError(current)
    policy = Policy(project=project, number=current.number + 1, author=actor.public_id, **fields)
    policy.full_clean(exclude=["project"])
    if errors := contradictions(policy.allowed_models, policy.denied_models, policy.balanced_model):
        raise ValidationError(errors)
    policy.save()
    audit(actor, "policy.saved", policy.public_id, project=project, number=policy.number)
    announce_change()
    return policy
