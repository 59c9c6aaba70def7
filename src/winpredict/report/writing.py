"""Writing a report: one self-contained HTML, PDF or Markdown file, and the tables as CSV beside it."""

import base64
import re
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import pandas as pd
import vl_convert
from babel import Locale, UnknownLocaleError
from babel.dates import format_date
from babel.numbers import format_decimal, format_percent
from jinja2 import Environment, PackageLoader, StrictUndefined

from winpredict._internal.atomic import replacing
from winpredict._internal.spreadsheets import without_formulas
from winpredict.errors import ConfigError
from winpredict.report.charts.style import DARK, NARROW, WIDE
from winpredict.report.page import SUMMARY, Format, Picture, Report, Table

SUFFIXES = (".html", ".pdf", ".md")
_MISSING = "–"
_LEFT = ("text", "date", "check")
#: What Markdown takes for markup: within a text (underscores only at the edge of a word), and where a block begins.
_MARKUP = re.compile(r"[\\`*\[\]<~]|(?<![^\W_])_|_(?![^\W_])|&(?=#?\w+;)")
_BLOCK = re.compile(r"^(\d+(?=[.)](?:\s|$))|(?=>|(?:#+|[+-])(?:\s|$)|[-=]+$))")


def write_report(report: Report, out: Path, *, locale: str = "en_US") -> list[Path]:
    """Write a report and its tables.

    Parameters
    ----------
    report : Report
    out : Path
        A file that ends in .html, .pdf or .md. The tables stand beside it as ``<stem>-<table>.csv``, and for Markdown
        the charts as ``<stem>-<number>.svg``.
    locale : str
        For numbers and dates, such as ``en_US`` or ``de_DE``.

    Returns
    -------
    list of Path
        The files written, the report first.

    Raises
    ------
    ConfigError
        When the suffix or the locale is unknown.
    WorkspaceError
        When a file cannot be written; the earlier one stands.
    """
    out = Path(out)
    places = require_writable(out, locale)
    written = [_write(out, _rendered(report, out, places))]
    if out.suffix.lower() == ".md":
        for number, picture in enumerate(_pictures(report), start=1):
            written.append(_write(out.with_name(_svg_name(out, number)), _svg(picture, WIDE, places).encode()))
    for table in report.tables:
        path = out.with_name(f"{out.stem}-{table.name}.csv")
        written.append(_write(path, without_formulas(table.frame).to_csv(index=False).encode()))
    return written


def require_writable(out: Path, locale: str) -> Locale:
    """The locale, if a report can be written so; to be asked before long work.

    Raises
    ------
    ConfigError
        When the suffix or the locale is unknown, or the system lacks what a PDF needs.
    """
    suffix = Path(out).suffix.lower()
    if suffix not in SUFFIXES:
        raise ConfigError(f"cannot write a report as {Path(out).name!r}; end the name in {', '.join(SUFFIXES)}")
    if suffix == ".pdf":
        _weasyprint()
    return _locale(locale)


def report_bytes(report: Report, suffix: Literal[".html", ".pdf"], *, locale: str = "en_US") -> bytes:
    """A report as one file that stands alone: rows that are not shown are nowhere else.

    Parameters
    ----------
    report : Report
    suffix : {".html", ".pdf"}
    locale : str
        For numbers and dates.
    """
    return _rendered(report, Path(f"report{suffix}"), _locale(locale), beside=False)


def _write(path: Path, content: bytes) -> Path:
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return path


def _rendered(report: Report, out: Path, locale: Locale, *, beside: bool = True) -> bytes:
    suffix = out.suffix.lower()
    if suffix == ".md":
        return _template("report.md.j2", report, locale, pictures=_numbered(report, out)).encode()
    pictures = _embedded(report, locale, both=suffix == ".html")
    html = _template("report.html.j2", report, locale, pictures=pictures, beside=beside)
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
            "a PDF needs the system's Pango library, which is not installed: apt install libpangoft2-1.0-0 (Debian), "
            "dnf install pango (Fedora), brew install pango (macOS); or write .html, and print that from a browser"
        ) from error
    return weasyprint


def from_template(name: str, **values: Any) -> str:
    """One of the templates beside this module, filled in."""
    environment = Environment(
        loader=PackageLoader("winpredict.report"), autoescape=name.endswith(".html.j2"), undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"key": id, "plain": as_plain_markdown}
    return environment.get_template(name).render(**values)


def _template(name: str, report: Report, locale: Locale, pictures: dict[int, Any], *, beside: bool = True) -> str:
    style = (files("winpredict.report") / "templates" / "report.css").read_text()
    return from_template(
        name,
        report=report,
        summary=list(report.summary)[:SUMMARY],
        sections=[section for section in report.sections if not section.empty],
        pictures=pictures,
        beside=beside,
        cells=lambda table: _cells(table, locale),
        left=_LEFT,
        language=locale.language,
        style=style,
        narrow=NARROW + 2 * 20,
    )


