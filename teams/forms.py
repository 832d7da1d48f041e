"""Forms of the account and key pages."""

from itertools import groupby
from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.contrib.auth.forms import AuthenticationForm

from teams.keys import Scope

SCOPE_HELP = {
    Scope.ROUTE_WRITE: "Ask for routing decisions",
    Scope.USAGE_WRITE: "Report what requests really used",
    Scope.USAGE_READ: "Read usage, decisions and the policy",
    Scope.POLICY_WRITE: "Change the project’s policy",
    Scope.BENCHMARKS_WRITE: "Submit benchmark results",
}
# Where IANA has a name for a place; the rest of its names are old spellings of the same zones.
REGIONS = (
    "Africa",
    "America",
    "Antarctica",
    "Arctic",
    "Asia",
    "Atlantic",
    "Australia",
    "Europe",
    "Indian",
    "Pacific",
)


class SignInForm(AuthenticationForm):
    """E-mail and password."""

    username = forms.EmailField(
        label="E-mail",
        widget=forms.EmailInput(attrs={"autofocus": True, "autocomplete": "username"}),
    )
    error_messages = {
        "invalid_login": "The e-mail or the password is not right. Check both and try again.",
        "inactive": "This account is switched off. Ask an operator of this site.",
    }

    def clean_username(self) -> str:
        """Addresses are kept in lower case."""
        return str(self.cleaned_data["username"]).lower()


class NewKeyForm(forms.Form):
    """The name and the scopes of a new API key."""

    name = forms.CharField(
        max_length=100,
        help_text="Where the key will be used, for example “CI” or “Anna’s editor”.",
        error_messages={"required": "Give the key a name, so that you know it later."},
    )
    scopes = forms.MultipleChoiceField(
        choices=[(scope.value, scope.value) for scope in Scope],
        initial=[Scope.ROUTE_WRITE.value, Scope.USAGE_WRITE.value, Scope.USAGE_READ.value],
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Choose at least one scope: a key without any can do nothing."},
    )

    def scope_choices(self) -> list[tuple[Any, str]]:
        """Return each checkbox with the sentence that explains it."""
        return [(option, SCOPE_HELP[Scope(option.data["value"])]) for option in self["scopes"]]


class TeamSettingsForm(forms.Form):
    """What holds for all projects of a team."""

    time_zone = forms.ChoiceField(
        help_text="Days and months begin at midnight there: in charts, and for budgets.",
        error_messages={"invalid_choice": "“%(value)s” is no time zone. Choose one of the list."},
    )

    def __init__(self, data: Any, *, current: str) -> None:
        super().__init__(data, initial={"time_zone": current})
        choice = self.fields["time_zone"]
        assert isinstance(choice, forms.ChoiceField)
        choice.choices = time_zone_choices(current)


def time_zone_choices(current: str) -> list[tuple[str, Any]]:
    """Return the IANA time zones by region, after UTC and the one in use."""
    places = sorted(name for name in available_timezones() if name.startswith(REGIONS))
    grouped = groupby(places, key=lambda name: name.partition("/")[0])
    groups = [
        (region, [(name, name.partition("/")[2].replace("_", " ")) for name in names])
        for region, names in grouped
    ]
    others = [name for name in dict.fromkeys(("UTC", current)) if name not in places]
    return [*((name, name) for name in others), *groups]
