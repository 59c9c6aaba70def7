"""Tables that no odds can be learned from: nothing tells won from lost deals, or there are none of one of both."""

from collections.abc import Mapping
from typing import Any

from winpredict.errors import ProfileError
from winpredict.ingest.guess.columns import RawTable
from winpredict.ingest.guess.outcomes import Labelling
from winpredict.locale.formats import count
from winpredict.locale.text import Text, said, text
from winpredict.tables.schema import OUTCOME_COUNTS

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
    raise ProfileError(one_sided(table.path, counts, _details(labelled)))


def one_sided(path: str, counts: Mapping[str, int], details: str = "") -> Text:
    """Why a file without won deals, or without lost ones, is refused.

    Examples
    --------
    >>> str(one_sided("deals.csv", {"won": 29, "open": 20})).split(".")[1]
    'csv: 29 won, 20 open, no lost deals'
    """
    known: dict[str, Any] = {
        name: OUTCOME_COUNTS[name].with_values(n=counts.get(name, 0)) for name in ("won", "lost", "open")
    }
    known |= {"path": path, "details": details}
    if counts.get("won"):
        return text(
            "{path}: {won}, {open}, no lost deals{details}. Was the report filtered? Odds are "
            "learned from both: export won, lost and open deals together. If deals of these are lost, write the stage "
            "or status that says so into a profile of your own (`winpredict import FILE --profile mine.yaml`)",
            **known,
        )
    if counts.get("lost"):
        return text(
            "{path}: {lost}, {open}, no won deals{details}. Was the report filtered? Odds are "
            "learned from both: export won, lost and open deals together. If deals of these are won, write the stage "
            "or status that says so into a profile of your own (`winpredict import FILE --profile mine.yaml`)",
            **known,
        )
    return text(
        "{path}: {open}, no won and no lost deals{details}. Was the report filtered? Odds are learned from "
        "both: export won, lost and open deals together. If deals of these are won or lost, write the stage or status "
        "that says so into a profile of your own (`winpredict import FILE --profile mine.yaml`)",
        **known,
    )


def _nothing_tells(table: RawTable, labelled: Labelling | None = None) -> Text:
    if labelled is not None:
        return text(
            "{path}: no column tells won from lost deals{details}. Export the outcome or the stage of each deal, or "
            "write a profile by hand that says which stages are won and which are lost",
            path=table.path,
            details=_details(labelled),
        )
    return text(
        "{path}: no column tells won from lost deals; there are {columns}. If these are deals, export their stage or "
        "status too, or write a profile by hand: name the column under tables.deals.columns.outcome or stage, and what "
        "is won and lost",
        path=table.path,
        columns=", ".join(list(table.columns)[:_MAX_COLUMNS]) or text("none"),
    )


def _details(labelled: Labelling) -> str:
    """The texts of statuses and stages with their counts, for people."""
    descriptions = []
    for part in (each for each in (labelled.status, labelled.stage) if each is not None):
        counts = list(part.column.counts.items())
        named = ", ".join(f"{value} ({count(cells)})" for value, cells in counts[:_MAX_TEXTS])
        more = ", ..." if len(counts) > _MAX_TEXTS else ""
        descriptions.append(said("{column} is {values}", column=part.column.name, values=named + more))
    return f" ({'; '.join(descriptions)})" if descriptions else ""
