"""Whether a model in use can still be trusted: its data, what it is asked about, and how its odds came true."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.stats import norm

from winpredict._internal.atomic import point_to
from winpredict.config import Monitoring
from winpredict.errors import WinPredictError, WorkspaceError
from winpredict.locale.text import Text, text, texts
from winpredict.models.drift import MIN_DEALS, shifts
from winpredict.models.snapshots import pipeline
from winpredict.models.trained import TrainedModel
from winpredict.tables.crm import CRMData, utc

State = Literal["ok", "watch", "act"]
CheckName = Literal["freshness", "inputs", "missing", "odds", "log_loss"]
#: Worse ones later.
STATES: tuple[State, ...] = ("ok", "watch", "act")
STATE_LABELS: Mapping[str, Text] = {"ok": text("fine"), "watch": text("watch"), "act": text("act")}
CHECK_LABELS: Mapping[str, Text] = {
    "freshness": text("Freshness of the data"),
    "inputs": text("Drift of the inputs"),
    "missing": text("Missing values"),
    "odds": text("Wins against odds"),
    "log_loss": text("Log loss of the odds"),
}
#: Where a workspace keeps the latest health.
FILE = "health.json"
_FORMAT = 1
_DAY = pd.Timedelta(days=1)
#: A shift so many times the one that is told is a reason to act.
_FAR = 3.0
_LOOK_EVERY_DAYS = 30


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Parameters
    ----------
    name : str
        A key of `CHECK_LABELS`.
    state : str
        ok, watch or act.
    sentence : Text
        What was found.
    figures : mapping
        The numbers behind it.
    """

    name: CheckName
    state: State
    sentence: Text
    figures: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Health:
    """What was found of a model on a day.

    Parameters
    ----------
    as_of : Timestamp
        The end of the data.
    model_version : int
    checks : tuple of Check
    """

    as_of: pd.Timestamp
    model_version: int
    checks: tuple[Check, ...]

    @property
    def state(self) -> State:
        """The worst of its checks."""
        return max((each.state for each in self.checks), key=STATES.index, default="ok")

    @property
    def calls_for_training(self) -> bool:
        """Whether odds have come true so much otherwise that a new model should be trained."""
        return any(each.name in ("odds", "log_loss") and each.state == "act" for each in self.checks)

    def to_json(self) -> dict[str, Any]:
        """Plain values, which `from_json` reads."""
        checks = [
            {"name": each.name, "state": each.state, "sentence": each.sentence.to_json(), "figures": dict(each.figures)}
            for each in self.checks
        ]
        version = self.model_version
        return {"format": _FORMAT, "as_of": self.as_of.isoformat(), "model_version": version, "checks": checks}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "Health":
        """What `to_json` gave."""
        checks = [
            Check(each["name"], each["state"], Text.from_json(each["sentence"]), each["figures"])
            for each in plain["checks"]
        ]
        return cls(pd.Timestamp(plain["as_of"]), int(plain["model_version"]), tuple(checks))


def monitor(
    model: TrainedModel,
    crm: CRMData,
    settings: Monitoring | None = None,
    *,
    now: "pd.Timestamp | str | None" = None,
    promised: float | None = None,
    model_version: int = 0,
) -> Health:
    """Look at a model in use.

    Parameters
    ----------
    model : TrainedModel
    crm : CRMData
        What is known now.
    settings : Monitoring, optional
    now : Timestamp or str, optional
        By which the data are fresh or stale; by default the end of the data.
    promised : float, optional
        The log loss of the latest backtest.
    model_version : int
        For the record.

    Returns
    -------
    Health
        Checks for which there are too few deals are left out.

    Notes
    -----
    Every check compares with what chance makes of so many deals, at a level by which a day without a cause raises an
    alarm with the chance ``settings.false_alarms`` at most, however many features are looked at. Looks on neighbouring
    days share most deals, so false alarms come in fewer, longer spells than those of independent days.

    Wins and log loss are those of deals as they stood when first looked at after the training: each deal counts once,
    with odds that could not know its end. Inputs are those of the deals open now beside those open at training.
    """
    settings = settings or Monitoring()
    moment = crm.known_until
    if moment is None:
        raise WinPredictError(text("the data have no dates, so nothing can be said of the time since training"))
    checks = [_freshness(crm, moment if now is None else max(utc(now), moment), settings)]
    since = model.trained_as_of
    if since is not None and moment - since >= _DAY:
        checks += _inputs(model, crm, since, moment, settings)
        checks += _odds(model, crm, since, moment, settings, promised)
    return Health(moment, model_version, tuple(checks))


