"""Predicting and explaining with LightGBM trees: winpredict and LightGBM beside their peers, results compared.

    uv run --group benchmarks python benchmarks/predicting.py [--rows 200000] [--explained 4000] [--repeats 5]

Odds: 300 trees of 31 leaves on 60 features, by LightGBM itself (which winpredict uses), onnxruntime, tl2cgen (compiles
the trees with gcc) and lleaves (compiles them with LLVM). SHAP values: our tables beside LightGBM's pred_contrib,
shap.TreeExplainer, woodelf and Fast TreeSHAP, at 7 and 31 leaves. And what a single deal takes. lleaves and Fast
TreeSHAP run in environments of their own, after the others rather than in turns with them.
"""

import argparse
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
from measuring import amount, in_older_environment, interleaved, ratio, table

from winpredict.explain._tree_shap import read_forest, tree_contributions

FEATURES, TREES, LEAVES, LEARNT_ROWS = 60, 300, 31, 50_000
THREADS = (1, 2)
EXACT = 1e-9
Run = Callable[[], Any]


def make(rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features that single precision holds exactly, and outcomes."""
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(rows, FEATURES)).astype(np.float32).astype(np.float64)
    drive = matrix[:, 0] + matrix[:, 1] * matrix[:, 2] + np.sin(2 * matrix[:, 3]) + 0.1 * matrix[:, 4:30].sum(axis=1)
    return matrix, (drive + rng.normal(size=rows) > 0).astype(int)


#: As `winpredict.models.estimator.WinClassifier` fits its trees.
OUR_SETTINGS = {
    "feature_fraction": 0.2, "bagging_fraction": 0.7, "bagging_freq": 1, "min_data_in_leaf": 80, "lambda_l2": 5.0,
}  # fmt: skip


def fit(leaves: int, **further: float) -> lgb.Booster:
    """Trees by LightGBM's defaults, or with further knobs."""
    matrix, outcome = make(LEARNT_ROWS, seed=1)
    settings = {"objective": "binary", "num_leaves": leaves, "learning_rate": 0.03, "verbose": -1, "num_threads": 2}
    return lgb.train(settings | further, lgb.Dataset(matrix, outcome), TREES)


def with_onnx(booster: lgb.Booster, threads: int) -> Callable[[np.ndarray], np.ndarray]:
    """Odds by onnxruntime, which takes single precision."""
    import onnxruntime
    from onnxmltools import convert_lightgbm
    from onnxmltools.convert.common.data_types import FloatTensorType

    shape = [("rows", FloatTensorType([None, FEATURES]))]
    converted = convert_lightgbm(booster, initial_types=shape, zipmap=False, target_opset=15)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    session = onnxruntime.InferenceSession(converted.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda matrix: session.run(None, {"rows": matrix.astype(np.float32)})[1][:, 1]


def with_tl2cgen(booster: lgb.Booster, threads: int, folder: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Odds by trees that gcc compiled."""
    import tl2cgen
    import treelite

    path = folder / "trees.so"
    if not path.exists():
        model = treelite.frontend.from_lightgbm(booster)
        tl2cgen.export_lib(model, toolchain="gcc", libpath=path, params={"parallel_comp": 32}, verbose=False)
    predictor = tl2cgen.Predictor(path, nthread=threads)
    return lambda matrix: predictor.predict(tl2cgen.DMatrix(matrix, dtype="float64")).ravel()


def predictors(booster: lgb.Booster, folder: Path) -> dict[str, dict[int, Callable[[np.ndarray], np.ndarray]]]:
    """What can be had here: by name and number of threads."""
    found: dict[str, dict[int, Callable[[np.ndarray], np.ndarray]]] = {
        "LightGBM": {n: lambda matrix, n=n: booster.predict(matrix, num_threads=n) for n in THREADS}
    }
    makers = {"onnxruntime": with_onnx, "tl2cgen": lambda booster, n: with_tl2cgen(booster, n, folder)}
    for name, make_one in makers.items():
        try:
            found[name] = {n: make_one(booster, n) for n in THREADS}
        except Exception as error:  # a peer that does not install or convert is told, and stops nothing
            print(f"{name} could not be run here: {type(error).__name__}: {str(error)[:200]}\n")
    return found


def compare_odds(booster: lgb.Booster, rows: int, repeats: int) -> None:
    """Print seconds, ratios and the largest difference of the odds."""
    matrix, _ = make(rows)
    expected = booster.predict(matrix)
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        found = predictors(booster, Path(folder))
        for threads in THREADS:
            runs = {name: (lambda run=each[threads]: run(matrix)) for name, each in found.items()}
            gaps = {name: np.abs(run() - expected) for name, run in runs.items()}
            seconds = interleaved(runs, repeats)
            lines += [_odds_line(name, threads, seconds, rows, gaps[name]) for name in runs]
            base = seconds["LightGBM"]
            lines += _lleaves_lines(booster, matrix, expected, base, threads, Path(folder))
    print(f"Odds of {rows:,} rows, {TREES} trees of {LEAVES} leaves, {FEATURES} features:\n")
    header = ["odds by", "threads", "seconds (median)", "rows a second", "of LightGBM's time", "largest difference"]
    print(table([*header, "rows that differ"], lines))


def _odds_line(
    name: str, threads: int, seconds: dict[str, list[float]], rows: int, gaps: np.ndarray
) -> list[str | int]:
    median = float(np.median(seconds[name]))
    share = ratio(seconds[name], seconds["LightGBM"])
    return [name, threads, amount(median), amount(rows / median), f"{share:.2f}", *_gap(gaps)]


def _gap(gaps: np.ndarray) -> tuple[str, str]:
    return f"{gaps.max():.1e}", f"{np.mean(gaps > 1e-6):.2%}"


_LLEAVES: dict[Path, Any] = {}


def _lleaves_lines(
    booster: lgb.Booster, matrix: np.ndarray, expected: np.ndarray, base: list[float], threads: int, folder: Path
) -> list[list[str | int]]:
    if folder not in _LLEAVES:
        _LLEAVES[folder] = older("lleaves", booster, matrix, folder)
    said, result = _LLEAVES[folder]
    if said is None:
        return []
    median = float(np.median(said[str(threads)]))
    share = median / float(np.median(base))
    name = f"lleaves (compiles for {said['compiling']:.0f} s)"
    gaps = np.abs(result["odds"] - expected)
    return [[name, threads, amount(median), amount(len(matrix) / median), f"{share:.2f}", *_gap(gaps)]]


def older(peer: str, booster: lgb.Booster, matrix: np.ndarray, folder: Path) -> tuple[Any, dict[str, np.ndarray]]:
    """Seconds and results of a peer in an environment of its own; None where it does not run."""
    booster.save_model(folder / "model.txt")
    np.save(folder / "matrix.npy", matrix)
    said = in_older_environment(peer, folder)
    if said is None:
        print(f"{peer} could not be run here.\n")
        return None, {}
    return said, dict(np.load(folder / "result.npz"))


def explainers(booster: lgb.Booster, matrix: np.ndarray) -> dict[str, Run]:
    """SHAP values by everything that runs in this environment."""
    import shap
    from woodelf import WoodelfExplainer

    warnings.filterwarnings("ignore", message="LightGBM binary classifier", category=UserWarning)
    named = pd.DataFrame(matrix, columns=booster.feature_name())
    explainer, woodelf = shap.TreeExplainer(booster), WoodelfExplainer(booster)
    return {
        "winpredict, 1 thread": lambda: tree_contributions([booster], matrix, 1)[0],
        "winpredict, 2 threads": lambda: tree_contributions([booster], matrix, 2)[0],
        "pred_contrib, 1 thread": lambda: booster.predict(matrix, pred_contrib=True, num_threads=1)[:, :-1],
        "pred_contrib, 2 threads": lambda: booster.predict(matrix, pred_contrib=True, num_threads=2)[:, :-1],
        "shap.TreeExplainer": lambda: explainer.shap_values(matrix),
        "woodelf": lambda: np.asarray(woodelf.shap_values(named, verbose=False)),
    }


def compare_shap(booster: lgb.Booster, said_of: str, rows: int, repeats: int) -> None:
    """Print rows a second, ratios to our tables on two threads, and the largest difference from pred_contrib."""
    matrix, _ = make(rows, seed=2)
    read = interleaved({"read": lambda: read_forest(booster)}, 2)["read"][-1]
    tables = f"our tables are made once in {read:.2f} s"
    if read_forest(booster) is None:
        tables = "too large for our tables, so winpredict asks pred_contrib too"
    runs = explainers(booster, matrix)
    expected = runs["pred_contrib, 1 thread"]()
    gaps = {name: float(np.abs(run() - expected).max()) for name, run in runs.items()}
    _require_exact({name: gap for name, gap in gaps.items() if not name.startswith("woodelf")})
    seconds = interleaved(runs, repeats)
    with tempfile.TemporaryDirectory() as folder:
        said, result = older("fasttreeshap", booster, matrix, Path(folder))
    for algorithm, values in result.items():
        name = f"Fast TreeSHAP {algorithm}, 2 threads"
        gaps[name], seconds[name] = float(np.abs(values - expected).max()), said[algorithm]
    ours = seconds["winpredict, 2 threads"]
    lines = []
    for name, each in seconds.items():
        median = float(np.median(each))
        share = ratio(each, ours) if len(each) == len(ours) else median / float(np.median(ours))
        lines.append([name, amount(median), amount(rows / median), amount(share), f"{gaps[name]:.1e}"])
    print(f"\nSHAP values of {rows:,} rows, {TREES} trees of {said_of}; {tables}:\n")
    print(table(["SHAP by", "seconds (median)", "rows a second", "times as long as ours", "largest difference"], lines))


def _require_exact(gaps: dict[str, float]) -> None:
    for name, gap in gaps.items():
        if gap > EXACT:
            raise AssertionError(f"SHAP values by {name} differ by {gap}")


def single_deal(booster: lgb.Booster, repeats: int) -> None:
    """Print milliseconds that one row takes."""
    import shap

    matrix, outcome = make(5000, seed=3)
    frame = pd.DataFrame(matrix, columns=[f"x{number}" for number in range(FEATURES)])
    for name in ("x57", "x58", "x59"):
        frame[name] = pd.cut(frame[name], 5, labels=list("abcde"))
    classifier = lgb.LGBMClassifier(n_estimators=TREES, num_leaves=LEAVES, verbose=-1, n_jobs=2).fit(frame, outcome)
    row, framed, explainer = matrix[:1], frame.head(1), shap.TreeExplainer(booster)
    runs = {
        "odds: Booster.predict on numpy": lambda: booster.predict(row, num_threads=1),
        "odds: LGBMClassifier on a DataFrame with categories": lambda: classifier.predict_proba(framed),
        "SHAP: winpredict's tables": lambda: tree_contributions([booster], row, 1),
        "SHAP: Booster.predict with pred_contrib": lambda: booster.predict(row, pred_contrib=True, num_threads=1),
        "SHAP: shap.TreeExplainer": lambda: explainer.shap_values(row),
    }
    interleaved(runs, 3)
    seconds = interleaved(runs, 40 * repeats)
    lines = [[name, f"{np.median(each) * 1000:.3f}"] for name, each in seconds.items()]
    print(f"\nA single deal, {TREES} trees of {LEAVES} leaves:\n")
    print(table(["one row", "milliseconds (median)"], lines))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--explained", type=int, default=4000, help="rows of which SHAP values are computed")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    default = fit(LEAVES)
    compare_odds(default, args.rows, args.repeats)
    for leaves in (7, LEAVES):
        said_of = f"{leaves} leaves, fitted as winpredict fits them"
        compare_shap(fit(leaves, **OUR_SETTINGS), said_of, args.explained, args.repeats)
    compare_shap(default, f"{LEAVES} leaves by LightGBM's defaults", args.explained // 4, 2)
    single_deal(fit(LEAVES, **OUR_SETTINGS), args.repeats)


if __name__ == "__main__":
    main()
