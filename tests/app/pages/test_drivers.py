"""Why deals are won, for a manager: comparisons, charts and reports of deals that they may see, and of no others."""

import csv
import html
import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from desk_world import PEOPLE, client_of
from sqlalchemy import select
from untranslated import untranslated

from winpredict.app.pages.drivers_parts import DealTable, year_of
from winpredict.app.pages.drivers_views import figure_rows, parse_selection, won_currencies
from winpredict.app.records import Person
from winpredict.app.visibility import visible_owners
from winpredict.errors import ConfigError
from winpredict.explain._evidence import Evidence
from winpredict.explain.themes import Themes
from winpredict.insights.labels import as_they_stand
from winpredict.locale.language import speaking
from winpredict.locale.text import text
from winpredict.report.page import Report, Section, Table
from winpredict.report.writing import require_writable


@pytest.fixture(autouse=True, scope="module")
def quick_work():
    """The test of drivers and the report take half a minute each and have tests of their own."""

    def evidence(model, crm, **_):
        names = Themes(model.info).names
        table = pd.DataFrame({"theme": names, "p_value": 0.01, "evidence": True, "stability": np.nan})
        return Evidence(table, pd.DataFrame(columns=["first", "second", "points"]), ())

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("winpredict.explain.drivers.evidence_of", evidence)
        yield


@pytest.fixture
def reported(monkeypatch):
    """What reports are asked for: the tables and the choice."""
    selection = []

    def report(model, crm, **chosen):
        selection.append((crm, chosen))
        rows = pd.DataFrame({"deal": crm.deals["stage"].head(3)})
        table = Table("some", "Some", rows, {"deal": ("deal", "text")}, most=1)
        return Report("Why deals are won", "a test", ["One."], [Section("Some", [], [], [table])])

    monkeypatch.setattr("winpredict.report.drivers.drivers_report", report)
    return selection


def settled(client, address: str, language: str = "en") -> str:
    """The page, or the file, when nothing of it is waited for any more."""
    for _ in range(60):
        answer = client.get(address, headers={"Accept-Language": language})
        if answer.status_code == 303:  # to the page that waits for the file
            client.get(answer.headers["location"])
            continue
        assert answer.status_code == 200, answer.text
        if "data-waiting" not in answer.text:
            return html.unescape(answer.text)
    pytest.fail("the page is never whole")


def seen_by(app, who: str) -> frozenset[str]:
    with app.state.desk.database.reading() as session:
        return visible_owners(session, session.scalar(select(Person).where(Person.email == f"{who}@example.com")))


def closed(crm, owners) -> pd.DataFrame:
    deals = crm.deals[crm.deals["owner_id"].isin(owners)]
    return deals[deals["outcome"] != "open"]


def test_the_page_counts_ones_own_deals_alone(signed_in, app, workspace):
    page = settled(signed_in("manager"), "/drivers")
    deals = closed(workspace.crm(), seen_by(app, "manager"))
    won = (deals["outcome"] == "won").sum()
    assert f"All deals: {100 * won / len(deals):.0f}% of {len(deals)} closed deals won." in page
    assert f"{won:,} won, {len(deals) - won:,} lost" in page
    for title in ("Win rate and sales cycle", "What moves the odds", "Signal or noise", "Export"):
        assert f">{title}</h2>" in page
    assert "confirmed on other deals" in page
    assert '<option value="">(none)</option>' in page
    assert re.search(r"<p>[\w ]+ moves the odds most, by \d+ points? on average\b", page)
    assert "All deals, not segmented. Writing the report takes about a minute." in page


def test_two_groups_stand_side_by_side(signed_in, app, workspace):
    page = settled(signed_in("boss"), "/drivers?segment=customer&group=new&other_group=existing")
    assert re.search(
        r"New customers: \d+% of \d+ closed deals won\. Existing customers: \d+% of \d+ closed deals won\.", page
    )
    assert re.search(r"The difference of \d+ points is beyond normal variation\.", page)
    assert '<th scope="col" class="number">New customers</th>' in page
    assert "Win rate by new or existing customer" in page
    assert set(marks(page).values()) == {"yes", "not clearly"}


