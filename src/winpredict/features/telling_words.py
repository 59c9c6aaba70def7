"""Which texts may be read, which of their words tell won from lost, and whether these stem from before the close."""

import re
from collections.abc import Collection

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binom, false_discovery_control
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.feature_selection import chi2

from winpredict.features._leakage_evidence import measure
from winpredict.features._leakage_population import MIN_DEALS as FEWEST_COMPARED
from winpredict.features._leakage_population import Population, wilson_low
from winpredict.features._leakage_rules import SEPARATES_WITH_NAME, leak
from winpredict.features.builders.attributes import MAX_CATEGORIES
from winpredict.features.observed import OBSERVED, observed_column
from winpredict.features.wording import SUBJECTS, Mentions, words_of
from winpredict.locale.text import Text, text, texts
from winpredict.tables.crm import CRMData

#: Fewest deals that must carry a text, and fewest that must use a word.
MIN_DEALS = 200
MIN_DEALS_OF_WORD = 20
#: Share of the texts in which a word tells nothing any more.
MAX_SHARE_OF_WORD = 0.8
#: Words to choose from, the most frequent ones, and words that are chosen.
MAX_VOCABULARY = 1000
MAX_WORDS = 24
FALSE_DISCOVERIES = 0.05
#: A word that was said before the close stands on open deals at least this share as often as on closed ones, though it
#: may make deals close faster; and the chance below which less is no accident.
HONEST_SHARE = 0.5
NO_ACCIDENT = 0.01
#: A text of fewer words on average is a category or an identifier.
MIN_MEAN_WORDS = 2.0
_LOOKED_AT = 2000
_ADDRESS = r"@|://|www\."
#: Columns that name somebody or somewhere.
_NAMES = frozenset(
    ["address", "city", "contact", "domain", "email", "mail", "owner", "person", "phone", "site", "street", "url"]
)


def text_columns(crm: CRMData) -> tuple[str, ...]:
    """Columns whose texts may be worth reading, as `Mentions` names them.

    Texts with few values are categories; short ones, addresses and names of people are no wording.

    Examples
    --------
    >>> deals = pd.DataFrame({
    ...     "deal_id": [f"d{i}" for i in range(300)], "stage": "Demo", "outcome": "open", "created_at": "2025-01-01",
    ...     "closed_at": None, "name": [f"Deal {i}" for i in range(300)],
    ...     "plan": [f"call back {i}" for i in range(300)],
    ... })
    >>> text_columns(CRMData.from_tables(deals))
    ('plan',)
    """
    observed = set(crm.observed_attributes)
    own = [name for name in ("name", *crm.attributes) if name in crm.deals and _is_read(name, crm.deals[name])]
    found = [OBSERVED + name if name in observed else name for name in own]
    if crm.activities is not None and "subject" in crm.activities and _is_read("", crm.activities["subject"]):
        found.append(SUBJECTS)
    return tuple(found)


def too_few_to_read(crm: CRMData, column: str) -> int | None:
    """How many deals carry a text that would be read if more did; None for any other column.

    Examples
    --------
    >>> deals = pd.DataFrame({
    ...     "deal_id": [f"d{i}" for i in range(90)], "stage": "Demo", "outcome": "open", "created_at": "2025-01-01",
    ...     "closed_at": None, "plan": [f"call back {i}" for i in range(90)],
    ... })
    >>> too_few_to_read(CRMData.from_tables(deals), "plan")
    90
    """
    if column == SUBJECTS:
        texts = None if crm.activities is None else crm.activities.get("subject")
    else:
        texts = crm.deals.get(column)
    if texts is None or not is_free_text("" if column == SUBJECTS else column, texts):
        return None
    written = int(texts.notna().sum())
    return written if written < MIN_DEALS else None


def names_in(crm: CRMData) -> frozenset[str]:
    """Words of the names of our people and of the customers: they tell who it is, and not what is said."""
    tables = (table for table in (crm.users, crm.accounts) if table is not None and "name" in table)
    return frozenset(word for table in tables for name in table["name"].dropna() for word in words_of(name))


def telling_words(
    column: str, texts: pd.Series, won: NDArray[np.bool_], *, without: Collection[str] = ()
) -> Mentions | None:
    """Words that won and lost deals use differently often.

    Chi-squared tests of the words that enough deals use; at most 5% of those taken are so by chance (Benjamini and
    Hochberg 1995).

    Parameters
    ----------
    column : str
    texts : Series of str of shape (n_deals,)
        One a closed deal.
    won : ndarray of bool, shape (n_deals,)
    without : collection of str
        Words never to take, such as people's names.

    Returns
    -------
    Mentions, or None where no word tells won from lost.

    Notes
    -----
    A string encoder (tf-idf and truncated SVD) was tried in its place. Its first components follow what texts are about
    most often, and what tells won from lost is mostly in rarer words: on planted texts 12 components kept a tenth of
    what a regression on all words learns, 30 components and 24 words all of it. Words can be told, and need no audit
    of what a component stands for.

    Examples
    --------
    >>> texts = pd.Series(["contract at legal", "demo next week", "contract", "ask again"] * 100)
    >>> won = np.array([True, False, True, False] * 100)
    >>> telling_words("next_step", texts, won, without=["again"]).words
    ('contract', 'ask', 'demo', 'legal', 'next', 'week')
    """
    written = texts.notna().to_numpy()
    if written.sum() < MIN_DEALS:
        return None
    names = frozenset(without)
    least = max(MIN_DEALS_OF_WORD, round(0.005 * written.sum()))
    encoder = CountVectorizer(
        analyzer=lambda text: words_of(text) - names, binary=True, min_df=least, max_df=MAX_SHARE_OF_WORD,
        max_features=MAX_VOCABULARY,
    )  # fmt: skip
    try:
        mentioned = encoder.fit_transform(texts[written])
    except ValueError:  # no word is used by enough deals
        return None
    strength, p_value = chi2(mentioned, won[written])
    found = np.nan_to_num(p_value, nan=1.0)
    clear = np.flatnonzero(false_discovery_control(found) <= FALSE_DISCOVERIES)
    strongest = clear[np.argsort(-strength[clear], kind="stable")][:MAX_WORDS]
    words = encoder.get_feature_names_out()[strongest]
    return Mentions(column, tuple(str(word) for word in words)) if len(words) else None


