"""Score what a workspace holds, and keep the scores there."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from winpredict._internal.progress import Bar
    from winpredict.config import Config
    from winpredict.workspace import Workspace


def score_workspace(
    workspace: "Workspace",
    *,
    as_of: "pd.Timestamp | None",
    which: str,
    config: "Config | None" = None,
    progress: "Bar | None" = None,
) -> "pd.DataFrame":
    """Score a workspace's open deals with one of its models and keep the scores in it.

    Parameters
    ----------
    workspace : Workspace
    as_of : Timestamp, optional
        The day; by default the end of the data.
    which : str
        An alias (champion, challenger) or a version number.
    config : Config, optional
        ``next_steps`` says which are suggested.
    progress : callable, optional
        Called with the number of steps done and that of all.

    Returns
    -------
    DataFrame
        As `winpredict.explain.scores.score` gives it, with details.
    """
    from winpredict.config import Config
    from winpredict.explain.scores import score
    from winpredict.models.registry import load_version

    steps = Config().next_steps if config is None else config.next_steps
    tables = workspace.tables()
    version, model = load_version(workspace.folder, which)
    scores = score(model, tables, as_of=as_of, model_version=str(version), progress=progress, details=True, steps=steps)
    workspace.keep_scores(scores, as_of if as_of is not None else tables.known_until)
    return scores
