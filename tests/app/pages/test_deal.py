import re
from dataclasses import replace
from datetime import UTC, datetime

import pandas as pd
import pytest
from desk_world import PEOPLE, client_of
from sqlalchemy import delete, select
from untranslated import untranslated

from winpredict.app.pages.deal_views import like_deals, step_rows
from winpredict.app.records import Feedback, Person, Score
from winpredict.app.stories import alike, chart_of, story_of
from winpredict.app.visibility import latest_run
from winpredict.explain.similar import similar


@pytest.fixture(scope="module")
def page(signed_in, cast):
    answer = signed_in("rep").get(f"/deals/{cast.deal}")
    assert answer.status_code == 200
    return answer.text


def section(page: str, name: str) -> str:
    match = re.search(rf'<section aria-labelledby="{name}">.*?</section>', page, re.S)
    assert match, f"the page has no part {name}"
    return match[0]


def figures(text: str) -> list[float]:
    return [float(each.replace("−", "-")) for each in re.findall(r"[−+]?\d+\.\d", text)]


def test_every_part_is_there(page):
    for name in ("next", "time", "why", "week", "what-if", "alike", "feedback"):
        section(page, name)


def test_reasons_add_up_as_they_are_written(page):
    why = section(page, "why")
    base, pro, con, given, other, odds = figures(re.search(r'class="adds">(.*?)</p>', why)[1])
    assert base + pro + con + given + other == pytest.approx(odds, abs=0.3)
    line = re.findall(r" ([+−]\d+)(?:,|$)", re.search(r'class="given">(.*?)</p>', why)[1])
    assert sum(int(each.replace("−", "-")) for each in line) == pytest.approx(given, abs=0.6 * len(line))
    told = figures(" ".join(re.findall(r'<td class="number (?:up|down)">(.*?)</td>', why)))
    assert sum(told) == pytest.approx(pro + con, abs=0.06 * len(told))


def test_the_week_adds_up(page):
    before, told, other, after = figures(re.search(r'class="adds">(.*?)</p>', section(page, "week"))[1])
    assert before + told + other == pytest.approx(after, abs=0.25)


@pytest.mark.parametrize("who", ["other_rep", "unlinked_rep"])
@pytest.mark.parametrize("route", ["", "/odds.svg", "/odds.svg?narrow=1"])
def test_deals_of_others_are_as_good_as_none(signed_in, cast, who, route):
    client = signed_in(who)
    hidden, none = client.get(f"/deals/{cast.deal}{route}"), client.get(f"/deals/nobody{route}")
    assert hidden.status_code == none.status_code == 404
    assert hidden.text == none.text


def test_nothing_is_said_about_deals_of_others(app, signed_in, cast):
    client = signed_in("other_rep")
    form = {"kind": "too_low", "text": "mine!", "csrf_token": client.csrf}
    assert client.post(f"/deals/{cast.deal}/feedback", data=form).status_code == 404
    with app.state.desk.database.reading() as session:
        assert session.scalar(select(Feedback).where(Feedback.text == "mine!")) is None


def test_a_manager_reads_the_page_of_a_rep_and_the_owner_s_record_besides(signed_in, cast, page):
    reps, managers = (section(text, "why") for text in (page, signed_in("manager").get(f"/deals/{cast.deal}").text))
    tables = [re.findall(r"<table.*?</table>", why, re.DOTALL) for why in (reps, managers)]
    assert tables[0] == tables[1]
    assert "the owner&#39;s win rate" in managers
    assert "owner" not in reps


def test_a_scientist_reads_no_names(app, signed_in, cast):
    with app.state.desk.database.reading() as session:
        score = session.scalar(
            select(Score).where(Score.run_id == session.scalar(latest_run()), Score.deal_id == cast.deal)
        )
    text = signed_in("scientist").get(f"/deals/{cast.deal}").text
    assert score.name not in text
    assert score.account is None or score.account not in text
    crm = app.state.desk.loaded().crm
    assert not [name for name in crm.deals["name"] if f">{name}<" in text]


def test_charts_in_both_sizes(signed_in, cast):
    for query in ("", "?narrow=1"):
        answer = signed_in("rep").get(f"/deals/{cast.deal}/odds.svg{query}")
        assert answer.headers["content-type"] == "image/svg+xml"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.text.startswith("<svg")


def test_what_if_answers_without_scripts(signed_in, cast, page):
    client, name = signed_in("rep"), "touches_30d"
    slider = re.search(rf'name="{name}" type="range" min="(\d+)" max="(\d+)" step="1" value="(\d+)"', page)
    low, high, now = map(int, slider.groups())
    other = high if now != high else low
    answer = section(client.get(f"/deals/{cast.deal}?{name}={other}").text, "what-if")
    assert f'value="{other}"' in answer
    assert "instead of" in answer
    assert "not what a change would bring about" in answer
    for unmoved in (now, "many", "nan", "inf"):
        assert "Deals like this one but with" not in client.get(f"/deals/{cast.deal}?{name}={unmoved}").text


