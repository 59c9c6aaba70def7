"""Closed-won analysis in words."""

from typing import Any

import pandas as pd

from winpredict.insights._loss_reasons import NOT_RECORDED
from winpredict.insights.labels import duration, group_label, group_named, joined, segment_label
from winpredict.locale.text import Text, said, text, texts

#: Segments that count something which grows while a deal lives.
_GROWING = ("touches_band", "people_band", "contacts_band")
_FEW_GROUPS = 6
_MAX_CHANGES = 5


def overall(row: pd.Series, start: pd.Timestamp | None, end: pd.Timestamp | None, currency: str | None) -> list[str]:
    """How often, how much and how fast deals were won."""
    out = [joined(_won(row, start, end), _against_before(row))]
    if row["won"] and pd.notna(row["mean_won_amount"]):
        out.append(
            said(
                "Won deals came to {total:rough_money}, {mean:rough_money} each on average.",
                total=(float(row["amount_won"]), currency),
                mean=(float(row["mean_won_amount"]), currency),
            )
        )
    if pd.notna(row["median_days_won"]) and pd.notna(row["median_days_lost"]):
        out.append(
            said(
                "Half of the won deals closed within {won}, half of the lost ones within {lost}.",
                won=duration(row["median_days_won"]),
                lost=duration(row["median_days_lost"]),
            )
        )
    return out


def _won(row: pd.Series, start: pd.Timestamp | None, end: pd.Timestamp | None) -> Text:
    values: dict[str, Any] = {
        "won": int(row["won"]),
        "n": int(row["n"]),
        "rate": float(row["win_rate"]),
        "low": float(row["win_rate_low"]),
        "high": float(row["win_rate_high"]),
    }
    if start is None or end is None:
        return texts(
            "{won:count} of {n:count} closed deal won: {rate:percent} (95% interval {low:percent} to {high:percent}).",
            "{won:count} of {n:count} closed deals won: {rate:percent} (95% interval {low:percent} to {high:percent}).",
            **values,
        )
    return texts(
        "{won:count} of {n:count} deal closed in the {days:count} days to {day:day} won: {rate:percent} (95% interval "
        "{low:percent} to {high:percent}).",
        "{won:count} of {n:count} deals closed in the {days:count} days to {day:day} won: {rate:percent} (95% interval "
        "{low:percent} to {high:percent}).",
        days=(end - start).days,
        day=end - pd.Timedelta("1us"),
        **values,
    )


def _against_before(row: pd.Series) -> Text | None:
    if not row["n_before"]:
        return None
    before, change = float(row["win_rate_before"]), float(row["change"])
    if not row["changed"]:
        return text(
            "In the period before it was {before:percent}: no change beyond normal variation.",
            before=before,
        )
    if change > 0:
        return texts(
            "That is {n:size_points} point more than the {before:percent} of the period before.",
            "That is {n:size_points} points more than the {before:percent} of the period before.",
            n=change,
            before=before,
        )
    return texts(
        "That is {n:size_points} point less than the {before:percent} of the period before.",
        "That is {n:size_points} points less than the {before:percent} of the period before.",
        n=change,
        before=before,
    )


def changes(segments: pd.DataFrame) -> list[str]:
    """Groups whose win rate changed beyond chance; those where it made the largest difference in won deals first."""
    changed = _plain(segments[segments["changed"].astype(bool) & ~segments["small"].astype(bool)])
    changed = changed[changed["n_before"] >= 20]
    changed = changed.assign(deals=-(changed["change"] * changed["n"]).abs()).sort_values(["deals", "segment", "group"])
    out = [_change(row) for _, row in changed.head(_MAX_CHANGES).iterrows()]
    more = len(changed) - len(out)
    if more > 0:
        out.append(str(texts("{n:count} more group changed.", "{n:count} more groups changed.", n=more)))
    return out


def _plain(segments: pd.DataFrame) -> pd.DataFrame:
    """Without the segments that are themselves made by how the deal went."""
    return segments[~segments["segment"].isin((*_GROWING, "speed"))]


