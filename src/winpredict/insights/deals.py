"""Every deal in one row as it stood just before its end, with the segments that managers ask about."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from winpredict._internal.times import days
from winpredict.features.build import build_features
from winpredict.features.builders import Amount, Contacts, Stage, Team, Touches, TrackRecord
from winpredict.features.past import LINKS
from winpredict.tables.crm import CRMData
from winpredict.tables.schema import TIME_DTYPE, text_dtype

QUICK_DAYS = 30
SIZE_BANDS = 4

#: Segments by which deals are compared, with the words for them. Columns of `deals_at_end` where the data have them.
SEGMENTS = {
    "customer": "new or existing customer",
    "size": "deal size",
    "product": "product",
    "team": "team",
    "rep": "rep",
    "lead_source": "lead source",
    "touches_band": "number of touches",
    "people_band": "people of ours involved",
    "contacts_band": "contacts involved",
    "speed": "speed",
}
_COUNT_BANDS = {
    "touches_band": ("touches", (0, 1, 5, 10, 20)),
    "people_band": ("people", (0, 1, 2, 3, 4)),
    "contacts_band": ("contacts", (0, 1, 2, 3, 5)),
}
_BUILDERS = (Stage(), Touches(), Team(), Contacts(), Amount(), TrackRecord(counts=True))
_FIGURES = {
    "amount": ("amount",),
    "stage": ("stage",),
    "touches": ("touches",),
    "people": ("active_users", "team_members"),
    "contacts": ("contacts", "contacts_touched"),
    "senior_contacts": ("senior_contacts",),
    "earlier_wins": ("account_wins",),
}


def deals_at_end(crm: CRMData, attributes: Sequence[str] = ()) -> pd.DataFrame:
    """One row a deal, as it stood just before it closed, or for an open one as it stands.

    What was typed at the close (amounts set to zero, onboarding meetings) is left out: all figures are as-of features
    at the moment of the close, which sees only what was recorded before.

    Parameters
    ----------
    crm : CRMData
    attributes : sequence of str
        Further static attributes to add as columns: those that the leakage audit kept. ``amount`` among them says
        that the amount may be read from deals where it has no history.

    Returns
    -------
    DataFrame
        deal_id, outcome (won, lost, open), created_at, closed_at, days (from creation to the close, or for an open
        deal so far; NaN for undated deals), amount (NaN where unknown), stage, touches, people, contacts,
        senior_contacts, earlier_wins (float; absent tables leave NaN), one text column a segment of `SEGMENTS` (missing
        where unknown; bands are ordered categories), and the attributes.

    Examples
    --------
    >>> deals = pd.DataFrame({
    ...     "deal_id": ["a", "b"], "stage": ["Won", "Demo"], "outcome": ["won", "open"],
    ...     "created_at": ["2025-01-01", "2025-02-01"], "closed_at": ["2025-03-01", None],
    ... })
    >>> deals_at_end(CRMData.from_tables(deals))[["deal_id", "outcome", "speed"]].head(1).values.tolist()
    [['a', 'won', 'later']]
    """
    deals = crm.deals
    end = deals["closed_at"].fillna(crm.known_until) if crm.known_until is not None else deals["closed_at"]
    snapshots = pd.DataFrame({"deal_id": deals["deal_id"], "as_of": end.astype(TIME_DTYPE)}).reset_index(drop=True)
    usable = [name for name in attributes if name in deals]
    links = [name for name in LINKS if name in deals]
    frame = build_features(crm, snapshots, attributes={*usable, *links}, builders=_BUILDERS).frame
    out = deals[["deal_id", "outcome", "created_at", "closed_at"]].reset_index(drop=True)
    out["days"] = np.asarray(days(snapshots["as_of"] - out["created_at"]), dtype=np.float64)
    for name, sources in _FIGURES.items():
        present = [source for source in sources if source in frame]
        out[name] = frame[present[0]].to_numpy() if present else (np.nan if name != "stage" else None)
    out["stage"] = out["stage"].astype(text_dtype())
    for name, values in _segments(crm, out).items():
        out[name] = values
    for name in usable:
        if name not in out:
            out[name] = deals[name].to_numpy()
    return out


def booked_amounts(crm: CRMData, at_end: pd.DataFrame) -> pd.Series:
    """Amounts of won deals as they were booked, of others as they stood before the end.

    Some companies set amounts to zero as they close a deal: where a won one has none above zero, the one before the
    close stands.

    Parameters
    ----------
    crm : CRMData
    at_end : DataFrame
        `deals_at_end` of it.
    """
    if "amount" not in crm.deals:
        return at_end["amount"]
    booked = crm.deals["amount"].reset_index(drop=True)
    return at_end["amount"].mask((at_end["outcome"] == "won") & (booked > 0), booked)


def names_of_users(users: pd.DataFrame | None) -> pd.Series:
    """Known names by user_id; two users of one name are told apart by their ids.

    Examples
    --------
    >>> names_of_users(pd.DataFrame({"user_id": ["u1", "u2", "u3"], "name": ["Ann", "Ann", "Bo"]})).tolist()
    ['Ann (u1)', 'Ann (u2)', 'Bo']
    """
    if users is None or "name" not in users:
        return _text([])
    names = users.set_index("user_id")["name"].dropna()
    twice = names.duplicated(keep=False)
    return names.mask(twice, names + " (" + names.index.astype(text_dtype()) + ")")


def band_names(edges: Sequence[float], word: str = "") -> list[str]:
    """Names of the bands between edges, the last one open at its end.

    Examples
    --------
    >>> band_names([0, 1, 5, 10])
    ['0', '1 to 4', '5 to 9', '10 or more']
    """
    names = [f"{low:,.0f}" if high - low == 1 else f"{low:,.0f} to {high - 1:,.0f}" for low, high in pairwise(edges)]
    return [*names, f"{edges[-1]:,.0f} or more"]


def _segments(crm: CRMData, out: pd.DataFrame) -> dict[str, pd.Series]:
    deals = crm.deals.reset_index(drop=True)
    segments = {
        "customer": _customer(deals, out["earlier_wins"]),
        "size": _size(out["amount"]),
        "team": _of_owner(crm, "team"),
        "rep": _reps(crm),
        "speed": _speed(out),
    }
    for name in ("product", "lead_source"):
        segments[name] = deals[name] if name in deals else _missing(len(deals))
    for name, (figure, edges) in _COUNT_BANDS.items():
        segments[name] = _banded(out[figure].to_numpy(np.float64), edges, band_names(edges))
    return {name: segments[name] for name in SEGMENTS}


def _customer(deals: pd.DataFrame, earlier_wins: pd.Series) -> pd.Series:
    """As recorded; where it is not, a customer is existing once a deal with them was won."""
    won_before = pd.Series(np.where(earlier_wins > 0, "existing", "new"), dtype=text_dtype()).mask(earlier_wins.isna())
    return deals["deal_type"].fillna(won_before) if "deal_type" in deals else won_before


def _size(amounts: pd.Series) -> pd.Series:
    known = amounts[amounts > 0]
    if known.nunique() < SIZE_BANDS:
        return _missing(len(amounts))
    quantiles = known.quantile(np.arange(1, SIZE_BANDS) / SIZE_BANDS).to_numpy()
    edges = sorted({float(f"{edge:.2g}" if edge >= 100 else edge) for edge in quantiles})
    middle = [f"{low:,.0f} to {high:,.0f}" for low, high in pairwise(edges)]
    names = [f"under {edges[0]:,.0f}", *middle, f"{edges[-1]:,.0f} and above"]
    return _banded(amounts.where(amounts > 0).to_numpy(), [0.0, *edges], names)


def _banded(values: NDArray[np.float64], edges: Sequence[float], names: Sequence[str]) -> pd.Series:
    places = np.searchsorted(edges, values, side="right") - 1
    return _ordered(np.where(np.isnan(values), -1, places), names)


def _ordered(codes: NDArray[np.int64], names: Sequence[str]) -> pd.Series:
    return pd.Series(pd.Categorical.from_codes(list(codes), dtype=pd.CategoricalDtype(list(names), ordered=True)))


def _speed(out: pd.DataFrame) -> pd.Series:
    names = [f"within {QUICK_DAYS} days", "later"]
    codes = np.where(out["days"] <= QUICK_DAYS, 0, 1)
    known = out["closed_at"].notna() & out["days"].notna()
    return _ordered(np.where(known, codes, -1), names)


def _reps(crm: CRMData) -> pd.Series:
    if "owner_id" not in crm.deals:
        return _missing(len(crm.deals))
    owner = crm.deals["owner_id"].reset_index(drop=True)
    return _of_owner(crm, "name").fillna(owner)


def _of_owner(crm: CRMData, column: str) -> pd.Series:
    """A column of the deal's owner in the users table."""
    users = crm.users
    if users is None or column not in users or "owner_id" not in crm.deals:
        return _missing(len(crm.deals))
    values = names_of_users(users) if column == "name" else users.set_index("user_id")[column]
    return _text(values.reindex(crm.deals["owner_id"]))


def _missing(length: int) -> pd.Series:
    return _text([None] * length)


def _text(values: Iterable[str | None]) -> pd.Series:
    column: pd.Series = pd.Series(list(values), dtype=text_dtype())
    return column