def test_feedback_is_kept_thanked_for_and_shown(app, signed_in, cast):
    client, address = signed_in("rep"), f"/deals/{cast.deal}"
    said = "they bought <b>elsewhere</b>"
    form = {"kind": "too_high", "text": f" {said} ", "csrf_token": client.csrf}
    answer = client.post(f"{address}/feedback", data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, f"{address}?thanks=1#feedback")
    shown = section(client.get(f"{address}?thanks=1").text, "feedback")
    assert "Thank you" in shown
    assert "they bought &lt;b&gt;elsewhere&lt;/b&gt;" in shown
    assert "elsewhere" in signed_in("scientist").get(address).text
    with app.state.desk.database.writing() as session:
        kept = session.scalars(select(Feedback).where(Feedback.deal_id == cast.deal)).one()
        run = session.scalar(latest_run())
        odds = session.scalar(select(Score.win_probability).where(Score.run_id == run, Score.deal_id == cast.deal))
        assert (kept.kind, kept.text, kept.run_id, kept.win_probability) == ("too_high", said, run, odds)
        session.execute(delete(Feedback))


@pytest.mark.parametrize("form", [{}, {"kind": "rude"}, {"kind": "other", "text": "x" * 2001}])
def test_impossible_feedback_is_refused(signed_in, cast, form):
    client = signed_in("rep")
    assert client.post(f"/deals/{cast.deal}/feedback", data={**form, "csrf_token": client.csrf}).status_code == 422


def test_ids_may_hold_anything(app, signed_in, cast):
    """An address keeps an id with slashes and spaces whole; without tables for it the odds still stand."""
    odd, desk = "A/1 ?#ü", app.state.desk
    with desk.database.writing() as session:
        run = session.scalar(latest_run())
        like = session.scalar(select(Score).where(Score.run_id == run, Score.deal_id == cast.deal))
        values = {column.name: getattr(like, column.name) for column in Score.__table__.c}
        session.add(Score(**{**values, "deal_id": odd}))
    listed = signed_in("rep").get("/deals").text
    answer = signed_in("rep").get("/deals/A/1%20%3F%23%C3%BC")
    with desk.database.writing() as session:
        session.execute(delete(Score).where(Score.deal_id == odd))
    assert "/deals/A/1%20%3F%23%C3%BC" in listed
    assert answer.status_code == 200
    assert "The details are not available" in answer.text
    assert "There is no deal" in answer.text
    assert 'aria-labelledby="next"' in answer.text, "next steps come with the odds"


def test_deals_like_it_are_named_to_those_who_see_them(app, cast):
    desk = app.state.desk
    loaded = desk.loaded()
    with desk.database.reading() as session:
        as_of = session.scalar(select(Score).where(Score.deal_id == cast.deal).order_by(Score.run_id.desc())).run.as_of
    story = story_of(desk, loaded, cast.deal, as_of)
    found = alike(desk, loaded, story, as_of)
    everybody = like_deals(found, loaded.crm, None, names=True)
    nobody = like_deals(found, loaded.crm, frozenset(), names=True)
    mine = like_deals(found, loaded.crm, frozenset({cast.rep}), names=False)
    assert len(everybody.deals) == everybody.count == nobody.count == mine.count
    assert everybody.won == nobody.won == sum(each.is_won for each in everybody.deals)
    assert not nobody.deals
    owners = loaded.crm.deals.set_index("deal_id")["owner_id"]
    assert [owners[each.name] for each in mine.deals] == [cast.rep] * len(mine.deals)
    ownerless = replace(loaded.crm, deals=loaded.crm.deals.drop(columns=["owner_id", "name"]))
    assert not like_deals(found, ownerless, frozenset({cast.rep}), names=True).deals
    assert like_deals(found, ownerless, None, names=True).deals[0].name == found.deals["deal_id"].iloc[0]


def test_deals_at_the_same_age_to_the_week_are_much_the_same_as_to_the_second(app, cast):
    desk = app.state.desk
    loaded = desk.loaded()
    story = story_of(desk, loaded, cast.deal, loaded.crm.known_until.to_pydatetime())
    to_the_week = alike(desk, loaded, story, loaded.crm.known_until.to_pydatetime()).deals
    exactly = similar(loaded.model, loaded.crm, cast.deal).deals
    assert len(set(to_the_week["deal_id"]) & set(exactly["deal_id"])) >= len(exactly) / 2


def test_every_step_says_what_happened_since_the_one_before(app, cast):
    desk = app.state.desk
    loaded = desk.loaded()
    story = story_of(desk, loaded, cast.deal, loaded.crm.known_until.to_pydatetime())
    since = pd.Timestamp(0, tz="UTC")
    for row in step_rows(story):
        events = story.events[(story.events["at"] >= since) & (story.events["at"] < row.step.as_of)]
        since = row.step.as_of
        touches, stages = events[events["kind"] != "stage"], events.loc[events["kind"] == "stage", "label"]
        assert sum(map(int, re.findall(r"(\d+) (?:meeting|call|email|other touch)", row.events))) == len(touches)
        assert re.findall(r"move to ([^,]+)", row.events) == stages.tolist()


