"""The deals behind a figure as people get them: in pages, and whole as a file."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pandas as pd
from fastapi import Request
from starlette.responses import HTMLResponse, Response

from winpredict.app.identity import Caller
from winpredict.app.listing import only_currency, page_count
from winpredict.app.pages.pipeline_lists import Column, DealList
from winpredict.app.pages.rendering import render
from winpredict.app.pages.tables import csv_answer, currencies_of, records_of
from winpredict.app.pages.waiting import Part

if TYPE_CHECKING:
    from winpredict.tables.crm import CRMData


@dataclass(frozen=True)
class ListedDeals:
    """A list that somebody asked for, cut to what they may see.

    Parameters
    ----------
    about : DealList
    title : str
    deals : DataFrame
        deal_id and the columns of the list, those that weigh most first; see `listed`.
    names : bool
        Whether names are shown.
    """

    about: DealList
    title: str
    deals: pd.DataFrame
    names: bool

    @cached_property
    def columns(self) -> list[Column]:
        """The columns of which anything is known."""
        return [column for column in self.about.columns if self.deals[column[0]].notna().any()]

    @property
    def added(self) -> float | None:
        """What the deals add up to; None where no amount is known."""
        known = self.deals[self.about.sums].dropna()
        return float(known.sum()) if len(known) else None

    @property
    def unknown(self) -> int:
        """Deals that the sum leaves out, as their amount is not known."""
        return int(self.deals[self.about.sums].isna().sum())

    @cached_property
    def currencies(self) -> tuple[str, ...]:
        """Currencies of what is added up, empty where none is recorded."""
        return currencies_of(self.deals[self.deals[self.about.sums].notna()])

    @property
    def currency(self) -> str | None:
        """The one of all that is added up."""
        return only_currency(self.currencies)

    def page(self, number: int, rows: int) -> list[dict[str, Any]]:
        """The rows of a page as templates take them."""
        return records_of(self.deals.iloc[(number - 1) * rows : number * rows])

    def file(self) -> Response:
        """All rows as a table for spreadsheets."""
        columns = ["deal_id", *(["name"] if self.names else []), *(name for name, _, _ in self.about.columns)]
        return csv_answer(self.deals[[*columns, "currency"]], "deals.csv")


def listed(crm: "CRMData", frame: pd.DataFrame, *, with_names: bool) -> pd.DataFrame:
    """Rows about deals with what every list shows of them; names only where they may be read."""
    deals = crm.deals.set_index("deal_id")

    def known(column: str) -> pd.Series | None:
        return frame["deal_id"].map(deals[column]) if column in deals else None

    frame = frame.assign(
        name=known("name") if with_names else None,
        currency=known("currency"),
        # only open deals have a page
        is_open=known("outcome") == "open",
    )
    return frame.assign(amount=frame["amount"].where(frame["amount"] > 0))  # as when scores are published


def list_page(
    request: Request, caller: Caller, part: Part[Any], found: ListedDeals, *, page: int, rows: int, **values: Any
) -> HTMLResponse:
    """A page of a list.

    Parameters
    ----------
    request : Request
    caller : Caller
    part : Part
        What the list is made of.
    found : ListedDeals
        Empty while the part is not there.
    page, rows : int
        Which page, and how many rows it has.
    **values
        What else the template shows: link (gives the address of the list with changes), export, back, back_words.
    """
    pages = page_count(len(found.deals), rows)
    shown = found.page(page, rows)
    return render(
        request, caller, "pipeline_deals.html", part=part, found=found, rows=shown, page=page, pages=pages, **values
    )
