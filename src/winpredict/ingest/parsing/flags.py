"""Texts that say yes or no."""

import pandas as pd

#: Words for yes and no, by language.
_WORDS: dict[str, tuple[str, str]] = {
    "any": ("1 1.0 on checked ✓ ✔ ☑ ✅ x", "0 0.0 off unchecked ✗ ✘ ☐ ✖ ❌"),
    "en": ("true yes t y", "false no f n"),
    "fr": ("vrai oui v o", "faux non f n"),
    "de": ("wahr ja j", "falsch nein n"),
    "es": ("verdadero sí si s v", "falso no n f"),
    "pt": ("verdadeiro sim s v", "falso não nao n f"),
    "it": ("vero sì si s v", "falso no n f"),
    "nl": ("waar ja j", "onwaar nee neen n"),
    "pl": ("prawda tak t", "fałsz falsz nie n"),
    "ru": ("истина да д", "ложь нет н"),
    "ja": ("はい 真 ○ 〇 ◯", "いいえ 偽 ×"),
}
_FLAGS = {word: index == 0 for pair in _WORDS.values() for index, words in enumerate(pair) for word in words.split()}
#: Asks that a check mark be drawn as a picture.
_VARIATION_SELECTORS = ("\ufe0e", "\ufe0f")


def flag_words() -> dict[str, bool]:
    """What each word for yes or no means, in lower case.

    Returns
    -------
    dict of str to bool

    Examples
    --------
    >>> words = flag_words()
    >>> words["oui"], words["нет"], words["✓"]
    (True, False, True)
    """
    return dict(_FLAGS)


def to_flags(texts: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Read texts as yes or no.

    Parameters
    ----------
    texts : Series of str
        Words, letters, check marks and digits, whatever their case; missing where empty.

    Returns
    -------
    flags : Series of boolean
        Nullable; missing where a text is missing or unread.
    unread : Series of bool
        Texts that say neither.

    Examples
    --------
    >>> flags, unread = to_flags(pd.Series(["Oui", "FAUX", "maybe", None]))
    >>> flags.tolist(), unread.tolist()
    ([True, False, <NA>, <NA>], [False, False, True, False])
    """
    codes, words = pd.factorize(texts)
    flags = pd.array([_flag(word) for word in words], dtype="boolean").take(codes, allow_fill=True)
    read = pd.Series(flags, index=texts.index)
    return read, texts.notna() & read.isna()


def _flag(word: str) -> bool | None:
    for selector in _VARIATION_SELECTORS:
        word = word.replace(selector, "")
    return _FLAGS.get(word.strip().lower())
