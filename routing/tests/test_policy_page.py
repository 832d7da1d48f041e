"""The policy pages: who may read them, who may save, and what becomes of a save."""

import datetime as dt
from typing import Any

import pytest
from django.conf import settings
from django.core.exceptions import ValidationError
from django.test import Client
from django.utils.html import escape

from kilo_site.tests.fixtures import SETUP
from routing.actions.policies import StalePolicyError, do_save_policy
from routing.models import Policy
from routing.queries.policies import current_policy, in_force, policy_history, team_in_force
from teams.actions import do_add_member
from teams.models import AuditEvent, Project, Role, User

URL = "/projects/apollo/policy/"
TEAM_URL = "/projects/apollo/team-policy/"
BALANCED, BASELINE = settings.BALANCED_MODEL, settings.BASELINE_MODEL
NOT_A_SHARE = "Enter a number between 0 and 1, such as 0.95."


@pytest.fixture
def owner(client: Client, alice: User, apollo: Project) -> Client:
    client.force_login(alice)
    return client


def draft(project: Project, **fields: Any) -> dict[str, Any]:
    """Return what the browser sends for the default policy with changes."""
    return {
        "based_on": in_force(project.pk).tag,
        "mode": "default",
        "quality_bar": "0.95",
        "evidence": "0.5",
        "success_price": "50",
        "confidence_threshold": "0.8",
        "balanced_models": [BALANCED, ""],
        "baseline_model": BASELINE,
        "note": "",
    } | fields


def test_a_project_without_a_saved_policy_has_the_default_one(
    owner: Client, apollo: Project
) -> None:
    page = owner.get(URL).content.decode()
    assert "The site’s default policy is in force" in page
    assert "Every setting below is the team’s." in page
    policy = current_policy(apollo.pk)
    assert (policy.number, policy.public_id, policy.mode) == (0, "pol_default", "default")
    assert (policy.balanced_models, policy.baseline_model) == ([BALANCED], BASELINE)
    assert not Policy.objects.exists()


def test_every_save_makes_a_new_version_that_is_in_force(owner: Client, apollo: Project) -> None:
    assert owner.post(URL, draft(apollo, mode="best_accuracy")).headers["Location"] == URL
    second = draft(
        apollo,
        quality_bar="0.9",
        accuracy_floor="0.4",
        success_price="12.5",
        price_ceiling="0.25",
        live_evidence="on",
        allowed_models=[BALANCED, "anthropic/*, */mini"],
        denied_models=["", "lab/*"],
        balanced_models=[BALANCED, "", BASELINE],
        **{
            "route_overrides:debugging/bug_fixing": "Best accuracy",
            "route_overrides:refactoring/migration": BASELINE,
            "route_overrides:refactoring/code_cleanup": "",
        },
    )
    assert "Saved as version 2." in owner.post(URL, second, follow=True).content.decode()
    policy = current_policy(apollo.pk)
    assert (policy.number, policy.quality_bar, policy.accuracy_floor) == (2, 0.9, 0.4)
    assert policy.allowed_models == [BALANCED, "anthropic/*", "*/mini"]
    assert policy.denied_models == ["lab/*"]
    assert policy.balanced_models == [BALANCED, BASELINE]
    assert (policy.price_ceiling_micro_usd, policy.live_evidence) == (250_000, True)
    assert policy.success_price_micro_usd == 12_500_000
    assert policy.route_overrides == {
        "debugging/bug_fixing": "best_accuracy",
        "refactoring/migration": BASELINE,
    }
    assert policy.author == "alice@example.org"
    assert Policy.objects.get(number=1).mode == "best_accuracy"
    page = owner.get(URL).content.decode()
    for shown in (
        'value="12.5"',
        'value="0.25"',
        'value="Best accuracy"',
        'value="*/mini"',
        'value="0.4"',
    ):
        assert shown in page


def test_the_history_says_what_each_version_changed(owner: Client, apollo: Project) -> None:
    owner.post(URL, draft(apollo, mode="best_accuracy", denied_models=["lab/*"]))
    owner.post(URL, draft(apollo, mode="best_accuracy", quality_bar="0.9", success_price=""))
    assert [version.phrases for version in policy_history(apollo)] == [
        [
            "Quality bar: 0.95 → 0.9",
            "Price of one more solved task: Up to $50.00 → None, the bar is strict",
            "Denied models: − lab/*",
        ],
        [
            "Settings of the project’s own",
            "Mode: Default → Best accuracy",
            "Denied models: + lab/*",
        ],
    ]
    assert [len(version.phrases) for version in policy_history(apollo, limit=1)] == [3]