def strengths_of(page: str) -> dict[str, list[str]]:
    """The strengths on each side by the driver's name, with their intervals."""
    table = re.search(r'<table class="deals plain" id="drivers">.*?</table>', page, re.S)[0]
    rows = [re.search(r'row">([^<]*)<.*', row, re.S) for row in table.split("<tr>")[2:]]
    found = r'>([\d.]+<span class="under">[\d.]+ to [\d.]+)</span>'
    return {row[1]: re.findall(found, row[0]) for row in rows}


def marks(page: str) -> dict[str, str]:
    """Whether the sides differ, by the driver's name."""
    table = re.search(r'<table class="deals plain" id="drivers">.*?</table>', page, re.S)[0]
    return dict(re.findall(r'row">([^<]*)<.*?data-label="Differs">([^<]*)<', table, re.S))


def test_a_deal_on_both_sides_counts_on_both(signed_in):
    client = signed_in("boss")
    everybody = strengths_of(settled(client, "/drivers"))
    new = strengths_of(settled(client, "/drivers?segment=customer&group=new"))
    beside = strengths_of(settled(client, "/drivers?segment=customer&other_group=new"))
    assert len(beside) > 5
    for name, strengths in beside.items():
        assert strengths == everybody[name] + new.get(name, strengths[1:])


def test_a_group_beside_all_is_tested_against_the_others(signed_in):
    client = signed_in("boss")
    page = settled(client, "/drivers?segment=customer&other_group=new")
    others = re.search(
        r"Existing customers: (\d+%) of (\d+) closed", settled(client, "/drivers?segment=customer&group=existing")
    )
    assert f"tested against the {others[2]} other closed deals of that, {others[1]} of them won." in page
    assert "whether strengths differ is tested on the smaller side against the deals of the larger" in page
    apart = settled(client, "/drivers?segment=customer&group=existing&other_group=new")
    assert len(marks(apart)) > 5
    # the leading side names the drivers that are shown
    assert all(marks(page)[name] == mark for name, mark in marks(apart).items() if name in marks(page))
    assert len(set(marks(page)) & set(marks(apart))) > 5


def test_sides_that_overlap_in_part_are_shown_and_not_tested(signed_in, workspace):
    year = (workspace.crm().known_until - pd.Timedelta(days=365)).year
    page = settled(signed_in("boss"), f"/drivers?created=last-year&other_created={year}")
    assert re.search(r"\d+ deals are on both sides, so the difference cannot be tested", page)
    assert "The sides share deals, so whether their strengths differ is not tested." in page
    assert set(marks(page).values()) == {"–"}


def test_every_figure_of_a_side_leads_to_its_deals(signed_in, app, workspace):
    client = signed_in("manager")
    address = "/drivers/deals?segment=customer&group=new&other_group=existing"
    page = settled(client, address.replace("/deals", ""))
    heads = ("Deals created", "Closed deals")
    row = {head: re.search(rf">{head}</th>(.*?)</tr>", page, re.S)[1] for head in heads}
    deals = workspace.crm().deals
    mine = set(deals.loc[deals["owner_id"].isin(seen_by(app, "manager")), "deal_id"])
    for head, of in zip(heads, ("created", "closed"), strict=True):
        counts = re.findall(r">([\d,]+)</a>", row[head])
        assert len(counts) == 2
        for side, count in enumerate(counts):
            assert f"of={of}{'&side=1' if side else ''}" in row[head]
            listed = settled(client, f"{address}&of={of}&side={side}")
            assert f"<p>{count} deal" in listed
            file = settled(client, f"{address.replace('deals?', 'deals.csv?')}&of={of}&side={side}")
            rows = list(csv.DictReader(io.StringIO(file, newline="")))
            assert len(rows) == int(count.replace(",", ""))
            assert {row["deal_id"] for row in rows} <= mine
            assert set(re.findall(r'href="/deals/([^"]+)"', listed)) <= mine
    others = deals[~deals["deal_id"].isin(mine)]
    listed = settled(client, "/drivers/deals?of=created") + settled(client, "/drivers/deals.csv?of=created")
    assert not [each for each in others["deal_id"] if each in listed]


