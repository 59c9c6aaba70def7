"""Whether what texts mention is worth features: tried on later deals, and audited for leaks."""

from functools import cached_property
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from winpredict.config import Config
from winpredict.errors import ConfigError
from winpredict.features.observed import OBSERVED
from winpredict.features.past import Past
from winpredict.features.telling_words import (
    MIN_DEALS,
    leak_in,
    names_in,
    telling_words,
    text_columns,
    too_few_to_read,
)
from winpredict.features.wording import Mentions, texts_before
from winpredict.locale.text import Text, text
from winpredict.models._frames import Floats, canonical_order, category_places, fit_categories, to_matrix
from winpredict.models.blend import is_worth_more
from winpredict.models.splits import held_out
from winpredict.models.weights import row_weights
from winpredict.tables.crm import CRMData

#: Rounds of the small models that texts are tried with: of all other features, and of words on top of them.
_TREES, _TREES_OF_WORDS = 60, 30


def wording_of(
    past: Past, snapshots: pd.DataFrame, features: pd.DataFrame, exported: CRMData, config: Config
) -> tuple[tuple[Mentions, ...], tuple[Text, ...]]:
    """The texts whose words are worth features of their own.

    Words are chosen on deals that closed earlier. Those of a column are taken where odds that know such words do better
    on deals that closed later than odds of all other features, beyond chance, and where they do not leak.

    Parameters
    ----------
    past : Past
        At the snapshots of training.
    snapshots : DataFrame
        deal_id, as_of, outcome, days_to_close and look, a row a snapshot, sorted by deal and as_of.
    features : DataFrame of shape (n_snapshots, n_features)
        All other features.
    exported : CRMData
        The data as they were exported, where leaks show.
    config : Config
        ``config.model.text`` names the columns, or leaves them to be found.

    Returns
    -------
    mentions : tuple of Mentions
    notes : tuple of Text
        A sentence for each column that was looked at: the words that are used, or why none is.

    Raises
    ------
    ConfigError
        When the config names a column that holds no text.
    """
    columns, notes = _columns(past.crm, config)
    closed = (snapshots["outcome"] != "open").to_numpy(dtype=bool)
    rows = snapshots[closed].reset_index(drop=True)
    splits = _splits(rows, config.model.calibration_share) if columns else []
    if not splits:
        return (), notes
    weight = row_weights(snapshots, config)[closed]
    features = features[closed].reset_index(drop=True)
    trials = [_Trial(rows, features, weight, *split, config) for split in splits]
    names = names_in(past.crm)
    taken: list[Mentions] = []
    for column in columns:
        texts = texts_before(past, column)[closed].reset_index(drop=True)
        mentions, refusal = _tried(column, texts, names, trials)
        if mentions is not None and refusal is None and config.model.text == "auto":
            leak = leak_in(mentions, exported)
            if leak is not None:
                refusal = text(
                    "words of the {label} would tell won from lost, but are not used: it {leak}",
                    label=mentions.label,
                    leak=leak,
                )
        label = Mentions(column, ()).label
        if mentions is None:
            notes += (text("no word of the {label} tells won from lost deals", label=label),)
        elif refusal is None:
            taken.append(mentions)
            notes += (text("words of the {label} that count: {words}", label=label, words=_quoted(mentions)),)
        else:
            notes += (refusal,)
    return tuple(taken), notes


def _tried(
    column: str, texts: pd.Series, names: frozenset[str], trials: "list[_Trial]"
) -> tuple[Mentions | None, Text | None]:
    """The words that a column offers, and why they are not to be used, if so."""
    *others, last = trials
    mentions = last.chosen(column, texts, names)
    if mentions is None:
        return None, None
    chosen = [*(each.chosen(column, texts, names) for each in others), mentions]
    results = [
        each.result(None if words is None else words.values(texts)) for each, words in zip(trials, chosen, strict=True)
    ]
    losses, without, weight, deals = (np.concatenate(parts) for parts in zip(*results, strict=True))
    if is_worth_more(losses, without, weight, pd.factorize(deals)[0]):
        return mentions, None
    judges = len(np.unique(deals))
    return mentions, text(
        "words of the {label} are not used: on {deals:count} deals that closed later, odds that know {words} are not "
        "better beyond chance than odds without",
        label=mentions.label,
        deals=judges,
        words=_quoted(mentions),
    )


def _quoted(mentions: Mentions) -> str:
    return ", ".join(f'"{word}"' for word in mentions.words)