def test_saving_leaves_an_audit_row(owner: Client, apollo: Project) -> None:
    owner.post(URL, draft(apollo))
    row = AuditEvent.objects.get(verb="policy.saved")
    assert (row.actor, row.project) == ("alice@example.org", apollo)
    assert row.target == current_policy(apollo.pk).public_id


def test_a_save_that_was_overtaken_keeps_the_input_and_saves_nothing(
    owner: Client, bob: User, apollo: Project
) -> None:
    typed = draft(
        apollo,
        quality_bar="0.77",
        note="my reason",
        denied_models=["lab/*"],
        **{"route_overrides:debugging/bug_fixing": BASELINE},
    )
    do_save_policy(apollo, actor=bob, based_on=None, evidence=0.8, accuracy_floor=0.1)
    response = owner.post(URL, typed)
    page = response.content.decode()
    assert response.status_code == 409
    assert "bob@example.org saved another version while you were editing" in page
    assert [
        (row["label"], row["began"], row["current"], row["draft"], row["theirs"], row["yours"])
        for row in response.context["conflict"]
    ] == [
        ("Quality bar", "0.95", "0.95", "0.77", False, True),
        ("Evidence", "0.5", "0.8", "0.5", True, False),
        ("Accuracy floor", "None", "0.1", "None", True, False),
        ("Denied models", "None", "None", "lab/*", False, True),
        ("Overrides by route", "None", "None", f"Bug fixing: {BASELINE}", False, True),
    ]
    for kept in ('value="0.77"', 'value="my reason"', 'value="lab/*"', f'value="{BASELINE}"'):
        assert kept in page
    assert current_policy(apollo.pk).number == 1
    assert f'name="based_on" value="{in_force(apollo.pk).tag}"' in page
    assert owner.post(URL, draft(apollo, quality_bar="0.77")).status_code == 302
    assert current_policy(apollo.pk).quality_bar == 0.77


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"quality_bar": "1.2"}, NOT_A_SHARE),
        ({"quality_bar": "-0.1"}, NOT_A_SHARE),
        ({"quality_bar": "nan"}, NOT_A_SHARE),
        ({"evidence": ""}, NOT_A_SHARE),
        ({"accuracy_floor": "2"}, NOT_A_SHARE),
        ({"price_ceiling": "cheap"}, "Enter an amount in dollars, such as 0.50"),
        ({"success_price": "-1"}, "Enter an amount in dollars, such as 0.50"),
        ({"price_ceiling": "-1"}, "Enter an amount in dollars, such as 0.50"),
        ({"mode": "cheapest"}, "cheapest is not one of the available choices."),
        ({"allowed_models": [BALANCED, "no/such"]}, "no/such is not in the catalogue."),
        ({"allowed_models": [BALANCED, "gpt"]}, "gpt is neither a model such as"),
        ({"denied_models": ["open/\x00*"]}, "nor a pattern such as"),
        ({"allowed_models": ["open/\x00model"]}, "is neither a model such as"),
        ({"balanced_models": ["open/\x00model"]}, "is no model."),
        ({"route_overrides:debugging/bug_fixing": "open/\x00model"}, "cannot be set to"),
        ({"balanced_models": ["no/such"]}, "no/such is not in the catalogue."),
        ({"balanced_models": ["", ""]}, "Name 1 to 10 models, the preferred one first."),
        ({"balanced_models": ["anthropic/*"]}, "anthropic/* is no model."),
        ({"baseline_model": "no/such"}, "no/such is not in the catalogue."),
        (
            {"allowed_models": [BASELINE]},
            f"{BALANCED} is not among the allowed models. Choose one of those, or add it",
        ),
        (
            {"denied_models": ["openai/*"]},
            f"{BALANCED} is denied, so unclear requests could not go to it.",
        ),
        (
            {"allowed_models": [BALANCED, BASELINE], "denied_models": [BASELINE]},
            f"Allowed and denied at once: {BASELINE}. Remove each from one of the two lists.",
        ),
        (
            {"route_overrides:debugging/bug_fixing": "fastest"},
            "debugging/bug_fixing cannot be set to fastest.",
        ),
        (
            {"route_overrides:debugging/bug_fixing": BASELINE, "denied_models": [BASELINE]},
            f"{BASELINE} is not allowed, so nothing can be pinned to it.",
        ),
        ({"based_on": ""}, "The form lost track of the version it began from."),
    ],
)
def test_a_draft_that_cannot_hold_is_refused_with_how_to_mend_it(
    owner: Client, apollo: Project, fields: dict[str, Any], message: str
) -> None:
    response = owner.post(URL, draft(apollo, **fields))
    assert response.status_code == 422
    assert escape(message) in response.content.decode()
    assert not Policy.objects.exists()


