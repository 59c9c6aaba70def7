import csv
import io
import re

import pytest
from desk_world import PASSWORD, PEOPLE, client_of
from fastapi.testclient import TestClient
from sqlalchemy import update

from winpredict.app.application import create_app
from winpredict.app.people import add_person
from winpredict.app.records import CrmUser, Role, Score
from winpredict.app.visibility import latest_run
from winpredict.config import Config
from winpredict.workspace import Workspace


def rows(client: TestClient, query: str = "") -> list[dict[str, str]]:
    answer = client.get(f"/deals.csv{query}")
    assert answer.status_code == 200
    return list(csv.DictReader(io.StringIO(answer.text, newline="")))


def test_a_rep_sees_their_own_deals(signed_in, cast):
    page = signed_in("rep").get("/deals")
    assert page.status_code == 200
    assert f"/deals/{cast.deal}" in page.text
    assert f"/deals/{cast.other_deal}" not in page.text


def test_a_stranger_is_sent_to_sign_in(anybody: TestClient):
    assert anybody.get("/deals").headers["location"] == "/sign-in?next=%2Fdeals"


def test_the_export_has_what_the_list_has(signed_in, cast):
    rep = signed_in("rep")
    all_of_them = rows(rep)
    assert {row["owner_id"] for row in all_of_them} == {cast.rep}
    typed = [row for row in all_of_them if row["amount"]]
    stakes = [
        float(row["amount"]) * float(row["win_probability"]) * (1 - float(row["win_probability"])) for row in typed
    ]
    assert len(stakes) > 1
    assert stakes == sorted(stakes, reverse=True)
    assert all_of_them[: len(typed)] == typed, "a deal without an amount comes last"
    stage = all_of_them[0]["stage"]
    assert rows(rep, f"?stage={stage}") == [row for row in all_of_them if row["stage"] == stage]
    assert [row["deal_id"] for row in rows(rep, f"?search={cast.deal.lower()}")] == [cast.deal]


def test_formulas_in_names_are_harmless_in_the_export(app, signed_in, cast):
    evil = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "x\r=1"]
    desk = app.state.desk
    with desk.database.writing() as session:
        run = session.scalar(latest_run())
        mine = session.query(Score).where(Score.run_id == run, Score.owner_id == cast.rep).limit(len(evil)).all()
        kept = {each.deal_id: (each.name, each.account) for each in mine}
        for each, name in zip(mine, evil, strict=False):
            each.name, each.account = name, f'{name},"x"'
    cells = [cell for row in rows(signed_in("rep")) for cell in (row["name"], row["account"])]
    with desk.database.writing() as session:
        for deal_id, (name, account) in kept.items():
            session.execute(
                update(Score).where(Score.run_id == run, Score.deal_id == deal_id).values(name=name, account=account)
            )
    assert sum(cell.startswith("'") for cell in cells) == 2 * (len(kept) - (len(kept) == len(evil)))
    assert not [cell for cell in cells if cell[:1] in ("=", "+", "-", "@", "\t", "\r")]


def test_a_head_sorts_and_sorts_the_other_way(signed_in):
    rep = signed_in("rep")
    assert '<th scope="col" class="number" aria-sort="descending"><a href="/deals?order=amount&amp;reverse=true">' in (
        rep.get("/deals?order=amount").text
    )
    assert 'aria-sort="ascending"' in rep.get("/deals?order=amount&reverse=true").text
    falling = [float(row["amount"]) for row in rows(rep, "?order=amount") if row["amount"]]
    assert falling == sorted(falling, reverse=True)
    rising = rows(rep, "?order=amount&reverse=true")
    assert [float(row["amount"]) for row in rising if row["amount"]] == falling[::-1]


def test_sums_of_several_currencies_are_told(signed_in, changed, cast):
    changed(cast.rep, currency="EUR")
    mine = signed_in("rep").get("/deals").text
    assert re.search(r"[\d,]+ EUR in all, [\d,]+ EUR expected", mine)
    assert "without conversion" not in mine
    changed(cast.other_rep, currency="USD")
    page = signed_in("boss").get("/deals").text
    assert "Amounts in EUR, USD are added as they stand, without conversion." in page
    assert re.search(r"[\d,]+ in all, [\d,]+ expected", page)


def test_an_amount_that_is_missing_is_not_known_rather_than_zero(signed_in, changed, cast):
    changed(cast.rep, amount=None, currency="JPY")
    rep = signed_in("rep")
    listed, shown = rep.get("/deals").text, rep.get(f"/deals/{cast.deal}").text
    assert re.search(r"open deals?, amounts not known\.", listed)
    assert "amount not known" in shown
    assert not re.search(r"\b0 JPY", listed + shown)
    assert rep.get("/api/v1/deals").json()["amount"] is None


def test_what_needs_dates_is_left_out_without_them(undated):
    page = client_of(undated, PEOPLE["boss"][0]).get("/deals").text
    assert "These deals carry no dates" in page
    for words in ("In a week", "Last touch", "expected close", "longest silence", "change in a week"):
        assert words not in page
    assert "Win odds" in page
    assert client_of(undated, PEOPLE["rep"][0]).get("/deals?order=silence").status_code == 200


def test_a_choice_of_another_page_stays_while_one_filters(signed_in):
    page = signed_in("manager").get("/deals?at_risk=true&moved=down").text
    assert '<input type="hidden" name="at_risk" value="true">' in page
    assert '<input type="hidden" name="moved" value="down">' in page
    assert "Only deals at risk, deals whose odds fell." in page


def test_a_scientist_reads_no_names(signed_in, app):
    scientist = signed_in("scientist")
    with app.state.desk.database.reading() as session:
        one = session.query(Score).where(Score.run_id == session.scalar(latest_run())).first()
    for answer in (scientist.get("/deals"), scientist.get("/deals.csv")):
        assert f">{one.name}<" not in answer.text
        assert f",{one.name}," not in answer.text
    assert "name" not in rows(scientist)[0]
    assert not rows(scientist, f"?search={one.name}") or one.name in one.deal_id


@pytest.mark.parametrize(
    ("who", "query", "told"),
    [
        ("rep", "?search=nothing-of-the-kind", "Nothing found"),
        ("rep", "?page=99", "The list is not that long"),
        ("unlinked_rep", "", "No open deals"),
    ],
)
def test_empty_lists_say_why(signed_in, who, query, told):
    answer = signed_in(who).get(f"/deals{query}")
    assert answer.status_code == 200
    assert told in answer.text


def test_before_the_first_scores_the_list_says_what_to_do(tmp_path):

    app = create_app(Workspace(tmp_path), Config())
    with app.state.desk.database.writing() as session:
        session.add(CrmUser(user_id="u1", name="U"))
        add_person(session, "rep@example.com", "Rep", Role.REP, password=PASSWORD, crm_user_id="u1")
    page = client_of(app, "rep@example.com").get("/deals")
    app.state.desk.database.close()
    assert "The first scores are not here yet" in page.text


def test_a_wrong_filter_is_told(signed_in):
    answer = signed_in("rep").get("/deals?page=0")
    assert answer.status_code == 422
    assert "page" in answer.text
