"""CSV that a spreadsheet can open without running anything in it."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

# What spreadsheets take for the start of a formula.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
# So many rows are written in one piece.
ROWS: Final = 500


def to_csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a header line and one line per row; see `csv_pieces`."""
    return "".join(csv_pieces(columns, rows))


def csv_pieces(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """Return a header line at once, and then one line per row, a few hundred at a time.

    None becomes an empty cell, numbers stay raw. Text that a spreadsheet would take for a formula
    gets an apostrophe in front.
    """
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    yield text.getvalue()
    for some in batches(rows):
        text.seek(0)
        text.truncate()
        writer.writerows([guarded(cell) for cell in row] for row in some)
        yield text.getvalue()


def batches(rows: Iterable[Sequence[object]]) -> Iterator[list[Sequence[object]]]:
    """Return the rows in lists of at most `ROWS`."""
    rest = iter(rows)
    while some := list(islice(rest, ROWS)):
        yield some


def guarded(cell: object) -> object:
    """Return the cell, harmless."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA_STARTS) else cell
