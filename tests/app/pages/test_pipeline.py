"""A manager's pipeline: figures, what is behind them, and that nothing of another manager's deals is among them."""

import csv
import html
import io
import re
import threading
from dataclasses import replace
from datetime import timedelta
from typing import get_args
from urllib.parse import urlencode
from uuid import uuid4

import numpy as np
import pandas as pd
import pytest
from desk_world import PEOPLE, client_of
from fastapi.testclient import TestClient
from sqlalchemy import select
from untranslated import untranslated

from winpredict.app.identity import COOKIE, signed
from winpredict.app.listing import DealQuery, find_deals
from winpredict.app.pages import pipeline_views
from winpredict.app.pages.listed_deals import ListedDeals, listed
from winpredict.app.pages.pipeline_lists import LISTS, Drilldown, drilldown_deals, unknown
from winpredict.app.pages.rendering import environment
from winpredict.app.pages.waiting import Part, Waiting
from winpredict.app.people import add_person, sign_in
from winpredict.app.publishing import shown_run
from winpredict.app.records import Person, Role, Score, ScoringRun
from winpredict.app.shared_work import SharedWork
from winpredict.app.visibility import visible_owners, visible_scores, visible_tables
from winpredict.config import Config
from winpredict.insights.funnel import funnel
from winpredict.insights.labels import mixed_currencies
from winpredict.locale.formats import day

PICTURES = ("conversion", "history", "forecast", "reps")


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


def csv_rows(client, address: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(settled(client, address), newline="")))


def ids_of(app, who: str) -> set[str]:
    with app.state.desk.database.reading() as session:
        person = session.scalar(select(Person).where(Person.email == f"{who}@example.com"))
        return set(session.scalars(visible_scores(person).with_only_columns(Score.deal_id)))


def test_the_page_has_all_parts(signed_in, app, cast):
    page = settled(signed_in("manager"), "/pipeline")
    mine = ids_of(app, "manager")
    assert f"<strong>{len(mine)}</strong> open deals" in page
    for title in ("Forecast", "Big deals at risk", "What changed since last week", "Pipeline by stage"):
        assert f">{title}</h2>" in page
    assert re.search(
        r"<p>This quarter: [\d,]+ expected, with an 80% interval of [\d,]+ to [\d,]+\. "
        r"Commit [\d,]+, best case [\d,]+\.</p>",
        page,
    )
    assert re.search(r'This quarter</th>.*?data-label="80% interval">[\d,]+ to [\d,]+<', page, re.S)
    assert set(re.findall(r'href="/deals/([^"?/]+)"', page)) <= mine


def test_every_figure_leads_to_as_many_deals(signed_in):
    client = signed_in("boss")
    page = settled(client, "/pipeline")
    figures = re.findall(r'href="(/deals[^"/]*)"><strong[^>]*>([\d,]+)</strong> (?:open|big|rose|fell)', page)
    figures += re.findall(r'data-label="Deals"><a href="([^"]+)">([\d,]+)</a>', page)
    assert len(figures) >= 5
    for address, number in figures:
        listed = client.get(address)
        assert re.search(rf"\b{'No' if number == '0' else number} open deals?\b", listed.text), address
    stalled = re.findall(r'<a href="(/pipeline/deals[^"]+of=stalled[^"]*|/pipeline/deals[?]of=stalled)">(\d+)', page)
    assert len(stalled) >= 2
    for address, number in stalled:
        assert f"<p>{number} deal" in settled(client, address), address


def test_booked_and_open_deals_add_up_to_the_forecast(signed_in):
    client = signed_in("boss")
    page = settled(client, "/pipeline")
    booked = re.findall(r'<a href="(/pipeline/deals\?of=booked[^"]+)">([\d,]+)</a>', page)
    adding = re.findall(r'<a href="(/pipeline/deals\?of=open[^"]+)">([\d,]+)</a>', page)
    assert booked
    assert adding
    for address, amount in booked:
        assert re.search(rf"<p>\d+ deals?: {amount}( in total)?\.", settled(client, address)), address
    for address, amount in adding:
        added = re.search(r"deals? adds? ([\d,]+)\.", settled(client, address))
        assert added[1] == amount


