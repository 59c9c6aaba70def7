"""Words that deals' texts mention: in their names, notes, next steps and subjects, as of each snapshot."""

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from winpredict.features import themes
from winpredict.features.asof import find_places, gathered
from winpredict.features.description import FeatureInfo
from winpredict.features.naming import label_of
from winpredict.features.observed import OBSERVED, ObservedAttributes, observed_column
from winpredict.features.past import Past
from winpredict.locale.text import Text, text

BUILDER = "Wording"
UNIT = "mention"
#: Stands for the subjects of touches among the columns of deals.
SUBJECTS = "touch_subject"
#: Letters of scripts that put no space between words, or endings of any kind after them (Korean): Thai, Lao, Burmese,
#: Khmer, Chinese and Japanese signs, kana and hangul, as ranges of a regular expression.
_UNSPACED = (
    r"\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ece\u1000-\u109f\u1780-\u17d3\u3005-\u3007\u3041-\u30fa\u30fc-\u30ff"
    r"\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff\uff66-\uff9f"
)
#: Emoji without what only varies one, such as the tone of a skin; a flag is two of them.
_FLAG = r"[\U0001f1e6-\U0001f1ff]{2}"
_EMOJI = r"[\u2600-\u27bf\u2b00-\u2bff\U0001f000-\U0001f1e5\U0001f200-\U0001f3fa\U0001f400-\U0001faff]"
#: Letters that stand for a word in such a script.
_PAIR = 2
_FIND_WORDS = re.compile(rf"([{_UNSPACED}]+)|[^\W\d_{_UNSPACED}]{{3,}}|{_FLAG}|{_EMOJI}")
_LABELS = {"name": text("deal name"), SUBJECTS: text("subject of the last touch")}
#: Between the column and the word in the name of a feature.
MENTIONS = "_mentions_"


@dataclass(frozen=True)
class Mentions:
    """Words of one text column, each of which gives a feature: 1 where the text mentions it, else 0.

    Parameters
    ----------
    column : str
        A text column of deals, ``observed_<column>`` for what syncs saw of it while deals were open, or `SUBJECTS`.
    words : tuple of str
        In lower case.
    """

    column: str
    words: tuple[str, ...]

    @property
    def label(self) -> Text:
        """The column for people.

        Examples
        --------
        >>> str(Mentions("observed_Next_Step__c", ()).label), str(Mentions("name", ()).label)
        ('Next Step', 'deal name')
        """
        return _LABELS.get(self.column) or text("{label}", label=label_of(self.column.removeprefix(OBSERVED)))

    @property
    def info(self) -> tuple[FeatureInfo, ...]:
        """What a person needs to read each feature."""
        theme = themes.wording(self.column, self.label)
        return tuple(
            FeatureInfo(
                name=f"{self.column}{MENTIONS}{word}",
                unit=UNIT,
                builder=BUILDER,
                theme=theme,
                label=text('mention of "{word}" in the {label}', word=word, label=self.label),
                claim=text('"{word}" mentioned in the {label}', word=word, label=self.label),
                zero=text('no mention of "{word}" in the {label}', word=word, label=self.label),
            )
            for word in self.words
        )

    def values(self, texts: pd.Series) -> NDArray[np.float64]:
        """Which words texts mention.

        Parameters
        ----------
        texts : Series of str of shape (n_rows,)

        Returns
        -------
        ndarray of shape (n_rows, n_words)
            1 for a word that is mentioned, 0 for one that is not; NaN where there is no text.

        Examples
        --------
        >>> Mentions("name", ("contract", "demo")).values(pd.Series(["Contract?", None]))
        array([[ 1.,  0.],
               [nan, nan]])
        """
        place = {word: number for number, word in enumerate(self.words)}
        codes, different = pd.factorize(texts.array)
        found = np.zeros((len(different) + 1, len(self.words)))
        found[-1] = np.nan  # of no text, whose code is -1
        for row, words in enumerate(different):
            found[row, [place[word] for word in words_of(words) if word in place]] = 1.0
        return found[codes]

    def features_of(self, past: Past) -> pd.DataFrame:
        """The features of snapshots, a row a snapshot."""
        values = self.values(texts_before(past, self.column))
        return pd.DataFrame(values, columns=[each.name for each in self.info])


def words_of(text: str) -> set[str]:
    """The words of a text, in lower case: runs of three letters or more, and every emoji.

    Where no space parts words, as in Japanese, each two letters that follow each other stand for a word.

    Examples
    --------
    >>> sorted(words_of("Contract v2 goes to Legal!"))
    ['contract', 'goes', 'legal']
    >>> sorted(words_of("契約書OK 🚀"))
    ['契約', '約書', '🚀']
    """
    found = set()
    for each in _FIND_WORDS.finditer(text.lower()):
        run = each[0]
        if each[1] is None or len(run) < _PAIR:
            found.add(run)
        else:
            found.update(run[start : start + _PAIR] for start in range(len(run) - 1))
    return found


def texts_before(past: Past, column: str) -> pd.Series:
    """The text of each snapshot's deal as recorded strictly before as_of; as it is now where nothing records when.

    Parameters
    ----------
    past : Past
    column : str
        See `Mentions`; of touches it is the latest subject.
    """
    crm, deal_ids = past.crm, past.snapshots["deal_id"]
    observed = observed_column(crm, column)
    if column == SUBJECTS and crm.activities is not None and "subject" in crm.activities:
        return past.events("activities").last("subject")
    if observed is not None:
        return ObservedAttributes(crm).before(observed, deal_ids, past.as_of)
    known = crm.deals["deal_id"]
    if column not in crm.deals:
        return gathered(known, np.full(len(past), -1, np.int64))
    return gathered(crm.deals[column], find_places(known, deal_ids))
