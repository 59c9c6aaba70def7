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
from winpredict.features.telling_words import leak_in, names_in, telling_words, text_columns
from winpredict.features.wording import Mentions, texts_before
from winpredict.models._frames import Floats, canonical_order, category_places, fit_categories, to_matrix
from winpredict.models.blend import is_worth_more
from winpredict.models.splits import held_out
from winpredict.models.weights import row_weights
from winpredict.tables.crm import CRMData

#: Rounds of the small models that texts are tried with: of all other features, and of words on top of them.
_TREES, _TREES_OF_WORDS = 60, 30


def wording_of(
    past: Past, snapshots: pd.DataFrame, features: pd.DataFrame, exported: CRMData, config: Config
) -> tuple[tuple[Mentions, ...], tuple[str, ...]]:
    """The texts whose words are worth features of their own.

    Words are chosen on deals that closed earlier. Those of a column are taken where odds that know them do better on
    the deals that closed last than odds of all other features, beyond chance, and where they do not leak.

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
    notes : tuple of str
        A sentence for each column that is used, or would be if it did not leak.

    Raises
    ------
    ConfigError
        When the config names a column that holds no text.
    """
    columns = _columns(past.crm, config)
    closed = (snapshots["outcome"] != "open").to_numpy(dtype=bool)
    rows = snapshots[closed].reset_index(drop=True)
    folds = held_out(rows, config.model.calibration_share) if columns else None
    if folds is None:
        return (), ()
    weight = row_weights(snapshots, config)[closed]
    trial = _Trial(rows, features[closed].reset_index(drop=True), weight, folds == 1, config)
    names = names_in(past.crm)
    taken: list[Mentions] = []
    notes: list[str] = []
    for column in columns:
        texts = texts_before(past, column)[closed].reset_index(drop=True)
        mentions = trial.chosen(column, texts, names)
        if mentions is None or not trial.gains_by(mentions.values(texts)):
            continue
        leak = leak_in(mentions, exported) if config.model.text == "auto" else None
        if leak is None:
            taken.append(mentions)
            words = ", ".join(f'"{word}"' for word in mentions.words)
            notes.append(f"words of the {mentions.label} that count: {words}")
        else:
            notes.append(f"words of the {mentions.label} would tell won from lost, but are not used: it {leak}")
    return tuple(taken), tuple(notes)


def _columns(crm: CRMData, config: Config) -> tuple[str, ...]:
    wanted = config.model.text
    if wanted == "off":
        return ()
    found = text_columns(crm)
    if wanted == "auto":
        return tuple(name for name in found if name.removeprefix(OBSERVED) not in config.attributes.drop)
    named = {name.removeprefix(OBSERVED): name for name in found}
    unknown = [name for name in wanted if name not in named]
    if unknown:
        raise ConfigError(
            f"model.text names {', '.join(unknown)}, which is no column of texts in these data; "
            f"those are {', '.join(named) or 'none'}"
        )
    return tuple(named[name] for name in wanted)


class _Trial:
    """Small models on earlier deals, with and without words, compared on later ones.

    Parameters
    ----------
    rows : DataFrame
        Snapshots of closed deals: deal_id and outcome.
    features : DataFrame of shape (n_rows, n_features)
    weight : ndarray of shape (n_rows,)
    later : ndarray of bool, shape (n_rows,)
    config : Config
    """

    def __init__(
        self, rows: pd.DataFrame, features: pd.DataFrame, weight: Floats, later: NDArray[np.bool_], config: Config
    ) -> None:
        self.rows, self.features, self.weight, self.later, self.config = rows, features, weight, later, config
        self.won = (rows["outcome"] == "won").to_numpy(dtype=bool)

    def chosen(self, column: str, texts: pd.Series, names: frozenset[str]) -> Mentions | None:
        """Words that earlier deals chose, by the last text of each."""
        earlier = np.flatnonzero(~self.later & texts.notna().to_numpy())
        last = earlier[~self.rows["deal_id"].iloc[earlier].duplicated(keep="last").to_numpy()]
        return telling_words(column, texts.iloc[last], self.won[last], without=names)

    def gains_by(self, mentioned: Floats) -> bool:
        """Whether later deals are told apart better with words than without."""
        booster = self._fitted(mentioned, self._log_odds, [], _TREES_OF_WORDS)
        with_words = self._log_odds + np.asarray(booster.predict(mentioned, raw_score=True, num_threads=1))
        y = self.won.astype(np.float64)
        losses, others = ((np.logaddexp(0, each) - y * each)[self.later] for each in (with_words, self._log_odds))
        deals = pd.factorize(self.rows["deal_id"][self.later])[0]
        return is_worth_more(losses, others, self.weight[self.later], deals)

    @cached_property
    def _log_odds(self) -> Floats:
        """Of all features but words, by a small model."""
        categories = fit_categories(self.features)
        matrix = to_matrix(self.features, categories)
        places = category_places(self.features.columns.tolist(), categories)
        booster = self._fitted(matrix, None, places, _TREES)
        return np.asarray(booster.predict(matrix, raw_score=True, num_threads=1))

    def _fitted(self, matrix: Floats, start: Floats | None, categories: list[int], trees: int) -> lgb.Booster:
        rows = np.flatnonzero(~self.later)
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