def outlook_of(app, crm):
    """Funnel and forecast of other tables than those that the desk has loaded."""
    desk = app.state.desk
    loaded = replace(desk.loaded(), crm=crm, state=uuid4().hex)
    return pipeline_views.outlook(("key",), SharedWork(desk, loaded, None))


def test_what_becomes_of_deals_in_a_stage_leads_to_as_many_deals(app, workspace):
    loaded = app.state.desk.loaded()
    made = outlook_of(app, loaded.crm)
    for row in made.funnel.conversion.to_dict("records"):
        for of, count in (("reached", row["deals"]), ("moved on", row["moved_on"]), ("lost", row["lost"])):
            assert len(drilldown_deals(made, of, "", row["stage"])) == count, (row["stage"], of)
    for row in made.funnel.now.to_dict("records"):
        days = drilldown_deals(made, "standing", "", row["stage"])["days"]
        assert len(days) == row["deals"]
        assert not len(days) or np.median(days) == pytest.approx(row["median_days_in_stage"])


def test_no_figure_of_the_tables_is_without_its_deals(signed_in):
    client = signed_in("boss")
    page = settled(client, "/pipeline")
    cells = re.findall(r'<td class="number" data-label="([^"]+)">(.*?)</td>', page, re.S)
    # what has no deals yet, and what is drawn beside its figure
    without = {"New business, not yet created", "80% interval", "Quota", "Odds of reaching quota"}
    alone = [(head, cell) for head, cell in cells if head not in without and "<a " not in cell]
    # of reps without deals all that is expected is of deals to come
    other = {cell.strip() for head, cell in alone if head not in ("Odds", "Amount", "Win odds", "Expected")}
    assert other <= {"0", "0%", "–", ""}
    assert page.count("of=expected&amp;period=") + page.count("of=expected&period=") >= 2
    linked = sorted(set(re.findall(r'href="(/pipeline/deals[^"]+|/deals[?]stage[^"]+)"', page)))
    of_reps = [address for address in linked if "whose=" in address]
    assert of_reps
    for address in [*(set(linked) - set(of_reps)), of_reps[0]]:  # each rep is a forecast of its own
        assert "data-row" in settled(client, address) or re.search("booked|lost|moved", address), address
    listed = settled(client, "/pipeline/deals?of=expected&period=this+quarter")
    whole = float(re.search(r"deals add ([\d,]+)", listed)[1].replace(",", ""))
    parts = [
        float(re.search(rf"{words} ([\d,]+)", listed_of)[1].replace(",", ""))
        for words, listed_of in (
            ("deals add", settled(client, "/pipeline/deals?of=open&period=this+quarter")),
            ("deals:", settled(client, "/pipeline/deals?of=booked&period=this+quarter")),
        )
    ]
    assert whole == pytest.approx(sum(parts), abs=2)


def test_bookings_are_listed_with_the_amounts_that_the_forecast_counts(app, workspace):
    loaded = app.state.desk.loaded()
    crm, until = loaded.crm, loaded.crm.known_until
    recent = (crm.deals["outcome"] == "won") & (crm.deals["closed_at"] >= until - pd.Timedelta(days=60))
    zeroed = crm.deals.index[recent][:2]  # set to zero as the deal was closed
    deals = crm.deals.copy()
    deals.loc[zeroed, "amount"] = 0.0
    deals.loc[crm.deals.index[recent][2], "closed_at"] = until + pd.Timedelta(days=5)  # dated ahead
    made = outlook_of(app, replace(crm, deals=deals))
    for row in made.forecast.periods.to_dict("records"):
        booked = drilldown_deals(made, "booked", row["period"], "")
        assert booked["amount"].sum() == pytest.approx(row["booked"])
        adds = drilldown_deals(made, "expected", row["period"], "")["adds"].sum()
        assert adds == pytest.approx(row["booked"] + row["open_pipeline"])


def test_tables_that_are_newer_than_the_odds_are_told(signed_in, app):
    assert "newer data" not in settled(signed_in("boss"), "/pipeline")
    database = app.state.desk.database
    with database.writing() as session:
        run = shown_run(session)
        number, until = run.id, run.as_of
        run.as_of = until - timedelta(days=1)
    try:
        page = settled(signed_in("boss"), "/pipeline")
        assert f"from newer data, as known on {day(until)}. The odds follow with the next scoring run." in page
        assert f"As known on {day(until - timedelta(days=1))}." in page
    finally:
        with database.writing() as session:
            session.get_one(ScoringRun, number).as_of = until


