"""From a CRM to a trained model: snapshots, audit, features, weights, fit."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from winpredict.config import Config
from winpredict.errors import TooLittleDataError, WinPredictError
from winpredict.features.build import FeatureInfo, Features, features_of
from winpredict.features.builders import FeatureBuilder
from winpredict.features.company import Company
from winpredict.features.events import DealEvents
from winpredict.features.leakage import LeakageAudit, audit_attributes
from winpredict.features.observations import Observations
from winpredict.features.observed import OBSERVED
from winpredict.features.pace import moves_of
from winpredict.features.past import Past
from winpredict.features.snapshots import every, labelled, open_at
from winpredict.features.stage_order import learned_stage_order
from winpredict.models.calibration import censoring_weights
from winpredict.models.deal_range import DealRange
from winpredict.models.estimator import WinClassifier
from winpredict.models.pace import PaceModel, intervals_of, pace_info
from winpredict.models.recipe import FeatureRecipe, all_builders
from winpredict.models.sampling import Gather, LearningSample, learning_sample
from winpredict.models.sampling import known_before as known_before
from winpredict.models.timing import ClosingTime
from winpredict.models.usual import UsualRanges
from winpredict.tables.buckets import DealBuckets
from winpredict.tables.crm import CRMData, utc
from winpredict.tables.schema import TIME_DTYPE

Progress = Callable[[str], None]
MODEL_FORMAT = 3
LEAST_EACH = 20
LEAST_SEEN = 10
LEAST_FOR_TREES = 200


@dataclass(frozen=True)
class TrainingSet:
    """Snapshots of past deals, their features and what became of them.

    Parameters
    ----------
    snapshots : DataFrame
        deal_id, as_of, outcome, days_to_close, look (the number of the look at the deal, from 1); open deals included.
    features : Features
        One row a snapshot.
    audit : LeakageAudit
        Which static attributes were used, and why others were not.
    recipe : FeatureRecipe
        How the features of other snapshots are made.
    company : Company
        The cross-deal history behind the features.
    observed : tuple of str
        Attributes among those that it dropped which were used as they were observed, as ``observed_<column>``.
    notes : tuple of str
        A sentence for each of them.
    """

    snapshots: pd.DataFrame
    features: Features
    audit: LeakageAudit
    recipe: FeatureRecipe
    company: Company
    observed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def closed(self) -> NDArray[np.bool_]:
        """Which snapshots belong to deals whose ending is known."""
        return (self.snapshots["outcome"] != "open").to_numpy(dtype=bool)

    @property
    def won(self) -> NDArray[np.int64]:
        """1 where the deal was won."""
        return np.asarray(self.snapshots["outcome"] == "won", dtype=np.int64)


@dataclass(frozen=True)
class TrainedModel:
    """A trained model with all that is needed to score a CRM with it.

    Parameters
    ----------
    classifier : WinClassifier
    timing : ClosingTime or None
        None for undated data.
    recipe : FeatureRecipe
        How features are made.
    trained_as_of : Timestamp or None
        Facts recorded at or after this moment were not seen.
    notes : tuple of str
        What the reader should know: fall-backs, missing tables, dropped attributes.
    figures : dict of str to float
        Counts of the training set.
    dropped_attributes : dict of str to str
        Why the leakage audit left an attribute out.
    usual : UsualRanges
        What is usual among won deals, and what the training data cover.
    deal_range : DealRange
        How far one deal's odds may lie from those of deals like it.
    """

    classifier: WinClassifier
    timing: ClosingTime | None
    recipe: FeatureRecipe
    trained_as_of: pd.Timestamp | None
    notes: tuple[str, ...] = ()
    figures: dict[str, float] = field(default_factory=dict)
    dropped_attributes: dict[str, str] = field(default_factory=dict)
    usual: UsualRanges = field(default_factory=UsualRanges)
    deal_range: DealRange = field(default_factory=DealRange)

    @property
    def attributes(self) -> tuple[str, ...]:
        """Static attributes it uses; see `FeatureRecipe`."""
        return self.recipe.attributes

    @property
    def builder_paths(self) -> tuple[str, ...]:
        """Builders from outside the package, as ``module:Class``."""
        return self.recipe.builder_paths

    @property
    def info(self) -> tuple[FeatureInfo, ...]:
        """Its features, in their order."""
        return self.recipe.info

    @property
    def builders(self) -> tuple[FeatureBuilder, ...]:
        """Fresh builders, in the order of training, with what training fixed about their columns."""
        return self.recipe.builders

    def build_features(
        self,
        crm: CRMData,
        snapshots: pd.DataFrame,
        *,
        company: Company | None = None,
        builders: Sequence[FeatureBuilder] | None = None,
        given: bool = False,
    ) -> pd.DataFrame:
        """The model's feature frame of snapshots; see `FeatureRecipe.build`."""
        return self.recipe.build(crm, snapshots, company=company, builders=builders, given=given)

    def company_of(self, crm: CRMData) -> Company:
        """The cross-deal history that features of these deals need; see `FeatureRecipe.company_of`."""
        return self.recipe.company_of(crm)

    def attributes_in(self, crm: CRMData) -> list[str]:
        """The static attributes of the model that these data have."""
        return self.recipe.attributes_in(crm)

    def odds(self, features: pd.DataFrame) -> pd.DataFrame:
        """Win probability with its interval.

        Parameters
        ----------
        features : DataFrame
            From `build_features`.

        Returns
        -------
        DataFrame
            Columns win_probability; low and high, the range of this deal's own odds (see `DealRange`); group_low and
            group_high, that of the mean odds of deals like it. One row a row of features.
        """
        return self.odds_of(self.classifier.bag_log_odds(features))

    def odds_of(self, by_bag: NDArray[np.float64]) -> pd.DataFrame:
        """Win probability with its interval, of rows whose `WinClassifier.bag_log_odds` are known; see `odds`."""
        odds = self.classifier.probability_of(by_bag)
        low, high = self.deal_range.around(odds, self.classifier.doubt_of(by_bag), self.classifier.interval).T
        group_low, group_high = self.classifier.interval_of(by_bag).T
        ranges = {"low": low, "high": high, "group_low": group_low, "group_high": group_high}
        return pd.DataFrame({"win_probability": odds, **ranges})

    def win_by(
        self, features: pd.DataFrame, days: float | NDArray[np.float64], win_probability: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Probability of being won within so many days; never above the win probability.

        Several numbers of days give one column each; they may differ by row.
        """
        horizons = np.atleast_1d(np.asarray(days, dtype=np.float64))
        if self.timing is None:
            found = np.full((len(features), horizons.shape[-1]), np.nan)
        else:
            found = self.timing.win_by_each(features, horizons, win_probability)
        return found if np.ndim(days) else found[:, 0]

    def refuse_hindsight(self, moment: pd.Timestamp | None) -> None:
        """Refuse to look at a day before the end of training.

        Raises
        ------
        WinPredictError
            When the model was trained on facts later than `moment`.
        """
        if moment is not None and self.trained_as_of is not None and moment < self.trained_as_of:
            raise WinPredictError(
                f"this model was trained on facts up to {self.trained_as_of}, so its odds as of {moment} would know "
                f"the future; train one with --as-of {moment:%Y-%m-%d} and use that"
            )

    def summary(self) -> str:
        """A few lines for people."""
        return "\n".join(
            [
                f"trained on {self.figures['deals']:.0f} closed deals ({self.figures['won']:.0f} won) in "
                f"{self.figures['snapshots']:.0f} snapshots, {len(self.info)} features, "
                f"facts up to {'(undated)' if self.trained_as_of is None else f'{self.trained_as_of:%Y-%m-%d}'}",
                *self.notes,
            ]
        )

    def save(self, folder: Path) -> None:
        """Write LightGBM text files and JSON; reading them runs no code."""
        folder = Path(folder)
        self.classifier.save(folder / "classifier")
        if self.timing is not None:
            self.timing.save(folder / "timing")
        self.recipe.save(folder / "features")
        description = {
            "format": MODEL_FORMAT,
            "trained_as_of": None if self.trained_as_of is None else self.trained_as_of.isoformat(),
            "notes": self.notes,
            "figures": self.figures,
            "dropped_attributes": self.dropped_attributes,
            "usual": asdict(self.usual),
            "deal_range": asdict(self.deal_range),
        }
        (folder / "model.json").write_text(json.dumps(description, indent=1))

    @classmethod
    def load(cls, folder: Path) -> "TrainedModel":
        """Read what `save` wrote.

        Raises
        ------
        WinPredictError
            When it was written by a version with another format.
        """
        folder = Path(folder)
        description = json.loads((folder / "model.json").read_text())
        if description.get("format") != MODEL_FORMAT:
            raise WinPredictError(f"{folder} was written by another version of winpredict; train the model again")
        trained_as_of = description["trained_as_of"]
        return cls(
            classifier=WinClassifier.load(folder / "classifier"),
            timing=ClosingTime.load(folder / "timing") if (folder / "timing").exists() else None,
            recipe=FeatureRecipe.load(folder / "features"),
            trained_as_of=None if trained_as_of is None else utc(trained_as_of),
            notes=tuple(description["notes"]),
            figures=description["figures"],
            dropped_attributes=description["dropped_attributes"],
            usual=UsualRanges.from_dict(description["usual"]),
            deal_range=DealRange(**description["deal_range"]),
        )


def train(
    crm: CRMData | DealBuckets,
    config: Config | None = None,
    *,
    as_of: pd.Timestamp | str | None = None,
    progress: Progress | None = None,
) -> TrainedModel:
    """Train on everything that was known before a day.

    Parameters
    ----------
    crm : CRMData or DealBuckets
        Of buckets as many are used as make ``config.snapshots.most`` snapshots; see `learning_sample`.
    config : Config, optional
        By default ``Config()``.
    as_of : Timestamp or str, optional
        Train as if on that day; by default on all that is recorded.
    progress : callable, optional
        Called with a few words before each step.

    Returns
    -------
    TrainedModel

    Raises
    ------
    TooLittleDataError
        With fewer than 20 won or 20 lost deals.
    """
    config = config or Config()
    return train_on(learning_sample(crm, config, as_of), config, progress)


def train_on(sample: LearningSample, config: Config, progress: Progress | None = None) -> TrainedModel:
    """Train on deals that were chosen already; see `train`."""
    data = training_set(sample.known, config, progress, exported=sample.exported, gather=sample.gather)
    model = fit_model(data, sample.known, config, progress)
    return replace(model, notes=(*model.notes, sample.note)) if sample.note else model


def training_set(
    crm: CRMData,
    config: Config,
    progress: Progress | None = None,
    *,
    exported: CRMData | None = None,
    gather: Gather | None = None,
) -> TrainingSet:
    """Snapshots and features of all deals of a CRM as it was known, audited for leaks.

    Parameters
    ----------
    crm : CRMData
        What was known.
    config : Config
    progress : callable, optional
    exported : CRMData, optional
        The data as they were exported, if `crm` is a view of an earlier day. Static attributes stand as they are in
        the export, so it is there that leaks show: in the earlier view, deals closed since look open and already carry
        what was typed at their close.
    gather : callable, optional
        Gives the cross-deal history of all deals, where `crm` holds only some of them.

    Raises
    ------
    TooLittleDataError
        With fewer than 20 won or 20 lost deals, or fewer that were open long enough to be looked at.
    """
    say = progress or (lambda words: None)
    require_enough(crm)
    say("auditing attributes")
    overrules = config.attributes
    audit = audit_attributes(crm if exported is None else exported, keep=overrules.keep, drop=overrules.drop)
    say("taking snapshots")
    snapshots = training_looks(crm, config).sort_values(["deal_id", "as_of"], ignore_index=True)
    _require_looks(snapshots)
    say("building features")
    observations = Observations.of(crm)
    observed = observations.usable(audit, overrules.observed_deals)
    order = () if crm.stage_order else learned_stage_order(crm)
    recipe = FeatureRecipe((*audit.kept, *observed), tuple(config.builders), stage_order=order)
    crm = recipe.prepared(crm)
    company = recipe.company_of(crm) if gather is None else gather(recipe.company_facts)
    builders = tuple(each.settled(company) for each in all_builders(config.builders))
    past = Past(crm, snapshots, recipe.attributes, company)
    features = features_of(past, builders)
    settings = {each.name: each.settings() for each in builders if each.settings()}
    recipe = replace(recipe, builder_settings=settings, info=features.info)
    features, recipe, company = _with_pace(features, recipe, past, config, gather)
    return TrainingSet(snapshots, features, audit, recipe, company, observed, observations.notes(observed))


def _with_pace(
    features: Features,
    recipe: FeatureRecipe,
    past: Past,
    config: Config,
    gather: Gather | None,
) -> tuple[Features, FeatureRecipe, Company]:
    """Add the features of pace, where stages have an order and a history."""
    crm, company = past.crm, past.company
    if not (config.model.pace and crm.dated and crm.stage_order and crm.records_changes_of("stage")):
        return features, recipe, company
    intervals, moves = intervals_of(past, config.snapshots.every_days), moves_of(DealEvents(crm))
    assert crm.known_until is not None, "dated deals are known until a day"
    pace = PaceModel.fit(
        features.frame, features.info, intervals, moves,
        known_until=crm.known_until, every_days=config.snapshots.every_days,
        longest_days=config.snapshots.longest_days, threads=config.model.threads, random_state=config.seed,
    )  # fmt: skip
    if pace is None:
        return features, recipe, company
    recipe = replace(recipe, pace=pace)
    rate = pace.rates(features.frame, intervals, config.model.threads)
    if gather is None:  # the snapshots are the looks that it wants
        company = Company(replace(company.facts, intervals=intervals.assign(rate=rate), moves=moves))
    else:
        company = gather(recipe.company_facts)
    columns = company.pace.at(intervals, past.as_of, rate)
    info = (*features.info, *pace_info(columns))
    return Features(features.frame.assign(**columns), info, features.skipped), replace(recipe, info=info), company


def fit_model(data: TrainingSet, crm: CRMData, config: Config, progress: Progress | None = None) -> TrainedModel:
    """Fit the classifier and the timing on a training set."""
    say = progress or (lambda words: None)
    closed = data.closed
    rows = data.snapshots[closed].reset_index(drop=True)
    features = data.features.frame[closed].reset_index(drop=True)
    won = data.won[closed]
    deals = rows["deal_id"].nunique()
    classifier, notes = make_classifier(config, deals)
    say("fitting the time to close")
    timing = _fit_timing(data, config) if crm.dated else None
    say("fitting the odds")
    classifier.fit(
        features,
        won,
        sample_weight=row_weights(data.snapshots, config)[closed],
        groups=rows["deal_id"].to_numpy(),
        later=later_rows(rows, config.model.calibration_share),
        hazard_log_odds=None if timing is None else timing.log_odds(features),
    )
    return TrainedModel(
        classifier,
        timing,
        recipe=data.recipe,
        trained_as_of=crm.known_until,
        notes=(*notes, *data.notes, *data.features.skipped),
        figures={
            "deals": float(deals),
            "won": float(rows.loc[won == 1, "deal_id"].nunique()),
            "snapshots": float(len(rows)),
            "calibration_slope": classifier.calibrator_.slope_,
            "calibration_intercept": classifier.calibrator_.intercept_,
        },
        dropped_attributes={
            name: reason for name, reason in data.audit.dropped.items() if f"{OBSERVED}{name}" not in data.observed
        },
        usual=UsualRanges.fit(features, won),
        deal_range=_deal_range(rows, classifier),
    )


def _deal_range(rows: pd.DataFrame, classifier: WinClassifier) -> DealRange:
    """Learned where later deals were set apart, from how their odds firmed up; else as it is to start from."""
    log_odds = classifier.later_log_odds_
    seen = ~np.isnan(log_odds) & rows["days_to_close"].notna().to_numpy()
    deals = rows["deal_id"].nunique()
    if not seen.any():
        return DealRange(deals=deals)
    return DealRange.learned(rows[seen], log_odds[seen], deals)


def make_classifier(config: Config, deals: int) -> tuple[WinClassifier, list[str]]:
    """The classifier that so many closed deals carry, with a sentence where it is not the full one."""
    model = config.model
    classifier = WinClassifier(
        bags=model.bags,
        trees=model.trees,
        learning_rate=model.learning_rate,
        leaves=model.leaves,
        min_rows_leaf=model.min_rows_leaf,
        feature_share=model.feature_share,
        row_share=model.row_share,
        l2=model.l2,
        linear_weight=model.linear_weight,
        large_leaves=model.large_leaves,
        hazard_weight=model.hazard_weight,
        linear_strength=model.linear_strength,
        monotone=dict(model.monotone) or None,
        interval=model.interval,
        threads=model.threads,
        random_state=config.seed,
    )
    if deals >= LEAST_FOR_TREES:
        return classifier, []
    classifier.set_params(linear_weight=1.0, hazard_weight=0.0, trees=1, linear_strength=model.linear_strength / 10)
    return classifier, [
        f"only {deals} closed deals: a strongly shrunk logistic regression stands in for the full model, which wants "
        f"{LEAST_FOR_TREES}"
    ]


def require_enough(crm: CRMData) -> None:
    """Refuse what no model could learn from.

    Raises
    ------
    TooLittleDataError
        With fewer than 20 won or 20 lost deals.
    """
    outcomes = crm.deals["outcome"].value_counts()
    won, lost = int(outcomes.get("won", 0)), int(outcomes.get("lost", 0))
    if min(won, lost) < LEAST_EACH:
        raise TooLittleDataError(
            f"there are {won} won and {lost} lost deals; {LEAST_EACH} of each are the least to learn from. "
            "Import a longer history, or check that the profile's won and lost stages are right"
        )


def _require_looks(snapshots: pd.DataFrame) -> None:
    """Refuse deals that were never seen open: entered on the day they closed, say."""
    seen = snapshots.drop_duplicates("deal_id")["outcome"].value_counts()
    won, lost = int(seen.get("won", 0)), int(seen.get("lost", 0))
    if min(won, lost) < LEAST_SEEN:
        raise TooLittleDataError(
            f"only {won} won and {lost} lost deals were open on any day that is looked at; {LEAST_SEEN} of each are "
            "the least to learn from. Deals entered when already closed teach nothing about open ones; import a "
            "longer history, or set snapshots.every_days lower"
        )


def row_weights(snapshots: pd.DataFrame, config: Config) -> NDArray[np.float64]:
    """Weight of each snapshot for odds: less for later looks at a deal, more for endings that censoring hides.

    The weights of `look_weights` are multiplied, for closed deals, by the inverse probability of not being censored
    (see `censoring_weights`); those of open deals are then of no use.
    """
    weight = look_weights(snapshots, config)
    dated = snapshots["days_to_close"].notna().all()
    if dated and config.censoring.method == "ipcw":
        closed = (snapshots["outcome"] != "open").to_numpy(dtype=bool)
        days = snapshots["days_to_close"].to_numpy(np.float64)
        weight = weight * censoring_weights(days, closed, max_weight=config.censoring.max_weight)
    return np.asarray(weight)


def look_weights(snapshots: pd.DataFrame, config: Config) -> NDArray[np.float64]:
    """Weight of each snapshot by what is known then: ``look ** -look_power``, of the number of the look so far.

    Looks at one deal repeat each other, so each further one says less. How often the deal will be looked at in the end
    must not count: at the same age it would make deals that will live long weigh less, which are lost more often.
    """
    return np.asarray(snapshots["look"].to_numpy(np.float64) ** -config.snapshots.look_power)


def undated_snapshots(crm: CRMData) -> pd.DataFrame:
    """One row a closed deal, for data without dates."""
    deals = crm.deals[crm.deals["outcome"] != "open"]
    return pd.DataFrame(
        {
            "deal_id": deals["deal_id"].to_numpy(),
            "as_of": pd.Series(pd.NaT, index=range(len(deals)), dtype=TIME_DTYPE),
            "outcome": deals["outcome"].to_numpy(),
            "days_to_close": np.nan,
            "look": 1.0,
        }
    )


def pipeline(crm: CRMData, as_of: pd.Timestamp | None) -> pd.DataFrame:
    """The open deals to score: at a moment, or for undated data all that are open."""
    if crm.dated and as_of is not None:
        return open_at(crm, as_of)
    deals = crm.deals[crm.deals["outcome"] == "open"]
    return pd.DataFrame(
        {"deal_id": deals["deal_id"].to_numpy(), "as_of": pd.Series(as_of, index=range(len(deals)), dtype=TIME_DTYPE)}
    )


def training_looks(crm: CRMData, config: Config) -> pd.DataFrame:
    """The snapshots that training looks at, with what became of the deals."""
    if not crm.dated:
        return undated_snapshots(crm)
    looks = every(crm, config.snapshots.every_days, longest_days=config.snapshots.longest_days)
    return labelled(crm, looks)


def later_rows(rows: pd.DataFrame, share: float) -> NDArray[np.bool_] | None:
    """Snapshots of the last-closed share of the deals; for undated deals, of a share picked by their ids."""
    if share <= 0:
        return None
    if rows["days_to_close"].isna().any():
        place = pd.util.hash_pandas_object(rows["deal_id"], index=False).to_numpy() / 2.0**64
        return np.asarray(place < share)
    closed_at = rows["as_of"] + pd.to_timedelta(rows["days_to_close"], unit="D")
    by_deal = closed_at.groupby(rows["deal_id"]).max().dt.round("s")  # the sum above is not exact, ties must stay ties
    return rows["deal_id"].map(by_deal >= by_deal.quantile(1 - share)).to_numpy(dtype=bool)


def _fit_timing(data: TrainingSet, config: Config) -> ClosingTime:
    timing = ClosingTime(
        grid_days=tuple(config.timing.grid_days), threads=config.model.threads, random_state=config.seed
    )
    snapshots = data.snapshots
    return timing.fit(
        data.features.frame,
        snapshots["outcome"],
        snapshots["days_to_close"],
        sample_weight=look_weights(snapshots, config),
    )
