"""What deals are called in reports: by their names and accounts, and by their ids where no name is known."""

from collections.abc import Iterable
from dataclasses import replace

import pandas as pd

from winpredict.insights.deals import names_of_users
from winpredict.insights.funnel import Funnel
from winpredict.locale.text import text
from winpredict.report.page import Words
from winpredict.tables.crm import CRMData


class DealNames:
    """Names, accounts, owners and amounts of the deals of a CRM.

    Parameters
    ----------
    crm : CRMData

    Examples
    --------
    >>> deals = pd.DataFrame({"deal_id": ["d1", "d2"], "stage": "Demo", "outcome": "open", "name": ["Renewal", None],
    ...                       "account_id": "a1", "amount": [103_000.0, None], "currency": ["EUR", None],
    ...                       "created_at": "2025-01-01", "closed_at": None})
    >>> accounts = pd.DataFrame({"account_id": ["a1"], "name": ["Acme"]})
    >>> names = DealNames(CRMData.from_tables(deals, accounts=accounts))
    >>> [str(names.line(deal_id)) for deal_id in ("d1", "d2")]
    ['Renewal (Acme), €103,000', 'Acme']
    """

    def __init__(self, crm: CRMData) -> None:
        self.deals = crm.deals.set_index("deal_id")
        self._owners = names_of_users(crm.users)
        accounts = crm.accounts
        named = accounts is not None and "name" in accounts
        self._accounts = accounts.set_index("account_id")["name"].dropna() if accounts is not None and named else None

    def name(self, deal_id: str) -> Words:
        """The deal's name with its account, where the name does not hold that already."""
        name, account = self._value(deal_id, "name"), self.account(deal_id)
        if name is None:
            return account or str(deal_id)
        if account is None or account.casefold() in name.casefold():
            return name
        return text("{deal} ({account})", deal=name, account=account)

    def names(self, deal_ids: Iterable[str]) -> list[Words]:
        """The names of several deals."""
        return [self.name(str(deal_id)) for deal_id in deal_ids]

    def named(self, stages: Funnel) -> Funnel:
        """A funnel whose stalled deals have their names; the account only where the deal has none."""
        names = [
            self._value(deal_id, "name") or self.account(deal_id) or str(deal_id)
            for deal_id in stages.stalled["deal_id"]
        ]
        return replace(stages, stalled=stages.stalled.assign(name=names))

    def account(self, deal_id: str) -> str | None:
        """The name of the deal's account."""
        account_id = self._value(deal_id, "account_id")
        if account_id is None or self._accounts is None or account_id not in self._accounts.index:
            return None
        return str(self._accounts[account_id])

    def owner(self, deal_id: str) -> str | None:
        """The name of the deal's owner."""
        owner_id = self._value(deal_id, "owner_id")
        return None if owner_id is None or owner_id not in self._owners.index else str(self._owners[owner_id])

    def amount(self, deal_id: str) -> tuple[float, str] | None:
        """The deal's amount with its currency, empty where none is recorded."""
        amount = self.deals["amount"].get(deal_id) if "amount" in self.deals else None
        return None if amount is None or pd.isna(amount) else (float(amount), self._value(deal_id, "currency") or "")

    def line(self, deal_id: str) -> Words:
        """The deal with its amount and owner, where they are known."""
        name, amount, owner = self.name(deal_id), self.amount(deal_id), self.owner(deal_id)
        if amount is not None and owner is not None:
            return text("{deal}, {amount:money}, {owner}", deal=name, amount=amount, owner=owner)
        if amount is not None:
            return text("{deal}, {amount:money}", deal=name, amount=amount)
        if owner is not None:
            return text("{deal}, {owner}", deal=name, owner=owner)
        return name

    def _value(self, deal_id: str, column: str) -> str | None:
        value = self.deals[column].get(deal_id) if column in self.deals else None
        return None if value is None or pd.isna(value) else str(value)
