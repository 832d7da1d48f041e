"""The policy page: who may read it, who may save, and what becomes of a save."""

from typing import Any

import pytest
from django.conf import settings
from django.core.exceptions import ValidationError
from django.test import Client
from django.utils.html import escape

from routing.actions.policies import StalePolicyError, do_save_policy
from routing.models import Policy
from routing.queries.policies import current_policy, policy_history
from teams.models import AuditEvent, Project, User

URL = "/projects/apollo/policy/"
BALANCED, BASELINE = settings.BALANCED_MODEL, settings.BASELINE_MODEL


@pytest.fixture
def owner(client: Client, alice: User, apollo: Project) -> Client:
    client.force_login(alice)
    return client


def draft(based_on: int = 0, **fields: Any) -> dict[str, Any]:
    """Return what the browser sends for the default policy with changes."""
    return {
        "based_on": based_on,
        "mode": "default",
        "quality_bar": "0.95",
        "evidence": "0.5",
        "confidence_threshold": "0.5",
        "balanced_model": BALANCED,
        "baseline_model": BASELINE,
        "note": "",
    } | fields


def test_a_project_without_a_saved_policy_has_the_default_one(
    owner: Client, apollo: Project
) -> None:
    assert "The default policy is in force" in owner.get(URL).content.decode()
    policy = current_policy(apollo.pk)
    assert (policy.number, policy.public_id, policy.mode) == (0, "pol_default", "default")
    assert (policy.balanced_model, policy.baseline_model) == (BALANCED, BASELINE)
    assert not Policy.objects.exists()


def test_every_save_makes_a_new_version_that_is_in_force(owner: Client, apollo: Project) -> None:
    assert owner.post(URL, draft(mode="best_accuracy")).headers["Location"] == URL
    second = draft(1, quality_bar="0.9", allowed_models=[BALANCED], note="Only one")
    assert "Saved as version 2." in owner.post(URL, second, follow=True).content.decode()
    policy = current_policy(apollo.pk)
    assert (policy.number, policy.quality_bar, policy.allowed_models) == (2, 0.9, [BALANCED])
    assert policy.author == "alice@example.org"
    assert Policy.objects.get(number=1).mode == "best_accuracy"


def test_the_history_says_what_each_version_changed(owner: Client, apollo: Project) -> None:
    owner.post(URL, draft(mode="best_accuracy", denied_models=[BASELINE]))
    owner.post(URL, draft(1, mode="best_accuracy", quality_bar="0.9"))
    assert [version.changes for version in policy_history(apollo)] == [
        ["Quality bar: 0.95 → 0.9", f"Denied models: − {BASELINE}"],
        ["Mode: Default → Best accuracy", f"Denied models: + {BASELINE}"],
    ]
    assert [len(version.changes) for version in policy_history(apollo, limit=1)] == [2]


def test_saving_leaves_an_audit_row(owner: Client, apollo: Project) -> None:
    owner.post(URL, draft())
    row = AuditEvent.objects.get(verb="policy.saved")
    assert (row.actor, row.project) == ("alice@example.org", apollo)
    assert row.target == current_policy(apollo.pk).public_id


def test_a_save_that_was_overtaken_keeps_the_input_and_saves_nothing(
    owner: Client, alice: User, apollo: Project
) -> None:
    do_save_policy(
        apollo,
        actor=alice,
        based_on=0,
        balanced_model=BALANCED,
        baseline_model=BASELINE,
        evidence=0.8,
    )
    response = owner.post(URL, draft(0, quality_bar="0.77", note="my reason"))
    page = response.content.decode()
    assert response.status_code == 409
    assert "saved version 1 while you were editing" in page
    assert "Evidence: 0.5 → 0.8" in page
    assert 'value="0.77"' in page
    assert 'value="my reason"' in page
    assert current_policy(apollo.pk).number == 1
    assert 'name="based_on" value="1"' in page
    assert owner.post(URL, draft(1, quality_bar="0.77")).status_code == 302
    assert current_policy(apollo.pk).quality_bar == 0.77


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"quality_bar": "1.2"}, "Enter a number between 0 and 1, such as 0.95."),
        ({"quality_bar": "-0.1"}, "Enter a number between 0 and 1, such as 0.95."),
        ({"quality_bar": "nan"}, "Enter a number between 0 and 1, such as 0.95."),
        ({"evidence": ""}, "Enter a number between 0 and 1, such as 0.95."),
        ({"mode": "cheapest"}, "cheapest is not one of the available choices."),
        (
            {"allowed_models": [BALANCED, "no/such"]},
            "no/such is not in the current routing table. Take it off the list.",
        ),
        (
            {"balanced_model": "no/such"},
            "no/such is not in the current routing table. Choose a listed one.",
        ),
        (
            {"allowed_models": [BASELINE]},
            f"{BALANCED} is not among the allowed models. Choose one of those, or add it",
        ),
        (
            {"denied_models": [BALANCED]},
            f"{BALANCED} is denied, so unclear requests would have no model.",
        ),
        (
            {"allowed_models": [BALANCED, BASELINE], "denied_models": [BASELINE]},
            f"Allowed and denied at once: {BASELINE}. Remove each from one of the two lists.",
        ),
        ({"based_on": "x"}, "The form lost track of the version it began from."),
    ],
)
def test_a_draft_that_cannot_hold_is_refused_with_how_to_mend_it(
    owner: Client, fields: dict[str, Any], message: str
) -> None:
    response = owner.post(URL, draft(**fields))
    assert response.status_code == 422
    assert escape(message) in response.content.decode()
    assert not Policy.objects.exists()


def test_a_refused_draft_is_still_guarded_against_being_overtaken(
    owner: Client, alice: User, apollo: Project
) -> None:
    owner.post(URL, draft())
    page = owner.post(URL, draft(0, quality_bar="7")).content.decode()
    assert 'name="based_on" value="0"' in page


def test_a_model_that_left_the_table_can_be_kept(
    owner: Client, alice: User, apollo: Project
) -> None:
    retired = "provider/retired"
    do_save_policy(
        apollo,
        actor=alice,
        based_on=None,
        balanced_model=retired,
        baseline_model=BASELINE,
        allowed_models=[retired],
    )
    kept = draft(1, balanced_model=retired, allowed_models=[retired])
    assert owner.post(URL, kept).status_code == 302


def test_the_action_itself_refuses_what_the_form_refuses(alice: User, apollo: Project) -> None:
    def save(**fields: Any) -> Policy:
        models = {"balanced_model": BALANCED, "baseline_model": BASELINE}
        return do_save_policy(apollo, actor=alice, **({"based_on": None} | models | fields))

    with pytest.raises(ValidationError, match="quality_bar"):
        save(quality_bar=1.5)
    with pytest.raises(ValidationError, match="is denied"):
        save(denied_models=[BALANCED])
    with pytest.raises(StalePolicyError, match="version 0"):
        save(based_on=3)
    assert not Policy.objects.exists()


def test_a_viewer_reads_but_cannot_save(client: Client, bob: User) -> None:
    client.force_login(bob)
    page = client.get(URL).content.decode()
    assert "You may look but not change" in page
    assert "Save as version" not in page
    assert client.post(URL, draft()).status_code == 403
    assert not Policy.objects.exists()


def test_an_outsider_finds_nothing(client: Client, charlie: User, apollo: Project) -> None:
    client.force_login(charlie)
    assert client.get(URL).status_code == 404
    assert client.post(URL, draft()).status_code == 404
    assert not Policy.objects.exists()


def test_other_methods_are_refused(owner: Client) -> None:
    assert owner.delete(URL).status_code == 405
