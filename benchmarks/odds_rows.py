"""What the peers of the odds learn from: winpredict's features, or the plain columns of a deal as it stood."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from winpredict.tables.crm import CRMData

Floats = NDArray[np.float64]
MAX_LABELS = 200
#: A label of fewer deals says who the deal is, not how such deals end: among plain columns it counts as missing.
MIN_DEALS_A_LABEL = 20


@dataclass(frozen=True)
class Rows:
    """Features to learn from and features to judge on, alike in columns."""

    train: pd.DataFrame
    test: pd.DataFrame
    won: NDArray[np.int64]
    deals: NDArray[np.int64]
    stage_order: tuple[str, ...]

    @property
    def labels(self) -> list[str]:
        """Columns that hold labels."""
        return [name for name in self.train if isinstance(self.train[name].dtype, pd.CategoricalDtype)]


def prepared(
    train_frame: pd.DataFrame,
    test_frame: pd.DataFrame,
    won: NDArray[np.int64],
    deals: pd.Series,
    order: Sequence[str],
    *,
    min_deals: int = 1,
) -> Rows:
    """Numbers as float64, labels as categories of what training has, those that at least so many deals have."""
    train_columns, test_columns = {}, {}
    for name in train_frame:
        learnt, judged = train_frame[name], test_frame[name]
        if learnt.isna().all():
            continue
        if pd.api.types.is_numeric_dtype(learnt) or pd.api.types.is_bool_dtype(learnt):
            train_columns[name], test_columns[name] = (
                pd.to_numeric(each, errors="coerce").to_numpy(np.float64, na_value=np.nan) for each in (learnt, judged)
            )
            continue
        texts, judged_texts = (each.astype(object).map(str, na_action="ignore") for each in (learnt, judged))
        frequent = deals.groupby(texts.to_numpy()).nunique().sort_values(ascending=False, kind="stable")[:MAX_LABELS]
        kinds = pd.CategoricalDtype(sorted(frequent.index[frequent >= min_deals]))
        if kinds.categories.empty:
            continue
        train_columns[name], test_columns[name] = (
            pd.Series(pd.Categorical(each.where(each.isin(kinds.categories)), dtype=kinds))
            for each in (texts, judged_texts)
        )
    return Rows(pd.DataFrame(train_columns), pd.DataFrame(test_columns), won, pd.factorize(deals)[0], tuple(order))


def plain_columns(
    crm: CRMData, snapshots: pd.DataFrame, attributes: Sequence[str], *, with_amount: bool
) -> pd.DataFrame:
    """What anybody would take of a deal at a moment: attributes, stage, amount, age, and how much happened.

    Parameters
    ----------
    crm : CRMData
    snapshots : DataFrame
        deal_id and as_of, in any order.
    attributes : sequence of str
        Static columns of deals that tell nothing of the ending.
    with_amount : bool
        Whether the deal's present amount may be taken where its history is not recorded.
    """
    deals = crm.deals.set_index("deal_id").reindex(snapshots["deal_id"]).reset_index(drop=True)
    out = {name: deals[name] for name in attributes if name in deals}
    if crm.accounts is not None and "account_id" in deals:
        accounts = crm.accounts.set_index("account_id").reindex(deals["account_id"]).reset_index(drop=True)
        own = {name: name.removeprefix("account_") for name in attributes if name not in deals}
        out |= {name: accounts[column] for name, column in own.items() if column in accounts}
    if "amount" in deals and with_amount:
        out["amount"] = deals["amount"]
    if "owner_id" in deals:
        out["owner_id"] = deals["owner_id"]
    if not crm.dated:
        return pd.DataFrame(out)
    looks = snapshots[["deal_id", "as_of"]].reset_index(drop=True)
    looks["deal_id"] = looks["deal_id"].astype(str)
    out["days_open"] = days_between(deals["created_at"], looks["as_of"])
    history = crm.deal_history
    if history is not None:
        for name in [each for each in ("stage", "amount", "expected_close_date", "owner_id") if each in history]:
            changes = history.loc[history[name].notna(), ["deal_id", "changed_at", name]]
            changes = changes.sort_values("changed_at", kind="stable")
            changes = changes[changes[name].ne(changes.groupby("deal_id")[name].shift())]
            before = last_before(looks, changes, "changed_at")
            if name == "expected_close_date":
                out["days_to_expected_close"] = -days_between(before[name], looks["as_of"])
                continue
            out[name] = before[name]
            out[f"{name}_changes"] = before["so_far"]
            out[f"days_since_{name}_change"] = days_between(before["changed_at"], looks["as_of"])
    if crm.activities is not None:
        touches = crm.activities[["deal_id", "occurred_at"]].copy()
        entered = crm.activities["recorded_at"] if "recorded_at" in crm.activities else touches["occurred_at"]
        touches["known_at"] = entered.fillna(touches["occurred_at"]).clip(lower=touches["occurred_at"])
        before = last_before(looks, touches, "known_at")
        out["touches"] = before["so_far"]
        out["days_since_touch"] = days_between(before["occurred_at"], looks["as_of"])
    return pd.DataFrame(out)


def last_before(looks: pd.DataFrame, rows: pd.DataFrame, time_column: str) -> pd.DataFrame:
    """Of each look the last row of its deal strictly before it, and how many there were."""
    known = rows.assign(deal_id=rows["deal_id"].astype(str)).sort_values(time_column, kind="stable")
    known["so_far"] = known.groupby("deal_id").cumcount() + 1.0
    asked = looks.assign(place=np.arange(len(looks))).sort_values("as_of", kind="stable")
    found = pd.merge_asof(asked, known, left_on="as_of", right_on=time_column, by="deal_id", allow_exact_matches=False)
    found = found.sort_values("place").reset_index(drop=True)
    return found.assign(so_far=found["so_far"].fillna(0.0))


def days_between(first: pd.Series, last: pd.Series) -> Floats:
    """Days as numbers."""
    return ((last - first) / pd.Timedelta(days=1)).to_numpy(np.float64)
