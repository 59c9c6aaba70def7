"""Tables for people's spreadsheets: written whole, and harmless to open."""

from pathlib import Path
from typing import TYPE_CHECKING

from winpredict._internal.atomic import replacing
from winpredict.errors import WorkspaceError

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".csv", ".parquet")


def write_table(frame: "pd.DataFrame", path: Path) -> None:
    """Write a table as CSV or Parquet, whole or not at all.

    Parameters
    ----------
    frame : DataFrame
        Its index is not written.
    path : Path
        Ends in .csv or .parquet. CSV is guarded, see `without_formulas`.

    Raises
    ------
    WorkspaceError
        When the name ends in anything else, or the file cannot be written.
    """
    path = Path(path)
    require_suffix(path)
    with replacing(path) as temporary:
        if path.suffix.lower() == ".parquet":
            frame.to_parquet(temporary, index=False)
        else:
            without_formulas(frame).to_csv(temporary, index=False)


def require_suffix(path: Path) -> None:
    """Refuse a name that says neither CSV nor Parquet.

    Raises
    ------
    WorkspaceError
        When it does not.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise WorkspaceError(f"cannot write to {path.name}: the name must end in {' or '.join(SUFFIXES)}")


def without_formulas(frame: "pd.DataFrame") -> "pd.DataFrame":
    r"""Text with an apostrophe before everything that a spreadsheet would run as a formula.

    Such text starts with ``=``, ``+``, ``-``, ``@``, also as wide as East Asian letters, a tab or a line break (OWASP,
    CSV injection). Numbers stay. A carriage return becomes a line feed: writers of CSV leave it without quotes, and
    what follows would begin a row.

    Examples
    --------
    >>> import pandas as pd
    >>> without_formulas(pd.DataFrame({"deal_id": ["=1+1", "D7", "＝1"], "odds": [-1.0, 0.5, 0.0]}))["deal_id"].tolist()
    ["'=1+1", 'D7', "'＝1"]
    >>> without_formulas(pd.DataFrame({"name": ["ACME\r=1+1"]}))["name"].tolist()
    ['ACME\n=1+1']
    """
    text = frame.select_dtypes(include=["object", "string", "category"]).columns
    patterns = {r"^([=+\-@＝＋－＠\t\r\n])": r"'\1", r"\r\n?": "\n"}
    guarded = {}
    for name in text:
        guarded[name] = frame[name].astype(object)
        for pattern, instead in patterns.items():
            guarded[name] = guarded[name].replace(pattern, instead, regex=True)
    return frame.assign(**guarded)