def test_what_is_worked_out_is_kept(app, cast):
    desk = app.state.desk
    loaded = desk.loaded()
    moment = loaded.crm.known_until.to_pydatetime()
    assert story_of(desk, loaded, cast.deal, moment) is story_of(desk, loaded, cast.deal, moment)
    chart = chart_of(desk, loaded, cast.deal, moment, width=330)
    assert chart is chart_of(desk, loaded, cast.deal, moment, width=330)
    other = replace(loaded, state="another")
    assert story_of(desk, other, cast.deal, moment) is not story_of(desk, loaded, cast.deal, moment)


def test_a_deal_without_dates_has_all_but_its_history(undated):
    client, deal_id = client_of(undated, PEOPLE["rep"][0]), undated.state.cast.deal
    text = client.get(f"/deals/{deal_id}").text
    assert figures(section(text, "why"))
    assert 'aria-labelledby="time"' not in text
    assert "odds.svg" not in text
    assert "none booked" not in text
    assert "none on record" not in text
    for narrow in ("", "?narrow=1"):
        assert client.get(f"/deals/{deal_id}/odds.svg{narrow}").status_code == 404


def test_next_steps_stand_right_under_the_odds(page):
    parts = re.findall(r'<section aria-labelledby="([\w-]+)">', page)
    assert parts[0] == "next"
    assert page.index('class="headline"') < page.index('aria-labelledby="next"')


@pytest.mark.parametrize(("before", "first"), [(0.9, "week"), (None, "why")])
def test_what_changed_comes_first_where_the_odds_moved(app, signed_in, changed, cast, before, first):
    changed(cast.rep, win_probability=0.4, week_before=before)
    desk = app.state.desk
    story = story_of(desk, desk.loaded(), cast.deal, desk.loaded().crm.known_until.to_pydatetime())
    if before is None and abs(story.week.after - story.week.before) >= 0.05:
        first = "week"
    parts = re.findall(r'<section aria-labelledby="([\w-]+)">', signed_in("rep").get(f"/deals/{cast.deal}").text)
    assert parts[1] == first
    assert sorted(parts[1:3]) == ["week", "why"]


def test_flags_of_a_deal_are_shown(signed_in, changed, cast):
    changed(cast.rep, flags="overdue,booked")
    page = signed_in("rep").get(f"/deals/{cast.deal}").text
    assert '<li class="overdue">overdue</li><li class="booked">meeting booked</li>' in page


@pytest.mark.parametrize("who", ["rep", "boss", "scientist"])
def test_no_word_of_a_deal_is_left_untranslated(app, signed_in, cast, who):
    desk = app.state.desk
    crm = desk.loaded().crm
    columns = ("name", "stage", "product", "deal_id", "source")
    data = {name for column in columns if column in crm.deals for name in crm.deals[column].dropna()}
    data |= {*crm.users["name"].dropna(), *crm.accounts["name"].dropna(), who.capitalize()}
    with desk.database.writing() as session:
        person = session.scalar(select(Person).where(Person.email == PEOPLE["rep"][0]))
        session.add(
            Feedback(
                deal_id=cast.deal, run_id=None, person_id=person.id, kind="too_low", text="they like us",
                win_probability=0.4, created_at=datetime(2025, 3, 7, tzinfo=UTC),
            )
        )  # fmt: skip
    try:
        client, language = signed_in(who), {"Accept-Language": "en_XA"}
        for query in ("", "?thanks=1&touches_30d=9&meetings_30d=3"):
            page = client.get(f"/deals/{cast.deal}{query}", headers=language).text
            assert untranslated(page, data) == []
        hidden = client.get("/deals/nobody", headers=language).text
        assert untranslated(hidden, data) == []
    finally:
        with desk.database.writing() as session:
            session.execute(delete(Feedback))


def test_a_deal_without_dates_is_translated_too(undated):
    client, deal_id = client_of(undated, PEOPLE["rep"][0]), undated.state.cast.deal
    crm = undated.state.desk.loaded().crm
    columns = ("name", "stage", "product", "deal_id", "source")
    data = {name for column in columns if column in crm.deals for name in crm.deals[column].dropna()}
    data |= {*crm.users["name"].dropna(), *crm.accounts["name"].dropna(), "Rep"}
    for address in ("/deals", f"/deals/{deal_id}"):
        assert untranslated(client.get(address, headers={"Accept-Language": "en_XA"}).text, data) == []


def test_the_chart_is_drawn_in_each_language(signed_in, cast):
    client, address = signed_in("rep"), f"/deals/{cast.deal}/odds.svg"
    english, french = (client.get(address, headers={"Accept-Language": name}).text for name in ("en", "fr"))
    assert "Win odds: " in english
    assert "Chances de gain\u00a0: " in french
