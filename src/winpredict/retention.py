"""What a workspace lets go of in time: earlier versions of its tables, old scores and models, logs and undo files."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from winpredict.config import Retention
from winpredict.workspace import Workspace


@dataclass(frozen=True)
class Tidied:
    """How many of each were removed."""

    versions: int = 0
    scores: int = 0
    logs: int = 0
    undo_files: int = 0
    models: int = 0


def tidy(workspace: Workspace, settings: Retention, now: datetime | None = None) -> Tidied:
    """Remove what is older than the settings say; the current tables, all that was ever champion and raw records stay.

    Parameters
    ----------
    workspace : Workspace
        Its lock is held.
    settings : Retention
    now : datetime, optional
        By default the present moment.

    Returns
    -------
    Tidied

    Examples
    --------
    >>> import tempfile
    >>> tidy(Workspace(Path(tempfile.mkdtemp())), Retention())
    Tidied(versions=0, scores=0, logs=0, undo_files=0, models=0)
    """
    from winpredict.models.registry import forget_challengers

    moment = now or datetime.now(UTC)
    return Tidied(
        versions=workspace.prune(settings.versions) if workspace.exists else 0,
        scores=_remove(_old_scores(workspace.scores_folder, settings)),
        logs=_remove(_older(workspace.folder / "runs", "*.jsonl", moment, settings.log_days)),
        undo_files=_remove(_older(workspace.folder / "push", "*.jsonl", moment, settings.undo_days)),
        models=forget_challengers(workspace.folder, settings.challengers),
    )


def _old_scores(folder: Path, settings: Retention) -> list[Path]:
    """Scores beyond the days in which all are kept, but for one a week, and all beyond the days in which these are."""
    dated = {}
    for path in folder.glob("scores-????-??-??.parquet"):
        try:
            dated[datetime.fromisoformat(path.stem.removeprefix("scores-"))] = path
        except ValueError:
            continue
    if not dated:
        return []
    latest = max(dated)
    # by the calendar: a week that moved with the days would leave none of the earlier ones
    one_a_week = {day.isocalendar()[:2]: day for day in sorted(dated)}
    return [
        path
        for day, path in dated.items()
        if (age := latest - day) > timedelta(days=settings.daily_score_days)
        and (age > timedelta(days=settings.weekly_score_days) or one_a_week[day.isocalendar()[:2]] != day)
    ]


def _older(folder: Path, pattern: str, now: datetime, days: float) -> list[Path]:
    oldest = (now - timedelta(days=days)).timestamp()
    return [path for path in folder.glob(pattern) if path.stat().st_mtime < oldest]


def _remove(paths: Iterable[Path]) -> int:
    removed = 0
    for path in paths:
        path.unlink(missing_ok=True)
        removed += 1
    return removed
