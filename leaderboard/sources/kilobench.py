"""KiloBench as ``GET /api/models/stats`` answers: a list of models, or a single one.

``benchmarks.kiloBench.evals`` of a model has one entry per task source, with sums over all trials.
Several attempts repeat the same tasks, so an entry stands for ``nTotalTrials / nAttempts`` tasks.
Decimals may come as strings, and every field but the id may be null.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from leaderboard.sources import (
    FeedModel,
    FeedPrice,
    ParsedFigure,
    ParsedRun,
    Rejection,
)
from leaderboard.sources.costs import doubt
from leaderboard.sources.reading import (
    MAX_MTOK_USD,
    MAX_RUNTIME_SECONDS,
    MAX_TASK_USD,
    MAX_TASKS,
    MAX_TOKENS,
    BadFile,
    BadValue,
    Rejections,
    decimal,
    files_at,
    load_json,
    model_name,
    moment,
    short,
    text,
)
from lib.money import to_micro_usd

HARNESS: Final = "Kilo Code"
# No model costs less per million tokens, so a smaller price is one per token.
MIN_MTOK_USD: Final = 0.0005


class KiloBench:
    """Reads a saved answer, or a folder of them."""

    slug = "kilobench"
    name = "KiloBench"
    url = "https://kilo.ai/leaderboard"
    licence = "see source"

    def count(self, path: Path) -> int:
        """See `Source.count`."""
        return sum(1 for item in self.read(path) if isinstance(item, ParsedRun))

    def read(self, path: Path) -> Iterator[ParsedRun | Rejection]:
        """See `Source.read`."""
        for file in files_at(path, "*.json"):
            yield from Answer(file).read()


class Answer:
    """One saved answer."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rejected = Rejections(path.name)

    def read(self) -> Iterator[ParsedRun | Rejection]:
        """Yield the runs of every model, and what had to be left out."""
        try:
            loaded = load_json(self.path, (list, dict))
        except BadFile as error:
            self.rejected.add("", error)
            loaded = []
        for place, entry in enumerate([loaded] if isinstance(loaded, dict) else loaded):
            runs = list(self.runs(place, entry))
            yield from self.rejected.take()
            yield from runs
        yield from self.rejected.take()

    def runs(self, place: int, entry: Any) -> Iterator[ParsedRun]:
        """Yield a model's runs; most models have none."""
        try:
            evals = evals_of(entry)
            if not evals:
                return
            model_id = model_name(entry, "openrouterId")
            if "/" not in model_id:
                raise BadValue(f"openrouterId is {short(model_id)}, not provider/name")
        except BadValue as error:
            self.rejected.add(f"entry {place}", error)
            return
        model = FeedModel(model_id, self.sees(model_id, entry), None, self.price(model_id, entry))
        for key, figures in evals.items():
            row = f"{model_id} {key}"
            try:
                yield self.run(row, key, model, figures)
            except BadValue as error:
                self.rejected.add(row, error)

    def run(self, row: str, key: str, model: FeedModel, figures: Any) -> ParsedRun:
        """Return one model's figures over one task source. Raises BadValue."""
        if not isinstance(figures, dict):
            raise BadValue(f"is {short(figures)}, not an object")
        stated = figures if figures.get("taskSource") is not None else {"taskSource": key}
        source = re.sub(r"[^a-z0-9]+", "-", text(stated, "taskSource", 80).lower()).strip("-")
        if not source:
            raise BadValue(f"taskSource is {short(key)}, which has no letter or digit")
        measured = figures.get("lastPromotedAt") is not None
        milliseconds = decimal(
            figures.get("avgExecutionMs"), "avgExecutionMs", MAX_RUNTIME_SECONDS * 1000
        )
        return ParsedRun(
            benchmark=f"{KiloBench.slug}-{source}",
            model=model,
            harness=HARNESS,
            harness_version="",
            origin=self.rejected.file,
            mean_latency_ms=None if milliseconds is None else round(milliseconds),
            measured_at=moment(figures, "lastPromotedAt") if measured else None,
            figures=(self.figure(row, model.price, figures),),
        )

    def figure(self, row: str, price: FeedPrice | None, figures: dict[str, Any]) -> ParsedFigure:
        """Return the counts. Raises BadValue."""
        trials = decimal(figures.get("nTotalTrials"), "nTotalTrials", MAX_TASKS)
        score = decimal(figures.get("overallScore"), "overallScore", 1)
        attempts = decimal(figures.get("nAttempts"), "nAttempts", MAX_TASKS) or 1
        if not trials or score is None:
            raise BadValue("has no nTotalTrials or no overallScore")
        if not 1 <= attempts <= trials:
            raise BadValue(f"nAttempts is {attempts:g} for {trials:g} trials")
        n = max(round(trials / attempts), 1)
        average = decimal(figures.get("avgCostUsd"), "avgCostUsd", MAX_TASK_USD)
        priced = decimal(figures.get("nTrialsWithCost"), "nTrialsWithCost", MAX_TASKS)
        if not average or not priced or self.is_doubtful(row, price, average, figures):
            return ParsedFigure(n, score * n)
        n_cost = min(max(round(priced / attempts), 1), n)
        return ParsedFigure(n, score * n, n_cost, to_micro_usd(average * n_cost))

    def is_doubtful(
        self, row: str, price: FeedPrice | None, average_usd: float, figures: dict[str, Any]
    ) -> bool:
        """Tell, and report, whether a cost contradicts tokens and list price. Raises BadValue."""
        fields = ("avgInputTokens", "avgCacheReadTokens", "avgOutputTokens")
        tokens = [decimal(figures.get(field), field, MAX_TOKENS) for field in fields]
        fresh, cached, output = tokens
        if price is None or fresh is None or output is None:
            return False
        why = doubt(price, to_micro_usd(average_usd), fresh, cached or 0, output)
        if why:
            self.rejected.add(row, why)
        return why is not None

    def sees(self, model_id: str, entry: dict[str, Any]) -> bool | None:
        """Return whether the model reads images; None when the feed does not say."""
        modalities = entry.get("inputModalities")
        if modalities is None:
            return None
        if not isinstance(modalities, list):
            self.rejected.add(model_id, f"inputModalities is {short(modalities)}, not an array")
            return None
        return "image" in modalities

    def price(self, model_id: str, entry: dict[str, Any]) -> FeedPrice | None:
        """Return the stated price per million tokens; None when any part is missing or unusable."""
        parts = []
        for key in ("priceInput", "priceOutput"):
            try:
                price = decimal(entry.get(key), key, MAX_MTOK_USD)
                if price and price < MIN_MTOK_USD:
                    raise BadValue(f"{key} is {price:g}, which is no price per million tokens")
            except BadValue as error:
                self.rejected.add(model_id, f"{error}; the stated price is not used")
                return None
            parts.append(price)
        first, second = parts
        if first is None or second is None:
            return None
        return FeedPrice(to_micro_usd(first), to_micro_usd(second))


def evals_of(entry: Any) -> dict[str, Any]:
    """Return a model's entries by task source; empty for a model without any. Raises BadValue."""
    found = entry
    for key in ("benchmarks", "kiloBench", "evals"):
        if not isinstance(found, dict):
            raise BadValue(f"is {short(found)}, where an object with {key} was expected")
        found = found.get(key)
        if found is None:
            return {}
    if not isinstance(found, dict):
        raise BadValue(f"evals is {short(found)}, not an object")
    return found
