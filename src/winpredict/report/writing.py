"""Writing a report: one self-contained HTML, PDF or Markdown file, and the tables as CSV beside it."""

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import pandas as pd
import vl_convert
from babel.dates import get_day_names, get_month_names
from jinja2 import Environment, PackageLoader, StrictUndefined

from winpredict._internal.atomic import replacing
from winpredict._internal.spreadsheets import without_formulas
from winpredict.errors import ConfigError
from winpredict.locale import formats
from winpredict.locale.language import current
from winpredict.locale.text import Text, said, text, texts
from winpredict.report.charts.style import DARK, NARROW, WIDE
from winpredict.report.page import SUMMARY, Format, Picture, Report, Section, Table

SUFFIXES = (".html", ".pdf", ".md")
_LEFT = ("text", "date", "check")
_STYLES: Mapping[Format, Callable[[Any], str]] = {
    "count": formats.count,
    "days": formats.count,
    "number": formats.number,
    "percent": formats.percent,
    "points": formats.exact_points,
    "times": formats.multiple,
    "exact": formats.precise,
    "date": formats.day,
}
#: What Markdown takes for markup: within a text (underscores only at the edge of a word), and where a block begins.
_MARKUP = re.compile(r"[\\`*\[\]<~]|(?<![^\W_])_|_(?![^\W_])|&(?=#?\w+;)")
_BLOCK = re.compile(r"^(\d+(?=[.)](?:\s|$))|(?=>|(?:#+|[+-])(?:\s|$)|[-=]+$))")


def write_report(report: Report, out: Path) -> list[Path]:
    """Write a report and its tables, in the language of the moment.

    Parameters
    ----------
    report : Report
    out : Path
        A file that ends in .html, .pdf or .md. The tables stand beside it as ``<stem>-<table>.csv``, and for Markdown
        the charts as ``<stem>-<number>.svg``.

    Returns
    -------
    list of Path
        The files written, the report first.

    Raises
    ------
    ConfigError
        When the suffix is unknown.
    WorkspaceError
        When a file cannot be written; the earlier one stands.
    """
    out = Path(out)
    require_writable(out)
    written = [_write(out, _rendered(report, out))]
    if out.suffix.lower() == ".md":
        for number, picture in enumerate(_pictures(report), start=1):
            written.append(_write(out.with_name(_svg_name(out, number)), _svg(picture, WIDE).encode()))
    for table in report.tables:
        path = out.with_name(f"{out.stem}-{table.name}.csv")
        written.append(_write(path, without_formulas(table.frame).to_csv(index=False).encode()))
    return written


def require_writable(out: Path) -> None:
    """Do nothing if a report can be written so; to be asked before long work.

    Raises
    ------
    ConfigError
        When the suffix is unknown, or the system lacks what a PDF needs.
    """
    suffix = Path(out).suffix.lower()
    if suffix not in SUFFIXES:
        raise ConfigError(
            text(
                "cannot write a report as {name!r}; end the name in {suffixes}",
                name=Path(out).name,
                suffixes=", ".join(SUFFIXES),
            )
        )
    if suffix == ".pdf":
        _weasyprint()


def report_bytes(report: Report, suffix: Literal[".html", ".pdf"]) -> bytes:
    """A report as one file that stands alone: rows that are not shown are nowhere else.

    Parameters
    ----------
    report : Report
    suffix : {".html", ".pdf"}
    """
    return _rendered(report, Path(f"report{suffix}"), beside=False)


def _write(path: Path, content: bytes) -> Path:
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return path


def _rendered(report: Report, out: Path, *, beside: bool = True) -> bytes:
    suffix = out.suffix.lower()
    if suffix == ".md":
        return _template("report.md.j2", report, pictures=_numbered(report, out)).encode()
    html = _template("report.html.j2", report, pictures=_embedded(report, both=suffix == ".html"), beside=beside)
    if suffix == ".html":
        return html.encode()
    pdf: bytes = _weasyprint().HTML(string=html).write_pdf()
    return pdf


def _weasyprint() -> Any:
    """WeasyPrint, which needs a library of the system that no wheel brings.

    Raises
    ------
    ConfigError
        When that is not installed.
    """
    try:
        import weasyprint
    except OSError as error:
        raise ConfigError(
            text(
                "a PDF needs the system's Pango library, which is not installed: apt install libpangoft2-1.0-0 "
                "(Debian), dnf install pango (Fedora), brew install pango (macOS); or write .html, and print "
                "that from a browser"
            )
        ) from error
    return weasyprint


def from_template(name: str, **values: Any) -> str:
    """One of the templates beside this module, filled in."""
    environment = Environment(
        loader=PackageLoader("winpredict.report"), autoescape=name.endswith(".html.j2"), undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"key": id, "plain": as_plain_markdown}
    environment.globals |= {"_": text, "ngettext": texts}
    return environment.get_template(name).render(**values)


def _template(name: str, report: Report, pictures: dict[int, Any], *, beside: bool = True) -> str:
    style = (files("winpredict.report") / "templates" / "report.css").read_text()
    return from_template(
        name,
        report=report,
        summary=list(report.summary)[:SUMMARY],
        sections=_shown(report.sections),
        appendix=_shown(report.appendix),
        pictures=pictures,
        beside=beside,
        cells=_cells,
        left_out=_left_out,
        left=_LEFT,
        language=current().lang,
        style=style,
        narrow=NARROW + 2 * 20,
    )


def _shown(sections: Sequence[Section]) -> list[Section]:
    return [section for section in sections if not section.empty]


def _cells(table: Table) -> list[list[str]]:
    """The shown values as text."""
    shown, currencies = table.shown, table.currencies
    written = [
        [
            written_as(value, table.columns[str(name)][1], each)
            for value, each in zip(shown[name], currencies, strict=True)
        ]
        for name in shown
    ]
    return [list(row) for row in zip(*written, strict=True)]


