"""Forms of the routing pages."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, cast

from django import forms
from django.core.exceptions import ValidationError
from django.forms.widgets import Widget
from django.http import QueryDict

from lib.taxonomy import ROUTES, SUBTASK_TYPES, TASK_TYPES, label
from routing.actions.policies import draft_policy
from routing.models import Mode, Policy
from routing.queries.policies import (
    SETTINGS,
    InForce,
    Owner,
    named_by,
    selectable_models,
    settings_of,
    target,
    unknown_models,
)
from teams.models import Project

MODE_HELP = {
    Mode.DEFAULT: "Follow the team’s mode, which is Auto Efficient at first.",
    Mode.AUTO_EFFICIENT: "The cheapest model that clears the quality bar.",
    Mode.ACCURACY_PER_DOLLAR: "Of the models that clear the bar, the most accuracy for the money.",
    Mode.BEST_ACCURACY: "The most accurate model; between equals, the cheaper one.",
}
NOT_A_SHARE = "Enter a number between 0 and 1, such as 0.95."
NOT_DOLLARS = "Enter an amount in dollars, such as 0.50, or leave it empty."
LOST_TRACK = "The form lost track of the version it began from. Look through it, then save again."
UNKNOWN = "%s is not in the catalogue. Models are written as provider/name."
UNKNOWN_IN_LIST = "%s is not in the catalogue. Correct it, or use a pattern such as anthropic/*."
# The settings that take patterns beside models.
MODEL_LISTS = ("allowed_models", "denied_models")
BALANCED_SHOWN = 3
# Entered in dollars, kept in micro-USD.
AMOUNTS = ("success_price", "price_ceiling")
MICRO = Decimal(1_000_000)


class ShareField(forms.FloatField):
    """A share between 0 and 1."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            min_value=0,
            max_value=1,
            widget=forms.NumberInput(
                attrs={"min": 0, "max": 1, "step": 0.01, "inputmode": "decimal"}
            ),
            error_messages=dict.fromkeys(
                ["required", "invalid", "min_value", "max_value"], NOT_A_SHARE
            ),
            **kwargs,
        )


class DollarsField(forms.DecimalField):
    """An amount in dollars that may be left empty."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            required=False,
            min_value=0,
            max_value=10**9,
            decimal_places=6,
            widget=forms.NumberInput(attrs={"min": 0, "step": "any", "inputmode": "decimal"}),
            error_messages=dict.fromkeys(
                ["invalid", "min_value", "max_value", "max_decimal_places"], NOT_DOLLARS
            ),
            **kwargs,
        )


class NamesInput(Widget):
    """Any number of inputs of one name, each with any number of models or patterns in it."""

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[str]:
        """Return every name that was entered, once, in the order of the inputs."""
        texts = data.getlist(name) if isinstance(data, QueryDict) else data.get(name, [])
        found = re.split(r"[\s,]+", " ".join([texts] if isinstance(texts, str) else texts))
        return list(dict.fromkeys(name for name in found if name))


class NamesField(forms.Field):
    """Models, and where patterns are taken, patterns. The template draws it."""

    widget = NamesInput


class OverridesInput(Widget):
    """One input per route, named ``<field>:<route>``."""

    def value_from_datadict(self, data: Any, files: Any, name: str) -> dict[str, str]:
        """Return what was entered, by route."""
        entered = {route: str(data.get(f"{name}:{route}", "")).strip() for route in ROUTES}
        return {route: text for route, text in entered.items() if text}


class OverridesField(forms.Field):
    """A mode or a model by route. The template draws it."""

    widget = OverridesInput

    def clean(self, value: Any) -> dict[str, str]:
        """Take a mode's label for its name."""
        modes = {str(Mode(mode).label).lower(): mode for mode in Mode.values}
        return {route: modes.get(text.lower(), text) for route, text in value.items()}


