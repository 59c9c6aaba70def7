import dataclasses
import re
import sys
from pathlib import Path

import altair as alt
import pandas as pd
import pytest

from winpredict.errors import ConfigError, WorkspaceError
from winpredict.locale.formats import counting_in
from winpredict.locale.language import speaking
from winpredict.locale.text import text, texts
from winpredict.report.charts.style import styled
from winpredict.report.page import Picture, Report, Section, Table
from winpredict.report.writing import drawn as drawing
from winpredict.report.writing import require_writable, write_report, written_as


def drawn(width):
    bars = alt.Chart(pd.DataFrame({"name": ["a"], "value": [1234.5]})).mark_bar().encode(x="value:Q", y="name:N")
    return styled(bars.properties(width=width - 60), "A chart <of> bars", "unit", width)


@pytest.fixture
def report():
    frame = pd.DataFrame({"name": ["<b>Kim</b> | x", "=1+1"], "amount": [1234567.8, None], "rate": [0.256, 0.0123]})
    table = Table(
        "deals", "Deals", frame, {"name": ("rep", "text"), "amount": ("amount", "money"), "rate": ("rate", "percent")}
    )
    picture = Picture(drawn, 'bars of "values"')
    sections = [Section("First", ["A sentence."], [picture], [table]), Section("Empty")]
    return Report("Title & more", "as of today", [f"Sentence {n}." for n in range(7)], sections, ["A method."])


def test_a_page_stands_alone_and_is_accessible(report, tmp_path):
    written = write_report(report, tmp_path / "r.html")
    html = written[0].read_text()
    assert not re.search(r'(?:src|href|srcset)="(?!data:)', html)
    assert "http" not in re.sub(r'"data:[^"]*"', "", html)
    assert 'lang="en"' in html
    assert 'alt="bars of &#34;values&#34;"' in html
    assert "&lt;b&gt;Kim&lt;/b&gt;" in html
    assert html.count("Sentence") == 5
    assert "Empty" not in html
    assert 'scope="col"' in html
    assert "prefers-color-scheme" in html


def test_tables_stand_beside_it_and_run_no_formula(report, tmp_path):
    written = write_report(report, tmp_path / "r.html")
    assert [path.name for path in written] == ["r.html", "r-deals.csv"]
    table = pd.read_csv(written[1])
    assert table["amount"].iloc[0] == 1234567.8
    assert not table["name"].iloc[1].startswith("=")


def test_numbers_are_written_as_in_the_country(report, tmp_path):
    assert "1,234,568" in write_report(report, tmp_path / "r.html")[0].read_text()
    with speaking("de_DE"):
        german = write_report(report, tmp_path / "g.html")[0].read_text()
    assert "1.234.568" in german
    assert '<html lang="de">' in german
    with speaking("nl"):  # numbers as in Dutch, words in English
        dutch = write_report(report, tmp_path / "n.html")[0].read_text()
    assert "1.234.568" in dutch
    assert '<html lang="en">' in dutch


@pytest.mark.parametrize(
    ("how", "value", "english", "french", "german"),
    [
        ("money", 1234567.8, "€1,234,568", "1\u202f234\u202f568\xa0€", "1.234.568\xa0€"),
        ("count", 1234.0, "1,234", "1\u202f234", "1.234"),
        ("number", 3.14, "3.1", "3,1", "3,1"),
        ("percent", 0.2341, "23%", "23\xa0%", "23\xa0%"),
        ("points", -0.0312, "−3.1", "−3,1", "−3,1"),
        ("size", 0.0312, "3.1", "3,1", "3,1"),
        ("days", 12.4, "12", "12", "12"),
        ("times", 1.02, "1.0", "1,0", "1,0"),
        ("exact", 0.43171, "0.432", "0,432", "0,432"),
        ("date", pd.Timestamp("2025-03-07", tz="UTC"), "7 Mar 2025", "7 mars 2025", "07.03.2025"),
        ("check", True, "yes", "oui", "ja"),
        ("text", text("not known"), "not known", "inconnu", "nicht bekannt"),
        ("number", texts("{n:count} day", "{n:count} days", n=3), "3 days", "3 jours", "3 Tage"),
        ("money", None, "–", "–", "–"),
        ("text", pd.NA, "–", "–", "–"),
    ],
)
def test_values_are_written_in_one_way_per_language(how, value, english, french, german):
    for language, written in (("en_US", english), ("fr", french), ("de", german)):
        with speaking(language):
            assert written_as(value, how, "EUR") == written


def test_amounts_name_their_currency_and_those_of_several_name_none(tmp_path):
    frame = pd.DataFrame({"amount": [5.0, 6.0], "currency": ["USD", None]})
    heads = {"amount": (text("Amount"), "money")}
    tables = [
        Table("own", "Own", frame, heads, currency_column="currency"),
        Table("euros", "Euros", frame, heads, currency="EUR"),
        Table("mixed", "Mixed", frame, heads, currency=None),
    ]
    with counting_in("CHF"):
        page = write_report(Report("t", "s", [], [Section("all", (), (), tables)]), tmp_path / "r.md")[0].read_text()
    assert re.findall(r"^\| ([^|]+) \|$", page, re.MULTILINE) == [
        "Amount", "$5", "CHF\xa06", "Amount", "€5", "€6", "Amount", "5", "6",
    ]  # fmt: skip


