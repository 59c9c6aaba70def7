"""Whether a new model should take the champion's place: both judged on deals that closed after the champion's training.

A model that is trained today has seen how those deals ended, so it cannot be judged on them. Its recipe can: it is
trained as of days between the champion's training and today, and each such model is asked, beside the champion, about
the deals that were open that day and have closed since. What is compared is the champion as it is with what the
challenger would have been.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from winpredict._internal.progress import Progress
from winpredict.config import Config, Retraining
from winpredict.errors import TooLittleDataError
from winpredict.features.snapshots import labelled
from winpredict.locale.text import Text, text
from winpredict.models.evaluation import Comparison, compare
from winpredict.models.sampling import learning_sample
from winpredict.models.snapshots import pipeline
from winpredict.models.trained import TrainedModel
from winpredict.models.training import fit_model, training_set
from winpredict.tables.buckets import DealBuckets
from winpredict.tables.crm import CRMData

_DAY = pd.Timedelta(days=1)
#: Won deals, and lost ones, below which two log losses tell nothing.
_FEWEST_EACH = 10


@dataclass(frozen=True)
class Challenge:
    """A champion and a challenger on the same deals.

    Parameters
    ----------
    since, until : Timestamp
        The champion's training, and the end of the data.
    cutoffs : tuple of Timestamp
        The days as of which the challenger was trained and both were asked.
    comparison : Comparison
        Of the log loss; ``model`` is the challenger's and ``baseline`` the champion's.
    """

    since: pd.Timestamp
    until: pd.Timestamp
    cutoffs: tuple[pd.Timestamp, ...]
    comparison: Comparison

    @property
    def champion_days(self) -> float:
        """Age of the champion, in days."""
        return float((self.until - self.since) / _DAY)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        cutoffs = [each.isoformat() for each in self.cutoffs]
        ends = {"since": self.since.isoformat(), "until": self.until.isoformat(), "cutoffs": cutoffs}
        return ends | asdict(self.comparison)


@dataclass(frozen=True)
class Verdict:
    """Whether the challenger becomes champion, and why.

    Parameters
    ----------
    promote : bool
    reason : Text
        A sentence without its full stop.
    """

    promote: bool
    reason: Text


def challenge(
    champion: TrainedModel, tables: CRMData | DealBuckets, config: Config, *, progress: Progress | None = None
) -> Challenge:
    """Judge the config's recipe beside the champion on deals that closed after the champion was trained.

    Parameters
    ----------
    champion : TrainedModel
    tables : CRMData or DealBuckets
        With dates.
    config : Config
        The challenger's settings; ``retraining.rounds`` models of it are trained.
    progress : callable, optional
        Called with a few words before each training.

    Returns
    -------
    Challenge

    Raises
    ------
    TooLittleDataError
        When the data have no dates, nothing is newer than the champion, or fewer than ``retraining.least_deals`` of the
        deals asked about have closed.
    """
    sample = learning_sample(tables, config)
    crm, since = sample.known, champion.trained_as_of
    until = crm.known_until
    if since is None or until is None:
        raise TooLittleDataError(text("the data have no dates, so two models cannot be compared on what came later"))
    if until - since < _DAY:
        raise TooLittleDataError(text("nothing has been recorded since the champion was trained"))
    parts, cutoffs = [], []
    for number in range(1, config.retraining.rounds + 1):
        cutoff = (since + (until - since) * (number / (config.retraining.rounds + 1))).floor("us")
        if progress:
            progress(str(text("challenger as of {day:day}", day=cutoff)))
        known = crm.as_known_at(cutoff)
        asked = labelled(crm, pipeline(known, cutoff))
        if asked.empty or (asked["outcome"] == "open").all():
            continue
        data = training_set(known, config, exported=crm, gather=sample.gather)
        challenger = fit_model(data, known, config)
        snapshots = asked[["deal_id", "as_of"]]
        odds = {}
        for name, model in (("challenger", challenger), ("champion", champion)):
            history = None if sample.gather is None else sample.gather(model.recipe.cross_deal_facts)
            features = model.build_features(known, snapshots, cross_deal_history=history)
            odds[name] = model.odds(features)["win_probability"].to_numpy()
        parts.append(asked.assign(**odds)[asked["outcome"] != "open"])
        cutoffs.append(cutoff)
    judged = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame({"deal_id": [], "outcome": []})
    won = (judged["outcome"] == "won").to_numpy(np.int64)
    deals = int(judged["deal_id"].nunique())
    if deals < config.retraining.least_deals or min(won.sum(), (1 - won).sum()) < _FEWEST_EACH:
        raise TooLittleDataError(
            text(
                "{deals:count} of the deals open since the champion was trained have closed, {won:count} of them won; "
                "{least:count} are needed, and {each:count} won and lost ones, to compare two models",
                deals=deals,
                won=int(judged.loc[won == 1, "deal_id"].nunique()),
                least=config.retraining.least_deals,
                each=_FEWEST_EACH,
            )
        )
    found = compare(won, judged["challenger"], judged["champion"], judged["deal_id"], seed=config.seed)
    return Challenge(since, until, tuple(cutoffs), found)


def verdict(found: Challenge, settings: Retraining) -> Verdict:
    """Whether the challenger takes the champion's place.

    It does when it is better by its whole paired 95% interval, or when it is not shown to be worse, is within
    ``settings.margin`` of the champion, and the champion is older than ``settings.renew_after_days``.

    Parameters
    ----------
    found : Challenge
    settings : Retraining

    Returns
    -------
    Verdict
    """
    figures = found.comparison
    told = {
        "challenger": figures.model,
        "champion": figures.baseline,
        "low": figures.low_95,
        "high": figures.high_95,
        "deals": figures.n_deals,
        "days": round(found.champion_days),
    }
    if figures.beats_baseline:
        return Verdict(
            True,
            text(
                "better: on {deals:count} deals that closed since the champion was trained, its log loss is "
                "{challenger:precise} and the champion's {champion:precise} (95% interval of the difference "
                "{low:precise} to {high:precise})",
                **told,
            ),
        )
    if figures.low_95 > 0 or figures.difference > settings.margin:
        return Verdict(
            False,
            text(
                "no better: on {deals:count} deals that closed since the champion was trained, its log loss is "
                "{challenger:precise} and the champion's {champion:precise} (95% interval of the difference "
                "{low:precise} to {high:precise})",
                **told,
            ),
        )
    if found.champion_days > settings.renew_after_days:
        return Verdict(
            True,
            text(
                "no worse, and the champion is {days:count} days old: on {deals:count} deals that closed since it was "
                "trained, the log loss is {challenger:precise} and the champion's {champion:precise}",
                **told,
            ),
        )
    return Verdict(
        False,
        text(
            "not shown to be better, and the champion is only {days:count} days old: on {deals:count} deals that "
            "closed since it was trained, the log loss is {challenger:precise} and the champion's {champion:precise} "
            "(95% interval of the difference {low:precise} to {high:precise})",
            **told,
        ),
    )
