"""Flags of open deals: what at risk, silent, stalled, overdue, hopeless, booked and worth letting go mean.

Each is a rule on the feature frame, row by row: a deal has the same flags alone as among all. A flag whose facts are
missing is not raised.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from winpredict.config import NextSteps
from winpredict.locale.text import Text, text
from winpredict.models.stage_norms import Norm, StageNorms, figure, silence_of, stages_of

Floats = NDArray[np.float64]

#: The flags, in the order in which they are told, with their names for people.
FLAGS: Mapping[str, Text] = {
    "at_risk": text("at risk"),
    "silent": text("silent"),
    "stalled": text("stalled"),
    "overdue": text("overdue"),
    "hopeless": text("hopeless"),
    "let_go": text("worth letting go"),
    "booked": text("meeting booked"),
}
#: What the definitions go by where a config names nothing else.
DEFAULTS = NextSteps()


def silent(features: pd.DataFrame, norms: StageNorms, settings: NextSteps = DEFAULTS) -> pd.Series:
    """Without contact for longer than deals won from its stage went, 9 times in 10.

    Parameters
    ----------
    features : DataFrame of shape (n_deals, n_features)
    norms : StageNorms
        Of the model; where they tell nothing, `settings` do.
    settings : NextSteps

    Returns
    -------
    Series of bool, shape (n_deals,)

    Examples
    --------
    >>> features = pd.DataFrame({"stage": "Demo", "days_since_touch": [12.0, 13.0, None]})
    >>> silent(features, StageNorms({"Demo": {"silence": 12.0}})).tolist()
    [False, True, False]
    """
    return _series(features, whole(silence(features, norms)) > silence_limit(features, norms, settings).values)


def stalled(features: pd.DataFrame, norms: StageNorms, settings: NextSteps = DEFAULTS) -> pd.Series:
    """In its stage for longer than 9 in 10 deals won from there stayed.

    Parameters and what is returned are those of `silent`.

    Examples
    --------
    >>> features = pd.DataFrame({"stage": ["Demo", "Demo", "Offer"], "days_in_stage": [30.0, 31.0, 61.0]})
    >>> stalled(features, StageNorms({"Demo": {"days_in_stage": 30.0}})).tolist()
    [False, True, True]
    """
    return _series(features, whole(figure(features, "days_in_stage")) > stay_limit(features, norms, settings).values)


def overdue(features: pd.DataFrame, settings: NextSteps = DEFAULTS) -> pd.Series:
    """Still open after the expected close.

    Examples
    --------
    >>> overdue(pd.DataFrame({"days_overdue": [0.0, 1.0, None]})).tolist()
    [False, True, False]
    """
    return _series(features, days_overdue(features) >= settings.overdue_days)


def booked(features: pd.DataFrame) -> pd.Series:
    """With a meeting that is booked and still ahead.

    Examples
    --------
    >>> booked(pd.DataFrame({"meetings_booked": [0.0, 1.0, None]})).tolist()
    [False, True, False]
    """
    return _series(features, figure(features, "meetings_booked") > 0)


def hopeless(odds: ArrayLike, settings: NextSteps = DEFAULTS) -> pd.Series:
    """With win odds below the floor; never at risk, since little is left to lose.

    Examples
    --------
    >>> hopeless([0.04, 0.05]).tolist()
    [True, False]
    """
    values = pd.Series(odds) if not isinstance(odds, pd.Series) else odds
    return pd.Series(values.to_numpy(np.float64, na_value=np.nan) < settings.hopeless_odds, index=values.index)


def let_go(features: pd.DataFrame, odds: ArrayLike, norms: StageNorms, settings: NextSteps = DEFAULTS) -> pd.Series:
    """Worth letting go: hopeless, stalled and silent for long, with nothing booked.

    Examples
    --------
    >>> features = pd.DataFrame({"stage": "Demo", "days_since_touch": [90.0, 90.0], "days_in_stage": [99.0, 99.0]})
    >>> let_go(features, [0.02, 0.3], StageNorms()).tolist()
    [True, False]
    """
    return deal_flags(features, odds, norms, settings)["let_go"]


def at_risk(
    features: pd.DataFrame,
    odds: ArrayLike,
    norms: StageNorms,
    settings: NextSteps = DEFAULTS,
    *,
    falling: ArrayLike | None = None,
) -> pd.Series:
    """Silent, or with falling odds; but neither hopeless nor with a meeting booked.

    Parameters
    ----------
    features : DataFrame of shape (n_deals, n_features)
    odds : array-like of shape (n_deals,)
        Win probability.
    norms : StageNorms
    settings : NextSteps
    falling : array-like of bool, shape (n_deals,), optional
        Whose odds fell lately; by default nobody's.

    Returns
    -------
    Series of bool, shape (n_deals,)

    Examples
    --------
    >>> features = pd.DataFrame({"days_since_touch": [40.0, 40.0, 40.0, 2.0], "meetings_booked": [0.0, 0.0, 1.0, 0.0]})
    >>> at_risk(features, [0.5, 0.01, 0.5, 0.5], StageNorms(), falling=[False, False, False, True]).tolist()
    [True, False, False, True]
    """
    return deal_flags(features, odds, norms, settings, falling=falling)["at_risk"]


def deal_flags(
    features: pd.DataFrame,
    odds: ArrayLike,
    norms: StageNorms,
    settings: NextSteps = DEFAULTS,
    *,
    falling: ArrayLike | None = None,
) -> pd.DataFrame:
    """All flags of some deals.

    Parameters are those of `at_risk`.

    Returns
    -------
    DataFrame of bool, shape (n_deals, n_flags)
        A column for each of `FLAGS`.
    """
    is_silent, is_stalled, is_booked = (
        flag.to_numpy()
        for flag in (silent(features, norms, settings), stalled(features, norms, settings), booked(features))
    )
    without_hope = hopeless(np.asarray(odds), settings).to_numpy()
    falls = np.zeros(len(features), dtype=bool) if falling is None else np.asarray(falling, dtype=bool)
    long_silent = is_silent & (whole(silence(features, norms)) >= settings.let_go_days)
    return pd.DataFrame(
        {
            "at_risk": (is_silent | falls) & ~is_booked & ~without_hope,
            "silent": is_silent,
            "stalled": is_stalled,
            "overdue": overdue(features, settings).to_numpy(),
            "hopeless": without_hope,
            "let_go": long_silent & is_stalled & ~is_booked & without_hope,
            "booked": is_booked,
        },
        index=features.index,
    )


def flag_names(flags: pd.DataFrame) -> list[tuple[str, ...]]:
    """The flags that each deal has, in their order.

    Examples
    --------
    >>> flag_names(pd.DataFrame({"silent": [True, False], "overdue": [True, False]}))
    [('silent', 'overdue'), ()]
    """
    names = [str(name) for name in flags]
    raised = flags.to_numpy(dtype=bool)
    codes = raised @ (1 << np.arange(len(names)))
    known = {code: tuple(name for place, name in enumerate(names) if code >> place & 1) for code in set(codes.tolist())}
    return [known[code] for code in codes.tolist()]


def with_falling(flags: tuple[str, ...], *, falling: bool) -> tuple[str, ...]:
    """The flags of a deal once it is known whether its odds fell, which is not seen in the facts of one day.

    Examples
    --------
    >>> with_falling(("stalled",), falling=True), with_falling(("booked",), falling=True)
    (('at_risk', 'stalled'), ('booked',))
    """
    safe = not falling or "at_risk" in flags or "booked" in flags or "hopeless" in flags
    return flags if safe else ("at_risk", *flags)


def big(amounts: pd.Series, currencies: pd.Series | None, share: float) -> pd.Series:
    """The largest deals among those of their currency; an amount that is missing, or none above 0, is not known.

    Parameters
    ----------
    amounts : Series of float, shape (n_deals,)
    currencies : Series, shape (n_deals,), optional
        None where there is one currency, or none is recorded.
    share : float
        The share of the deals that counts as big, 0 to 1.

    Returns
    -------
    Series of bool, shape (n_deals,)

    Examples
    --------
    >>> big(pd.Series([9.0, 8.0, 7.0, None, 1.0]), None, 0.5).tolist()
    [True, True, False, False, False]
    """
    known = amounts.where(amounts > 0)
    same_money = known if currencies is None else known.groupby(currencies, dropna=False)
    return same_money.rank(pct=True, method="max") > 1 - share


def silence(features: pd.DataFrame, norms: StageNorms) -> Floats:
    """Days without contact; see `winpredict.models.stage_norms.silence_of`."""
    return silence_of(features, records_touches=norms.records("touches"))


def silence_limit(features: pd.DataFrame, norms: StageNorms, settings: NextSteps) -> Norm:
    """Days of silence beyond which a deal is silent; `of_stage` where its stage decides."""
    norm = norms.of("silence", stages_of(features))
    limit = np.where(np.isnan(norm.values), settings.silent_days, np.fmax(norm.values, settings.min_silent_days))
    return Norm(limit, norm.of_stage)


def stay_limit(features: pd.DataFrame, norms: StageNorms, settings: NextSteps) -> Norm:
    """Days in the stage beyond which a deal is stalled; `of_stage` where its stage decides."""
    norm = norms.of("days_in_stage", stages_of(features))
    return Norm(np.where(np.isnan(norm.values), settings.stalled_days, norm.values), norm.of_stage)


def days_overdue(features: pd.DataFrame) -> Floats:
    """Whole days past the expected close; NaN where none is entered."""
    return whole(np.fmax(figure(features, "days_overdue"), -figure(features, "days_to_expected_close")))


def whole(days: Floats) -> Floats:
    """Days as they are told: rules compare what people read, so that no sentence contradicts its own figures."""
    return np.rint(days)


def _series(features: pd.DataFrame, values: NDArray[np.bool_]) -> pd.Series:
    return pd.Series(values, index=features.index)