def keep_health(folder: Path, health: Health) -> None:
    """Put it on record as the latest of a workspace, whose lock is held."""
    point_to(Path(folder) / FILE, json.dumps(health.to_json(), indent=2, ensure_ascii=False) + "\n")


def latest_health(folder: Path) -> Health | None:
    """The latest on record of a workspace; None before the first.

    Raises
    ------
    WorkspaceError
        When the file is damaged.
    """
    path = Path(folder) / FILE
    try:
        return Health.from_json(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise WorkspaceError(
            text("{path} cannot be read; remove it, and `winpredict monitor` makes it again", path=path)
        ) from None


def _freshness(crm: CRMData, now: pd.Timestamp, settings: Monitoring) -> Check:
    """Days since the newest fact, beside the longest pause of the year before."""
    days = _days_with_facts(crm, now)
    if not len(days):
        return Check("freshness", "act", text("the data hold no dated fact at all"))
    newest = pd.Timestamp(days[-1], tz="UTC")
    gap = max(float((now - newest) / _DAY), 0.0)
    pauses = np.diff(days[days >= days[-1] - np.timedelta64(365, "D")]) / np.timedelta64(1, "D")
    usual = max(settings.stale_days, float(pauses.max()) if len(pauses) else 0.0)
    figures = {"days": round(gap, 1), "usual_days": usual, "newest": newest.date().isoformat()}
    state: State = "ok" if gap <= usual else "watch" if gap <= 2 * usual else "act"
    if state == "ok":
        return Check("freshness", state, text("the newest fact is of {newest:day}", newest=figures["newest"]), figures)
    sentence = texts(
        "nothing has been recorded for {n:count} day, since {newest:day}; the longest pause of the year before was "
        "{usual:count} days: check the import or the sync",
        "nothing has been recorded for {n:count} days, since {newest:day}; the longest pause of the year before was "
        "{usual:count} days: check the import or the sync",
        n=int(gap),
        newest=figures["newest"],
        usual=int(usual),
    )
    return Check("freshness", state, sentence, figures)


def _days_with_facts(crm: CRMData, now: pd.Timestamp) -> "np.ndarray[Any, Any]":
    """The days on which something was recorded, in order."""
    stamps = [crm.deals["created_at"], crm.deals["closed_at"]]
    if crm.activities is not None:
        stamps.append(crm.activities["recorded_at"].fillna(crm.activities["occurred_at"]))
    if crm.deal_history is not None:
        stamps.append(crm.deal_history["changed_at"])
    together = pd.concat(stamps, ignore_index=True).dropna()
    together = together[together <= now].dt.tz_convert("UTC").dt.tz_localize(None)
    return np.unique(together.to_numpy().astype("datetime64[D]"))


def _inputs(
    model: TrainedModel, crm: CRMData, since: pd.Timestamp, moment: pd.Timestamp, settings: Monitoring
) -> list[Check]:
    """The open deals of now beside those of the training: how far features have moved, and what is missing."""
    snapshots, snapshots_now = pipeline(crm, since), pipeline(crm, moment)
    if min(len(snapshots), len(snapshots_now)) < MIN_DEALS:
        return []
    then, now = model.build_features(crm, snapshots), model.build_features(crm, snapshots_now)
    labels = {each.name: each.label for each in model.info}
    moved = shifts(model, then, now)
    # adjusted for the number of features, so that the chance of any of them is bounded
    clear = moved[(moved["p_value"] < settings.false_alarms) & (moved["shift"] >= settings.shift)]
    missing = _more_missing(then, now, settings)
    return [
        _told(
            "inputs",
            clear.set_index("feature")["shift"],
            labels,
            far=_FAR * settings.shift,
            fine=text("the open deals are like those at training"),
            one=text("the open deals are not like those at training: {features:listed} moved"),
        ),
        _told(
            "missing",
            missing,
            labels,
            far=_FAR * settings.missing_points,
            fine=text("no more values are missing than at training"),
            one=text("more values are missing than at training: {features:listed}; check the import"),
        ),
    ]


def _told(name: CheckName, found: pd.Series, labels: Mapping[str, Text], *, far: float, fine: Text, one: Text) -> Check:
    """A check of features, with the three that moved most."""
    figures = {str(feature): round(float(value), 3) for feature, value in found.items()}
    if found.empty:
        return Check(name, "ok", fine, figures)
    state: State = "act" if float(found.max()) >= far else "watch"
    most = found.sort_values(ascending=False, kind="stable").index[:3]
    return Check(name, state, one.with_values(features=[labels[str(each)] for each in most]), figures)


def _more_missing(then: pd.DataFrame, now: pd.DataFrame, settings: Monitoring) -> pd.Series:
    """Percentage points by which values are more often missing than then, of those beyond chance."""
    names = [name for name in then.columns if name in now.columns]
    first, second = then[names].isna().mean(), now[names].isna().mean()
    together = (first * len(then) + second * len(now)) / (len(then) + len(now))
    spread = np.sqrt(together * (1 - together) * (1 / len(then) + 1 / len(now)))
    points = 100 * (second - first)
    sure = norm.isf(settings.false_alarms / max(len(names), 1))
    clear = (points >= settings.missing_points) & (second - first > sure * spread)
    return pd.Series(points[clear])


def _odds(
    model: TrainedModel,
    crm: CRMData,
    since: pd.Timestamp,
    moment: pd.Timestamp,
    settings: Monitoring,
    promised: float | None,
) -> list[Check]:
    """How odds came true: wins beside those expected, and the log loss beside what the backtest promised."""
    looks = pd.date_range(since, moment - _DAY, freq=f"{_LOOK_EVERY_DAYS}D")
    asked = pd.concat([pipeline(crm, day) for day in looks], ignore_index=True).drop_duplicates("deal_id")
    if asked.empty:
        return []
    features = model.build_features(crm, asked)
    odds = model.odds(features)["win_probability"].to_numpy()
    outcome = crm.deals.set_index("deal_id")["outcome"].reindex(asked["deal_id"]).to_numpy()
    closed = outcome != "open"
    if int(closed.sum()) < settings.least_deals:
        return []
    won = (outcome == "won").astype(np.float64)
    checks = []
    days = (moment - asked["as_of"]).dt.total_seconds().to_numpy(np.float64) / 86_400
    by_now = model.win_by(features, days[:, None], odds)[:, 0]
    if not np.isnan(by_now).all():
        checks.append(_wins(won, np.nan_to_num(by_now), settings))
    if promised is not None:
        checks.append(_log_loss(won[closed], odds[closed], promised, settings))
    return checks


def _wins(won: "np.ndarray[Any, Any]", by_now: "np.ndarray[Any, Any]", settings: Monitoring) -> Check:
    expected, spread = float(by_now.sum()), float(np.sqrt((by_now * (1 - by_now)).sum()))
    z = (won.sum() - expected) / spread if spread > 0 else 0.0
    state = _state(abs(z), norm.isf(settings.false_alarms / 2))
    values = {
        "deals": len(won),
        "won": int(won.sum()),
        "expected": round(expected, 1),
        "low": max(0.0, expected - 1.96 * spread),
        "high": expected + 1.96 * spread,
    }
    sentence = text(
        "of {deals:count} deals open since the training {won:count} were won; by the odds {expected:number} were to be "
        "expected by now, {low:count} to {high:count} with chance",
        **values,
    )
    figures = {name: round(float(value), 2) for name, value in values.items()} | {"z": round(float(z), 2)}
    return Check("odds", state, sentence, figures)


def _log_loss(
    won: "np.ndarray[Any, Any]", odds: "np.ndarray[Any, Any]", promised: float, settings: Monitoring
) -> Check:
    losses = -np.where(won == 1, np.log(odds.clip(1e-9)), np.log((1 - odds).clip(1e-9)))
    mean, error = float(losses.mean()), float(losses.std(ddof=1) / np.sqrt(len(losses)))
    z = (mean - promised) / error if error > 0 else 0.0
    sentence = text(
        "the odds of {deals:count} deals that have closed since the training have a log loss of {mean:precise}; the "
        "backtest promised {promised:precise}",
        deals=len(won),
        mean=mean,
        promised=promised,
    )
    figures = {"deals": len(won), "log_loss": round(mean, 4), "promised": round(promised, 4), "z": round(float(z), 2)}
    return Check("log_loss", _state(z, norm.isf(settings.false_alarms)), sentence, figures)


def _state(z: float, limit: float) -> State:
    """Act beyond the limit of false alarms; watch where chance makes it once in twenty looks."""
    return "act" if z > limit else "watch" if z > norm.isf(0.05) else "ok"
