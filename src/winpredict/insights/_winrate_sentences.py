"""Closed-won analysis in words."""

import pandas as pd

from winpredict.insights._loss_reasons import NOT_RECORDED
from winpredict.insights._phrases import counted, duration, money, percent, points

#: Segments that count something which grows while a deal lives.
_GROWING = ("touches_band", "people_band", "contacts_band")
_FEW_GROUPS = 6
_MAX_CHANGES = 5
#: Groups as a sentence names them; others are "where the product is Core".
_OF = {
    "customer": "with {} customers",
    "rep": "of {}",
    "team": "of {}",
}


def overall(row: pd.Series, start: pd.Timestamp | None, end: pd.Timestamp | None) -> list[str]:
    """How often, how much and how fast deals were won."""
    when = "" if start is None or end is None else f" in the {counted((end - start).days, 'day')} to {_day(end)}"
    won = f"{row['won']:,} of the {counted(row['n'], 'deal')} closed{when} {'was' if row['won'] == 1 else 'were'} won: "
    won += (
        f"{percent(row['win_rate'])} (95% interval {percent(row['win_rate_low'])} to {percent(row['win_rate_high'])})"
    )
    if row["n"] == 1:
        won = f"The only deal closed{when} was {'won' if row['won'] else 'lost'}"
    out = [won + _against_before(row) + "."]
    if row["won"] and pd.notna(row["mean_won_amount"]):
        out.append(f"Won deals came to {money(row['amount_won'])}, {money(row['mean_won_amount'])} each on average.")
    if pd.notna(row["median_days_won"]) and pd.notna(row["median_days_lost"]):
        out.append(
            f"Half of the won deals took up to {duration(row['median_days_won'])} to close, "
            f"half of the lost ones up to {duration(row['median_days_lost'])}."
        )
    return out


def _day(moment: pd.Timestamp) -> str:
    last = moment - pd.Timedelta("1us")
    return f"{last.day} {last:%B %Y}"


def _against_before(row: pd.Series) -> str:
    if not row["n_before"]:
        return ""
    before = f"{percent(row['win_rate_before'])} in the period before"
    if not row["changed"]:
        return f", against {before}, which is no change beyond chance"
    return f", {points(row['change'])} {'more' if row['change'] > 0 else 'less'} than the {before}"


def changes(segments: pd.DataFrame) -> list[str]:
    """Groups whose win rate changed beyond chance; those where it made the largest difference in won deals first."""
    told = _plain(segments[segments["changed"].astype(bool) & ~segments["small"].astype(bool)])
    told = told[told["n_before"] >= 20]
    told = told.assign(deals=-(told["change"] * told["n"]).abs()).sort_values(["deals", "segment", "group"])
    out = [_change(row) for _, row in told.head(_MAX_CHANGES).iterrows()]
    more = len(told) - len(out)
    return [*out, f"{counted(more, 'further group')} changed beyond chance."] if more > 0 else out


def _plain(segments: pd.DataFrame) -> pd.DataFrame:
    """Without the segments that are themselves made by how the deal went."""
    return segments[~segments["segment"].isin((*_GROWING, "speed"))]


def _change(row: pd.Series) -> str:
    where = _OF.get(str(row["segment"]), f"where the {row['words']} is {{}}").format(row["group"])
    moved = "rose" if row["change"] > 0 else "fell"
    return (
        f"The win rate {where} {moved} from {percent(row['win_rate_before'])} to {percent(row['win_rate'])}, "
        "beyond what chance explains."
    )


def mix(segments: pd.DataFrame, row: pd.Series) -> list[str]:
    """Segments that hide a change: every group moved one way, the whole did not, because the mix of deals shifted."""
    if row["changed"] or not row["n_before"]:
        return []
    out = []
    for name, groups in _plain(segments).groupby("segment", sort=False):
        large = groups[~groups["small"].astype(bool) & (groups["n_before"] >= 20)]
        same_way = (large["change"] > 0).all() or (large["change"] < 0).all()
        if len(large) > 1 and same_way and large["changed"].any() and large["n"].sum() > 0.9 * row["n"]:
            moved = "rose" if large["change"].iloc[0] > 0 else "fell"
            words = (
                "for new and existing customers alike" if name == "customer" else f"in every {large['words'].iloc[0]}"
            )
            out.append(f"The overall win rate hides that it {moved} {words}: the mix of deals has shifted.")
    return out