@pytest.mark.parametrize(("words", "status"), [("of=won&side=1", 404), ("of=won&side=2", 422), ("of=names", 422)])
def test_deals_of_no_figure_are_not_listed(signed_in, words, status):
    settled(signed_in("manager"), "/drivers")
    assert signed_in("manager").get(f"/drivers/deals?{words}").status_code == status
    assert signed_in("manager").get(f"/drivers/deals.csv?{words}").status_code == status


def test_the_deals_of_a_side_come_in_pages(signed_in):
    client = signed_in("boss")
    address = "/drivers/deals?created=2024&of=closed&other_group=&segment=customer&group=new"
    first = settled(client, address)
    further = re.search(r'<a href="([^"]+)" rel="next"', first)[1]
    assert "of=closed" in further
    assert "group=new" in further
    second = settled(client, further)
    ids = [set(re.findall(r'<th scope="row"><span translate="no">([^<]+)<', page)) for page in (first, second)]
    assert ids[0]
    assert not ids[0] & ids[1]


def test_a_scientist_reads_no_names_in_the_file(signed_in, workspace):
    file = settled(signed_in("scientist"), "/drivers/deals.csv?of=created")
    header, *rows = csv.reader(io.StringIO(file, newline=""))
    assert header == ["deal_id", "owner", "created_at", "outcome", "days", "amount", "currency"]
    assert len(rows) == len(workspace.crm().deals)
    assert not set(workspace.crm().deals["name"].dropna()) & {cell for row in rows for cell in row}


def test_two_periods_stand_side_by_side(signed_in):
    client = signed_in("boss")
    years = re.findall(r'<option value="(\d{4})">', settled(client, "/drivers"))
    assert len(set(years)) >= 2
    first, second = sorted(set(years))[:2]
    page = settled(client, f"/drivers?created={first}&other_created={second}")
    assert re.search(rf"All deals created in {first}: \d+% .*\. All deals created in {second}: \d+%", page)


def test_a_group_in_two_periods_has_one_control_chart(signed_in):
    client = signed_in("boss")
    first, second = sorted(set(re.findall(r'<option value="(\d{4})">', settled(client, "/drivers"))))[:2]
    both = settled(client, f"/drivers?segment=customer&group=new&created={first}&other_created={second}")
    other = settled(client, "/drivers?segment=customer&group=new&other_group=existing")
    for page, most in ((both, 1), (other, 2)):
        charts = set(re.findall(r"name=(control-\w+)", page))
        without = page.count(": no chart. A group has its own chart if")
        assert len(charts) + without == most


@pytest.mark.parametrize(
    "wrong",
    [
        "segment=name",
        "segment=customer&group=nobody",
        "created=1999",
        "other_created='",
        "segment=__class__",
        "group=x",
    ],
)
@pytest.mark.parametrize("path", ["/drivers?", "/drivers/deals?of=won&", "/drivers/chart.svg?name=strengths&"])
def test_what_is_none_is_not_found(signed_in, path, wrong):
    settled(signed_in("manager"), "/drivers")
    assert signed_in("manager").get(path + wrong).status_code == 404


def test_another_managers_people_are_no_choice(signed_in, app, cast, workspace):
    users = workspace.crm().users.set_index("user_id")["name"]
    settled(signed_in("boss"), "/drivers?segment=rep")
    page = settled(signed_in("manager"), "/drivers?segment=rep")
    assert users[cast.rep] in page
    assert f">{users[cast.other_rep]}<" not in page
    assert (
        signed_in("boss").get("/drivers", params={"segment": "rep", "group": users[cast.other_rep]}).status_code == 200
    )
    answer = signed_in("manager").get("/drivers", params={"segment": "rep", "group": users[cast.other_rep]})
    assert answer.status_code == 404
    chart = signed_in("manager").get("/drivers/chart.svg?name=rates&segment=rep")
    assert chart.status_code == 200
    assert f"{users[cast.other_rep]} (" not in chart.text


