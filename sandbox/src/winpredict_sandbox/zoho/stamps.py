"""Moments as Zoho's stand-in takes them: anything else is refused."""

import re
from datetime import date, datetime

_MOMENT = re.compile(r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(Z|[+-]\d{2}:\d{2})$")


def is_moment(text: str) -> bool:
    """Whether a text is a moment in ISO 8601, to the second and with an offset.

    Examples
    --------
    >>> is_moment("2025-06-01T12:00:00+05:30"), is_moment("2025-13-01T12:00:00Z"), is_moment("2025-06-01")
    (True, False, False)
    """
    if not _MOMENT.match(text):
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def is_date(text: str) -> bool:
    """Whether a text is a date in ISO 8601.

    Examples
    --------
    >>> is_date("2025-06-01"), is_date("2025-02-30")
    (True, False)
    """
    try:
        return str(date.fromisoformat(text)) == text
    except ValueError:
        return False
