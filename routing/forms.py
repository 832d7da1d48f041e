"""Forms of the routing pages."""

from typing import Any, cast

from django import forms

from routing.actions.policies import contradictions
from routing.models import Mode, Policy
from routing.queries.policies import selectable_models

MODE_HELP = {
    Mode.DEFAULT: "Follow the default, which is Auto Efficient.",
    Mode.AUTO_EFFICIENT: "The cheapest model that clears the quality bar.",
    Mode.ACCURACY_PER_DOLLAR: "Of the models that clear the bar, the most accuracy for the money.",
    Mode.BEST_ACCURACY: "The most accurate model; between equals, the cheaper one.",
}
NOT_A_SHARE = "Enter a number between 0 and 1, such as 0.95."
LOST_TRACK = "The form lost track of the version it began from. Look through it, then save again."
FIELDS = [
    "mode", "quality_bar", "evidence", "confidence_threshold", "allowed_models", "denied_models",
    "balanced_model", "baseline_model", "note",
]  # fmt: skip


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


def model_list(help_text: str) -> forms.MultipleChoiceField:
    """Return a field for any number of models."""
    return forms.MultipleChoiceField(
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=help_text,
        error_messages={
            "invalid_choice": "%(value)s is not in the current routing table. Take it off the list."
        },
    )


def model_choice(help_text: str) -> forms.ChoiceField:
    """Return a field for one model."""
    return forms.ChoiceField(
        help_text=help_text,
        error_messages={
            "invalid_choice": "%(value)s is not in the current routing table. Choose a listed one.",
            "required": "Choose a model.",
        },
    )


class PolicyForm(forms.Form):
    """A draft of a project's policy. `based_on` is the number of the version it began from."""

    based_on = forms.IntegerField(
        min_value=0,
        widget=forms.HiddenInput,
        error_messages=dict.fromkeys(["required", "invalid", "min_value"], LOST_TRACK),
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
    confidence_threshold = ShareField(
        label="Confidence threshold",
        help_text="Requests classified with less confidence than this go to the Balanced model.",
    )
    allowed_models = model_list(
        "Route only to these. None chosen: all models, later ones included."
    )
    denied_models = model_list("Never route to these.")
    balanced_model = model_choice(
        "Gets every request that is unclear, or that no other model clears."
    )
    baseline_model = model_choice("Savings are counted against what this model would have cost.")
    note = forms.CharField(
        required=False,
        max_length=200,
        label="Note",
        help_text="Why you changed it. Shown in the history. Optional.",
    )

    def __init__(self, data: Any = None, *, current: Policy) -> None:
        initial = {name: getattr(current, name) for name in FIELDS if name != "note"}
        super().__init__(data, initial=initial | {"based_on": current.number})
        models = selectable_models(current)
        for name in ("balanced_model", "baseline_model"):
            self.offer(name, models)
        for name in ("allowed_models", "denied_models"):
            # Chosen ones on top: the list shows only a few without scrolling.
            chosen = set(self[name].value() or [])
            self.offer(name, sorted(models, key=lambda model: (model not in chosen, model)))

    def offer(self, name: str, models: list[str]) -> None:
        """Make the models the choices of a field."""
        cast(forms.ChoiceField, self.fields[name]).choices = [(model, model) for model in models]

    def clean(self) -> dict[str, Any]:
        """Refuse models that contradict each other."""
        data: dict[str, Any] = super().clean() or {}
        if {"allowed_models", "denied_models", "balanced_model"} <= data.keys():
            lists = (data["allowed_models"], data["denied_models"], data["balanced_model"])
            for name, message in contradictions(*lists).items():
                self.add_error(name, message)
        return data

    @property
    def policy_fields(self) -> dict[str, Any]:
        """The cleaned values as `do_save_policy` takes them."""
        return {name: self.cleaned_data[name] for name in FIELDS}

    def mode_choices(self) -> list[tuple[Any, str]]:
        """Return each radio button with the sentence that explains it."""
        return [(option, MODE_HELP[Mode(option.data["value"])]) for option in self["mode"]]
