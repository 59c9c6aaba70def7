"""The latest scores of a workspace, brought before people."""

from dataclasses import dataclass

from winpredict.app.audit_log import forget_old_entries
from winpredict.app.database import Database
from winpredict.app.publishing import publish, published
from winpredict.app.records import Setting
from winpredict.config import App, Run
from winpredict.errors import WinPredictError, WorkspaceError
from winpredict.locale.text import text
from winpredict.workspace import Workspace

#: The tables from which was published last: hash, so that they are read again only after a change.
_FROM = "published from"


@dataclass(frozen=True)
class Shown:
    """The scoring run that people see.

    Parameters
    ----------
    run_id : int
    deals : int
    is_new : bool
        Whether they saw another one before.
    """

    run_id: int
    deals: int
    is_new: bool


def publish_latest(
    database: Database,
    workspace: Workspace,
    settings: App | None = None,
    *,
    moved_points: float = Run().moved_points,
) -> Shown:
    """Show people the workspace's latest scores, unless they see these already; old entries of the log are deleted.

    After an import without scoring the same odds are shown to whom the deals belong now.

    Only the champion's are shown: the pages of deals explain the odds by it, and a challenger that was tried out is
    nothing for reps.

    Parameters
    ----------
    database : Database
    workspace : Workspace
    settings : App, optional
    moved_points : float
        As `winpredict.app.publishing.publish` takes it.

    Returns
    -------
    Shown

    Raises
    ------
    WorkspaceError
        When nothing was imported or scored.
    WinPredictError
        When another model than the champion made the latest scores.
    """
    from winpredict.models.registry import version_of

    forget_old_entries(database, (settings or App()).audit_days)
    scores = workspace.latest_scores()
    if scores is None:
        raise WorkspaceError(text("{folder} has no scores yet; run `winpredict score` first", folder=workspace.folder))
    before = published(database)
    if len(scores):
        made_by, champion = sorted(scores["model_version"].astype(str).unique()), str(version_of(workspace.folder))
        if made_by != [champion]:
            raise WinPredictError(
                text(
                    "the latest scores are by model {made_by} and the champion is model {champion}, whose "
                    "reasons the pages tell; run `winpredict score` first",
                    made_by=", ".join(made_by),
                    champion=champion,
                )
            )
        if (
            before is not None
            and before.scored_at >= scores["scored_at"].max()
            and _published_from(database) == workspace.state
        ):
            return Shown(before.id, before.deals, is_new=False)
    tables = workspace.version()
    state, crm = tables.state, tables.crm()
    # deals that were closed between scoring and now are no longer open ones
    closed = crm.deals.loc[crm.deals["outcome"] != "open", "deal_id"]
    shown = scores[~scores["deal_id"].isin(closed)].reset_index(drop=True)
    run_id = publish(database, crm, shown, settings, moved_points=moved_points)
    with database.writing() as session:
        session.merge(Setting(name=_FROM, value=state))
    return Shown(run_id, len(shown), is_new=before is None or before.id != run_id)


def _published_from(database: Database) -> str | None:
    with database.reading() as session:
        kept = session.get(Setting, _FROM)
        return None if kept is None else kept.value
