import csv
import io
import re

import pytest
from desk_world import PASSWORD, PEOPLE, client_of
from fastapi.testclient import TestClient
from sqlalchemy import update
from untranslated import untranslated

from winpredict.app.application import create_app
from winpredict.app.pages.deals import BAND_NAMES, change_this_week, main_reason
from winpredict.app.people import add_person
from winpredict.app.records import CrmUser, Role, Score
from winpredict.app.shown_reasons import next_steps_of, reasons_of
from winpredict.app.visibility import latest_run
from winpredict.config import Config, Run
from winpredict.explain.deal_flags import FLAGS
from winpredict.explain.reason import Reason
from winpredict.explain.scores import BANDS
from winpredict.locale.language import speaking
from winpredict.locale.text import text
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
    assert re.search(r"€[\d,]+ in total, €[\d,]+ weighted by odds", mine)
    assert "without conversion" not in mine
    changed(cast.other_rep, currency="USD")
    page = signed_in("boss").get("/deals").text
    assert "Amounts in EUR and USD are added without conversion." in page
    assert re.search(r": [\d,]+ in total, [\d,]+ weighted by odds", page)


def test_an_amount_that_is_missing_is_not_known_rather_than_zero(signed_in, changed, cast):
    changed(cast.rep, amount=None, currency="JPY")
    rep = signed_in("rep")
    listed, shown = rep.get("/deals").text, rep.get(f"/deals/{cast.deal}").text
    assert re.search(r"open deals?, amounts not known\.", listed)
    assert "amount not known" in shown
    assert not re.search("¥0\\b", listed + shown)
    assert rep.get("/api/v1/deals").json()["amount"] is None


def test_what_needs_dates_is_left_out_without_them(undated):
    page = client_of(undated, PEOPLE["boss"][0]).get("/deals").text
    assert "These deals have no dates" in page
    for words in ("Change this week", "Last touch", "Next step", "Expected close", "Longest without contact"):
        assert words not in page
    assert "Win odds" in page
    assert client_of(undated, PEOPLE["rep"][0]).get("/deals?order=silence").status_code == 200


def test_a_choice_of_another_page_stays_while_one_filters(signed_in):
    page = signed_in("manager").get("/deals?at_risk=true&moved=down").text
    assert '<input type="hidden" name="at_risk" value="true">' in page
    assert '<input type="hidden" name="moved" value="down">' in page
    assert "Only big deals at risk and deals whose odds fell." in page


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
        ("rep", "?search=nothing-of-the-kind", "No matches"),
        ("rep", "?page=99", "This page does not exist"),
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
    assert "No scores yet" in page.text


def test_a_wrong_filter_is_told(signed_in):
    answer = signed_in("rep").get("/deals?page=0")
    assert answer.status_code == 422
    assert "page" in answer.text


def names_in(app) -> set[str]:
    """What comes from data and is never translated."""
    crm = app.state.desk.loaded().crm
    names = {name for column in ("name", "stage", "product", "deal_id") for name in crm.deals[column].dropna()}
    names |= {name for user in PEOPLE for name in (user.replace("_", " ").capitalize(),)}
    return names | set(crm.users["name"].dropna()) | set(crm.accounts["name"].dropna())


@pytest.mark.parametrize("who", ["rep", "boss", "scientist", "unlinked_rep"])
@pytest.mark.parametrize("query", ["", "?at_risk=true&moved=up&whose=owner:nobody", "?search=nothing-of-the-kind"])
def test_no_word_of_the_list_is_left_untranslated(app, signed_in, who, query):
    page = signed_in(who).get(f"/deals{query}", headers={"Accept-Language": "en_XA"})
    assert untranslated(page.text, names_in(app)) == []


@pytest.mark.parametrize("language", ["fr", "de"])
def test_the_list_speaks_other_languages(signed_in, language):
    page = signed_in("rep").get("/deals", headers={"Accept-Language": language}).text
    head = {"fr": "Évolution sur la semaine", "de": "Änderung diese Woche"}[language]
    assert f'data-label="{head}"' in page
    assert {"fr": "Prochaine action", "de": "Nächster Schritt"}[language] in page
    assert {"fr": ">Appliquer<", "de": ">Anwenden<"}[language] in page


def test_every_band_has_a_name():
    assert list(BAND_NAMES) == list(BANDS)


@pytest.mark.parametrize(
    ("before", "words"),
    [
        (0.449, None),
        (0.451, "Odds down 5 points since last week"),
        (0.48, "Odds down 8 points since last week"),
        (0.35, "Odds up 5 points since last week"),
        (None, None),
    ],
)
def test_a_change_is_told_from_so_many_points_on(before, words):
    change = change_this_week(Score(win_probability=0.4, week_before=before), Run(moved_points=5))
    assert (change and str(change)) == words