def _left_out(table: Table, beside: bool) -> Text:
    """How many rows are not shown, and where they are."""
    values: dict[str, Any] = {"table": table.title, "n": table.left_out}
    if not beside:
        return texts(
            "{table}: {n:count} more row is not shown.", "{table}: {n:count} more rows are not shown.", **values
        )
    if len(table.shown):
        return texts(
            "{table}: {n:count} more row in the CSV file beside this report.",
            "{table}: {n:count} more rows in the CSV file beside this report.",
            **values,
        )
    return texts(
        "{table}: {n:count} row in the CSV file beside this report.",
        "{table}: {n:count} rows in the CSV file beside this report.",
        **values,
    )


def written_as(value: Any, how: Format, currency: str | None = "") -> str:
    """A value as the language of the moment writes it.

    Parameters
    ----------
    value : object
        Missing ones are written as a dash.
    how : Format
    currency : str or None
        Of an amount: empty where none is recorded, None where there are several.

    Examples
    --------
    >>> from winpredict.locale.language import speaking
    >>> with speaking("de_DE"):
    ...     [written_as(1234567.8, how) for how in ("money", "number")], written_as(0.1234, "points")
    (['1.234.568', '1.234.568'], '+12,3')
    """
    if isinstance(value, Text):
        return str(value)
    if value is None or (pd.api.types.is_scalar(value) and pd.isna(value)):
        return formats.MISSING
    if how == "check":
        return said("yes") if value else said("no")
    if how == "money":
        return formats.money((float(value), currency))
    if how == "size":
        return formats.number(100 * float(value))
    style = _STYLES.get(how)
    return str(value) if style is None else style(value if how == "date" else float(value))


def as_plain_markdown(words: object) -> str:
    r"""A text in one line in which Markdown finds no markup: names and titles come from the CRM.

    Examples
    --------
    >>> print(as_plain_markdown("# *Kim*\n<b> in stage_win_rate [x](y)"))
    \# \*Kim\* \<b> in stage_win_rate \[x\](y)
    """
    line = _MARKUP.sub(r"\\\g<0>", re.sub(r"\s+", " ", str(words), flags=re.ASCII).strip())
    return _BLOCK.sub(r"\1\\", line)


def day_in_words(day: pd.Timestamp | date | None) -> str:
    """A day as the language of the moment writes it; "undated" where there is none.

    Examples
    --------
    >>> day_in_words(pd.Timestamp("2025-03-13"))
    '13 Mar 2025'
    """
    return said("undated") if day is None else formats.day(pd.Timestamp(day))


def _pictures(report: Report) -> list[Picture]:
    return [picture for section in (*report.sections, *report.appendix) for picture in section.pictures]


def _embedded(report: Report, *, both: bool) -> dict[int, Any]:
    """Every chart as addresses that hold the drawing itself: for a page, and (if asked) for a phone."""
    return {
        id(picture): {
            "wide": _address(_svg(picture, WIDE, dark=both)),
            "narrow": _address(_svg(picture, NARROW, dark=both)) if both else "",
        }
        for picture in _pictures(report)
    }


def _numbered(report: Report, out: Path) -> dict[int, Any]:
    return {
        id(picture): {"wide": quote(_svg_name(out, number))}
        for number, picture in enumerate(_pictures(report), start=1)
    }


def _svg_name(out: Path, number: int) -> str:
    return f"{out.stem}-{number}.svg"


def drawn(picture: Picture, width: int = WIDE) -> str:
    """A chart as SVG for a page in a browser; its colours are those of the reader's light or dark screen.

    Parameters
    ----------
    picture : Picture
    width : int
        Pixels.
    """
    return _svg(picture, width, dark=True)


def _svg(picture: Picture, width: int, *, dark: bool = False) -> str:
    svg: str = vl_convert.vegalite_to_svg(picture.draw(width).to_dict(), **_chart_locale())
    return svg.replace(">", f">{_dark_style()}", 1) if dark else svg


def _chart_locale() -> dict[str, Any]:
    """How the drawing library writes numbers and dates: as the language of the moment does."""
    locale = current().locale
    symbols = locale.number_symbols[locale.default_numbering_system]
    percent = locale.percent_formats[None].pattern
    # in the library's names of days a week begins with Sunday
    days = {name: get_day_names(name, locale=locale) for name in ("wide", "abbreviated")}
    months = {name: get_month_names(name, locale=locale) for name in ("wide", "abbreviated")}
    in_order = {name: [of[(place + 6) % 7] for place in range(7)] for name, of in days.items()}
    return {
        "format_locale": {
            "decimal": symbols["decimal"],
            "thousands": symbols["group"],
            "grouping": [3],
            "currency": ["", ""],
            "percent": percent[len(percent.rstrip("% \u00a0\u202f")) :],
        },
        "time_format_locale": {
            "dateTime": "%x, %X",
            "date": "%d.%m.%Y",
            "time": "%H:%M:%S",
            "periods": ["AM", "PM"],
            "days": in_order["wide"],
            "shortDays": in_order["abbreviated"],
            "months": list(months["wide"].values()),
            "shortMonths": list(months["abbreviated"].values()),
        },
    }


def _dark_style() -> str:
    """Rules that swap every colour of the house style on a dark screen; the drawing stays one file."""
    rules = "".join(
        f'[fill="{light}"]{{fill:{dark}}}[stroke="{light}"]{{stroke:{dark}}}' for light, dark in DARK.items()
    )
    return f"<style>@media screen and (prefers-color-scheme:dark){{{rules}}}</style>"


def _address(svg: str) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"
