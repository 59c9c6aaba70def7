"""The odds of winpredict beside those of its peers, on real funnels, static data and worlds with known odds.

Every peer learns from the same snapshots as winpredict, once from winpredict's features and once from what anybody
would take: the plain columns of a deal as they stood at that moment. All are judged on the same deals, open at the
cut-off (dated data) or left out of training (undated data). Nothing is tuned on what is judged.

    uv run python benchmarks/odds.py [--quick] [--data FOLDER] [--shared FOLDER] [--only worlds maven ...]
        [--peers lightgbm ...] [--deals 3000] [--worlds 10] [--cutoffs 3] [--rows 0] [--json FILE]
        [--kept FOLDER [--again winpredict]]

Data sets of other people are read from two folders and never part of the project: `--shared` has those that the
profiles in configs/ read, `--data` the files of `PUBLIC` in odds_data.py, to be downloaded by hand. What is missing is
left out, with a reason.
"""

import argparse
import json
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from measuring import table
from numpy.typing import NDArray
from odds_data import DATA_SETS, PUBLIC, WORLD_CUTOFFS, DataOptions, Exam, MissingDataError
from odds_rows import MIN_DEALS_A_LABEL, Rows, plain_columns, prepared

from winpredict import Config, train
from winpredict.errors import WinPredictError
from winpredict.models.baselines import FrequencyNaiveBayes, StageWinRate
from winpredict.models.evaluation import compare, evaluate_odds
from winpredict.models.splits import known_before
from winpredict.models.training import training_set

HERE = Path(__file__).parent
Floats = NDArray[np.float64]
OURS, PLAIN = "winpredict's", "plain"
MODEL = "winpredict"
MISSING = "(missing)"
_TINY = 1e-6


# Peers


def with_lightgbm(rows: Rows, seed: int) -> Floats:
    """LightGBM, fixed settings."""
    import lightgbm

    settings = {
        "objective": "binary",
        "learning_rate": 0.03,
        "num_leaves": 15,
        "min_data_in_leaf": 80,
        "num_threads": 1,
        "seed": seed,
        "deterministic": True,
        "verbosity": -1,
    }
    data = lightgbm.Dataset(rows.train, rows.won)
    return np.asarray(lightgbm.train(settings, data, num_boost_round=250).predict(rows.test))


def with_hist_gradient_boosting(rows: Rows, seed: int) -> Floats:
    """HistGradientBoosting of scikit-learn, fixed settings.

    Missing labels are a label of their own: with a column of one label and missing values it errs by far otherwise.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(
        max_iter=200,
        learning_rate=0.05,
        max_leaf_nodes=15,
        categorical_features="from_dtype",
        early_stopping=False,
        random_state=seed,
    )
    train_rows, test_rows = (
        frame.assign(**{name: frame[name].cat.add_categories(MISSING).fillna(MISSING) for name in rows.labels})
        for frame in (rows.train, rows.test)
    )
    return np.asarray(model.fit(train_rows, rows.won).predict_proba(test_rows)[:, 1])


def with_logistic(rows: Rows, seed: int) -> Floats:
    """Logistic regression on standardised numbers and indicators, penalty as strong as so many columns want."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True), StandardScaler()
    )
    labels = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=0.01)
    numeric = [name for name in rows.train if name not in rows.labels]
    prepare = ColumnTransformer([("numbers", numbers, numeric), ("labels", labels, rows.labels)])
    model = make_pipeline(prepare, LogisticRegression(C=0.01, max_iter=2000, random_state=seed))
    train_texts, test_texts = (
        frame.assign(**{name: frame[name].astype(object).where(frame[name].notna(), MISSING) for name in rows.labels})
        for frame in (rows.train, rows.test)
    )
    return np.asarray(model.fit(train_texts, rows.won).predict_proba(test_texts)[:, 1])


def with_stage_rate(rows: Rows, seed: int) -> Floats:
    """The win rate of the stage, as most CRMs show it."""
    return StageWinRate().fit(rows.train, rows.won).predict_proba(rows.test)[:, 1]


