"""Words that deals' texts mention: in their names, notes, next steps and subjects, as of each snapshot."""

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from winpredict.features.asof import find_places, gathered
from winpredict.features.build import FeatureInfo
from winpredict.features.builders.base import label_of
from winpredict.features.observed import OBSERVED, ObservedAttributes, observed_column
from winpredict.features.past import Past

BUILDER = "Wording"
UNIT = "mention"
#: Stands for the subjects of touches among the columns of deals.
SUBJECTS = "touch_subject"
#: What counts as a word, as a regular expression.
WORD = r"[^\W\d_]{3,}"
_FIND_WORDS = re.compile(WORD)
_LABELS = {"name": "deal name", SUBJECTS: "subject of the last touch"}
_MENTIONS = "_mentions_"


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
    def label(self) -> str:
        """The column for people.

        Examples
        --------
        >>> Mentions("observed_Next_Step__c", ()).label, Mentions("name", ()).label
        ('Next Step', 'deal name')
        """
        return _LABELS.get(self.column) or label_of(self.column.removeprefix(OBSERVED))

    @property
    def info(self) -> tuple[FeatureInfo, ...]:
        """What a person needs to read each feature."""
        return tuple(
            FeatureInfo(f"{self.column}{_MENTIONS}{word}", UNIT, f'mention of "{word}" in the {self.label}', BUILDER)
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
            1 for a word that is mentioned; 0 for one that is not, and where there is no text.

        Examples
        --------
        >>> Mentions("name", ("contract", "demo")).values(pd.Series(["Contract?", None]))
        array([[1., 0.],
               [0., 0.]])
        """
        place = {word: number for number, word in enumerate(self.words)}
        codes, different = pd.factorize(texts.array)
        found = np.zeros((len(different) + 1, len(self.words)))  # the last row is that of no text, whose code is -1
        for row, text in enumerate(different):
            found[row, [place[word] for word in words_of(text) if word in place]] = 1.0
        return found[codes]

    def features_of(self, past: Past) -> pd.DataFrame:
        """The features of snapshots, a row a snapshot."""
        values = self.values(texts_before(past, self.column))
        return pd.DataFrame(values, columns=[each.name for each in self.info])


def label_of_feature(name: str) -> str:
    """The column that a feature of words is of, for people.

    Examples
    --------
    >>> label_of_feature("observed_Next_Step__c_mentions_legal")
    'Next Step'
    """
    return Mentions(name.rpartition(_MENTIONS)[0], ()).label


def words_of(text: str) -> set[str]:
    """The words of a text, in lower case.

    Examples
    --------
    >>> sorted(words_of("Contract v2 goes to Legal!"))
    ['contract', 'goes', 'legal']
    """
    return set(_FIND_WORDS.findall(text.lower()))


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
