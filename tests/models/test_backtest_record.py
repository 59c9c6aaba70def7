import pandas as pd

from winpredict import Config, backtest
from winpredict.locale.language import speaking
from winpredict.models.backtest_record import (
    BACKTEST_TABLES,
    list_backtests,
    log_backtest,
    read_backtest,
    read_backtest_tables,
)


def test_a_backtest_is_a_run_with_charts_and_is_read_back(tmp_path, world, quick_config):
    assert list_backtests(tmp_path) == []
    assert read_backtest(tmp_path) is None
    result = backtest(world.crm, quick_config, folds=1)
    run_id = log_backtest(tmp_path, result, config=Config(), fingerprint="0")
    files = {path.name: path for path in tmp_path.rglob("*") if path.is_file()}
    assert {"overall.csv", "predictions.csv", "calibration.png", "roc.png", "precision_recall.png"} <= set(files)
    (run,) = list_backtests(tmp_path)
    assert (run.run_id, run.verdict, run.fingerprint) == (run_id, result.verdict, "0")
    assert run.metrics["log_loss"] == result.overall.loc["winpredict", "log_loss"]
    verdict, tables = read_backtest(tmp_path)
    assert verdict == result.verdict
    with speaking("de"):
        assert "95-%-Intervall des Unterschieds" in str(run.verdict)
    assert tuple(tables) == BACKTEST_TABLES
    pd.testing.assert_series_equal(
        tables["overall"]["log_loss"], result.overall["log_loss"].reset_index(drop=True), check_exact=False
    )
    files["overall.csv"].unlink()
    assert read_backtest_tables(tmp_path, run) is None
    assert read_backtest(tmp_path) is None
