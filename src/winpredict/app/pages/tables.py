"""Tables as templates and spreadsheets take them."""

import io
from typing import Any

import pandas as pd
from starlette.responses import Response

from winpredict._internal.spreadsheets import without_formulas


def records_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as templates take them: missing is None."""
    records = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in records]


def currencies_of(deals: pd.DataFrame) -> tuple[str, ...]:
    """Currencies of some deals, sorted; empty text where none is recorded."""
    return tuple(sorted(deals["currency"].astype(object).fillna("").unique()))


def csv_answer(frame: pd.DataFrame, name: str) -> Response:
    """A table as a file that no shared cache keeps and no spreadsheet runs as formulas."""
    out = io.StringIO()
    without_formulas(frame).to_csv(out, index=False)
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return Response(out.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)