def test_sums_of_several_currencies_are_told_once(signed_in, app, changed, cast, monkeypatch):
    mixed = mixed_currencies(["EUR", "USD"])

    def made(*arguments):
        found = pipeline_views.outlook(*arguments)
        notes = {name: replace(getattr(found, name), notes=(mixed,)) for name in ("forecast", "funnel")}
        return replace(found, **notes)

    app.state.desk._forget_former()
    monkeypatch.setattr("winpredict.app.pages.pipeline.outlook", made)
    changed(cast.rep, currency="EUR")
    assert re.search(r"€[\d,]+ in total", settled(signed_in("boss"), f"/pipeline?whose=owner:{cast.rep}"))
    changed(cast.other_rep, currency="USD")
    page = settled(signed_in("boss"), "/pipeline")
    assert len(re.findall("Amounts in EUR(,| and) USD are added", page)) == 1
    assert re.search(r">[\d,]+ in total", page)
    app.state.desk._forget_former()


def test_unknown_amounts_are_no_zeros_and_make_no_deal_big(signed_in, changed, cast):
    changed(cast.rep, amount=None)
    page = settled(signed_in("boss"), f"/pipeline?whose=owner:{cast.rep}")
    assert "amounts not known" in page
    assert "weighted by odds" not in page
    assert "No open deal has an amount, so it is not known which are big." in page
    assert "No big deal is at risk" not in page


def test_rows_of_a_list_show_their_currency(workspace):
    crm = workspace.crm()
    won = crm.deals[crm.deals["outcome"] == "won"].head(4)
    for currencies, one in ((["EUR"] * 4, "EUR"), (["EUR", "USD"] * 2, None), (["EUR", None] * 2, None)):
        currency = pd.Series(currencies, index=won.index).reindex(crm.deals.index)
        frame = won[["deal_id"]].assign(amount=[5.0, 7.0, 0.0, 9.0])
        deals = listed(replace(crm, deals=crm.deals.assign(currency=currency)), frame, with_names=True)
        found = ListedDeals(LISTS["booked"], "Booked", deals, names=True)
        rows = found.page(1, 3)
        assert [row["currency"] for row in rows] == currencies[:3]
        assert (found.added, found.unknown, found.currency) == (21.0, 1, one)
        assert rows[2]["amount"] is None, "an amount of zero is one that nobody typed"


def test_without_dates_the_page_says_what_cannot_be_known(undated):
    client = client_of(undated, PEOPLE["boss"][0])
    page = settled(client, "/pipeline")
    for words in (
        "The deals have no dates, so it is not known which are silent or whose odds fell.",
        "The deals have no dates, so there are no odds from a week ago to compare with.",
    ):
        assert words in page
    for words in ("weekly run", "at risk</a>", "> rose", "> fell", "No big deal", "Of the largest", "Days in stage"):
        assert words not in page
    assert "/pipeline/deals" not in page
    for of in get_args(Drilldown):
        listed = settled(client, f"/pipeline/deals?of={of}")
        assert re.search("The deals (carry|have) no dates", listed), of
        assert "<table" not in listed
        assert "No deal is in this list" not in listed
        answer = client.get(f"/pipeline/deals.csv?of={of}")
        assert answer.headers["location"] == f"/pipeline/deals?{urlencode({'of': of})}"


def test_without_a_history_of_stages_nobody_stands_longest(app):
    loaded = app.state.desk.loaded()
    whole = outlook_of(app, loaded.crm)
    bare = replace(loaded.crm, deal_history=None)
    made = replace(whole, crm=bare, funnel=funnel(bare))
    for of in get_args(Drilldown):
        assert not unknown(whole, of)
        is_known = of in ("booked", "open", "expected")
        assert unknown(made, of).startswith("There is no stage history") != is_known