def test_a_refused_draft_lists_what_has_to_be_mended(owner: Client, apollo: Project) -> None:
    page = owner.post(
        URL, draft(apollo, balanced_models=["no/such"], denied_models=["no/other", "no/third"])
    ).content.decode()
    for name, shown in (("balanced_models", "Balanced models"), ("denied_models", "Denied models")):
        assert f'<a href="#id_{name}">{shown}</a>' in page
        assert f'id="id_{name}"' in page
    # A pattern helps in a list of models alone.
    assert "no/other is not in the catalogue. Correct it, or use a pattern" in page
    assert "no/third is not in the catalogue. Correct it, or use a pattern" in page
    assert "no/such is not in the catalogue. Models are written as provider/name." in page


def test_a_refused_draft_is_still_guarded_against_being_overtaken(
    owner: Client, alice: User, apollo: Project
) -> None:
    stale = draft(apollo, quality_bar="7")
    owner.post(URL, draft(apollo))
    page = owner.post(URL, stale).content.decode()
    assert f'name="based_on" value="{stale["based_on"]}"' in page


def test_a_model_that_left_the_table_can_be_kept(
    owner: Client, alice: User, apollo: Project
) -> None:
    retired = "provider/retired"
    models: dict[str, Any] = {"balanced_models": [retired], "allowed_models": [retired]}
    do_save_policy(apollo, actor=alice, based_on=None, **models)
    assert owner.post(URL, draft(apollo, **models)).status_code == 302


def test_the_action_itself_refuses_what_the_form_refuses(alice: User, apollo: Project) -> None:
    def save(**fields: Any) -> Policy:
        return do_save_policy(apollo, actor=alice, **({"based_on": None} | fields))

    with pytest.raises(ValidationError, match="quality_bar"):
        save(quality_bar=1.5)
    with pytest.raises(ValidationError, match="quality_bar"):
        save(quality_bar=float("nan"))
    with pytest.raises(ValidationError, match="is denied"):
        save(denied_models=[BALANCED])
    with pytest.raises(ValidationError, match="no route"):
        save(route_overrides={"debugging/anything": "best_accuracy"})
    with pytest.raises(StalePolicyError, match="pol_default"):
        save(based_on="3.pol_other")
    assert not Policy.objects.exists()


# What a project has from its team


def test_a_team_s_default_counts_for_projects_without_settings_of_their_own(
    owner: Client, apollo: Project
) -> None:
    form = draft(apollo, mode="best_accuracy") | {"based_on": team_in_force(apollo.team_id).tag}
    assert owner.post(TEAM_URL, form).headers["Location"] == TEAM_URL
    assert in_force(apollo.pk).inherited
    assert current_policy(apollo.pk).mode == "best_accuracy"
    assert "Version 1" in owner.get(URL).content.decode()

    owner.post(URL, draft(apollo, mode="accuracy_per_dollar", quality_bar="0.8"))
    found = in_force(apollo.pk)
    assert (found.inherited, found.policy.mode) == (False, "accuracy_per_dollar")
    origins = owner.get(URL).context["origins"]
    assert origins["mode"] == {"whose": "own", "team": "Best accuracy"}
    assert origins["evidence"] == {"whose": "own", "team": ""}

    again = {"action": "inherit", "based_on": found.tag}
    assert owner.post(URL, again).status_code == 302
    assert in_force(apollo.pk).inherited
    assert current_policy(apollo.pk).mode == "best_accuracy"
    assert policy_history(apollo)[0].phrases[0] == "Follows the team’s default"
    assert Policy.objects.filter(project=apollo).count() == 2