def _splits(rows: pd.DataFrame, share: float) -> list[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """Which rows to learn from and which to judge by, in each of several trials; the last one learns from most.

    Of dated deals each trial judges by deals that closed after all that it learns from: first by the last share of the
    deals that are left without the last share of all, then by that one. A single share of a few hundred deals would
    refuse by chance one time in four what tells won from lost as clearly as anything does.
    """
    fold = held_out(rows, share)
    if fold is None:
        return []
    if fold.max() > 1:
        return [(fold != number, fold == number) for number in np.unique(fold[fold > 0])[::-1]]
    last = fold == 1
    splits = [(~last, last)]
    earlier = np.flatnonzero(~last)
    before = held_out(rows.iloc[earlier].reset_index(drop=True), share) if len(earlier) else None
    if before is not None:
        learnt, judged = np.zeros(len(rows), dtype=bool), np.zeros(len(rows), dtype=bool)
        learnt[earlier[before == 0]], judged[earlier[before == 1]] = True, True
        splits.insert(0, (learnt, judged))
    won = (rows["outcome"] == "won").to_numpy(dtype=bool)
    return [each for each in splits if len(np.unique(won[each[0]])) > 1 and each[1].any()]


def _columns(crm: CRMData, config: Config) -> tuple[tuple[str, ...], tuple[Text, ...]]:
    """The columns to read, and a sentence for each that is named and has too few texts."""
    wanted = config.model.text
    if wanted == "off":
        return (), ()
    found = text_columns(crm)
    if wanted == "auto":
        return tuple(name for name in found if name.removeprefix(OBSERVED) not in config.attributes.drop), ()
    named = {name.removeprefix(OBSERVED): name for name in found}
    few = {name: too_few_to_read(crm, name) for name in wanted if name not in named}
    unknown = [name for name, deals in few.items() if deals is None]
    if unknown:
        raise ConfigError(
            text(
                "model.text names {unknown}, not found among the text columns of these data; those are {named}",
                unknown=", ".join(unknown),
                named=", ".join(named) or text("none"),
            )
        )
    return tuple(named[name] for name in wanted if name in named), tuple(
        text(
            "words of the {label} are not read: it takes {least:count} deals with such a text, and there are "
            "{deals:count}",
            label=Mentions(name, ()).label,
            least=MIN_DEALS,
            deals=deals,
        )
        for name, deals in few.items()
    )


class _Trial:
    """Small models on earlier deals, with and without words, compared on later ones.

    Parameters
    ----------
    rows : DataFrame
        Snapshots of closed deals: deal_id and outcome.
    features : DataFrame of shape (n_rows, n_features)
    weight : ndarray of shape (n_rows,)
    earlier, later : ndarray of bool, shape (n_rows,)
        What is learned from, and what is judged by.
    config : Config
    """

    def __init__(
        self,
        rows: pd.DataFrame,
        features: pd.DataFrame,
        weight: Floats,
        earlier: NDArray[np.bool_],
        later: NDArray[np.bool_],
        config: Config,
    ) -> None:
        self.rows, self.features, self.weight, self.config = rows, features, weight, config
        self.earlier, self.later = earlier, later
        self.won = (rows["outcome"] == "won").to_numpy(dtype=bool)

    def chosen(self, column: str, texts: pd.Series, names: frozenset[str]) -> Mentions | None:
        """Words that earlier deals chose, by the last text of each."""
        written = np.flatnonzero(self.earlier & texts.notna().to_numpy())
        last = written[~self.rows["deal_id"].iloc[written].duplicated(keep="last").to_numpy()]
        return telling_words(column, texts.iloc[last], self.won[last], without=names)

    def result(self, mentioned: Floats | None) -> tuple[Floats, Floats, Floats, NDArray[np.object_]]:
        """Losses on later rows with words and without, their weights and deals; without any words they are equal."""
        with_words = self._log_odds
        if mentioned is not None:
            booster = self._fitted(mentioned, self._log_odds, [], _TREES_OF_WORDS)
            with_words = with_words + np.asarray(booster.predict(mentioned, raw_score=True, num_threads=1))
        y = self.won.astype(np.float64)
        losses, others = ((np.logaddexp(0, each) - y * each)[self.later] for each in (with_words, self._log_odds))
        return losses, others, self.weight[self.later], self.rows["deal_id"].to_numpy(dtype=object)[self.later]

    @cached_property
    def _log_odds(self) -> Floats:
        """Of all features but words, by a small model."""
        categories = fit_categories(self.features)
        matrix = to_matrix(self.features, categories)
        places = category_places(self.features.columns.tolist(), categories)
        booster = self._fitted(matrix, None, places, _TREES)
        return np.asarray(booster.predict(matrix, raw_score=True, num_threads=1))

    def _fitted(self, matrix: Floats, start: Floats | None, categories: list[int], trees: int) -> lgb.Booster:
        rows = np.flatnonzero(self.earlier)
        rows = rows[canonical_order(matrix[rows], self.won[rows], self.weight[rows])]
        data = lgb.Dataset(
            matrix[rows], self.won[rows].astype(np.float64), weight=self.weight[rows],
            init_score=None if start is None else start[rows], categorical_feature=categories,
        )  # fmt: skip
        return lgb.train(self._parameters(), data, num_boost_round=trees)

    def _parameters(self) -> dict[str, Any]:
        return {
            "objective": "binary",
            "learning_rate": 0.1,
            "num_leaves": 7,
            "min_data_in_leaf": self.config.model.min_rows_leaf,
            "feature_fraction": 0.5,
            "lambda_l2": self.config.model.l2,
            "num_threads": 1,
            "seed": self.config.seed,
            "deterministic": True,
            "force_col_wise": True,
            "verbosity": -1,
        }
