"""Whether a driver tells the endings of deals that it was not learnt from, and did so in the past too."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import norm, spearmanr
from sklearn.model_selection import StratifiedGroupKFold

from winpredict.errors import TooLittleDataError
from winpredict.explain.contributions import contributions
from winpredict.explain.themes import Themes, themes_of
from winpredict.features.cross_deal_history import CrossDealHistory
from winpredict.features.snapshots import every, labelled
from winpredict.locale.text import Text, text
from winpredict.models.estimator import WinClassifier
from winpredict.models.snapshots import undated_snapshots
from winpredict.models.trained import TrainedModel
from winpredict.tables.crm import CRMData

Floats = NDArray[np.float64]

#: Closed deals that the test rests on, the latest first, and looks at each.
DEALS = 8000
SNAPSHOTS_PER_DEAL = 2
FALSE_DISCOVERIES = 0.05
_FOLDS = 4
#: Won and lost deals that the test needs at the least, so that every fold has some of either.
MIN_EACH = 2 * _FOLDS
_PAST_SHARES = (0.4, 0.55, 0.7, 0.85)
_INTERACTION_ROWS = 150
_PAIRS = 8
_EVERY_DAYS = 7.0


@dataclass(frozen=True)
class Evidence:
    """What the test found.

    Parameters
    ----------
    themes : DataFrame
        theme, p_value (adjusted), evidence (bool), stability (share of past cut-offs with a like rank).
    interactions : DataFrame
        first, second (names of themes), points.
    notes : tuple of Text
    slopes : mapping of str to ndarray of shape (n_folds,)
        By theme, how its leading figure and its contributions go together (rank correlation) on the deals that each
        small model did not see; NaN where one of the two does not vary.
    """

    themes: pd.DataFrame
    interactions: pd.DataFrame
    notes: tuple[Text, ...]
    slopes: Mapping[str, Floats] = field(default_factory=dict)


@dataclass(frozen=True)
class _Exam:
    rows: pd.DataFrame
    features: pd.DataFrame
    won: NDArray[np.int64]
    themes: Themes
    threads: int | None


def evidence_of(
    model: TrainedModel,
    crm: CRMData,
    *,
    leading: Mapping[str, str] | None = None,
    cross_deal_history: CrossDealHistory | None = None,
    seed: int,
) -> Evidence:
    """Test every theme of a model on deals that small models, fitted anew, did not see.

    Parameters
    ----------
    model : TrainedModel
        Its features and themes are tested.
    crm : CRMData
    leading : mapping of str to str, optional
        The figures, by theme, whose direction is asked for.
    cross_deal_history : CrossDealHistory, optional
        Cross-deal history of all deals, where `crm` holds only some of them.
    seed : int

    Raises
    ------
    TooLittleDataError
        With fewer than `MIN_EACH` won or lost deals to test on.
    """
    from statsmodels.stats.multitest import multipletests  # late, here and below: a second that only this test is worth

    exam = _exam(model, crm, cross_deal_history)
    log_odds, by_theme, fold_of, fitted = _held_out(exam, seed)
    p_values = np.array([_p_value(exam, log_odds, by_theme[:, place]) for place in range(by_theme.shape[1])])
    found, adjusted, _, _ = multipletests(p_values, FALSE_DISCOVERIES, method="fdr_bh")
    table = pd.DataFrame({"theme": exam.themes.names, "p_value": adjusted, "evidence": found})
    table["stability"] = _stability(exam, np.abs(by_theme).mean(axis=0), seed) if crm.dated else np.nan
    notes = () if crm.dated else (text("The deals carry no dates, so stability over time is unknown."),)
    return Evidence(
        table, _interactions(exam, fitted, log_odds), notes, _slopes(exam, by_theme, fold_of, leading or {})
    )


def _exam(model: TrainedModel, crm: CRMData, cross_deal_history: CrossDealHistory | None) -> _Exam:
    """A few looks at each of the latest closed deals, with their endings."""
    snapshots = labelled(crm, every(crm, _EVERY_DAYS) if crm.dated else undated_snapshots(crm))
    snapshots = snapshots[snapshots["outcome"] != "open"]
    snapshots = snapshots.assign(
        draw=pd.util.hash_pandas_object(snapshots[["deal_id", "as_of"]], index=False).to_numpy()
    )
    snapshots = snapshots.sort_values(["deal_id", "draw"]).groupby("deal_id", sort=False).head(SNAPSHOTS_PER_DEAL)
    closed_at = crm.deals.set_index("deal_id")["closed_at"]
    snapshots = snapshots.assign(closed_at=snapshots["deal_id"].map(closed_at))
    latest = snapshots.drop_duplicates("deal_id").sort_values(["closed_at", "deal_id"])["deal_id"].tail(DEALS)
    rows = snapshots[snapshots["deal_id"].isin(latest)].reset_index(drop=True)
    _require_enough(rows)
    rows["weight"] = 1.0 / rows.groupby("deal_id")["deal_id"].transform("size")
    won = np.asarray(rows["outcome"] == "won", dtype=np.int64)
    features = model.build_features(crm, rows[["deal_id", "as_of"]], cross_deal_history=cross_deal_history)
    return _Exam(rows, features, won, themes_of(model.info), model.classifier.threads)


def _require_enough(rows: pd.DataFrame) -> None:
    ended = rows.drop_duplicates("deal_id")["outcome"].value_counts()
    won, lost = int(ended.get("won", 0)), int(ended.get("lost", 0))
    if min(won, lost) < MIN_EACH:
        raise TooLittleDataError(
            text(
                "only {won} won and {lost} lost deals of these data were ever seen open, and drivers are "
                "tested on {min_each} of each at the least; import a longer history, or name a later day with "
                "--as-of",
                won=won,
                lost=lost,
                min_each=MIN_EACH,
            )
        )


def _fit(exam: _Exam, rows: NDArray[np.int64], seed: int) -> WinClassifier:
    """A small blend of trees and a linear model."""
    small = WinClassifier(
        bags=1,
        trees=100,
        learning_rate=0.08,
        large_leaves=0,
        linear_weight=0.5,
        threads=exam.threads,
        random_state=seed,
    )
    part = exam.features.iloc[rows].reset_index(drop=True)
    weight = exam.rows["weight"].to_numpy()[rows]
    return small.fit(part, exam.won[rows], sample_weight=weight, groups=exam.rows["deal_id"].to_numpy()[rows])


def _held_out(exam: _Exam, seed: int) -> tuple[Floats, Floats, NDArray[np.int64], WinClassifier]:
    """Log-odds and contributions by theme of every row, by a model that did not see its deal, and which model."""
    log_odds = np.empty(len(exam.won))
    by_theme = np.empty((len(exam.won), len(exam.themes.names)))
    fold_of = np.empty(len(exam.won), dtype=np.int64)
    folds = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=seed)
    for fold, (train, test) in enumerate(folds.split(exam.features, exam.won, exam.rows["deal_id"])):
        fitted = _fit(exam, train, seed)
        found = contributions(fitted, exam.features.iloc[test].reset_index(drop=True))
        log_odds[test] = found.log_odds
        by_theme[test] = exam.themes.sums(found.values.to_numpy(np.float64))
        fold_of[test] = fold
    return log_odds, by_theme, fold_of, fitted


def _slopes(exam: _Exam, by_theme: Floats, fold_of: NDArray[np.int64], leading: Mapping[str, str]) -> dict[str, Floats]:
    """Rank correlation of each theme's leading figure with what the theme contributes, model by model."""
    numeric = {each.name for each in exam.themes.info if each.unit != "category"}
    return {
        theme: np.array(
            [
                slope(exam.features.loc[fold_of == fold, figure], by_theme[fold_of == fold, place])
                for fold in range(_FOLDS)
            ]
        )
        for place, theme in enumerate(exam.themes.names)
        if (figure := leading.get(theme)) in numeric
    }


