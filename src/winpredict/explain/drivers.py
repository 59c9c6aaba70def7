"""Drivers: what moves the odds of all deals, by how much, which way, how surely."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from winpredict.errors import TooLittleDataError
from winpredict.explain._evidence import Evidence, evidence_of, slope
from winpredict.explain.claims import value_text
from winpredict.explain.contributions import contributions
from winpredict.explain.reason import capitalised
from winpredict.explain.themes import Themes, themes_of
from winpredict.features.cross_deal_history import CrossDealHistory
from winpredict.features.description import FeatureInfo
from winpredict.features.snapshots import every
from winpredict.locale.text import Text, said, text, texts
from winpredict.models.snapshots import undated_snapshots
from winpredict.models.splits import known_before
from winpredict.models.trained import TrainedModel
from winpredict.tables.crm import CRMData

Floats = NDArray[np.float64]

#: Deals looked at, once each; more would sharpen the figures by less than they vary from deal to deal.
DEALS = 3000
BOOTSTRAPS = 400
#: Rank correlation between a figure and its effect from which more of it is called better or worse, if the small models
#: of the test all point the same way.
CLEAR = 0.3
#: Win rates of two groups differ by more than chance if they lie so many standard errors, added up, apart.
_APART = 1.96
MIN_IN_GROUP = 50
#: What people read for the directions of themes.
DIRECTION_LABELS: Mapping[str, Text] = {
    "more is better": text("more is better"),
    "less is better": text("less is better"),
    "depends": text("no clear direction"),
    "by value": text("by value"),
    "no evidence": text("no evidence"),
}
_MAX_DRIVERS = 5
_BINS = 8
_NOT_KNOWN = "not known"
#: Figures that stand for their theme where the data have them, since people count them.
_COUNTED = ("touches", "team_members", "active_users", "contacts", "contacts_touched", "senior_contacts", "stage_rank")
_EVERY_DAYS = 7.0
#: Key of the hash that chooses deals: another than that of the days they are looked at on, which goes by their ids too.
_CHOICE = "deals looked at."
_GROUP_COLUMNS = {
    "group": "object", "deals": "int64", "theme": "object", "name": "object",
    "strength": "float64", "low": "float64", "high": "float64",
}  # fmt: skip


@dataclass(frozen=True)
class Drivers:
    """What moves the odds.

    Parameters
    ----------
    themes : DataFrame
        One row a theme, strongest first: theme, name, control (controllable, deal, customer, context),
        strength (mean absolute contribution as a probability: 0.05 is five percentage points) with ``low`` and
        ``high`` (95%, bootstrap over deals), leading (its strongest feature), sentence (that feature's), direction
        (more is better, less is better, by value; depends where there is no clear one; no evidence where there is none
        that it works), evidence (bool: whether it tells endings of deals that it was not learnt from), p_value
        (adjusted for the number of themes), stability (share of past cut-offs at which it was a driver of about this
        rank; NaN where there is no past).
    features : DataFrame
        One row a feature: feature, sentence, builder, theme, points (mean absolute contribution).
    dependence : DataFrame
        Shape: theme, feature, sentence, unit, value (mean of a bin, or NaN), label (the bin's or the category's), n,
        points (mean contribution of the theme there), low, high (middle half of the deals), closed (deals with an
        ending), win_rate (of these).
    interactions : DataFrame
        Pairs of themes whose effects depend on each other: first, second, points (mean absolute interaction).
    groups : DataFrame
        The same strengths within each group that was asked for: group, deals, theme, name, strength, low, high.
    deals : int
        Deals looked at.
    notes : tuple of Text
    names : mapping of str to Text
        What each theme is called.
    labels : mapping of str to Text
        What each feature is called.
    """

    themes: pd.DataFrame
    features: pd.DataFrame
    dependence: pd.DataFrame
    interactions: pd.DataFrame
    groups: pd.DataFrame
    deals: int
    notes: tuple[Text, ...] = field(default=())
    names: Mapping[str, Text] = field(default_factory=dict)
    labels: Mapping[str, Text] = field(default_factory=dict)

    @property
    def significant(self) -> pd.DataFrame:
        """The themes with evidence."""
        return self.themes[self.themes["evidence"]].reset_index(drop=True)

    def sentences(self) -> list[str]:
        """The drivers in words, most important first."""
        significant = self.significant
        notes = [str(note) for note in self.notes]
        if significant.empty:
            return [said("No figure or attribute tells won from lost deals beyond normal variation."), *notes]
        out = [
            self.sentence(str(theme), is_first=not place)
            for place, theme in enumerate(significant["theme"].head(_MAX_DRIVERS))
        ]
        if controllable := self._named(significant[significant["control"] == "controllable"]):
            out.append(said("Controllable: {drivers:listed}.", drivers=controllable))
        if without := self.without_evidence():
            out.append(said("No evidence was found for: {drivers:listed}.", drivers=without))
        return [*out, *notes]

    def sentence(self, theme: str, *, is_first: bool = False) -> str:
        """One driver: how much it moves the odds, and which way, as far as that is clear.

        Parameters
        ----------
        theme : str
            Its key.
        is_first : bool
            Whether it is the strongest of all.
        """
        row = self.themes[self.themes["theme"] == theme].iloc[0]
        values: dict[str, Any] = {"driver": capitalised(self.names[theme]), "n": float(row["strength"])}
        strength = (
            texts(
                "{driver} moves the odds most, by {n:size_points} point on average.",
                "{driver} moves the odds most, by {n:size_points} points on average.",
                **values,
            )
            if is_first
            else texts(
                "{driver}: {n:size_points} point on average.", "{driver}: {n:size_points} points on average.", **values
            )
        )
        return f"{strength} {self._way(row)}"

    def without_evidence(self, but: Collection[str] = ()) -> tuple[Text, ...]:
        """The themes for which no evidence was found, but for some of them."""
        rows = self.themes[~self.themes["evidence"]]
        return self._named(rows[~rows["theme"].isin(list(but))])

    def _named(self, rows: pd.DataFrame) -> tuple[Text, ...]:
        return tuple(self.names[theme] for theme in rows["theme"])

    def _way(self, row: "pd.Series[Any]") -> Text:
        """Which way a driver works, or that this is not clear."""
        direction = row["direction"]
        if direction == "by value":
            return self._by_value(str(row["theme"]))
        label = self.labels.get(row["leading"], row["sentence"])
        if direction == "more is better":
            return text("More is better: {figure}.", figure=label)
        if direction == "less is better":
            return text("Less is better: {figure}.", figure=label)
        return text("No clear direction: {figure}.", figure=label)

    def _by_value(self, theme: str) -> Text:
        """Which value of a category wins and which loses, and how their win rates compare."""
        shape = self.dependence[(self.dependence["theme"] == theme) & (self.dependence["n"] >= MIN_IN_GROUP)]
        shape = shape[shape["label"] != _NOT_KNOWN].sort_values(["points", "label"])
        if len(shape) < 2 or not shape["points"].iloc[0] < 0 < shape["points"].iloc[-1]:
            return text("No clear difference between its values.")
        worst, best = shape.iloc[0], shape.iloc[-1]
        values: dict[str, Any] = {"best": self._value(best), "worst": self._value(worst)}
        points: dict[str, Any] = values | {"high": float(best["points"]), "n": float(worst["points"])}
        rates: dict[str, Any] = {"best_rate": float(best["win_rate"]), "worst_rate": float(worst["win_rate"])}
        apart = _rates_apart(best, worst)
        if apart > 0:
            return text(
                "Best: {best}, {best_rate:percent} won; worst: {worst}, {worst_rate:percent}.", **values, **rates
            )
        if apart < 0:  # what else these deals are like outweighs it, which must be said beside what the rates say
            return texts(
                "Best, other things being equal: {best} ({high:points} points); worst: {worst} ({n:points} point). "
                "Their win rates, {best_rate:percent} and {worst_rate:percent}, differ the other way, since these "
                "deals also differ in other respects.",
                "Best, other things being equal: {best} ({high:points} points); worst: {worst} ({n:points} points). "
                "Their win rates, {best_rate:percent} and {worst_rate:percent}, differ the other way, since these "
                "deals also differ in other respects.",
                **points,
                **rates,
            )
        return texts(
            "Best: {best} ({high:points} points); worst: {worst} ({n:points} point).",
            "Best: {best} ({high:points} points); worst: {worst} ({n:points} points).",
            **points,
        )

    def _value(self, row: "pd.Series[Any]") -> Text:
        """A value of a category as people read it."""
        feature = str(row["feature"])
        label = self.labels.get(feature, Text(feature))
        return value_text(FeatureInfo(name=feature, unit="category", label=label, builder=""), row["label"])


def _rates_apart(one: "pd.Series[Any]", other: "pd.Series[Any]") -> int:
    """Whether the win rate of one group lies above the other's (1), below it (-1), or too close to say (0)."""
    if min(one["closed"], other["closed"]) < MIN_IN_GROUP:
        return 0
    gap = float(one["win_rate"] - other["win_rate"])
    error = sum(np.sqrt(each["win_rate"] * (1 - each["win_rate"]) / each["closed"]) for each in (one, other))
    return int(np.sign(gap)) if abs(gap) > _APART * error else 0


@dataclass(frozen=True)
class DealContributions:
    """How far each theme moves the odds of each deal, by one look at each.

    Parameters
    ----------
    snapshots : DataFrame
        deal_id and as_of.
    features : DataFrame
    points : DataFrame of shape (n_deals, n_features)
        Contributions as probabilities.
    grouped : Themes
    """

    snapshots: pd.DataFrame
    features: pd.DataFrame
    points: pd.DataFrame
    grouped: Themes

    @cached_property
    def by_theme(self) -> Floats:
        """Contributions added up by theme, shape (n_deals, n_themes)."""
        return self.grouped.sums(self.points.to_numpy(np.float64))

    def strengths(self, groups: pd.Series | None, *, seed: int = 0) -> pd.DataFrame:
        """Strengths of the themes within groups of deals, as `Drivers.groups`; small groups are left out.

        Parameters
        ----------
        groups : Series, optional
            A group a deal, indexed by deal_id.
        seed : int
            Of the bootstrap.
        """
        return _groups(self.snapshots, groups, self.by_theme, self.grouped, seed)


def explain_deals(
    model: TrainedModel, crm: CRMData, *, cross_deal_history: CrossDealHistory | None = None
) -> DealContributions:
    """Look at every deal once, on a day that chance has chosen.

    Parameters
    ----------
    model : TrainedModel
    crm : CRMData
    cross_deal_history : CrossDealHistory, optional
        Cross-deal history of all deals, where `crm` holds only some of them.

    Returns
    -------
    DealContributions

    Raises
    ------
    WinPredictError
        When the model was trained on later facts.
    TooLittleDataError
        When no deal was seen open.
    """
    model.refuse_hindsight(crm.known_until)
    known = known_before(crm) if crm.dated else crm
    snapshots = _one_snapshot_per_deal(known)
    features = model.build_features(known, snapshots, cross_deal_history=cross_deal_history)
    points = contributions(model.classifier, features).in_points()
    return DealContributions(snapshots, features, points, themes_of(model.info))


def top_drivers(model: TrainedModel, features: pd.DataFrame) -> pd.DataFrame:
    """Every feature with the mean size of its effect on these deals' odds, strongest first.

    Parameters
    ----------
    model : TrainedModel
    features : DataFrame of shape (n_deals, n_features)
        From `TrainedModel.build_features`.

    Returns
    -------
    DataFrame
        feature, sentence, builder, and points: the mean absolute contribution as a probability (0.05 is five
        percentage points).
    """
    return _by_feature(contributions(model.classifier, features).in_points(), model).drop(columns="theme")


def drivers(
    model: TrainedModel,
    crm: CRMData,
    *,
    groups: pd.Series | None = None,
    cross_deal_history: CrossDealHistory | None = None,
    seen: DealContributions | None = None,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Drivers:
    """What moves the odds, over all deals and within groups of them.

    Parameters
    ----------
    model : TrainedModel
    crm : CRMData
        What it was trained on, or later data. Nothing dated at or after its end of knowledge is looked at.
    groups : Series, optional
        A group a deal, indexed by deal_id, such as the product or the team.
    cross_deal_history : CrossDealHistory, optional
        Cross-deal history of all deals, where `crm` holds only some of them.
    seen : DealContributions, optional
        What `explain_deals` gave for the same deals already.
    seed : int
        Of the bootstrap and the folds.
    progress : callable, optional
        Called with a few words before each step.

    Returns
    -------
    Drivers

    Raises
    ------
    WinPredictError
        When the model was trained on later facts.
    TooLittleDataError
        When too few deals were seen open, or closed since, to look at and to test on.

    Notes
    -----
    Strength is the mean absolute SHAP value of a theme (Lundberg et al. 2020), in points, over one look at each deal.
    A large SHAP value alone is no evidence, since a model also contributes what it learnt from noise. So each theme is
    put to a test on deals that small models did not see: if its contributions are worth anything, they tell endings
    beyond all other contributions (Wald test of their coefficient in a logistic regression, errors clustered by deal,
    false discovery rate 5% by Benjamini and Hochberg 1995).
    """
    report_progress = progress or (lambda words: None)
    model.refuse_hindsight(crm.known_until)
    known = known_before(crm) if crm.dated else crm
    report_progress("looking at every deal once")
    seen = seen or explain_deals(model, known, cross_deal_history=cross_deal_history)
    features, by_theme, grouped = seen.features, seen.by_theme, seen.grouped
    report_progress("testing each driver on deals that were not learnt from")
    by_feature = _by_feature(seen.points, model)
    leading = _leading(model, by_feature)
    evidence = evidence_of(
        model,
        known,
        leading=dict(zip(leading.index, leading["feature"], strict=True)),
        cross_deal_history=cross_deal_history,
        seed=seed,
    )
    table = _themes(model, features, leading, by_theme, grouped, evidence, seed)
    report_progress("reading off shapes and segments")
    return Drivers(
        table,
        by_feature,
        _dependence(table, model, features, by_theme, grouped, _outcomes(known, seen.snapshots)),
        evidence.interactions,
        seen.strengths(groups, seed=seed),
        len(seen.snapshots),
        evidence.notes,
        {name: theme.name for name, theme in zip(grouped.names, grouped.themes, strict=True)},
        {each.name: each.label for each in model.info},
    )


def _one_snapshot_per_deal(crm: CRMData) -> pd.DataFrame:
    """A day of each of some deals; every deal is as likely to be among them, however long it lived."""
    snapshots = every(crm, _EVERY_DAYS) if crm.dated and len(crm.deals) else undated_snapshots(crm)
    if snapshots.empty:
        raise TooLittleDataError(
            text(
                "no deal of these data was open on any day that is looked at, so there is nothing to read "
                "drivers off; import a longer history, or name a later day with --as-of"
            )
        )
    draw = pd.util.hash_pandas_object(snapshots[["deal_id", "as_of"]], index=False).to_numpy()
    snapshots = snapshots.assign(_draw=draw).sort_values("_draw").drop_duplicates("deal_id")
    # not by the draw again: the smallest of many draws is smaller, and long deals would be chosen for that
    place = pd.util.hash_pandas_object(snapshots["deal_id"], index=False, hash_key=_CHOICE).to_numpy()
    snapshots = snapshots.assign(_place=place).sort_values("_place").head(DEALS)
    return snapshots.sort_values("deal_id", ignore_index=True)[["deal_id", "as_of"]]


def _by_feature(points: pd.DataFrame, model: TrainedModel) -> pd.DataFrame:
    described = pd.DataFrame(
        [(each.name, str(each.label), each.builder, each.story.key) for each in model.info],
        columns=["feature", "sentence", "builder", "theme"],
    )
    described["points"] = points.abs().mean()[described["feature"]].to_numpy()
    return described.sort_values(["points", "feature"], ascending=[False, True], ignore_index=True)


def _leading(model: TrainedModel, by_feature: pd.DataFrame) -> pd.DataFrame:
    """The feature that stands for each theme, by theme: what people count, a category itself, or the strongest."""
    named = {each.name for each in model.info if each.unit == "category" and each.name != "stage"}
    counted = by_feature["feature"].map({name: place for place, name in enumerate((*_COUNTED, *sorted(named)))})
    leading = by_feature.assign(counted=counted).sort_values("counted", kind="stable")  # others keep their order
    return leading.drop_duplicates("theme").set_index("theme")


def _themes(
    model: TrainedModel,
    features: pd.DataFrame,
    leading: pd.DataFrame,
    by_theme: Floats,
    grouped: Themes,
    evidence: Evidence,
    seed: int,
) -> pd.DataFrame:
    strength, low, high = _strengths(by_theme, seed)
    info = {each.name: each for each in model.info}
    table = pd.DataFrame({"theme": grouped.names, "strength": strength, "low": low, "high": high})
    table.insert(1, "name", [str(each.name) for each in grouped.themes])
    table.insert(2, "control", [each.control for each in grouped.themes])
    table["leading"] = leading["feature"].reindex(grouped.names).to_numpy()
    table["sentence"] = leading["sentence"].reindex(grouped.names).to_numpy()
    table["direction"] = [
        _direction(info[name], features[name], by_theme[:, place], evidence.slopes.get(theme, np.empty(0)))
        for place, (theme, name) in enumerate(zip(grouped.names, table["leading"], strict=True))
    ]
    table = table.merge(evidence.themes, on="theme", how="left")
    table["evidence"] = table["evidence"].fillna(False).astype(bool)
    # which way a driver works is told only where there is evidence that it works at all
    table["direction"] = table["direction"].where(table["evidence"], "no evidence")
    return table.sort_values(["strength", "theme"], ascending=[False, True], ignore_index=True)


def _strengths(by_theme: Floats, seed: int) -> tuple[Floats, Floats, Floats]:
    """Mean absolute contribution of each theme, with a 95% interval by resampling deals."""
    size = np.abs(by_theme)
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(len(size), np.full(len(size), 1 / len(size)), BOOTSTRAPS) / len(size)
    low, high = np.quantile(weights @ size, (0.025, 0.975), axis=0)
    return size.mean(axis=0), low, high


def _direction(info: FeatureInfo, values: pd.Series, points: Floats, slopes: Floats) -> str:
    """Which way a driver works, if this model says so clearly and every small model of the test says the same."""
    if info.unit == "category":
        return "by value"
    own = slope(values, points)
    # a NaN of a model agrees with nothing
    clear = values.notna().sum() >= MIN_IN_GROUP and abs(own) >= CLEAR
    if not clear or not len(slopes) or not (slopes * np.sign(own) > 0).all():
        return "depends"
    return "more is better" if own > 0 else "less is better"


def _outcomes(crm: CRMData, snapshots: pd.DataFrame) -> pd.Series:
    """How the deals ended: 1 won, 0 lost, NaN open."""
    ended = crm.deals.set_index("deal_id")["outcome"].map({"won": 1.0, "lost": 0.0})
    return snapshots["deal_id"].map(ended).astype(float)


def _dependence(
    table: pd.DataFrame,
    model: TrainedModel,
    features: pd.DataFrame,
    by_theme: Floats,
    grouped: Themes,
    won: pd.Series,
) -> pd.DataFrame:
    info = {each.name: each for each in model.info}
    parts = []
    for name, leading in zip(table["theme"], table["leading"], strict=True):
        about, values = info[leading], features[leading]
        bins = _binned(about, values)
        frame = pd.DataFrame({"bin": bins, "points": by_theme[:, grouped.names.index(name)], "won": won.to_numpy()})
        if about.unit != "category":
            frame["value"] = values.to_numpy(np.float64)
        found = frame.groupby("bin", observed=True, sort=False)
        part = (
            found["points"].describe()[["count", "mean", "25%", "75%"]].set_axis(["n", "points", "low", "high"], axis=1)
        )
        part["value"] = found["value"].mean() if "value" in frame else np.nan
        part["closed"], part["win_rate"] = found["won"].count(), found["won"].mean()
        part = part.reset_index(names="label").sort_values(["value", "points"])
        parts.append(part.assign(theme=name, feature=about.name, sentence=str(about.label), unit=about.unit))
    columns = [
        "theme", "feature", "sentence", "unit", "value", "label", "n", "points", "low", "high", "closed", "win_rate",
    ]  # fmt: skip
    out = pd.concat(parts, ignore_index=True)[columns]
    return out.assign(label=out["label"].astype(str), n=out["n"].astype(int), closed=out["closed"].astype(int))


def _binned(info: FeatureInfo, values: pd.Series) -> pd.Series:
    """Bins of about as many deals each; few different values stand for themselves."""
    if info.unit == "category":
        return values.astype(object).fillna(_NOT_KNOWN)
    known = values.dropna()
    if known.nunique() <= _BINS:
        return values.map(lambda value: _NOT_KNOWN if np.isnan(value) else f"{value:g}")
    edges = np.unique(known.quantile(np.linspace(0, 1, _BINS + 1)[1:-1]))
    places = np.searchsorted(edges, values.to_numpy(), side="right")
    return pd.Series(np.where(values.isna(), _NOT_KNOWN, [f"bin {place + 1}" for place in places]))


def _groups(
    snapshots: pd.DataFrame, groups: pd.Series | None, by_theme: Floats, grouped: Themes, seed: int
) -> pd.DataFrame:
    none = pd.DataFrame(columns=list(_GROUP_COLUMNS)).astype(_GROUP_COLUMNS)
    if groups is None:
        return none
    mine = snapshots["deal_id"].map(groups).to_numpy(dtype=object)
    parts = []
    for group in pd.unique(pd.Series(mine).dropna().sort_values()):
        rows = mine == group
        if rows.sum() < MIN_IN_GROUP:
            continue
        strength, low, high = _strengths(by_theme[rows], seed)
        part = pd.DataFrame({"theme": grouped.names, "strength": strength, "low": low, "high": high})
        parts.append(part.assign(group=group, deals=int(rows.sum()), name=[str(each.name) for each in grouped.themes]))
    return pd.concat(parts, ignore_index=True)[list(_GROUP_COLUMNS)] if parts else none
