"""Why cells were changed and rows set aside while reading, as people read it."""

from winpredict.locale.text import Text, text

_NOT_TEXT = "bytes that are not "
#: By the English words that stand in files.
_CAUSES = {
    cause.one: cause
    for cause in (
        text("bytes that are no text"),
        text("NUL bytes"),
        text("control characters"),
        text("characters that turn the direction of writing"),
        text("zero-width characters"),
        text("a stray quotation mark was removed"),
        text("cells beside the table were left out"),
        text("below the table"),
        text("adds up other rows"),
        text("the header again"),
        text("explains the header"),
    )
}


def told_cause(cause: str) -> Text:
    """A cause in words of the reader's language; it says the same in English.

    Examples
    --------
    >>> str(told_cause("NUL bytes")), str(told_cause("bytes that are not UTF-8"))
    ('NUL bytes', 'bytes that are not UTF-8')
    """
    if cause in _CAUSES:
        return _CAUSES[cause]
    if cause.startswith(_NOT_TEXT):
        return text("bytes that are not {encoding}", encoding=cause.removeprefix(_NOT_TEXT))
    return text("{cause}", cause=cause)