def differences(segments: pd.DataFrame, tests: pd.DataFrame) -> list[str]:
    """Segments whose groups differ beyond chance, the widest apart first; then those that do not.

    What grows while a deal lives comes last of those that differ, however wide apart.
    """
    told, alike = [], []
    for _, test in tests.iterrows():
        groups = segments[(segments["segment"] == test["segment"]) & ~segments["small"].astype(bool)]
        if test["differs"] and len(groups) > 1:
            told.append((not _caution(str(test["segment"])), *_difference(test["segment"], test["words"], groups)))
        elif pd.notna(test["p"]):
            alike.append(str(test["words"]))
    out = [sentence for _, _, sentence in sorted(told, reverse=True)]
    return [*out, f"No difference beyond chance by {_listed(alike)}."] if alike else out


def _difference(segment: str, words: str, groups: pd.DataFrame) -> tuple[float, str]:
    """How far the groups are apart, allowing for chance, and the sentence."""
    ordered = groups.sort_values(["shrunken_win_rate", "win_rate"], kind="stable")
    low, high = ordered.iloc[0], ordered.iloc[-1]
    apart = float(high["shrunken_win_rate"] - low["shrunken_win_rate"])
    if segment == "customer" and {low["group"], high["group"]} == {"new", "existing"}:
        first, second = str(high["group"]).capitalize(), low["group"]
        text = f"{first} customers are won in {percent(high['win_rate'])} of cases, {second} ones in "
        text += f"{percent(low['win_rate'])}"
    elif segment == "speed":
        text = f"Of deals closed {high['group']} {percent(high['win_rate'])} are won, of those closed {low['group']} "
        text += percent(low["win_rate"])
    else:
        text = f"By {words}, win rates run from {_group(low)} to {_group(high)}"
    if len(groups) > _FEW_GROUPS:
        text += f"; allowing for chance, from {percent(low['shrunken_win_rate'])} to "
        text += percent(high["shrunken_win_rate"])
    else:
        text += f": {points(high['win_rate'] - low['win_rate'])} apart"
    return apart, text + "." + _caution(segment)


def _group(row: pd.Series) -> str:
    return f"{percent(row['win_rate'])} ({row['group']}, {counted(row['n'], 'deal')})"


def _caution(segment: str) -> str:
    if segment in _GROWING:
        return " This count grows while a deal lives, so it goes along with winning and is partly the deal's length."
    if segment == "speed":
        return " Hopeless deals are often dropped early and others late: speed goes along with winning, no more."
    return ""


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def reasons(table: pd.DataFrame, row: pd.Series) -> list[str]:
    """The most frequent reason for losing, those that changed, and how many are not recorded."""
    known = table[(table["reason"] != NOT_RECORDED) & (table["n"] > 0)]
    if not len(known):
        return []
    first = known.iloc[0]
    text = f"The most frequent reason for losing is {first['reason']}: {percent(first['share'])} of the lost deals"
    text += f", {money(first['amount'])} in amount." if pd.notna(first["amount"]) else "."
    moved = table[table["changed"].astype(bool) & (table["reason"] != NOT_RECORDED)]
    out = [text]
    out += [
        f"{change['reason']} as a reason for losing went {'up' if change['change'] > 0 else 'down'} from "
        f"{percent(change['share_before'])} to {percent(change['share'])} of the lost deals."
        for _, change in moved.iterrows()
    ]
    missing = table.loc[table["reason"] == NOT_RECORDED, "n"].sum()
    if missing:
        out.append(f"No reason is recorded for {missing:,} of {counted(row['lost'], 'lost deal')}.")
    return out