def with_naive_bayes(rows: Rows, seed: int) -> Floats:
    """Frequency tables in the manner of Odoo."""
    fields = [name for name in rows.labels if name != "stage"]
    model = FrequencyNaiveBayes(stage_order=rows.stage_order, fields=fields)
    return model.fit(rows.train, rows.won).predict_proba(rows.test)[:, 1]


IN_PROCESS: dict[str, tuple[str, Callable[[Rows, int], Floats]]] = {
    "lightgbm": ("LightGBM", with_lightgbm),
    "hgb": ("HistGradientBoosting", with_hist_gradient_boosting),
    "logistic": ("logistic regression", with_logistic),
    "naive_bayes": ("naive Bayes as Odoo's", with_naive_bayes),
    "stage_rate": ("stage win rate", with_stage_rate),
}
#: Title and packages of peers that live in an environment of their own.
ELSEWHERE = {
    "catboost": ("CatBoost", ("catboost==1.2.10", "pandas", "pyarrow")),
    "autogluon": ("AutoGluon, medium", ("autogluon.tabular[lightgbm,catboost,xgboost]==1.6.3", "pyarrow")),
    "flaml": ("FLAML", ("flaml[automl]==2.8.0", "pandas", "pyarrow")),
}
PEERS = (*IN_PROCESS, *ELSEWHERE)
TITLES = {name: title for name, (title, _) in (IN_PROCESS | ELSEWHERE).items()}
#: Peers that look at one column only, so that a second set of features makes no difference.
ONE_SET = ("stage_rate",)


@dataclass
class Answer:
    """Odds of the judged rows and what they cost."""

    odds: Floats
    cpu: float
    wall: float


def timed(run: Callable[[], Floats]) -> Answer:
    """What it returns, with its seconds, those of processes that it started included."""
    start, before = time.perf_counter(), os.times()
    odds = run()
    after = os.times()
    cpu = sum(after[:4]) - sum(before[:4])
    return Answer(odds, cpu, time.perf_counter() - start)


def elsewhere(peer: str, rows: Rows, seed: int, seconds: float) -> Answer:
    """The answer of a peer in its own environment; the seconds are its own, without starting Python.

    Raises
    ------
    RuntimeError
        When it cannot run.
    """
    uv = os.environ.get("UV") or shutil.which("uv")
    if uv is None:
        raise RuntimeError("there is no uv to make its environment")
    wanted = [part for each in ELSEWHERE[peer][1] for part in ("--with", each)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows.train.assign(__won=rows.won, __deal=rows.deals).to_parquet(folder / "train.parquet")
        rows.test.to_parquet(folder / "test.parquet")
        command = [uv, "run", "--quiet", "--no-project", "--python", "3.11", *wanted, "python"]
        command += [str(HERE / "odds_peers.py"), peer, str(folder), str(seed), str(seconds)]
        one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | one_thread)
        if done.returncode:
            raise RuntimeError((done.stderr.strip().splitlines() or ["it stopped without a word"])[-1])
        spent = json.loads(done.stdout.strip().splitlines()[-1])
        return Answer(pd.read_parquet(folder / "odds.parquet")["odds"].to_numpy(), spent["cpu"], spent["wall"])


# Judging


