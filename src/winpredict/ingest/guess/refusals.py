"""Tables that no odds can be learned from: nothing tells won from lost deals, or there are none of one of both."""

from collections.abc import Mapping

from winpredict.errors import ProfileError
from winpredict.ingest.guess.columns import RawTable
from winpredict.ingest.guess.outcomes import Labelling

#: So many columns and texts are named in a message.
_MAX_COLUMNS, _MAX_TEXTS = 40, 12


def refuse_one_sided(table: RawTable, labelled: Labelling | None) -> Labelling:
    """Refuse a table in which nothing tells won from lost, or which lacks one of both.

    Parameters
    ----------
    table : RawTable
    labelled : Labelling or None
        What `labelling` gave.

    Returns
    -------
    Labelling
        The same.

    Raises
    ------
    ProfileError
        With the counts, or with the columns that there are.
    """
    if labelled is None:
        raise ProfileError(_nothing_tells(table))
    won, lost, is_open = (labelled.count(outcome) for outcome in ("won", "lost", "open"))
    if won and lost:
        return labelled
    if not won and not lost:
        raise ProfileError(_nothing_tells(table, labelled))
    counts = {"won": won, "lost": lost, "open": is_open}
    raise ProfileError(one_sided(table.path, counts, _texts(labelled)))


def one_sided(path: str, counts: Mapping[str, int], texts: str = "") -> str:
    """Why a file without won deals, or without lost ones, is refused.

    Examples
    --------
    >>> one_sided("deals.csv", {"won": 29, "open": 20}).split(".")[1]
    'csv: 29 won, 20 open, no lost deals'
    """
    missing = " and no ".join(outcome for outcome in ("won", "lost") if not counts.get(outcome))
    listed = ", ".join(f"{counts[each]:,} {each}" for each in ("won", "lost", "open") if counts.get(each))
    return (
        f"{path}: {listed}, no {missing} deals{texts}. Was the report filtered? Odds are learned from both: export "
        f"won, lost and open deals together. If deals of these are {missing}, write the stage or status that says so "
        "into a profile of your own (`winpredict import FILE --profile mine.yaml`)"
    )


def _nothing_tells(table: RawTable, labelled: Labelling | None = None) -> str:
    columns = ", ".join(list(table.columns)[:_MAX_COLUMNS])
    if labelled is not None:
        return (
            f"{table.path}: no column tells won from lost deals{_texts(labelled)}. Export the outcome or the stage of "
            "each deal, or write a profile by hand that says which stages are won and which are lost"
        )
    return (
        f"{table.path}: no column tells won from lost deals; there are {columns or 'none'}. If these are deals, export "
        "their stage or status too, or write a profile by hand: name the column under tables.deals.columns.outcome or "
        "stage, and what is won and lost"
    )


def _texts(labelled: Labelling) -> str:
    """The texts of statuses and stages with their counts, for people."""
    parts = [each for each in (labelled.status, labelled.stage) if each is not None]
    descriptions = []
    for part in parts:
        counts = list(part.column.counts.items())
        named = ", ".join(f"{text} ({cells:,})" for text, cells in counts[:_MAX_TEXTS])
        descriptions.append(f"{part.column.name} is {named}{', ...' if len(counts) > _MAX_TEXTS else ''}")
    return f" ({'; '.join(descriptions)})" if descriptions else ""