def test_giving_up_settings_that_somebody_changed_meanwhile_is_refused(
    owner: Client, bob: User, apollo: Project
) -> None:
    do_save_policy(apollo, actor=bob, based_on=None)
    seen = in_force(apollo.pk).tag
    do_save_policy(apollo, actor=bob, based_on=None, quality_bar=0.7)
    response = owner.post(URL, {"action": "inherit", "based_on": seen}, follow=True)
    assert "bob@example.org changed the policy meanwhile" in response.content.decode()
    assert current_policy(apollo.pk).quality_bar == 0.7


def test_a_change_of_the_team_s_default_overtakes_who_edits_a_project_that_follows_it(
    owner: Client, bob: User, apollo: Project
) -> None:
    form = draft(apollo, quality_bar="0.8")
    do_save_policy(apollo.team, actor=bob, based_on=None, evidence=0.9)
    response = owner.post(URL, form)
    assert response.status_code == 409
    assert "0.9" in [row["current"] for row in response.context["conflict"]]


def test_a_team_cannot_give_up_its_default(owner: Client, apollo: Project) -> None:
    tag = team_in_force(apollo.team_id).tag
    response = owner.post(TEAM_URL, {"action": "inherit", "based_on": tag})
    assert response.status_code == 422
    assert not Policy.objects.exists()


def test_an_editor_changes_the_project_s_policy_but_not_the_team_s(
    client: Client, apollo: Project
) -> None:
    editor = User.objects.create_user("editor@example.org")
    do_add_member(apollo.team, editor, Role.EDITOR, actor=SETUP)
    client.force_login(editor)
    assert client.post(URL, draft(apollo)).status_code == 302
    assert "ask an admin or an owner" in client.get(TEAM_URL).content.decode()
    form = draft(apollo) | {"based_on": team_in_force(apollo.team_id).tag}
    assert client.post(TEAM_URL, form).status_code == 403
    assert client.get("/projects/apollo/team-policy/0/restore/").status_code == 403


# Versions


def test_two_versions_are_compared(owner: Client, apollo: Project) -> None:
    owner.post(URL, draft(apollo, quality_bar="0.9"))
    owner.post(URL, draft(apollo, quality_bar="0.8", note="why not"))
    page = owner.get(f"{URL}1...2/").content.decode()
    assert "Version 1 → version 2" in page
    assert "why not" in page
    changes = owner.get(f"{URL}0...2/").context["changes"]
    assert [(one.label, one.shown_before, one.shown_after) for one in changes] == [
        ("Quality bar", "0.95", "0.8")
    ]
    assert "Both say the same." in owner.get(f"{URL}2...2/").content.decode()
    assert owner.get(f"{URL}1...9/").status_code == 404


def test_going_back_makes_a_new_version(owner: Client, apollo: Project) -> None:
    owner.post(URL, draft(apollo, quality_bar="0.9"))
    owner.post(URL, draft(apollo, quality_bar="0.8"))
    page = owner.get(f"{URL}1/restore/").content.decode()
    assert "Restore as version 3" in page
    form = {"based_on": in_force(apollo.pk).tag, "note": ""}
    assert owner.post(f"{URL}1/restore/", form).headers["Location"] == URL
    policy = current_policy(apollo.pk)
    assert (policy.number, policy.quality_bar, policy.note) == (3, 0.9, "Back to version 1")
    row = AuditEvent.objects.get(verb="policy.restored")
    assert row.details == {"number": 3, "restores": 1}
    assert Policy.objects.get(number=2).quality_bar == 0.8
    # From a version of its own back to what held before the first: the team's default.
    form = {"based_on": in_force(apollo.pk).tag}
    page = owner.post(f"{URL}0/restore/", form, follow=True).content.decode()
    assert "What held before version 1 is back in force, as version 4." in page
    assert in_force(apollo.pk).inherited
    assert policy_history(apollo)[0].policy.note == "Back to before version 1"


