"""Messages that are kept with a model or a backtest, and said in the language of who reads them."""

from typing import Any

from winpredict.locale.text import Text


def message_of(plain: Any) -> Text:
    """What `Text.to_json` gave, or the words that an earlier version kept in its place.

    Examples
    --------
    >>> str(message_of(["{n:count} deals", {"n": 3}])), str(message_of("3 {deals}"))
    ('3 deals', '3 {deals}')
    """
    return Text("{words}", values=(("words", plain),)) if isinstance(plain, str) else Text.from_json(plain)
