"""What the import will have to choose, or cannot: the order of day and month, and the decimal sign."""

from collections.abc import Sequence
from typing import Any

from winpredict.ingest.files import RawFile
from winpredict.ingest.guess.columns import RawTable
from winpredict.ingest.guess.outcomes import Point
from winpredict.ingest.parsing.formats import column_formats
from winpredict.ingest.profiles import Profile
from winpredict.ingest.rows import column_hints
from winpredict.ingest.wanted_rows import with_made_columns
from winpredict.locale.text import said


def unclear_formats(table: RawTable, sources: Sequence[dict[str, Any]]) -> list[Point]:
    """What the import will have to choose, or cannot: the order of day and month, and the decimal sign."""
    raw = RawFile(table.name, table.path, "", table.frame)
    profile = Profile.model_validate({"tables": {"deals": list(sources)}})
    source = profile.tables["deals"][0].model_copy(update={"others": False})
    frame = with_made_columns(table.frame.iloc[table.sample], source, profile)
    hints = column_hints(frame, "deals", source, profile, raw)
    roles: dict[str, list[str]] = {}
    for name, offered in source.columns.items():
        roles.setdefault(offered[0], []).append(name)
    formats = column_formats(hints, roles, headers=map(str, frame.columns))
    points = []
    for column in roles:
        if column in formats.dates and formats.dates[column].reason and not formats.dates[column].certain:
            points.append(
                Point(
                    said("{column}: {reason}", column=column, reason=formats.dates[column].reason),
                    "dates: day_first or dates: month_first",
                )
            )
        elif column in formats.dates and formats.dates[column].unclear:
            points.append(
                Point(
                    said("{column}: day or month first is unclear", column=column),
                    "dates: day_first or dates: month_first",
                )
            )
        if (form := formats.numbers.get(column)) is not None and not form.certain and "amount" in roles[column]:
            points.append(
                Point(
                    said("{column}: {reason}", column=column, reason=formats.numbers[column].reason),
                    'decimal: "." or decimal: ","',
                )
            )
    return points