def test_words_stand_in_place_of_values_and_the_csv_keeps_these(tmp_path):
    frame = pd.DataFrame({"deal_id": ["d1", "d2"]}, index=[7, 3])
    table = Table(
        "deals", "Deals", frame, {"deal_id": (text("Deal"), "text")}, words={"deal_id": ["Acme", text("yes")]}
    )
    with speaking("fr"):
        written = write_report(Report("t", "s", [], [Section("all", (), (), [table])]), tmp_path / "r.md")
    assert "| Affaire |" in written[0].read_text()
    assert "| Acme |\n| oui |" in written[0].read_text()
    assert pd.read_csv(written[1])["deal_id"].tolist() == ["d1", "d2"]


def test_the_appendix_is_a_part_of_its_own(report, tmp_path):
    whole = dataclasses.replace(report, appendix=[Section("Details", ["More."]), Section("Empty")])
    page = write_report(whole, tmp_path / "r.html")[0].read_text()
    assert '<h2 class="appendix" id="appendix">Appendix</h2>' in page
    assert page.index("<h2>First</h2>") < page.index("Appendix</h2>") < page.index("<h3>Details</h3>")
    assert "Empty" not in page
    with speaking("fr"):
        words = write_report(whole, tmp_path / "r.md")[0].read_text()
    assert "\n## Annexe\n\n### Details\n\nMore.\n\n## Méthode\n\n- A method.\n" in words


def test_charts_write_numbers_as_the_language_does():
    def chart(width):
        values = pd.DataFrame({"share": [0.0, 0.5], "amount": [1500.5, 2500.5], "month": ["2025-02-01", "2025-03-01"]})
        return alt.Chart(values).mark_point().encode(
            alt.X("month:T", axis=alt.Axis(format="%B")), alt.Y("amount:Q", axis=alt.Axis(format=",.1f")),
            alt.Size("share:Q", legend=alt.Legend(format=".0%", values=[0.5])),
        )  # fmt: skip

    def words():
        return set(re.findall(r"<text[^>]*>([^<]+)</text>", drawing(Picture(chart, ""))))

    assert {"February", "2,500.0", "50%"} <= words()
    with speaking("fr"):
        assert {"février", "2\u202f500,0", "50\xa0%"} <= words()
    with speaking("de"):
        assert {"Februar", "2.500,0", "50\xa0%"} <= words()


@pytest.mark.parametrize(
    ("language", "sentence"),
    [
        ("en", "Deals: 3 more rows in the CSV file beside this report."),
        ("fr", "Deals\xa0: 3 autres lignes dans le fichier CSV joint à ce rapport."),
        ("de", "Deals: 3 weitere Zeilen in der CSV-Datei neben diesem Bericht."),
    ],
)
def test_rows_left_out_are_counted(language, sentence, tmp_path):
    table = Table("deals", "Deals", pd.DataFrame({"n": [1, 2, 3, 4]}), {"n": ("n", "count")}, most=1)
    with speaking(language):
        page = write_report(Report("t", "s", [], [Section("all", (), (), [table])]), tmp_path / "r.html")[0]
    assert f'<p class="note">{sentence}</p>' in page.read_text()


def test_pdf(report, tmp_path):
    try:
        written = write_report(report, tmp_path / "r.pdf")
    except ConfigError as error:
        pytest.skip(str(error))
    assert written[0].read_bytes().startswith(b"%PDF")


def test_a_pdf_without_pango_is_refused_before_the_work(monkeypatch):
    class NoPango:
        def find_spec(self, name, path=None, target=None):
            if name == "weasyprint":
                raise OSError("cannot load library 'libgobject-2.0-0'")

    monkeypatch.delitem(sys.modules, "weasyprint", raising=False)
    monkeypatch.setattr(sys, "meta_path", [NoPango(), *sys.meta_path])
    with pytest.raises(ConfigError, match=r"Pango.*apt install libpangoft2.*write \.html"):
        require_writable(Path("r.pdf"))
    require_writable(Path("r.html"))


def test_markdown(report, tmp_path):
    written = write_report(report, tmp_path / "r.md")
    assert [path.name for path in written] == ["r.md", "r-1.svg", "r-deals.csv"]
    page = written[0].read_text()
    assert '![bars of "values"](r-1.svg)' in page
    assert "| rep | amount | rate |" in page
    assert r"\| x" in page


def test_the_same_report_gives_the_same_bytes(report, tmp_path):
    for name in ("r.html", "r.md"):
        one = write_report(report, tmp_path / name)[0].read_bytes()
        assert write_report(report, tmp_path / name)[0].read_bytes() == one


def test_what_cannot_be_written_is_said(report, tmp_path):
    with pytest.raises(ConfigError, match=r"\.html, \.pdf, \.md"):
        write_report(report, tmp_path / "r.docx")
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkspaceError):
        write_report(report, tmp_path / "file" / "r.html")


def test_names_make_no_markup_of_markdown(tmp_path):
    name = "*Kim*\n# [x](y) `z` <b>"
    table = Table("t", f"Deals of {name}", pd.DataFrame({"name": [name]}), {"name": ("rep", "text")})
    sections = [Section(name, [f"# {name}", "1. first", "stage_win_rate of _Kim_"], [Picture(drawn, name)], [table])]
    page = write_report(Report(name, "", [name], sections, [name]), tmp_path / "r.md")[0].read_text()
    plain = r"\*Kim\* # \[x\](y) \`z\` \<b>"
    assert f"| {plain} |" in page
    assert f"![{plain}](r-1.svg)" in page
    assert rf"\# {plain}" in page.splitlines()
    assert r"1\. first" in page.splitlines()
    assert r"stage_win_rate of \_Kim\_" in page.splitlines()
    assert "*Kim*\n" not in page