def _change(row: pd.Series) -> str:
    values = {
        "group": group_named(str(row["segment"]), str(row["words"]), row["group"]),
        "before": float(row["win_rate_before"]),
        "after": float(row["win_rate"]),
    }
    if row["change"] > 0:
        return said(
            "Win rate of {group}: up from {before:percent} to {after:percent}, more than normal variation.", **values
        )
    return said(
        "Win rate of {group}: down from {before:percent} to {after:percent}, more than normal variation.", **values
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
            segment = segment_label(str(name), str(large["words"].iloc[0]))
            if large["change"].iloc[0] > 0:
                out.append(
                    said(
                        "The overall win rate hides a rise in every group by {segment}: the mix of deals has shifted.",
                        segment=segment,
                    )
                )
            else:
                out.append(
                    said(
                        "The overall win rate hides a fall in every group by {segment}: the mix of deals has shifted.",
                        segment=segment,
                    )
                )
    return out


def differences(segments: pd.DataFrame, tests: pd.DataFrame) -> list[str]:
    """Segments whose groups differ beyond chance, the widest apart first; then those that do not.

    What grows while a deal lives comes last of those that differ, however wide apart.
    """
    differing, alike = [], []
    for _, test in tests.iterrows():
        groups = segments[(segments["segment"] == test["segment"]) & ~segments["small"].astype(bool)]
        segment = str(test["segment"])
        if test["differs"] and len(groups) > 1:
            differing.append((_caution(segment) is None, *_difference(segment, str(test["words"]), groups)))
        elif pd.notna(test["p"]):
            alike.append(str(segment_label(segment, str(test["words"]))))
    out = [sentence for _, _, sentence in sorted(differing, reverse=True)]
    if alike:
        out.append(said("No difference beyond normal variation by: {segments:listed}.", segments=tuple(alike)))
    return out


def _difference(segment: str, words: str, groups: pd.DataFrame) -> tuple[float, str]:
    """How far the groups are apart, allowing for chance, and the sentences."""
    ordered = groups.sort_values(["shrunken_win_rate", "win_rate"], kind="stable")
    low, high = ordered.iloc[0], ordered.iloc[-1]
    apart = float(high["shrunken_win_rate"] - low["shrunken_win_rate"])
    first = text(
        "Win rate by {segment}: from {low:percent} ({low_group}, {low_n}) to {high:percent} ({high_group}, {high_n}).",
        segment=segment_label(segment, words),
        low=float(low["win_rate"]),
        low_group=group_label(segment, low["group"]),
        low_n=_deals(low["n"]),
        high=float(high["win_rate"]),
        high_group=group_label(segment, high["group"]),
        high_n=_deals(high["n"]),
    )
    second = None
    if len(groups) > _FEW_GROUPS:
        second = text(
            "Allowing for small groups: {low:percent} to {high:percent}.",
            low=float(low["shrunken_win_rate"]),
            high=float(high["shrunken_win_rate"]),
        )
    return apart, joined(first, second, _caution(segment))


def _deals(number: float) -> Text:
    return texts("{n:count} deal", "{n:count} deals", n=float(number))


def _caution(segment: str) -> Text | None:
    if segment in _GROWING:
        return text("This count grows as a deal goes on, so part of the difference is the length of the deal.")
    if segment == "speed":
        return text("Hopeless deals are often dropped early: speed goes with winning, it need not cause it.")
    return None


def reasons(table: pd.DataFrame, row: pd.Series, currency: str | None) -> list[str]:
    """The most frequent reason for losing, those that changed, and how many are not recorded."""
    known = table[(table["reason"] != NOT_RECORDED) & (table["n"] > 0)]
    if not len(known):
        return []
    first = known.iloc[0]
    out = [_most_frequent(first, currency)]
    moved = table[table["changed"].astype(bool) & (table["reason"] != NOT_RECORDED)]
    for _, change in moved.iterrows():
        values = {
            "reason": str(change["reason"]),
            "before": float(change["share_before"]),
            "after": float(change["share"]),
        }
        if change["change"] > 0:
            out.append(
                said("Lost for “{reason}”: up from {before:percent} to {after:percent} of the lost deals.", **values)
            )
        else:
            out.append(
                said("Lost for “{reason}”: down from {before:percent} to {after:percent} of the lost deals.", **values)
            )
    missing = int(table.loc[table["reason"] == NOT_RECORDED, "n"].sum())
    if missing:
        out.append(
            str(
                texts(
                    "No reason is recorded for {missing:count} of {n:count} lost deal.",
                    "No reason is recorded for {missing:count} of {n:count} lost deals.",
                    missing=missing,
                    n=int(row["lost"]),
                )
            )
        )
    return out


def _most_frequent(first: pd.Series, currency: str | None) -> str:
    reason, share = str(first["reason"]), float(first["share"])
    if pd.isna(first["amount"]):
        return said(
            "Most frequent reason for losing: “{reason}”, {share:percent} of the lost deals.",
            reason=reason,
            share=share,
        )
    return said(
        "Most frequent reason for losing: “{reason}”, {share:percent} of the lost deals and {amount:rough_money} in "
        "amount.",
        reason=reason,
        share=share,
        amount=(float(first["amount"]), currency),
    )
