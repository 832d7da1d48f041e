"""Forms of the operators' pages."""

from typing import Any, ClassVar

from django import forms
from django.conf import settings

from leaderboard.fetching import FetchFailed, checked_url, is_url, local_path
from leaderboard.models import Feed
from leaderboard.sources.formats import FORMATS

INTERVALS: list[tuple[int | str, str]] = [
    ("", "Only when asked to"),
    (60, "Every hour"),
    (6 * 60, "Every 6 hours"),
    (24 * 60, "Every day"),
    (7 * 24 * 60, "Every week"),
]


class FeedForm(forms.ModelForm[Feed]):
    """A feed: what it is, where it lies, how often it is read."""

    format = forms.ChoiceField(help_text="What the files look like.")
    interval_minutes = forms.TypedChoiceField(
        label="Read it",
        choices=INTERVALS,
        coerce=int,
        empty_value=None,
        required=False,
    )

    class Meta:
        model = Feed
        fields: ClassVar = [
            "name",
            "format",
            "location",
            "interval_minutes",
            "is_enabled",
            "allow_private_address",
        ]
        labels: ClassVar = {
            "location": "Path or address",
            "is_enabled": "Read on schedule",
            "allow_private_address": "Allow an address inside this server’s own network",
        }
        help_texts: ClassVar = {
            "location": "A file, a folder, a .zip or a .tar.gz: an absolute path on the server, or"
            " an http:// or https:// address.",
            "allow_private_address": "Only for a server of your own that is not on the Internet.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choice = self.fields["format"]
        assert isinstance(choice, forms.ChoiceField)
        names = {source.name: slug for slug, source in FORMATS.items()}
        choice.choices = [(names[name], name) for name in sorted(names)]

    def clean_location(self) -> str:
        """Say now what the first reading would have to refuse."""
        location = str(self.cleaned_data["location"]).strip()
        try:
            if is_url(location):
                return checked_url(location)
            local_path(location, settings.FEED_DIRS)
        except FetchFailed as error:
            raise forms.ValidationError(str(error)) from error
        return location