def slope(values: pd.Series, contributed: Floats) -> float:
    """Rank correlation of a figure, where it is known, with contributions; NaN where one of them does not vary.

    Examples
    --------
    >>> round(slope(pd.Series([1.0, 2.0, np.nan, 3.0]), np.array([-0.1, 0.0, 0.3, 0.2])), 1)
    1.0
    """
    known = values.notna().to_numpy()
    if not known.any() or values[known].nunique() < 2 or np.ptp(contributed[known]) == 0:
        return float("nan")
    return float(spearmanr(values[known], contributed[known]).statistic)


def _p_value(exam: _Exam, log_odds: Floats, contributed: Floats) -> float:
    """Chance that a worthless theme's contributions would tell endings this well, beyond all other themes."""
    import statsmodels.api as sm

    spread = contributed.std()
    if spread < 1e-9:
        return 1.0
    rest = log_odds - contributed
    design = np.column_stack([np.ones(len(rest)), rest, (contributed - contributed.mean()) / spread])
    codes = pd.factorize(exam.rows["deal_id"])[0]
    model = sm.GLM(exam.won, design, family=sm.families.Binomial())
    fitted = model.fit(cov_type="cluster", cov_kwds={"groups": codes})
    return float(norm.sf(fitted.params[2] / fitted.bse[2]))


