"""Train a challenger, judge it beside the champion, and let the better one score."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from winpredict._internal.progress import Progress
from winpredict.errors import TooLittleDataError
from winpredict.locale.text import Text, said, text
from winpredict.workflows.training import train_workspace

if TYPE_CHECKING:
    import pandas as pd

    from winpredict.config import Config, Retraining
    from winpredict.models.challenge import Challenge
    from winpredict.models.monitoring import Health
    from winpredict.workspace import Workspace


@dataclass(frozen=True)
class Retrained:
    """What came of it.

    Parameters
    ----------
    champion, challenger : int
        Their versions before the verdict; they are one where there was no model before.
    promoted : bool
        Whether the challenger is champion now.
    reason : Text
        Why, or why not.
    challenge : Challenge, optional
        The figures; None where there were too few deals to compare.
    """

    champion: int
    challenger: int
    promoted: bool
    reason: Text
    challenge: "Challenge | None" = None

    @property
    def sentence(self) -> Text:
        """What happened and why."""
        if self.champion == self.challenger:
            return text("Model {version} is the champion: {reason}.", version=self.challenger, reason=self.reason)
        if self.promoted:
            return text(
                "Model {challenger} takes the place of model {champion}: {reason}.",
                challenger=self.challenger,
                champion=self.champion,
                reason=self.reason,
            )
        return text(
            "Model {champion} stays champion before model {challenger}: {reason}.",
            challenger=self.challenger,
            champion=self.champion,
            reason=self.reason,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "champion": self.champion,
            "challenger": self.challenger,
            "promoted": self.promoted,
            "reason": str(self.reason),
            "challenge": None if self.challenge is None else self.challenge.to_dict(),
        }


def retrain_workspace(workspace: "Workspace", config: "Config", *, progress: Progress | None = None) -> Retrained:
    """Train on all that is known, and promote the new model if it is shown to be better, or no worse than an old one.

    Parameters
    ----------
    workspace : Workspace
        Its lock is held.
    config : Config
        ``retraining`` says when a challenger is good enough.
    progress : callable, optional
        Called with a few words before each step.

    Returns
    -------
    Retrained

    Raises
    ------
    TooLittleDataError
        When there is not enough to train on.

    Notes
    -----
    The comparison comes first, so that a run that is stopped leaves champion and challenger as they were.
    """
    from winpredict.models.challenge import challenge, verdict
    from winpredict.models.registry import keep_verdict, load_version, models_in_use, promote

    tables = workspace.tables()
    if models_in_use(workspace.folder).champion is None:
        _, first, _ = train_workspace(workspace, tables, config, progress=progress)
        return Retrained(first.version, first.version, True, text("it is the first model"))
    champion, model = load_version(workspace.folder)
    found = None
    try:
        found = challenge(model, tables, config, progress=progress)
        decided = verdict(found, config.retraining)
        promoted, reason = decided.promote, decided.reason
    except TooLittleDataError as error:
        promoted, reason = False, _reason_of(error)
    if progress:
        progress(said("training"))
    _, trained, _ = train_workspace(workspace, tables, config, progress=progress)
    if promoted:
        promote(workspace.folder, trained.version, reason)
    else:
        keep_verdict(workspace.folder, trained.version, reason)
    return Retrained(champion, trained.version, promoted, reason, found)


def is_due(
    workspace: "Workspace", settings: "Retraining", health: "Health | None", moment: "pd.Timestamp"
) -> "Text | None":
    """Why a challenger should be trained now; None where it should not.

    Parameters
    ----------
    workspace : Workspace
    settings : Retraining
    health : Health, optional
        What monitoring has just found.
    moment : Timestamp
        The end of the data.

    Returns
    -------
    Text or None
        No model of this calendar month, or an alarm of the odds with no training in the last ``settings.rest_days``.
    """
    import pandas as pd

    from winpredict.models.registry import list_models

    days = [pd.Timestamp(each.trained_as_of) for each in list_models(workspace.folder) if each.trained_as_of]
    latest = max(days, default=None)
    if settings.when == "never" or latest is None:
        return None
    if "monthly" in settings.when and (latest.year, latest.month) != (moment.year, moment.month) and latest < moment:
        return text("the latest model is of {day:day}", day=latest)
    rested = moment - latest >= pd.Timedelta(days=settings.rest_days)
    if "on_alarm" in settings.when and rested and health is not None and health.calls_for_training:
        return text("the odds have not come true as they should")
    return None


def _reason_of(error: TooLittleDataError) -> Text:
    """An error's own words, in whatever language they are read later."""
    told = error.args[0]
    return told if isinstance(told, Text) else text("{reason}", reason=str(told))