@pytest.mark.parametrize("name", ["strengths", "strengths-other", "rates", "control", "control-group"])
@pytest.mark.parametrize("size", ["half", "narrow"])
def test_charts_are_images(signed_in, name, size):
    client = signed_in("boss")
    words = "segment=customer&group=new&other_group=existing"
    settled(client, f"/drivers?{words}")
    answer = client.get(f"/drivers/chart.svg?{words}&name={name}&size={size}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/svg+xml"
    assert answer.text.startswith("<svg")
    assert answer.headers["cache-control"] == "no-store"


def test_shapes_are_drawn_of_drivers_alone(signed_in):
    client = signed_in("boss")
    page = settled(client, "/drivers")
    theme = re.search(r"theme=([^&\"\s]+)", page)[1]
    assert client.get(f"/drivers/chart.svg?name=shape&theme={theme}").text.startswith("<svg")
    assert client.get("/drivers/chart.svg?name=shape&theme=..%2F..%2Fetc").status_code == 404


def test_the_report_is_made_of_ones_own_deals_and_has_a_fixed_name(signed_in, app, reported, workspace):
    client = signed_in("manager")
    year = re.search(r'<option value="(\d{4})">', settled(client, "/drivers"))[1]
    words = f"segment=customer&created={year}"
    answer = client.get(f"/drivers/report.html?{words}")
    if answer.status_code == 303:
        assert answer.headers["location"].startswith("/drivers/report?")
        page = settled(client, answer.headers["location"])
        assert f'href="/drivers/report.html?segment=customer&created={year}"' in page
        answer = client.get(f"/drivers/report.html?{words}&filename=../../evil")
    assert answer.headers["content-disposition"] == 'attachment; filename="drivers.html"'
    assert "Why deals are won" in answer.text
    assert "2 more rows are not shown" in answer.text
    crm, chosen = reported[-1]
    assert set(crm.deals["owner_id"]) <= seen_by(app, "manager")
    assert chosen["segment"] == "customer"
    assert chosen["created"][0].year == int(year)
    settled(signed_in("boss"), "/drivers/report?segment=customer")
    assert len(reported) == 2, "the boss has a report of their own"


def test_a_report_as_pdf(signed_in, reported):
    try:
        require_writable(Path("report.pdf"))
    except ConfigError as error:
        pytest.skip(str(error))
    client = signed_in("manager")
    settled(client, "/drivers/report?kind=pdf&segment=product")
    answer = client.get("/drivers/report.pdf?segment=product")
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["content-disposition"] == 'attachment; filename="drivers.pdf"'
    assert answer.content.startswith(b"%PDF")


@pytest.mark.parametrize("path", ["/drivers/report.exe", "/drivers/report.html/../../etc", "/drivers/report.../x"])
def test_no_other_file_is_given(signed_in, path):
    assert signed_in("manager").get(path).status_code in (404, 422)


def test_a_report_that_cannot_be_made_says_why(signed_in, monkeypatch):
    from winpredict.errors import TooLittleDataError

    def report(*_, **__):
        raise TooLittleDataError("there are 3 closed deals; import more")

    monkeypatch.setattr("winpredict.report.drivers.drivers_report", report)
    page = settled(signed_in("manager"), "/drivers/report?segment=size")
    assert "There are 3 closed deals; import more." in page


def test_no_deal_is_named(signed_in, workspace):
    crm = workspace.crm()
    page = settled(signed_in("manager"), "/drivers?segment=product") + settled(signed_in("scientist"), "/drivers")
    assert not [each for each in {*crm.deals["name"].dropna(), *crm.deals["deal_id"]} if f">{each}<" in page]


def test_without_dates_the_page_says_what_cannot_be_known(undated):
    client = client_of(undated, PEOPLE["boss"][0])
    page = settled(client, "/drivers?segment=product")
    assert "The deals have no dates, so how long they take" in page
    assert "All closed deals. They have no dates, so there is no year before to compare with." in page
    for words in ("last year", "with the year before", "Change in a year", "days to win", "few months", "Created</lab"):
        assert words not in page
    listed = settled(client, "/drivers/deals?of=won")
    assert "latest created first" not in listed
    heads = re.findall(r'<th scope="col"[^>]*>([^<]+)</th>', listed)
    assert heads == ["Deal", "Owner", "Outcome", "Amount"], "columns of which nothing is known are left out"


@pytest.mark.parametrize(
    ("currencies", "figure", "told"),
    [(["EUR", "EUR"], "€5", ""), (["EUR", "USD"], "5", "Amounts in EUR and USD"), (["EUR", None], "5", "")],
)
def test_won_amounts_have_the_currency_that_all_of_them_are_in(currencies, figure, told):
    table = table_of("wlwlwlwo")
    table.deals["currency"] = currencies * 4
    table.deals.loc[[0, 2], "currency"] = currencies
    selection = parse_selection(table, "", "", "", "", "")
    rows = {str(row.head): row.figures for row in figure_rows(selection)}
    assert rows["mean won amount"][0].written == figure
    note = as_they_stand(won_currencies(selection))
    assert note.startswith(told)
    assert bool(note) == bool(told)


def table_of(outcomes: str) -> DealTable:
    deals = pd.DataFrame(
        {
            "deal_id": list("abcdefgh"), "outcome": [{"w": "won", "l": "lost", "o": "open"}[each] for each in outcomes],
            "created_at": pd.to_datetime(["2024-02-01"] * 4 + ["2025-02-01"] * 4, utc=True), "days": 10.0,
            "amount": 5.0, "touches": 2.0, "product": ["A", "A", "B", "B"] * 2,
        }
    )  # fmt: skip
    years = tuple(year_of(pd.Period(str(year), "Y")) for year in (2024, 2025))
    return DealTable(deals, {"product": text("product")}, years)


def test_what_is_left_open_is_the_same_on_both_sides():
    table = table_of("wlwlwlwo")
    both = parse_selection(table, "product", "A", "2024", "B", "")
    assert [side.words for side in both.sides] == ["Product A created in 2024", "Product B created in 2024"]
    assert [int(side.chosen.sum()) for side in both.sides] == [2, 2]
    later = parse_selection(table, "product", "A", "2024", "", "2025")
    assert [side.words for side in later.sides] == ["Product A created in 2024", "Product A created in 2025"]
    assert len(parse_selection(table, "product", "A", "", "A", "").sides) == 1
    assert parse_selection(table, "", "A", "", "", "") is None


def test_figures_are_written_as_a_language_does():
    table = table_of("wlwlwlwo")
    table.deals["amount"], table.deals["currency"] = 12345.0, "EUR"
    with speaking("de_DE"):
        rows = [row.figures[0] for row in figure_rows(parse_selection(table, "", "", "", "", ""))]
    assert [row.written for row in rows] == ["8", "7", "57\xa0%", "10", "10", "12.345\xa0€", "2"]
    assert [row.has_deals for row in rows] == [True] * 7


def test_no_word_is_left_untranslated(signed_in, workspace):
    client = signed_in("boss")
    crm = workspace.crm()
    names = {*crm.users["name"], *crm.users["team"], *crm.deals["product"], *crm.accounts["industry"]}
    data = {"Boss", "competitor", "region", *(str(name) for name in names if not pd.isna(name))}
    for address in (
        "/drivers",
        "/drivers?segment=customer&group=new&other_group=existing&created=last-year",
        "/drivers?segment=product&measure=touches",
        "/drivers/deals?of=closed&segment=size",
    ):
        assert not untranslated(settled(client, address, "en_XA"), data), address


def test_sides_without_closed_deals_are_told_as_such():
    selection = parse_selection(table_of("oooooooo"), "", "", "2024", "", "2025")
    assert selection.comparison.sentences()[0] == "All deals created in 2024: no deal has closed yet."
    assert not selection.comparison.differs