def test_before_the_second_week_only_silence_is_a_risk(signed_in, changed, app):
    owners = owners_of_scores(app)
    both = (
        "Of the largest 25% of the deals you can see: those without contact for longer than 9 in 10 deals won from "
        "their stage, and those whose odds fell by 5 points or more this week."
    )
    assert both in settled(signed_in("boss"), "/pipeline")
    for owner in owners:
        changed(owner, week_before=None)
    page = settled(signed_in("boss"), "/pipeline")
    assert both not in page
    assert "There are no odds from a week ago yet, so it is not known whose odds fell." in page
    assert "There are no odds from a week ago by this model yet." in page
    assert "> rose" not in page
    for owner in owners:
        changed(owner, last_touch_at=None)
    assert "There are no odds from a week ago yet, and no touch of an open deal is on record" in settled(
        signed_in("boss"), "/pipeline"
    )


def test_a_deal_at_risk_says_why(signed_in, changed, cast):
    client = signed_in("manager")
    address = f"/pipeline?whose=owner:{cast.rep}"
    changed(cast.rep, amount=1e9, win_probability=0.4, week_before=0.52, flags="at_risk,silent,stalled")
    page = settled(client, address)
    why = re.search(r'data-label="Why at risk">(.*?)</td>', page, re.S)[1]
    assert '<span class="down">Odds down 12 points since last week</span>' in why
    assert re.findall(r'<li class="(\w+)">(\w+)</li>', why) == [("silent", "silent"), ("stalled", "stalled")]
    assert re.search(r'<span class="under">Last touch on \d+ \w+ \d{4}</span>', why)
    assert f"<strong>{len(ids_of_owner(client, cast.rep))}</strong> big deals at risk" in page
    changed(cast.rep, flags="booked")
    assert "No big deal is at risk." in settled(client, address)


def test_stalled_is_what_the_flags_of_the_scores_say(signed_in, changed, cast):
    client = signed_in("manager")
    changed(cast.rep, flags="stalled")
    mine = ids_of_owner(client, cast.rep)
    for address in (f"/pipeline/deals.csv?of=stalled&whose=owner:{cast.rep}", "/pipeline/deals.csv?of=stalled"):
        assert {row["deal_id"] for row in csv_rows(client, address)} >= mine
    page = settled(client, f"/pipeline?whose=owner:{cast.rep}")
    assert f">{len(mine)} deals</a> have been in their stage longer than 9 in 10 deals won from there." in page
    by_stage = re.findall(r'data-label="Stalled">(?:<a [^>]*>)?(\d+)', page)
    assert sum(map(int, by_stage)) == len(mine)
    changed(cast.rep, flags="")
    assert not csv_rows(client, f"/pipeline/deals.csv?of=stalled&whose=owner:{cast.rep}")
    assert "No deal has been in its stage longer than" in settled(client, f"/pipeline?whose=owner:{cast.rep}")


def test_another_language_words_the_same_forecast_anew(signed_in, app, monkeypatch):
    computed = []

    def outlook(*arguments):
        computed.append(arguments)
        return pipeline_views.outlook(*arguments)

    app.state.desk._forget_former()
    monkeypatch.setattr("winpredict.app.pages.pipeline.outlook", outlook)
    client = signed_in("boss")
    pages = {language: settled(client, "/pipeline", language) for language in ("en", "de", "fr")}
    assert len(computed) == 1, "figures are computed once for all languages"
    expected = {language: re.search(r"of=expected[^>]*>([^<]*)<", page)[1] for language, page in pages.items()}
    assert re.fullmatch(r"\d{1,3}(,\d{3})+", expected["en"])
    assert expected["de"] == expected["en"].replace(",", ".")
    assert expected["fr"] == expected["en"].replace(",", "\u202f")
    drawn = {
        language: client.get("/pipeline/chart.svg?name=forecast", headers={"Accept-Language": language}).text
        for language in pages
    }
    assert len(set(drawn.values())) == 3, "each language has charts of its own"


@pytest.mark.parametrize(
    "address",
    [
        "/pipeline",
        *(f"/pipeline/deals?of={of}&stage=Negotiation" for of in get_args(Drilldown)),
        "/pipeline?whose=owner:{rep}",
    ],
)
def test_no_word_is_left_untranslated(signed_in, workspace, cast, address):
    page = settled(signed_in("boss"), address.format(rep=cast.rep), "en_XA")
    assert not untranslated(page, data_of(workspace.crm()))


def test_no_word_of_undated_deals_is_left_untranslated(undated):
    client = client_of(undated, PEOPLE["boss"][0])
    for address in ("/pipeline", "/pipeline/deals?of=booked", "/pipeline/deals?of=standing"):
        page = settled(client, address, "en_XA")
        assert not untranslated(page, data_of(undated.state.desk.workspace.crm())), address