@dataclass
class Result:
    """What one data set showed.

    Parameters
    ----------
    title : str
    scorers : dict of str to dict of str to float
        By name and features of the scorer: log_loss, brier, calibration, auc, cpu, wall, and unless it is winpredict
        itself difference, low, high (winpredict less the peer in log loss, with the 95 % interval by resampling deals);
        for worlds soft, soft_sd and soft_difference.
    rows, deals, exams : int
        How many were judged.
    at : str
        When it ran.
    notes : list of str
        Peers that could not run.
    """

    title: str
    scorers: dict[str, dict[str, float]]
    rows: int
    deals: int
    exams: int
    at: str = field(default_factory=lambda: f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC")
    notes: list[str] = field(default_factory=list)


def judge(
    title: str,
    exams: Iterator[Exam],
    config: Config,
    peers: Sequence[str],
    seconds: Mapping[str, float],
    kept: Path | None = None,
    again: Sequence[str] = (),
) -> Result:
    """Let everyone answer all exams of a data set, and judge the answers together.

    Every answer is left in the folder `kept` as soon as it is there; those of the peers named in `again` are made anew.
    """
    answers: dict[str, list[Answer]] = {}
    taken: list[Exam] = []
    notes: list[str] = []
    for number, exam in enumerate(exams):
        print(f"  {title}: {exam.name}, {len(exam.snapshots)} to judge", file=sys.stderr, flush=True)
        sheet = Sheet.of(exam, None if kept is None else kept / f"{number}.pickle", again)
        if MODEL not in sheet.answers:
            sheet.answers[MODEL], sheet.rows, sheet.answers["features"] = rows_of(exam, config)
            sheet.keep()
        for peer in [each for each in peers if not any(note.startswith(TITLES[each]) for note in notes)]:
            for features, rows in sheet.rows.items():
                name = f"{TITLES[peer]}|{features}"
                if name in sheet.answers or (features == PLAIN and peer in ONE_SET):
                    continue
                try:
                    sheet.answers[name] = (
                        elsewhere(peer, rows, config.seed, seconds.get(peer, 0.0))
                        if peer in ELSEWHERE
                        else timed(lambda peer=peer, rows=rows: IN_PROCESS[peer][1](rows, config.seed))
                    )
                except RuntimeError as error:
                    notes.append(f"{TITLES[peer]} did not run: {error}")
                    break
                sheet.keep()
        taken.append(exam)
        for name, answer in sheet.answers.items():
            answers.setdefault(name, []).append(answer)
    complete = {name: given for name, given in answers.items() if len(given) == len(taken)}
    return judged(title, taken, complete, notes, config.seed)


@dataclass
class Sheet:
    """What was answered in one exam, and the rows that the peers learn from."""

    path: Path | None
    snapshots: pd.DataFrame
    answers: dict[str, Answer] = field(default_factory=dict)
    rows: dict[str, Rows] = field(default_factory=dict)

    @classmethod
    def of(cls, exam: Exam, path: Path | None, again: Sequence[str]) -> "Sheet":
        """What is kept of an exam, where it asked the same; an empty one otherwise."""
        if path is None or not path.exists():
            return cls(path, exam.snapshots)
        # written by this script on this machine
        sheet: Sheet = pickle.loads(path.read_bytes())
        if not sheet.snapshots.equals(exam.snapshots):
            return cls(path, exam.snapshots)
        titles = {TITLES.get(name, name) for name in again}
        answers = {name: each for name, each in sheet.answers.items() if name.partition("|")[0] not in titles}
        return cls(path, exam.snapshots, answers, sheet.rows)

    def keep(self) -> None:
        """Write it down."""
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_bytes(pickle.dumps(self))


def rows_of(exam: Exam, config: Config) -> tuple[Answer, dict[str, Rows], Answer]:
    """Winpredict's answer, the rows for the peers by set of features, and what winpredict's features cost."""
    attributes = config.attributes.model_copy(update={"drop": [*config.attributes.drop, *exam.drop]})
    config = config.model_copy(update={"attributes": attributes})
    found: dict[str, Any] = {}

    def answer() -> Floats:
        model = train(exam.exported, config, as_of=exam.as_of)
        found["test"] = model.build_features(exam.known, exam.snapshots)
        return model.odds(found["test"])["win_probability"].to_numpy(np.float64)

    def features() -> Floats:
        found["data"] = training_set(known_before(exam.known), config, exported=exam.exported)
        return np.empty(0)

    ours, preparing = timed(answer), timed(features)
    data = found["data"]
    closed, order = data.closed, exam.known.stage_order
    snapshots = data.snapshots[closed].reset_index(drop=True)
    won, deals = data.won[closed], snapshots["deal_id"]
    learnt = data.features.frame[closed].reset_index(drop=True)
    asked = found["test"].reindex(columns=learnt.columns)
    used = {"attributes": list(data.audit.kept), "with_amount": "amount" in learnt}
    plain = (plain_columns(exam.known, each, **used) for each in (snapshots, exam.snapshots))
    return (
        ours,
        {
            OURS: prepared(learnt, asked, won, deals, order),
            PLAIN: prepared(*plain, won, deals, order, min_deals=MIN_DEALS_A_LABEL),
        },
        preparing,
    )


def judged(
    title: str, exams: Sequence[Exam], answers: Mapping[str, Sequence[Answer]], notes: list[str], seed: int
) -> Result:
    """Figures over all exams of a data set."""
    won = np.concatenate([exam.won for exam in exams])
    is_world = exams[0].true_odds is not None
    # the worlds number their deals alike; the cut-offs of one world or data set share theirs
    prefixes = [exam.name.split()[0] if is_world else "" for exam in exams]
    deals = np.concatenate(
        [
            prefix + exam.snapshots["deal_id"].astype(str).to_numpy(dtype=object)
            for prefix, exam in zip(prefixes, exams, strict=True)
        ]
    )
    known = ~np.isnan(won)
    scorers: dict[str, dict[str, float]] = {}
    soft: dict[str, Floats] = {}
    for name, given in sorted(answers.items(), key=lambda each: each[0] != MODEL):  # all others are held against it
        spent = {"cpu": sum(each.cpu for each in given), "wall": sum(each.wall for each in given)}
        if name == "features":
            scorers[name] = spent
            continue
        odds = np.clip(np.concatenate([each.odds for each in given]), 0.0, 1.0)
        figures = evaluate_odds(won[known], odds[known])
        scorers[name] = {
            "log_loss": figures["log_loss"],
            "brier": figures["brier"],
            "calibration": figures["expected_calibration_error"],
            "auc": figures["auc"],
            "bias": float(odds[known].mean() - won[known].mean()),
            **spent,
        }
        if name != MODEL:
            ours = np.concatenate([each.odds for each in answers[MODEL]])
            found = compare(won[known], ours[known], odds[known], deals[known], seed=seed)
            scorers[name] |= {"difference": found.difference, "low": found.low_95, "high": found.high_95}
        if is_world:
            soft[name] = np.array(
                [soft_ratio(exam.true_odds, each.odds) for exam, each in zip(exams, given, strict=True)]
            )
            by_world = pd.Series(soft[name]).groupby(prefixes).mean()
            scorers[name] |= {"soft": float(by_world.mean()), "soft_sd": float(by_world.std(ddof=0))}
            if name != MODEL:
                apart = pd.Series(soft[MODEL] - soft[name]).groupby(prefixes).mean()
                scorers[name] |= {
                    "soft_difference": float(apart.mean()),
                    "soft_error": float(apart.std() / np.sqrt(len(apart))) if len(apart) > 1 else float("nan"),
                }
    return Result(title, scorers, int(known.sum()), len(set(deals[known])), len(exams), notes=notes)


def soft_ratio(true_odds: Floats | None, odds: Floats) -> float:
    """Cross-entropy of odds against the true ones over the entropy of the true ones: 1 is perfect.

    Examples
    --------
    >>> round(soft_ratio(np.array([0.2, 0.7, np.nan]), np.array([0.2, 0.7, 0.5])), 12)
    1.0
    >>> round(soft_ratio(np.array([0.5]), np.array([0.9])), 3)
    1.737
    """
    assert true_odds is not None
    there = ~np.isnan(true_odds)
    truth, said = (np.clip(each[there], _TINY, 1 - _TINY) for each in (true_odds, odds))
    crossed, own = (-(truth * np.log(each) + (1 - truth) * np.log1p(-each)).sum() for each in (said, truth))
    return float(crossed / own)


# Telling


def section(result: Result) -> str:
    """The table of one data set."""
    worlds = "soft" in result.scorers[MODEL]
    header = ["odds by", "features", "log loss", "Brier", "calibration error", "winpredict less this (95%)"]
    header += ["soft ratio", "winpredict less this (± s.e.)"] if worlds else []
    lines = []
    for name, figures in ranked(result):
        peer, _, features = name.partition("|")
        line: list[str] = [
            peer,
            features or OURS,
            *(f"{figures[each]:.4f}" for each in ("log_loss", "brier", "calibration")),
        ]
        line.append(difference(figures) if name != MODEL else "")
        if worlds:
            line.append(f"{figures['soft']:.3f} ± {figures['soft_sd']:.3f}")
            line.append(f"{figures['soft_difference']:+.4f} ± {figures['soft_error']:.4f}" if name != MODEL else "")
        lines.append([*line, f"{figures['cpu']:.1f}", f"{figures['wall']:.1f}"])
    judged_deals = (
        f"{result.rows:,} odds of {result.deals:,} deals" if result.rows != result.deals else f"{result.rows:,} deals"
    )
    cost = result.scorers["features"]
    words = (
        f"Judged on {judged_deals} in {result.exams} {'part' if result.exams == 1 else 'parts'}. winpredict's seconds "
        f"include its features, {cost['cpu']:.1f} s of CPU, which the peers were given. Ended {result.at}."
    )
    return "\n\n".join([f"### {result.title}", words, table([*header, "CPU s", "seconds"], lines), *result.notes])


def ranked(result: Result) -> list[tuple[str, dict[str, float]]]:
    """Scorers from the best log loss on."""
    scorers = [(name, figures) for name, figures in result.scorers.items() if name != "features"]
    return sorted(scorers, key=lambda each: each[1]["log_loss"])


def difference(figures: Mapping[str, float]) -> str:
    """Winpredict less the peer; in bold where the interval says that the peer is better."""
    text = f"{figures['difference']:+.4f} ({figures['low']:+.4f} to {figures['high']:+.4f})"
    return f"**{text}**" if figures["low"] > 0 else text


def overview(results: Mapping[str, Result]) -> str:
    """Winpredict and the best and the worst of the differences, a line a data set."""
    lines = []
    for result in results.values():
        best = next((each for each in ranked(result) if each[0] != MODEL), None)
        if best is None:
            continue
        lost = [name.replace("|", " on ") for name, figures in result.scorers.items() if figures.get("low", -1.0) > 0]
        won = sum(figures.get("high", 1.0) < 0 for figures in result.scorers.values())
        peers = sum("difference" in figures for figures in result.scorers.values())
        ours = f"{result.scorers[MODEL]['log_loss']:.4f}"
        name, features = best[0].split("|")
        line = [result.title, ours, f"{name} on {features} features, {best[1]['log_loss']:.4f}", difference(best[1])]
        lines.append([*line, f"{won} of {peers}", ", ".join(lost) or "none"])
    header = [
        "data set",
        "winpredict",
        "best peer",
        "winpredict less this (95%)",
        "clearly worse than winpredict",
        "clearly better",
    ]
    return table(header, lines)


def report(results: Mapping[str, Result], missing: Sequence[str], config: Config, args: argparse.Namespace) -> str:
    """The whole section."""
    limits = {"autogluon": f", {args.autogluon_seconds:g} s a fit", "flaml": f", {args.flaml_seconds:g} s a fit"}
    apart = [f"{TITLES[name]} ({packages[0]}{limits.get(name, '')})" for name, (_, packages) in ELSEWHERE.items()]
    intro = (
        "Log loss, lower is better; differences are winpredict less the peer, with 95% intervals by resampling deals, "
        "the same for both; bold where the peer is clearly better. Every peer runs on winpredict's features and on "
        "plain ones: attributes, stage, amount, age, number and recency of changes and touches. One thread each, fixed "
        f"settings, weight 1 a row; winpredict as it comes (bags {config.model.bags}, trees {config.model.trees}). In "
        f"environments of their own: {'; '.join(apart)}."
    )
    credits = [
        f"- {each.title}: {each.source}; licence: {each.licence}; {each.note}."
        for name, each in PUBLIC.items()
        if any(key.split()[0] == name for key in results)
    ]
    parts = [intro, overview(results), *(section(each) for each in results.values())]
    if credits:
        parts.append("Public data sets:\n\n" + "\n".join(credits))
    if missing:
        parts.append("Not run: " + "; ".join(missing) + ".")
    return "\n\n".join(parts)


def run(args: argparse.Namespace) -> tuple[dict[str, Result], list[str], Config]:
    """All that the command line asks for; what is kept already is not run again."""
    model = {"bags": 2, "trees": 60, "learning_rate": 0.1} if args.quick else {}
    config = Config.model_validate({"model": {"threads": 1, **model}})
    seconds = {"autogluon": args.autogluon_seconds, "flaml": args.flaml_seconds}
    wanted = DataOptions(args.shared, args.data, args.deals, args.worlds, args.rows, args.cutoffs)
    results: dict[str, Result] = {}
    missing: list[str] = []
    for name in args.only:
        title, exams_of = DATA_SETS[name]
        try:
            ways = exams_of(wanted)
            for way, exams in ways.items():
                key = f"{name} {way}".strip()
                path = None if args.kept is None else args.kept / f"{key.replace(' ', '_')}.json"
                if path is not None and path.exists() and not args.again:
                    results[key] = Result(**json.loads(path.read_text()))
                    continue
                folder = None if path is None else path.with_suffix("")
                told = f"{title}, {way}" if way else title
                results[key] = judge(told, exams, config, args.peers, seconds, folder, args.again)
                if path is not None:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_text(json.dumps(asdict(results[key]), indent=1))
        except (MissingDataError, WinPredictError) as reason:
            missing.append(f"{name} ({reason})")
    return results, missing, config


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line; `--quick` is one small world, salvirt and the peers that need no environment of their own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick", action="store_true", help="one small world and salvirt, small models, peers in process"
    )
    parser.add_argument("--shared", type=Path, default=HERE.parent.parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=HERE.parent / "build" / "odds_data")
    parser.add_argument("--only", nargs="+", choices=DATA_SETS, help="these data sets")
    parser.add_argument("--peers", nargs="+", choices=PEERS, help="these peers")
    parser.add_argument("--deals", type=int, help="deals of a world")
    parser.add_argument("--worlds", type=int, help="number of worlds")
    parser.add_argument("--cutoffs", type=int, help="number of cut-offs of a world, from the latest")
    parser.add_argument("--rows", type=int, default=0, help="at most so many deals of undated data; 0: all")
    parser.add_argument("--autogluon-seconds", type=float, default=60.0, help="time limit of a fit")
    parser.add_argument("--flaml-seconds", type=float, default=30.0, help="time budget of a fit")
    parser.add_argument("--json", type=Path, help="file for all figures")
    parser.add_argument("--kept", type=Path, help="folder where answers and data sets are kept once they have run")
    parser.add_argument(
        "--again", nargs="+", choices=(MODEL, *PEERS), default=(), help="with --kept: make these answers anew"
    )
    args = parser.parse_args(given)
    args.only = args.only or (["worlds", "salvirt"] if args.quick else list(DATA_SETS))
    args.peers = args.peers or (list(IN_PROCESS) if args.quick else list(PEERS))
    args.deals = args.deals or (600 if args.quick else 3000)
    args.worlds = args.worlds or (1 if args.quick else 10)
    args.cutoffs = args.cutoffs or (1 if args.quick else len(WORLD_CUTOFFS))
    return args


def main(given: Sequence[str] | None = None) -> None:
    """Print the section and write the figures."""
    asked = arguments(given)
    results, missing, config = run(asked)
    if asked.json is not None:
        figures = {name: asdict(each) for name, each in results.items()}
        asked.json.parent.mkdir(parents=True, exist_ok=True)
        asked.json.write_text(json.dumps({"results": figures, "missing": missing}, indent=1))
    print(report(results, missing, config, asked))


if __name__ == "__main__":
    main()
