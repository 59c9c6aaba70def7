import re
import sys
from pathlib import Path

import altair as alt
import pandas as pd
import pytest

from winpredict.errors import ConfigError, WorkspaceError
from winpredict.report.charts.style import styled
from winpredict.report.page import Picture, Report, Section, Table
from winpredict.report.writing import require_writable, write_report


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
    german = write_report(report, tmp_path / "g.html", locale="de-DE")[0].read_text()
    assert "1.234.568" in german
    assert 'lang="de"' in german


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
        require_writable(Path("r.pdf"), "en_US")
    require_writable(Path("r.html"), "en_US")


def test_markdown(report, tmp_path):
    written = write_report(report, tmp_path / "r.md")
    assert [path.name for path in written] == ["r.md", "r-1.svg", "r-deals.csv"]
    text = written[0].read_text()
    assert '![bars of "values"](r-1.svg)' in text
    assert "| rep | amount | rate |" in text
    assert r"\| x" in text


def test_the_same_report_gives_the_same_bytes(report, tmp_path):
    for name in ("r.html", "r.md"):
        one = write_report(report, tmp_path / name)[0].read_bytes()
        assert write_report(report, tmp_path / name)[0].read_bytes() == one


def test_what_cannot_be_written_is_said(report, tmp_path):
    with pytest.raises(ConfigError, match=r"\.html, \.pdf, \.md"):
        write_report(report, tmp_path / "r.docx")
    with pytest.raises(ConfigError, match="unknown locale"):
        write_report(report, tmp_path / "r.html", locale="klingon")
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkspaceError):
        write_report(report, tmp_path / "file" / "r.html")


def test_names_make_no_markup_of_markdown(tmp_path):
    name = "*Kim*\n# [x](y) `z` <b>"
    table = Table("t", f"Deals of {name}", pd.DataFrame({"name": [name]}), {"name": ("rep", "text")})
    sections = [Section(name, [f"# {name}", "1. first", "stage_win_rate of _Kim_"], [Picture(drawn, name)], [table])]
    text = write_report(Report(name, "", [name], sections, [name]), tmp_path / "r.md")[0].read_text()
    plain = r"\*Kim\* # \[x\](y) \`z\` \<b>"
    assert f"| {plain} |" in text
    assert f"![{plain}](r-1.svg)" in text
    assert rf"\# {plain}" in text.splitlines()
    assert r"1\. first" in text.splitlines()
    assert r"stage_win_rate of \_Kim\_" in text.splitlines()
    assert "*Kim*\n" not in text
