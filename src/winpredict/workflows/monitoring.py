"""Look at the champion of a workspace, and keep what was found."""

from typing import TYPE_CHECKING

from winpredict._internal.progress import Progress
from winpredict.locale.text import said

if TYPE_CHECKING:
    import pandas as pd

    from winpredict.config import Config
    from winpredict.models.monitoring import Health
    from winpredict.workspace import Workspace


def monitor_workspace(
    workspace: "Workspace",
    config: "Config",
    *,
    now: "pd.Timestamp | None" = None,
    progress: Progress | None = None,
) -> "Health":
    """Whether the champion, its data and its odds are as they should be; see `winpredict.models.monitoring.monitor`.

    Parameters
    ----------
    workspace : Workspace
        Its lock is held: what is found is kept there as the latest.
    config : Config
    now : Timestamp, optional
        By which the data are fresh or stale; by default the end of the data after a sync, which reaches to the moment
        of the sync, and else the present moment.
    progress : callable, optional
        Called with a few words before each step.

    Returns
    -------
    Health

    Raises
    ------
    WinPredictError
        Without a trained model, without data, and for data without dates.
    """
    import pandas as pd

    from winpredict.models.monitoring import keep_health, monitor
    from winpredict.models.registry import load_version

    version, model = load_version(workspace.folder)
    if progress:
        progress(said("comparing with the time of training"))
    crm = workspace.crm()
    imports = workspace.manifest["imports"]
    is_synced = bool(imports) and "crm" in imports[-1]
    moment = now if now is not None or is_synced else pd.Timestamp.now(tz="UTC")
    promised = _promised_log_loss(workspace)
    health = monitor(model, crm, config.monitoring, now=moment, promised=promised, model_version=version)
    keep_health(workspace.folder, health)
    return health


def _promised_log_loss(workspace: "Workspace") -> float | None:
    """The log loss of the latest backtest; None where none was run."""
    from winpredict.models.backtest import MODEL
    from winpredict.models.backtest_record import read_backtest

    found = read_backtest(workspace.folder)
    if found is None or "overall" not in found[1]:
        return None
    overall = found[1]["overall"]
    if "scorer" in overall:
        overall = overall.set_index("scorer")
    if MODEL not in overall.index or "log_loss" not in overall:
        return None
    return float(overall["log_loss"].astype(float)[MODEL])