def test_a_change_follows_the_language_and_none_is_no_change():
    fall = change_this_week(Score(win_probability=0.4, week_before=0.48), Run())
    with speaking("fr"):
        assert str(fall) == "Chances en baisse de 8 points depuis la semaine dernière"
    assert change_this_week(Score(win_probability=0.4, week_before=0.4), Run(moved_points=0)) is None
    one = change_this_week(Score(win_probability=0.4, week_before=0.39), Run(moved_points=0))
    assert str(one) == "Odds up 1 point since last week"


@pytest.mark.parametrize(
    ("before", "claim"),
    [
        (None, "no contact for 26 days"),  # what can be acted on, against the deal
        (0.48, "no contact for 26 days"),
        (0.32, "3 meetings"),
        (0.39, "no contact for 26 days"),
    ],
)
def test_the_main_reason_points_the_way_the_odds_went(before, claim):
    reasons = [
        Reason("touch", "touch", -0.04, text("no contact for 26 days"), control="controllable"),
        Reason("meetings", "meetings", 0.02, text("3 meetings"), control="controllable"),
        Reason("deal_type", "deal_type", 0.3, text("existing customer"), control="context"),
    ]
    score = Score(win_probability=0.4, week_before=before, reasons=[each.to_json() for each in reasons])
    assert str(main_reason(score, "everyone", Run(moved_points=5)).claim) == claim
    score.reasons = [reasons[0].to_json()]
    assert str(main_reason(score, "everyone", Run(moved_points=5)).claim) == "no contact for 26 days"
    score.reasons = []
    assert main_reason(score, "everyone", Run(moved_points=5)) is None


def test_what_changed_leads_the_reasons_of_a_deal(signed_in, changed, cast):
    changed(cast.rep, win_probability=0.4, week_before=0.48)
    cells = re.findall(r'data-label="Main reason" class="reason">(.*?)</td>', signed_in("rep").get("/deals").text)
    start = '<span class="moved down">Odds down 8 points since last week</span>'
    assert cells
    assert all(cell.startswith(start) and len(cell) > len(start) for cell in cells)
    changed(cast.rep, week_before=0.41)
    assert "since last week" not in signed_in("rep").get("/deals").text


def test_flags_are_shown_filtered_by_and_exported(app, signed_in, changed, cast):
    changed(cast.rep, flags="")
    assert 'class="flags"' not in signed_in("rep").get("/deals").text
    changed(cast.rep, flags="at_risk,stalled")
    page = signed_in("rep").get("/deals").text
    assert '<li class="at_risk">at risk</li><li class="stalled">stalled</li>' in page
    assert [row["deal_id"] for row in rows(signed_in("rep"), "?flag=stalled")] == [
        row["deal_id"] for row in rows(signed_in("rep"))
    ]
    assert not rows(signed_in("rep"), "?flag=booked")
    assert "No matches" in signed_in("rep").get("/deals?flag=booked").text
    assert {row["flags"] for row in rows(signed_in("rep"))} == {"at_risk,stalled"}
    assert all(f'<option value="{key}"' in page for key in FLAGS)


def test_nothing_to_do_is_an_answer(app, signed_in, changed, cast):
    step = {"key": "customer_has_it", "action": ["Nothing to do: the customer has it."], "why": ["Asked yesterday."]}
    plain = {name: [*words, {}] if isinstance(words, list) else words for name, words in step.items()}
    more = {"usual": None, "evidence": None, "urgency": 0.0, "stake": None, "flags": []}
    changed(cast.rep, next_steps=[plain | more])
    rep = signed_in("rep")
    assert '<span class="muted">Nothing to do: the customer has it.</span>' in rep.get("/deals").text
    shown = re.search(r'<section aria-labelledby="next">.*?</section>', rep.get(f"/deals/{cast.deal}").text, re.S)[0]
    assert '<ul class="next-steps">' in shown
    assert "<strong>Nothing to do: the customer has it.</strong> Asked yesterday." in shown
    assert {row["next_step"] for row in rows(rep)} == {"Nothing to do: the customer has it. Asked yesterday."}


def test_days_are_the_same_in_the_list_and_in_the_reasons(app, signed_in):
    """Overdue and silent for as many days, whoever counts."""
    page, pairs = signed_in("boss").get("/deals").text, []
    with app.state.desk.database.reading() as session:
        scores = session.query(Score).where(Score.run_id == session.scalar(latest_run())).all()
    for score in scores:
        row = re.search(rf'<a href="/deals/{score.deal_id}".*?</tr>', page, re.S)
        reasons = " ".join(each.sentence for each in (*next_steps_of(score), *reasons_of(score, "managers")))
        for shown, said in (
            (r"(\d+) days? overdue", r"(?:close was|[Ee]xpected close) (\d+) days? (?:ago|overdue)"),
            (r'"Last touch">(\d+) days? ago', r"(?:No contact for|[Ll]ast (?:contact|touch)) (\d+) days?"),
        ):
            if row and (one := re.search(shown, row[0])) and (other := re.search(said, reasons)):
                pairs.append((shown, int(one[1]), int(other[1])))
    assert len({pair[0] for pair in pairs}) == 2, "both overdue and silent deals are there"
    assert [pair for pair in pairs if pair[1] != pair[2]] == []
