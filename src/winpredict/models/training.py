"""From a CRM to a trained model: snapshots, audit, features, weights, fit."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from winpredict._internal.progress import Progress
from winpredict.config import Config
from winpredict.features.build import Features, features_of
from winpredict.features.cross_deal_history import CrossDealHistory
from winpredict.features.events import DealEvents
from winpredict.features.item_audit import audited
from winpredict.features.leakage import LeakageAudit, audit_attributes
from winpredict.features.observations import Observations
from winpredict.features.observed import OBSERVED
from winpredict.features.pace import moves_of
from winpredict.features.past import Past
from winpredict.features.stage_order import learned_stage_order
from winpredict.features.wording import Mentions
from winpredict.locale.text import Text, said, text
from winpredict.models.deal_range import DealRange
from winpredict.models.estimator import WinClassifier
from winpredict.models.minimums import MIN_FOR_TREES, require_enough, require_snapshots
from winpredict.models.pace import PaceModel, intervals_of, pace_info
from winpredict.models.recipe import FeatureRecipe, all_builders
from winpredict.models.reference_ranges import ReferenceRanges
from winpredict.models.sampling import Gather, LearningSample, learning_sample
from winpredict.models.snapshots import training_snapshots
from winpredict.models.splits import held_out
from winpredict.models.stage_norms import StageNorms
from winpredict.models.timing import ClosingTime
from winpredict.models.trained import TrainedModel
from winpredict.models.weights import row_weights, snapshot_weights
from winpredict.models.wording import wording_of
from winpredict.tables.buckets import DealBuckets
from winpredict.tables.crm import CRMData


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
    cross_deal_history : CrossDealHistory
        The cross-deal history behind the features.
    observed : tuple of str
        Attributes among those that it dropped which were used as they were observed, as ``observed_<column>``.
    notes : tuple of Text
        A sentence for each of them.
    """

    snapshots: pd.DataFrame
    features: Features
    audit: LeakageAudit
    recipe: FeatureRecipe
    cross_deal_history: CrossDealHistory
    observed: tuple[str, ...] = ()
    notes: tuple[Text, ...] = ()

    @property
    def closed(self) -> NDArray[np.bool_]:
        """Which snapshots belong to deals whose ending is known."""
        return (self.snapshots["outcome"] != "open").to_numpy(dtype=bool)

    @property
    def won(self) -> NDArray[np.int64]:
        """1 where the deal was won."""
        return np.asarray(self.snapshots["outcome"] == "won", dtype=np.int64)

    def take(self, rows: NDArray[np.int64]) -> "TrainingSet":
        """Some of the snapshots, by their positions."""
        features = Features(self.features.frame.iloc[rows].reset_index(drop=True), self.features.info)
        return replace(self, snapshots=self.snapshots.iloc[rows].reset_index(drop=True), features=features)


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
    return replace(model, notes=(*model.notes, sample.note)) if sample.note is not None else model


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
    report_progress = progress or (lambda words: None)
    require_enough(crm)
    report_progress(said("auditing attributes"))
    overrules = config.attributes
    audit = audit_attributes(crm if exported is None else exported, keep=overrules.keep, drop=overrules.drop)
    report_progress(said("taking snapshots"))
    snapshots = training_snapshots(crm, config).sort_values(["deal_id", "as_of"], ignore_index=True)
    require_snapshots(snapshots)
    report_progress(said("building features"))
    observations = Observations.of(crm)
    observed = observations.usable(audit, overrules.observed_deals)
    order = () if crm.stage_order else learned_stage_order(crm)
    recipe = FeatureRecipe((*audit.kept, *observed), tuple(config.builders), stage_order=order)
    crm = recipe.prepared(crm)
    cross_deal_history = recipe.cross_deal_history_of(crm) if gather is None else gather(recipe.cross_deal_facts)
    builders, left_out = audited(all_builders(config.builders), crm if exported is None else exported)
    builders = tuple(each.settled(cross_deal_history) for each in builders)
    past = Past(crm, snapshots, recipe.attributes, cross_deal_history)
    features = features_of(past, builders)
    settings = {each.name: each.settings() for each in builders if each.settings()}
    recipe = replace(recipe, builder_settings=settings, info=features.info)
    features, recipe, cross_deal_history = _with_pace(features, recipe, past, config, gather)
    report_progress(said("reading texts"))
    wording, notes = wording_of(past, snapshots, features.frame, crm if exported is None else exported, config)
    features, recipe = _with_wording(features, recipe, past, wording)
    notes = (*observations.notes(observed), *left_out, *notes)
    return TrainingSet(snapshots, features, audit, recipe, cross_deal_history, observed, notes)


