"""Names of columns, for people and for further columns."""


def label_of(name: str) -> str:
    """A column's name for people.

    Examples
    --------
    >>> label_of("Competitor__c"), label_of("lead_source")
    ('Competitor', 'lead source')
    """
    return name.removesuffix("__c").replace("_", " ")


def word_of(text: str) -> str:
    """A text as part of a column name.

    Examples
    --------
    >>> word_of("Demo / Call"), word_of("No answer")
    ('demo___call', 'no_answer')
    """
    return "".join(letter if letter.isalnum() else "_" for letter in text.lower()).strip("_")