def _stability(exam: _Exam, strength: Floats, seed: int) -> Floats:
    """Share of past cut-offs at which a theme was a driver of about its present rank.

    At each, a small model is fitted on what had closed by then.
    """
    closed_at = exam.rows["closed_at"]
    half = len(strength) // 2
    strong = strength.argsort().argsort() >= half
    agreed = np.zeros(len(strength))
    cutoffs = closed_at.quantile(list(_PAST_SHARES))
    usable = 0
    for cutoff in cutoffs:
        rows = np.flatnonzero((closed_at < cutoff).to_numpy())
        if len(rows) < 2 or min(exam.won[rows].sum(), (1 - exam.won[rows]).sum()) < 40:
            continue
        fitted = _fit(exam, rows, seed)
        sample = exam.features.iloc[rows[:: max(1, len(rows) // 2000)]].reset_index(drop=True)
        then = np.abs(exam.themes.sums(contributions(fitted, sample).values.to_numpy(np.float64))).mean(axis=0)
        agreed += (then.argsort().argsort() >= half) == strong
        usable += 1
    return agreed / usable if usable else np.full(len(strength), np.nan)


def _interactions(exam: _Exam, fitted: WinClassifier, log_odds: Floats) -> pd.DataFrame:
    """Pairs of themes with the largest SHAP interaction values, of the trees of a small model on some rows."""
    import shap

    rows = np.linspace(0, len(exam.won) - 1, min(_INTERACTION_ROWS, len(exam.won))).astype(np.int64)
    matrix = fitted.to_matrix(exam.features.iloc[rows].reset_index(drop=True))
    values = np.asarray(shap.TreeExplainer(fitted.boosters_[0]).shap_interaction_values(matrix))
    count = len(exam.themes.names)
    member = (exam.themes.codes[:, None] == np.arange(count)).astype(np.float64)
    pairs = np.einsum("rij,ia,jb->rab", values, member, member, optimize=True)
    odds = expit(log_odds[rows])
    # a pair's share stands half in either order; near the present odds a point is a log-odds times p (1 - p)
    points = fitted.trees_weight_ * 2 * (np.abs(pairs) * (odds * (1 - odds))[:, None, None]).mean(axis=0)
    first, second = np.triu_indices(count, 1)
    order = np.argsort(-points[first, second], kind="stable")[:_PAIRS]
    names = [str(each.name) for each in exam.themes.themes]
    return pd.DataFrame(
        {
            "first": [names[place] for place in first[order]],
            "second": [names[place] for place in second[order]],
            "points": points[first[order], second[order]],
        }
    )
