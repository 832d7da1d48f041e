"""Serves Plotly's browser bundle from the installed package, so that no CDN is ever asked."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import plotly
from django.contrib.staticfiles.finders import BaseFinder
from django.core.files.storage import FileSystemStorage

NAME = "plotly.min.js"
FOLDER = Path(plotly.__file__).parent / "package_data"


class PlotlyFinder(BaseFinder):
    """Finds the one static file ``plotly.min.js``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.storage = FileSystemStorage(location=str(FOLDER))

    def check(self, **kwargs: Any) -> list[Any]:
        """Nothing is configurable, so nothing can be wrong."""
        return []

    def find(self, path: str, find_all: bool = False, **kwargs: Any) -> Any:
        """Return the file's place on disk when it is asked for."""
        if path != NAME:
            return []
        return [str(FOLDER / NAME)] if find_all else str(FOLDER / NAME)

    def list(self, ignore_patterns: Iterable[str] | None) -> Iterable[Any]:
        """Yield the file for collectstatic."""
        yield NAME, self.storage