def data_of(crm) -> set[str]:
    """What comes from the CRM and is never translated."""
    names = {*crm.users["name"], *crm.users["team"], *crm.deals["stage"], *crm.deals["name"], *crm.accounts["name"]}
    teams = {f"{name} and reports" for name in crm.users["name"]}
    return {"Boss", *teams, *(str(name) for name in names if not pd.isna(name))}


def owners_of_scores(app) -> set[str]:
    with app.state.desk.database.reading() as session:
        return set(session.scalars(select(Score.owner_id)))


def ids_of_owner(client, owner: str) -> set[str]:
    return {row["deal_id"] for row in csv_rows(client, f"/deals.csv?whose=owner:{owner}")}


def test_a_list_comes_in_pages_and_whole_as_a_file(signed_in):
    client = signed_in("boss")
    pages = [settled(client, "/pipeline/deals?of=reached&stage=Prospecting")]
    count = int(re.search(r"<p>([\d,]+) deals", pages[0])[1].replace(",", ""))
    whole = int(re.search(r"Page 1 of (\d+)", pages[0])[1])
    assert whole == -(-count // Config().app.page_rows) > 1
    while further := re.search(r'<a href="([^"]+)" rel="next"', pages[-1]):
        pages.append(settled(client, further[1]))
    assert len(pages) == whole
    assert sum(page.count('<th scope="row">') for page in pages) == count
    rows = csv_rows(client, re.search(r'<a href="([^"]+)" class="export"', pages[1])[1])
    assert len(rows) == count
    assert len({row["deal_id"] for row in rows}) == count
    assert list(rows[0]) == ["deal_id", "name", "owner", "stage", "fate", "closed_at", "amount", "currency"]
    beyond = settled(client, "/pipeline/deals?of=reached&stage=Prospecting&page=99")
    assert "This page does not exist" in beyond
    assert '<a href="/pipeline/deals?of=reached&stage=Prospecting&page=1">' in beyond


def test_a_file_that_is_not_there_yet_is_waited_for_on_its_page(signed_in, monkeypatch):
    monkeypatch.setattr("winpredict.app.pages.pipeline._outlook", lambda *_: Part())
    answer = signed_in("boss").get("/pipeline/deals.csv?of=lost&stage=A+%26+B&page=3")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/pipeline/deals?of=lost&stage=A+%26+B"


def test_a_manager_sees_nothing_of_another_managers_deals(signed_in, app, cast, workspace):
    crm = workspace.crm()
    with app.state.desk.database.reading() as session:
        mine = visible_owners(session, session.scalar(select(Person).where(Person.email == "manager@example.com")))
    others = crm.deals[~crm.deals["owner_id"].isin(mine)]
    theirs = {*others["deal_id"], *others["name"].dropna(), *crm.users.loc[~crm.users["user_id"].isin(mine), "name"]}
    theirs -= set(crm.deals.loc[crm.deals["owner_id"].isin(mine), "name"])
    client = signed_in("manager")
    addresses = ["/pipeline", "/pipeline/deals?of=stalled"]
    addresses += [
        f"/pipeline/deals{kind}?of={of}&period=this+quarter" for of in get_args(Drilldown) for kind in ("", ".csv")
    ]
    read = "".join(settled(client, address) for address in addresses)
    for name in PICTURES:
        drawn = client.get(f"/pipeline/chart.svg?name={name}")
        read += html.unescape(drawn.text) if drawn.status_code == 200 else ""
    words = set(re.findall(r"[^<>\n]+", read))
    assert not {each for each in words if each.strip() in theirs}
    assert not [each for each in others["deal_id"] if each in read]


def test_the_forecast_is_made_of_ones_own_deals(app, workspace, cast):
    crm = workspace.crm()
    with app.state.desk.database.reading() as session:
        owners = visible_owners(session, session.scalar(select(Person).where(Person.email == "manager@example.com")))
    made = outlook_of(app, visible_tables(crm, owners))
    mine = set(crm.deals.loc[crm.deals["owner_id"].isin(owners) & (crm.deals["outcome"] == "open"), "deal_id"])
    assert set(made.forecast.deals["deal_id"]) == mine
    assert made.funnel.now["deals"].sum() == len(mine)


@pytest.mark.parametrize("whose", ["owner:{0.other_rep}", "under:manager-1", "under:nobody", "team:None", "nonsense"])
@pytest.mark.parametrize("path", ["/pipeline?", "/pipeline/deals?of=open&", "/pipeline/deals.csv?of=open&"])
def test_a_choice_beyond_ones_own_is_as_none(signed_in, cast, path, whose):
    answer = signed_in("manager").get(f"{path}whose={whose.format(cast)}")
    assert answer.status_code == 404
    assert cast.other_deal not in answer.text


def test_a_rep_is_chosen(signed_in, app, cast):
    client = signed_in("manager")
    page = settled(client, f"/pipeline?whose=owner:{cast.rep}")
    with app.state.desk.database.reading() as session:
        person = session.scalar(select(Person).where(Person.email == "manager@example.com"))
        query = DealQuery(whose=f"owner:{cast.rep}")
        deals = find_deals(session, person, query, rows=None, with_names=True)
    assert f"<strong>{deals.found}</strong> open deal" in page
    assert set(re.findall(r'href="/deals/([^"?/]+)"', page)) <= {row.deal_id for row in deals.rows}
    assert f'value="owner:{cast.rep}" selected' in page


def test_a_boss_chooses_a_managers_team(signed_in, app):
    page = settled(signed_in("boss"), "/pipeline?whose=under:manager-0")
    assert "<h1>Pipeline of Mona Even and reports</h1>" in page
    assert f"<strong>{len(ids_of(app, 'manager'))}</strong> open deals" in page


def test_names_are_hidden_from_scientists(signed_in, workspace):
    client = signed_in("scientist")
    pages = [
        settled(client, address) for address in ("/pipeline", "/pipeline/deals?of=open", "/pipeline/deals?of=booked")
    ]
    names = set(workspace.crm().deals["name"].dropna()) | set(workspace.crm().accounts["name"].dropna())
    assert not {name for name in names if any(f">{name}<" in page for page in pages)}
    for of in get_args(Drilldown):
        rows = csv_rows(client, f"/pipeline/deals.csv?of={of}")
        assert not {"name", "account"} & {column for row in rows for column in row}
        assert not names & {cell for row in rows for cell in row.values()}


def test_a_manager_without_deals_is_told_what_to_do(app):
    with app.state.desk.database.writing() as session:
        person = add_person(session, "new-manager@example.com", "New", Role.MANAGER)
        key = sign_in(session, person, 1.0).key
    cookies = {COOKIE: signed(app.state.desk, key)}
    page = settled(TestClient(app, cookies=cookies), "/pipeline")
    assert "No open deals" in page
    assert "ask your administrator whether your account" in page


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/pipeline/chart.svg?name=nothing", 422),
        ("/pipeline/chart.svg?name=forecast&size=9999", 422),
        ("/pipeline/deals?of=passwords", 422),
        ("/pipeline/deals?of=open&period=ever", 422),
        ("/pipeline/deals?of=open&page=0", 422),
        ("/pipeline/deals.csv?of=passwords", 422),
        ("/pipeline?whose=" + "x" * 321, 422),
    ],
)
def test_what_is_none_is_refused(signed_in, address, status):
    assert signed_in("manager").get(address).status_code == status


@pytest.mark.parametrize(
    ("odds", "words"), [(0.0, "under 1%"), (0.004, "under 1%"), (0.42, "42%"), (1.0, "over 99%"), (None, "–")]
)
def test_no_quota_is_sure(odds, words):
    assert environment().get_template("_parts.html").module.sure(odds) == words


def test_parts_that_take_long_are_waited_for_and_failures_told(app):
    desk = app.state.desk
    gate = threading.Event()
    waiting = Waiting(desk, patience=0.0)
    assert waiting.part("slow", lambda: gate.wait(10)).is_waiting
    gate.set()
    assert Waiting(desk, patience=10).part("slow", lambda: False) == Part(result=True)

    def fail():
        raise RuntimeError("secret")

    failed = Waiting(desk, patience=10).part("broken", fail)
    assert failed.passing
    assert str(failed.problem).startswith("This could not be computed because of a fault in the program.")
    assert Waiting(desk, patience=10).part("broken", lambda: 5).result == 5, "it is tried anew"
