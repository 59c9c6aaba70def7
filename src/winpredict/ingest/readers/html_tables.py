"""HTML tables, which old programs write and name .xls."""

from collections.abc import Iterator

from winpredict.errors import InputFileError
from winpredict.ingest.readers.content import Content
from winpredict.ingest.readers.encoding import encoding_of, text_of
from winpredict.locale.text import said

_MAX_SPAN = 200


def html_rows(content: Content, where: str, encoding: str | None = None) -> Iterator[list[list[str]]]:
    """Rows of texts of every table that is in no other table.

    Parameters
    ----------
    content : Content
    where : str
        The file, for people.
    encoding : str, optional
        By default it is told from the bytes.

    Yields
    ------
    list of list of str

    Raises
    ------
    InputFileError
        When lxml, which reads HTML, is not installed, or the text is no HTML.
    """
    try:
        from lxml import etree, html
    except ImportError:
        raise InputFileError(
            said(
                "{where} is an HTML table, whatever its ending; open it in Excel and save it as .xlsx or .csv "
                "(or install lxml, with which it is read)",
                where=where,
            )
        ) from None
    text = text_of(content, encoding_of(content, where, encoding))
    try:
        # bytes, since lxml refuses texts that declare an encoding of their own
        root = html.document_fromstring(text.encode("utf-8", "replace"), parser=html.HTMLParser(encoding="utf-8"))
    except (etree.LxmlError, ValueError) as error:
        raise InputFileError(
            said("{where} cannot be read as HTML: {error}; save it as .xlsx or .csv", where=where, error=error)
        ) from None
    if root.find(".//table") is None:
        raise InputFileError(
            said(
                "{where} cannot be read: it is an HTML page without a table, such as one to sign in; export it again",
                where=where,
            )
        )
    for table in root.iter("table"):
        if next(table.iterancestors("table"), None) is None:
            yield [_cells(row) for row in table.iter("tr")]


def _cells(row: "object") -> list[str]:
    out: list[str] = []
    for cell in row:  # type: ignore[attr-defined]
        if cell.tag not in ("td", "th"):
            continue
        span = str(cell.get("colspan", "1"))
        out.append(" ".join(cell.text_content().split()))
        out += [""] * (min(int(span) if span.isdigit() and len(span) < 5 else 1, _MAX_SPAN) - 1)
    return out
