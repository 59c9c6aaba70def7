"""Process-behaviour charts: how often they cry wolf, and how often they find a fall of ten points in two months.

    uv run python benchmarks/control_charts.py [--series 1000] [--periods 36]

False alarms: series without a change, win rates at several volumes and base rates, and normal measurements; a false
alarm is a chart with any mark. Power: 200 closed deals a month won at 30% for 12 to 24 months, then two months at
20%; found is a chart with a mark on one of these two months.
"""

import argparse
import time

import numpy as np

from winpredict.insights.control import ControlChart, control_chart

VOLUMES, BASE_RATES = (20, 60, 200), (0.2, 0.3, 0.5)
HISTORIES = (12, 18, 24)


def false_alarms(charts: list[ControlChart]) -> tuple[float, float]:
    """Stated rate (mean) and observed rate."""
    stated = float(np.mean([chart.false_alarm_rate for chart in charts]))
    return stated, float(np.mean([(chart.frame["signal"] != "").any() for chart in charts]))


def report_false_alarms(series: int, periods: int) -> None:
    """A table of stated and observed rates, with the standard error that chance leaves the observed ones."""
    random = np.random.default_rng(1)
    print(f"False alarms: {series:,} series of {periods} months each")
    print("| chart | deals a month | base rate | stated | observed | observed / stated | standard error of that |")
    print("|---|---|---|---|---|---|---|")
    rows = []
    for volume in VOLUMES:
        for rate in BASE_RATES:
            won = random.binomial(volume, rate, size=(series, periods))
            counts = np.full(periods, volume)
            charts = [control_chart(row, kind="p", counts=counts) for row in won]
            rows.append(("p", volume, rate, *false_alarms(charts)))
            print_row(*rows[-1], series)
    charts = [control_chart(row) for row in random.normal(50.0, 8.0, size=(series, periods))]
    rows.append(("xmr", "", "", *false_alarms(charts)))
    print_row(*rows[-1], series)
    stated, observed = np.mean([row[3:] for row in rows], axis=0)
    print_row("all", "", "", float(stated), float(observed), series * len(rows))


def print_row(chart: str, volume: object, rate: object, stated: float, observed: float, series: int) -> None:
    error = np.sqrt(stated * (1 - stated) / series) / stated
    print(
        f"| {chart} | {volume} | {rate} | {stated:.3f} | {observed:.3f} | {observed / stated:.2f} | {error:.2f} |",
        flush=True,
    )


def report_power(series: int) -> None:
    """How often a fall of ten points is found within two months."""
    random = np.random.default_rng(2)
    print(f"\nPower: {series:,} series, 200 deals a month, 30% then 20%")
    for history in HISTORIES:
        rates = np.concatenate([np.full(history, 0.3), [0.2, 0.2]])
        won = random.binomial(200, rates, size=(series, history + 2))
        counts = np.full(history + 2, 200)
        charts = [control_chart(row, kind="p", counts=counts) for row in won]
        found = np.mean([(chart.frame["signal"].iloc[-2:] != "").any() for chart in charts])
        print(f"{history} months of history: found within two months in {found:.1%}", flush=True)


def report_speed(periods: int) -> None:
    """Seconds that one p-chart takes."""
    won = np.random.default_rng(3).binomial(200, 0.3, size=periods)
    start = time.perf_counter()
    for seed in range(20):
        control_chart(won, kind="p", counts=np.full(periods, 200), seed=seed)
    print(f"\nOne p-chart of {periods} months takes {(time.perf_counter() - start) / 20:.3f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=1000)
    parser.add_argument("--periods", type=int, default=36)
    arguments = parser.parse_args()
    report_false_alarms(arguments.series, arguments.periods)
    report_power(arguments.series)
    report_speed(arguments.periods)