def leaking_words(crm: CRMData) -> dict[str, Text]:
    """Texts whose words would tell won from lost but may come from after the close, each with the reason.

    What `leak_in` says of the words that all closed deals choose; training chooses on those that closed earlier.

    Parameters
    ----------
    crm : CRMData
        The data as exported.

    Returns
    -------
    dict of str to Text
        Column to reason, as a clause.
    """
    closed = crm.deals[crm.deals["outcome"] != "open"]
    won = (closed["outcome"] == "won").to_numpy(dtype=bool)
    names = names_in(crm)
    found = {}
    for column in text_columns(crm):
        if column not in crm.deals:  # it carries its moment
            continue
        mentions = telling_words(column, closed[column], won, without=names)
        reason = None if mentions is None else leak_in(mentions, crm)
        if reason is not None:
            found[column] = reason
    return found


def leak_in(mentions: Mentions, exported: CRMData) -> Text | None:
    """Why the words may come from after the close, as a clause; None where nothing speaks for that.

    Only a text that is recorded with its moment is safe from being written at the close. Any other goes through the
    leakage audit by its words, more strictly than an attribute would, since people write endings into texts: each
    word must be about as usual on open as on closed deals. Without enough open deals to compare with, none is taken.

    Parameters
    ----------
    mentions : Mentions
    exported : CRMData
        The data as exported.
    """
    if mentions.column == SUBJECTS or observed_column(exported, mentions.column) is not None:
        return None
    population = Population(exported)
    texts = population.deals[mentions.column]
    values = mentions.values(texts)
    values[texts.isna().to_numpy()] = np.nan
    outcomes = [np.nan_to_num(values[population.of(each)]) for each in ("won", "lost", "open")]
    lean = outcomes[0].mean(axis=0) - outcomes[1].mean(axis=0)
    together = measure(mentions.column, pd.Series(values @ np.sign(lean)), population)
    if not together.comparable:
        return _nothing_to_compare(population)
    for found in (together.won_from_open, together.lost_from_open):
        if found.low > SEPARATES_WITH_NAME:
            return text(
                "is worded otherwise on closed than on open deals of the same age (AUC {auc:precise})", auc=found.auc
            )
    closed, still_open = np.vstack(outcomes[:2]), outcomes[2]
    expected = wilson_low(closed.mean(axis=0), len(closed)) * HONEST_SHARE
    chance = binom.cdf(still_open.sum(axis=0), len(still_open), expected)
    if chance.min() < NO_ACCIDENT:
        word = int(chance.argmin())
        return text(
            'says "{word}" on {closed:exact_percent} of closed deals but on {open:exact_percent} of open ones',
            word=mentions.words[word],
            closed=float(closed[:, word].mean()),
            open=float(still_open[:, word].mean()),
        )
    return leak(together)


def is_free_text(name: str, values: pd.Series) -> bool:
    """Whether a column holds texts, and not categories, codes, addresses or people.

    Parameters
    ----------
    name : str
        Of the column.
    values : Series of shape (n_deals,)

    Examples
    --------
    >>> texts = pd.Series([f"call back {i}" for i in range(300)], dtype="string")
    >>> is_free_text("plan", texts), is_free_text("Contact_Person", texts), is_free_text("plan", "C-" + texts.str[10:])
    (True, False, False)
    """
    if not isinstance(values.dtype, pd.StringDtype) or _NAMES & words_of(re.sub("_|(?=[A-Z])", " ", name)):
        return False
    different = values.dropna().drop_duplicates()
    if len(different) <= MAX_CATEGORIES:
        return False
    some = different.head(_LOOKED_AT)
    words = np.mean([len(words_of(text)) for text in some])
    return bool(words >= MIN_MEAN_WORDS and some.str.contains(_ADDRESS).mean() < 0.1)


def _is_read(name: str, values: pd.Series) -> bool:
    return int(values.notna().sum()) >= MIN_DEALS and is_free_text(name, values)


def _nothing_to_compare(population: Population) -> Text:
    """That words may come from after the close, and why closed deals cannot be held against open ones."""
    still_open = int(population.of("open").sum())
    if not still_open:
        return text("cannot be told to stem from before the close: there are no open deals to compare with")
    if np.isnan(population.age).all():
        return text(
            "cannot be told to stem from before the close: the deals carry no dates to compare closed and open ones "
            "of the same age by"
        )
    if still_open < FEWEST_COMPARED:
        return texts(
            "cannot be told to stem from before the close: there is only {n:count} open deal to compare with, and it "
            "takes {least:count}",
            "cannot be told to stem from before the close: there are only {n:count} open deals to compare with, and it "
            "takes {least:count}",
            n=still_open,
            least=FEWEST_COMPARED,
        )
    return text(
        "cannot be told to stem from before the close: too few open deals have the ages that closed ones had to be "
        "compared with them"
    )
