"""Forms of the account and key pages."""

from typing import Any

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