def _with_wording(
    features: Features, recipe: FeatureRecipe, past: Past, wording: tuple[Mentions, ...]
) -> tuple[Features, FeatureRecipe]:
    """Add the features of texts that are worth reading."""
    if not wording:
        return features, recipe
    frame = pd.concat([features.frame, *(each.features_of(past) for each in wording)], axis=1)
    info = (*features.info, *(described for each in wording for described in each.info))
    recipe = replace(recipe, wording=wording, info=info)
    return Features(frame, info, features.skipped), recipe


def _with_pace(
    features: Features,
    recipe: FeatureRecipe,
    past: Past,
    config: Config,
    gather: Gather | None,
) -> tuple[Features, FeatureRecipe, CrossDealHistory]:
    """Add the features of pace, where stages have an order and a history."""
    crm, cross_deal_history = past.crm, past.cross_deal_history
    if not (config.model.pace and crm.dated and crm.stage_order and crm.records_changes_of("stage")):
        return features, recipe, cross_deal_history
    intervals, moves = intervals_of(past, config.snapshots.every_days), moves_of(DealEvents(crm))
    assert crm.known_until is not None, "dated deals are known until a day"
    pace = PaceModel.fit(
        features.frame, features.info, intervals, moves,
        known_until=crm.known_until, every_days=config.snapshots.every_days,
        longest_days=config.snapshots.longest_days, threads=config.model.threads, random_state=config.seed,
    )  # fmt: skip
    if pace is None:
        return features, recipe, cross_deal_history
    recipe = replace(recipe, pace=pace)
    rate = pace.rates(features.frame, intervals, config.model.threads)
    if gather is None:  # the snapshots are the looks that it wants
        cross_deal_history = CrossDealHistory(
            replace(cross_deal_history.facts, intervals=intervals.assign(rate=rate), moves=moves)
        )
    else:
        cross_deal_history = gather(recipe.cross_deal_facts)
    columns = cross_deal_history.pace.at(intervals, past.as_of, rate)
    info = (*features.info, *pace_info(columns))
    return (
        Features(features.frame.assign(**columns), info, features.skipped),
        replace(recipe, info=info),
        cross_deal_history,
    )


def fit_model(data: TrainingSet, crm: CRMData, config: Config, progress: Progress | None = None) -> TrainedModel:
    """Fit the classifier and the timing on a training set."""
    report_progress = progress or (lambda words: None)
    closed = data.closed
    rows = data.snapshots[closed].reset_index(drop=True)
    features = data.features.frame[closed].reset_index(drop=True)
    won = data.won[closed]
    deals = rows["deal_id"].nunique()
    classifier, notes = make_classifier(config, deals)
    report_progress(said("fitting the time to close"))
    timing = _fit_timing(data, config) if crm.dated else None
    report_progress(said("fitting the odds"))
    classifier.fit(
        features,
        won,
        sample_weight=row_weights(data.snapshots, config)[closed],
        groups=rows["deal_id"].to_numpy(),
        held_out=held_out(rows, config.model.calibration_share),
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
        reference_ranges=ReferenceRanges.fit(features, won),
        stage_norms=StageNorms.fit(features, won, days_to_close=rows["days_to_close"], deal_ids=rows["deal_id"]),
        deal_range=_deal_range(rows, classifier),
    )


def _deal_range(rows: pd.DataFrame, classifier: WinClassifier) -> DealRange:
    """Learned where deals were held out, from how their odds firmed up; else as it is to start from."""
    log_odds = classifier.held_out_log_odds_
    seen = ~np.isnan(log_odds) & rows["days_to_close"].notna().to_numpy()
    deals = rows["deal_id"].nunique()
    if not seen.any():
        return DealRange(deals=deals)
    return DealRange.learned(rows[seen], log_odds[seen], deals)


def make_classifier(config: Config, deals: int) -> tuple[WinClassifier, list[Text]]:
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
    if deals >= MIN_FOR_TREES:
        return classifier, []
    classifier.set_params(linear_weight=1.0, hazard_weight=0.0, trees=1, linear_strength=model.linear_strength / 10)
    return classifier, [
        text(
            "only {deals:count} closed deals: a strongly regularised logistic regression replaces the full model, "
            "which needs {least:count}",
            deals=int(deals),
            least=MIN_FOR_TREES,
        )
    ]


def _fit_timing(data: TrainingSet, config: Config) -> ClosingTime:
    timing = ClosingTime(
        grid_days=tuple(config.timing.grid_days), threads=config.model.threads, random_state=config.seed
    )
    snapshots = data.snapshots
    return timing.fit(
        data.features.frame,
        snapshots["outcome"],
        snapshots["days_to_close"],
        sample_weight=snapshot_weights(snapshots, config),
    )