class PolicyForm(forms.Form):
    """A draft of the policy of a project or a team. `based_on` is the tag that it began from."""

    based_on = forms.CharField(
        max_length=60,
        widget=forms.HiddenInput,
        error_messages=dict.fromkeys(["required", "max_length"], LOST_TRACK),
    )
    mode = forms.ChoiceField(choices=Mode.choices, widget=forms.RadioSelect)
    quality_bar = ShareField(
        label="Quality bar",
        help_text="A model clears the bar at this share of the best candidate’s expected accuracy."
        " 0.95: at least 95% as accurate as the best.",
    )
    evidence = ShareField(
        label="Evidence",
        help_text="How sure the results must be that it clears. 0.5: the estimate itself decides;"
        " higher asks for more proof.",
    )
    accuracy_floor = ShareField(
        label="Accuracy floor",
        required=False,
        help_text="No model below this expected accuracy, however good it is beside the others. 0:"
        " no floor.",
    )
    confidence_threshold = ShareField(
        label="Confidence threshold",
        help_text="Requests classified with less confidence than this go to Balanced.",
    )
    success_price = DollarsField(
        label="Price of one more solved task, $",
        help_text="What one more solved task may cost, up to the bar. A model just below it is"
        " taken where clearing it costs more. Empty: the bar is strict.",
    )
    price_ceiling = DollarsField(
        label="Price ceiling, $ per task",
        help_text="No model that is expected to cost more than this on the task at hand. Empty: no"
        " ceiling.",
    )
    allowed_models = NamesField(
        label="Allowed models",
        required=False,
        help_text="Route only to these. None chosen: all models, later ones included.",
    )
    denied_models = NamesField(
        label="Denied models", required=False, help_text="Never route to these."
    )
    balanced_models = NamesField(
        label="Balanced models",
        required=False,
        help_text="Take every request that is unclear. The first one that can be used is taken.",
    )
    baseline_model = forms.CharField(
        label="Baseline model",
        max_length=120,
        widget=forms.TextInput(attrs={"list": "models", "spellcheck": "false"}),
        error_messages={"required": "Choose a model."},
        help_text="Savings are counted against what this model would have cost.",
    )
    route_overrides = OverridesField(label="Overrides by route", required=False)
    live_evidence = forms.BooleanField(
        label="Outcomes reported from live use count as evidence", required=False
    )
    note = forms.CharField(
        required=False,
        max_length=200,
        label="Note",
        help_text="Why you changed it. Shown in the history. Optional.",
    )

    def __init__(self, data: Any = None, *, owner: Owner, current: InForce) -> None:
        self.owner, self.current = owner, current
        team = owner.team if isinstance(owner, Project) else owner
        self.team_id: int = team.pk
        initial = settings_of(current.policy) | {"based_on": current.tag}
        for name in AMOUNTS:
            initial[name] = dollars(initial.pop(f"{name}_micro_usd"))
        super().__init__(data, initial=initial)
        self.models = selectable_models(self.team_id, current.policy, current.team)
        if isinstance(owner, Project):
            help_texts = MODE_HELP
        else:
            help_texts = MODE_HELP | {Mode.DEFAULT: "The site’s default, which is Auto Efficient."}
        self.mode_help = help_texts

    def clean(self) -> dict[str, Any]:
        """Refuse settings that cannot be, contradict each other, or name what does not exist."""
        data: dict[str, Any] = super().clean() or {}
        if self.errors.keys() - {"based_on", "note"}:
            return data
        data["accuracy_floor"] = data["accuracy_floor"] or 0.0
        for name in AMOUNTS:
            amount = data[name]
            data[f"{name}_micro_usd"] = None if amount is None else int(amount * MICRO)
        try:
            draft = draft_policy(self.owner, data)
        except ValidationError as error:
            for name, messages in error.message_dict.items():
                self.add_error(name if name in self.fields else None, messages)
            return data
        named = named_by(settings_of(draft))
        unknown = unknown_models(self.team_id, named, self.current.policy, self.current.team)
        # Found before any error is added, which takes the field out of the cleaned data.
        for where, model in [(self.where(model), model) for model in unknown]:
            text = UNKNOWN_IN_LIST if where in MODEL_LISTS else UNKNOWN
            self.add_error(where, text % model)
        return data

    def where(self, model: str) -> str:
        """Return the field that names a model."""
        for name in (*MODEL_LISTS, "balanced_models"):
            if model in self.cleaned_data[name]:
                return name
        if model == self.cleaned_data["baseline_model"]:
            return "baseline_model"
        return "route_overrides"

    @property
    def policy_fields(self) -> dict[str, Any]:
        """The cleaned settings as `draft_policy` takes them."""
        return {name: self.cleaned_data[name] for name in SETTINGS}

    def draft(self) -> Policy:
        """Return the unsaved policy of a valid form."""
        return draft_policy(self.owner, self.policy_fields)

    # For the template.

    def mode_choices(self) -> list[tuple[Any, str]]:
        """Return each radio button with the sentence that explains it."""
        return [(option, self.mode_help[Mode(option.data["value"])]) for option in self["mode"]]

    def model_lists(self) -> list[dict[str, Any]]:
        """Return the two lists of models as they are drawn: chosen ones first, then the rest."""
        return [self.model_list(name) for name in MODEL_LISTS]

    def model_list(self, name: str) -> dict[str, Any]:
        """Return one list: providers as patterns, models, and an input for everything else."""
        chosen = self[name].value() or []
        providers = sorted({model.partition("/")[0] for model in self.models})
        offered = [(f"{one}/*", f"All of {one}") for one in providers]
        offered += [(model, model) for model in self.models]
        known = {value for value, _ in offered}
        return {
            "field": self[name],
            "options": sorted(
                ((value, text, value in chosen) for value, text in offered),
                key=lambda option: not option[2],
            ),
            "others": ", ".join(one for one in chosen if one not in known),
        }

    def balanced_inputs(self) -> list[str]:
        """Return what the inputs of the Balanced models hold, in order."""
        chosen = list(self["balanced_models"].value() or [])
        return chosen + [""] * max(BALANCED_SHOWN - len(chosen), 1)

    def override_groups(self) -> list[dict[str, Any]]:
        """Return the inputs of the overrides, by task type."""
        entered = cast(Mapping[str, str], self["route_overrides"].value() or {})
        return [
            {
                "label": label(task_type),
                "routes": [
                    {
                        "name": f"route_overrides:{task_type}/{one}",
                        "id": f"id_override_{task_type}_{one}",
                        "label": label(one),
                        "value": target(entered.get(f"{task_type}/{one}", "")),
                    }
                    for one in SUBTASK_TYPES[task_type]
                ],
            }
            for task_type in TASK_TYPES
        ]

    def faulty_fields(self) -> list[forms.BoundField]:
        """Return the visible fields that have to be mended, in the order of the page."""
        return [field for field in self.visible_fields() if field.errors]

    def has_overrides(self) -> bool:
        """Tell whether any route is overridden, so that the inputs are shown unfolded."""
        return bool(self["route_overrides"].value() or self["route_overrides"].errors)

    def override_targets(self) -> list[str]:
        """Return what a route may be set to."""
        modes = [str(Mode(mode).label) for mode in Mode.values if mode != Mode.DEFAULT]
        return [*modes, *self.models]


def dollars(micro_usd: int | None) -> str:
    """Return an amount as it is written into an input."""
    return "" if micro_usd is None else f"{(Decimal(micro_usd) / MICRO).normalize():f}"


class RestoreForm(forms.Form):
    """Asks once more before an earlier version comes back."""

    based_on = forms.CharField(
        max_length=60, widget=forms.HiddenInput, error_messages={"required": LOST_TRACK}
    )
    note = forms.CharField(
        required=False,
        max_length=200,
        label="Note",
        help_text="Why you go back. Shown in the history. Optional.",
    )