def test_going_back_to_following_the_team_shows_what_the_team_s_default_is_now(
    owner: Client, alice: User, apollo: Project
) -> None:
    do_save_policy(apollo, actor=alice, based_on=None, inherits=True)
    do_save_policy(apollo.team, actor=alice, based_on=None, evidence=0.9)
    do_save_policy(apollo, actor=alice, based_on=None, quality_bar=0.8)
    response = owner.get(f"{URL}1/restore/")
    shown = [(one.name, one.before, one.after) for one in response.context["changes"]]
    assert shown == [("quality_bar", 0.8, 0.95), ("evidence", 0.5, 0.9)]
    owner.post(f"{URL}1/restore/", {"based_on": in_force(apollo.pk).tag})
    assert (current_policy(apollo.pk).quality_bar, current_policy(apollo.pk).evidence) == (
        0.95,
        0.9,
    )


def test_there_is_nothing_before_the_first_version_to_go_back_from(
    owner: Client, alice: User, apollo: Project
) -> None:
    do_save_policy(apollo.team, actor=alice, based_on=None, evidence=0.9)
    tag = in_force(apollo.pk).tag
    assert owner.post(f"{URL}0/restore/", {"based_on": tag}).status_code == 302
    assert in_force(apollo.pk).inherited


def test_going_back_is_refused_when_somebody_saved_meanwhile(
    owner: Client, bob: User, apollo: Project
) -> None:
    owner.post(URL, draft(apollo, quality_bar="0.9"))
    form = {"based_on": in_force(apollo.pk).tag, "note": "my reason"}
    do_save_policy(apollo, actor=bob, based_on=None, quality_bar=0.7)
    response = owner.post(f"{URL}1/restore/", form)
    page = response.content.decode()
    assert response.status_code == 409
    assert "bob@example.org changed the policy meanwhile" in page
    assert 'value="my reason"' in page
    assert current_policy(apollo.pk).quality_bar == 0.7
    assert owner.post(f"{URL}1/restore/", {}).status_code == 422
    assert owner.get(f"{URL}9/restore/").status_code == 404


# Who may


def test_a_viewer_reads_but_cannot_save(client: Client, bob: User, apollo: Project) -> None:
    client.force_login(bob)
    page = client.get(URL).content.decode()
    assert "You may look but not change" in page
    assert "Price ceiling" in page
    assert "Save as version" not in page
    assert client.post(URL, draft(apollo)).status_code == 403
    assert not Policy.objects.exists()


def test_an_outsider_finds_nothing(client: Client, charlie: User, apollo: Project) -> None:
    client.force_login(charlie)
    assert client.get(URL).status_code == 404
    assert client.post(URL, draft(apollo)).status_code == 404
    assert not Policy.objects.exists()


def test_other_methods_are_refused(owner: Client) -> None:
    assert owner.delete(URL).status_code == 405


def test_a_version_that_todays_rules_forbid_is_not_restored(owner: Client, apollo: Project) -> None:
    owner.post(URL, draft(apollo, quality_bar="0.9"))
    owner.post(URL, draft(apollo, quality_bar="0.8"))
    Policy.objects.filter(project=apollo, number=1).update(quality_bar=7.0)
    form = owner.get(f"{URL}1/restore/").context["form"].initial
    answer = owner.post(f"{URL}1/restore/", {**form, "note": ""})
    assert answer.status_code == 422
    assert "version 1 cannot be used any more" in answer.content.decode()
    assert Policy.objects.filter(project=apollo).count() == 2


def test_times_are_those_of_the_team(owner: Client, apollo: Project) -> None:
    apollo.team.time_zone = "Asia/Kolkata"
    apollo.team.save()
    owner.post(URL, draft(apollo, mode="best_accuracy"))
    owner.post(URL, draft(apollo, mode="auto_efficient"))
    Policy.objects.update(created_at=dt.datetime(2026, 3, 2, 20, tzinfo=dt.UTC))
    page = " ".join(owner.get(URL).content.decode().split())
    assert "3 Mar 2026, 01:30</time> (Asia/Kolkata)." in page  # in force since
    assert "Saved (Asia/Kolkata)" in page
    assert page.count("3 Mar 2026, 01:30</time>") == 3
    restore = " ".join(owner.get(f"{URL}1/restore/").content.decode().split())
    assert "3 Mar 2026, 01:30</time> (Asia/Kolkata)." in restore
    assert "UTC" not in page + restore