def _cells(table: Table, locale: Locale) -> list[list[str]]:
    """The shown values as text."""
    shown = table.shown
    written = [[written_as(value, table.columns[str(name)][1], locale) for value in shown[name]] for name in shown]
    return [list(row) for row in zip(*written, strict=True)]


def written_as(value: Any, how: Format, locale: Locale) -> str:
    """A value as people of a place write it.

    Examples
    --------
    >>> german = Locale.parse("de_DE")
    >>> [written_as(1234567.8, how, german) for how in ("money", "number")], written_as(0.1234, "points", german)
    (['1.234.568', '1.234.567,8'], '+12,3')
    """
    if value is None or value is pd.NaT or (isinstance(value, float) and value != value):
        return _MISSING
    if how == "check":
        return "yes" if value else "no"
    if how == "date":
        return format_date(pd.Timestamp(value).date(), format="medium", locale=locale)
    if how == "percent":
        return format_percent(float(value), format="#,##0.#%" if abs(value) < 0.0995 else "#,##0%", locale=locale)
    if how == "points":
        return format_decimal(100 * float(value), format="+#,##0.0;-#,##0.0", locale=locale)
    if how == "size":
        return format_decimal(100 * float(value), format="#,##0.0", locale=locale)
    if how == "exact":
        return format_decimal(float(value), format="#,##0.000", locale=locale)
    if how in ("count", "money"):
        return format_decimal(round(float(value)), format="#,##0", locale=locale)
    if how in ("days", "number"):
        return format_decimal(float(value), format="#,##0.#" if abs(value) < 1e9 else "#,##0", locale=locale)
    return str(value)


def as_plain_markdown(text: str) -> str:
    r"""A text in one line in which Markdown finds no markup: names and titles come from the CRM.

    Examples
    --------
    >>> print(as_plain_markdown("# *Kim*\n<b> in stage_win_rate [x](y)"))
    \# \*Kim\* \<b> in stage_win_rate \[x\](y)
    """
    line = _MARKUP.sub(r"\\\g<0>", " ".join(text.split()))
    return _BLOCK.sub(r"\1\\", line)


def day_in_words(day: pd.Timestamp | date | None, locale: str = "en_US") -> str:
    """A day as people of a place write it; "undated" where there is none.

    Examples
    --------
    >>> day_in_words(pd.Timestamp("2025-03-13"), "en_US")
    'March 13, 2025'
    """
    return "undated" if day is None else format_date(pd.Timestamp(day).date(), format="long", locale=_locale(locale))


def _locale(name: str) -> Locale:
    try:
        return Locale.parse(name.replace("-", "_"))
    except (ValueError, UnknownLocaleError):
        raise ConfigError(f"unknown locale {name!r}; write it as language_COUNTRY, such as en_US or de_DE") from None


def _pictures(report: Report) -> list[Picture]:
    return [picture for section in report.sections for picture in section.pictures]


def _embedded(report: Report, locale: Locale, *, both: bool) -> dict[int, Any]:
    """Every chart as addresses that hold the drawing itself: for a page, and (if asked) for a phone."""
    return {
        id(picture): {
            "wide": _address(_svg(picture, WIDE, locale, dark=both)),
            "narrow": _address(_svg(picture, NARROW, locale, dark=both)) if both else "",
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


def drawn(picture: Picture, width: int = WIDE, *, locale: str = "en_US") -> str:
    """A chart as SVG for a page in a browser; its colours are those of the reader's light or dark screen.

    Parameters
    ----------
    picture : Picture
    width : int
        Pixels.
    locale : str
        For numbers and dates.
    """
    return _svg(picture, width, _locale(locale), dark=True)


def _svg(picture: Picture, width: int, locale: Locale, *, dark: bool = False) -> str:
    svg: str = vl_convert.vegalite_to_svg(picture.draw(width).to_dict(), **_chart_locale(locale))
    return svg.replace(">", f">{_dark_style()}", 1) if dark else svg


def _chart_locale(locale: Locale) -> dict[str, Any]:
    name: Any = f"{locale.language}-{locale.territory}"
    try:
        return {
            "format_locale": vl_convert.get_format_locale(name),
            "time_format_locale": vl_convert.get_time_format_locale(name),
        }
    except ValueError:  # one that the drawing library does not have: as in English
        return {}


def _dark_style() -> str:
    """Rules that swap every colour of the house style on a dark screen; the drawing stays one file."""
    rules = "".join(
        f'[fill="{light}"]{{fill:{dark}}}[stroke="{light}"]{{stroke:{dark}}}' for light, dark in DARK.items()
    )
    return f"<style>@media screen and (prefers-color-scheme:dark){{{rules}}}</style>"


def _address(svg: str) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"
