"""Scoring deals that are sent: the same as in the workspace, alone or among others, and exact about bad values."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pandas as pd
import pytest
from desk_access import Newcomer
from fastapi.testclient import TestClient

from winpredict.app.api.score_request import ScoreRequest
from winpredict.app.api.scoring import PendingRequest, RequestScorer
from winpredict.app.records import Role
from winpredict.explain.scores import DealScorer

FIGURES = ("win_probability", "low", "high", "band", "p_win_30d", "p_win_quarter")
LATER = "2027-01-01T00:00:00Z"


@pytest.fixture(scope="module")
def loaded(app):
    return app.state.desk.loaded()


@pytest.fixture(scope="module")
def client(app):
    with TestClient(app) as made:
        yield made


@pytest.fixture(scope="module")
def asks(app, cast, client):
    """Ask for a score as somebody of a role: the status and the answer."""
    keys = {role: Newcomer(app, cast, role).key("score") for role in (Role.REP, Role.MANAGER, Role.SCIENTIST)}

    def ask(request: dict | str, role: Role = Role.SCIENTIST):
        body = request if isinstance(request, str) else json.dumps(request)
        headers = {"Authorization": f"Bearer {keys[role]}", "Content-Type": "application/json"}
        answer = client.post("/api/v1/score", content=body, headers=headers)
        return answer.status_code, answer.json()

    return ask


def request_of(loaded, deal_id: str) -> dict:
    """A deal of the workspace as a program would send it."""
    tables = loaded.scorer.tables_of(deal_id)
    deal = records(tables.deals.drop(columns=["outcome", "closed_at"]))[0]
    attributes = {name: deal.pop(name) for name in loaded.crm.attributes if name in deal}
    names = ("deal_history", "activities", "team_members", "contacts", "line_items")
    there = {name: getattr(tables, name) for name in names if getattr(tables, name) is not None}
    rows = {name: records(frame.drop(columns="deal_id")) for name, frame in there.items()}
    return {"deal": deal | {"attributes": attributes}, **rows, "as_of": loaded.crm.known_until.isoformat()}


def records(frame: pd.DataFrame) -> list[dict]:
    rows = frame.astype(object).to_dict("records")
    plain = [{name: value for name, value in row.items() if not pd.isna(value)} for row in rows]
    return [
        {name: value.isoformat() if isinstance(value, pd.Timestamp) else value for name, value in row.items()}
        for row in plain
    ]


def open_deals(loaded, number: int) -> list[str]:
    deals = loaded.crm.deals
    return deals.loc[deals["outcome"] == "open", "deal_id"].head(number).tolist()


def test_a_deal_of_the_workspace_has_the_odds_that_it_has_there(loaded, asks):
    scorer = DealScorer(loaded.model, loaded.crm)
    for deal_id in open_deals(loaded, 12):
        status, answer = asks(request_of(loaded, deal_id))
        assert status == 200, answer
        expected = scorer.score(deal_id)
        assert {name: answer[name] for name in FIGURES} == {name: expected[name] for name in FIGURES}
        assert [each["sentence"] for each in answer["reasons"]] == [
            expected[f"reason_{place + 1}"] for place in range(len(answer["reasons"]))
        ]
        told = sum(each["points"] for each in (*answer["reasons"], *answer["given"])) + answer["other_points"]
        assert answer["base_probability"] + told == pytest.approx(answer["win_probability"], abs=1e-12)


def test_deals_scored_together_are_as_alone_to_the_last_bit(app, loaded):
    deals = RequestScorer(app.state.desk)
    sent = [
        PendingRequest(ScoreRequest.model_validate(request_of(loaded, deal_id), strict=False), None, datetime.now(UTC))
        for deal_id in open_deals(loaded, 60)
    ]
    alone = [deals.score([each])[0] for each in sent]
    for some in (2, 7, 25, len(sent)):
        assert deals.score(sent[:some]) == alone[:some]
    assert deals.score(sent[::-1])[::-1] == alone


def test_many_at_the_same_time_get_each_their_own(loaded, asks):
    requests = [request_of(loaded, deal_id) for deal_id in open_deals(loaded, 24)]
    # the same deal twice at once, with other facts: neither may speak for the other
    other = json.loads(json.dumps(requests[0])) | {"activities": []}
    asked = [*requests, other, *requests[:5]]
    alone = [asks(request)[1] for request in asked]
    with ThreadPoolExecutor(16) as crowd:
        together = [answer for _, answer in crowd.map(asks, asked)]
    assert together == alone
    assert together[0] != together[24]


def test_a_bad_deal_among_others_is_alone_told_what_is_wrong(app, loaded):
    deals = RequestScorer(app.state.desk)
    good = ScoreRequest.model_validate(request_of(loaded, open_deals(loaded, 1)[0]))
    bad = good.model_copy(update={"deal": good.deal.model_copy(update={"stage": "Nowhere", "deal_id": "bad"})})
    at = datetime.now(UTC)
    fine, wrong, again = deals.score(
        [PendingRequest(good, None, at), PendingRequest(bad, None, at), PendingRequest(good, None, at)]
    )
    assert fine == again
    assert "unknown stage" in wrong.errors()[0]["msg"]


NEW = {"deal_id": "new", "created_at": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    ("change", "where", "what"),
    [
        ({"deal": NEW | {"stage": "Nowhere"}}, "body.deal.stage", "unknown stage; the workspace knows"),
        ({"deal_history": [{"changed_at": LATER, "stage": "x"}]}, "body.deal_history.0.stage", "unknown stage"),
        ({"deal": NEW | {"amount": "12,5"}}, "body.deal.amount", "a number is written as"),
        ({"deal": NEW | {"amount": 1e14}}, "body.deal.amount", "less than or equal"),
        ({"deal": NEW | {"amount": True}}, "body.deal.amount", "a number is written as"),
        ({"deal": NEW | {"created_at": "2026-01-01T00:00:00"}}, "body.deal.created_at", "timezone"),
        ({"deal": NEW | {"created_at": 1767225600}}, "body.deal.created_at", "text such as"),
        ({"deal": NEW | {"created_at": "1767225600"}}, "body.deal.created_at", "text such as"),
        ({"deal": NEW | {"created_at": "0001-01-01T00:00:00Z"}}, "body.deal.created_at", "greater than or equal"),
        ({"deal": NEW | {"created_at": "9999-12-31T00:00:00Z"}}, "body.deal.created_at", "less than"),
        ({"deal": {"deal_id": "new"}}, "body.deal.created_at", "missing"),
        ({"deal": NEW, "as_of": "2025-12-01T00:00:00Z"}, "body.deal.created_at", "not before the moment"),
        ({"as_of": "2001-01-01T00:00:00Z"}, "body.as_of", "would know the future"),
        ({"deal": NEW | {"attributes": {"Nothing": 1}}}, "body.deal.attributes.Nothing", "unknown attribute"),
        ({"deal": NEW | {"Region__c": "East"}}, "body.deal.Region__c", "not permitted"),
        ({"deal": NEW | {"deal_id": ""}}, "body.deal.deal_id", "at least 1 character"),
        ({"activities": [{"occurred_at": LATER, "activity_type": "lunch"}]}, "body.activities.0.activity_type", "call"),
        ({"users": []}, "body.users", "not permitted"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(asks, change, where, what):
    status, answer = asks({"deal": NEW} | change)
    assert status == 422
    faults = {each["where"]: each["what"] for each in answer["errors"]}
    assert what in faults[where]


@pytest.mark.parametrize(
    "body",
    [
        '{"deal": {"deal_id": "new", "created_at": "2026-01-01T00:00:00Z", "amount": NaN}}',
        '{"deal": {"deal_id": "new", "created_at": "2026-01-01T00:00:00Z", "amount": Infinity}}',
        '{"deal": {"deal_id": "new", "created_at": "2026-01-01T00:00:00Z", "amount": 1e999}}',
        '{"deal": {"deal_id": "new", "created_at": "2026-01-01T00:00:00Z", "amount": %s}}' % ("9" * 5000),
        '{"deal": {"deal_id": "\\ud800", "created_at": "2026-01-01T00:00:00Z"}}',
        "[" * 50_000,
        '{"deal": ' * 1000,
        "",
        "nothing",
        "[]",
        "\udc80".encode("utf-8", "surrogateescape").decode("latin-1"),
    ],
)
def test_what_no_number_or_no_json_is(asks, body):
    status, answer = asks(body)
    assert status == 422
    assert answer["errors"]


def test_decimals_as_text_are_the_nearest_numbers(asks):
    amounts = [12345.67, "12345.67", "12345.670000000000"]
    answers = [asks({"deal": NEW | {"amount": amount}, "as_of": LATER}) for amount in amounts]
    assert [status for status, _ in answers] == [200] * 3
    assert answers[0][1] == answers[1][1] == answers[2][1]


def test_zones_are_kept(asks):
    moments = ["2026-01-01T00:00:00Z", "2026-01-01T05:30:00+05:30", "2025-12-31T16:00:00-08:00"]
    answers = [asks({"deal": NEW | {"created_at": moment}, "as_of": LATER})[1] for moment in moments]
    assert answers[0] == answers[1] == answers[2]


def test_odd_text_is_taken_as_it_is(asks):
    odd = NEW | {"deal_id": "a\0b/../c", "name": "=cmd()", "owner_id": "\N{SNOWMAN}" * 50, "product": "\0"}
    status, answer = asks({"deal": odd, "contacts": [{"contact_id": "'; --", "added_at": LATER, "role": "CEO\0"}]})
    assert status == 200, answer
    assert answer["deal_id"] == "a\0b/../c"


def test_what_comes_later_plays_no_part(asks):
    touch = {"activity_type": "meeting", "occurred_at": LATER}
    plain = {"deal": NEW, "as_of": "2026-06-01T00:00:00Z"}
    later = plain | {
        "activities": [touch],
        "contacts": [{"contact_id": "c", "added_at": LATER}],
        "deal_history": [{"changed_at": LATER, "amount": 5}],
    }
    assert asks(later) == asks(plain)


def test_a_deal_under_another_name_is_scored_alike(loaded, asks, cast):
    known = request_of(loaded, cast.deal)
    renamed = json.loads(json.dumps(known))
    renamed["deal"]["deal_id"] = "under another name"
    status, answer = asks(renamed)
    assert status == 200
    # its owner and its customer have a deal more: the one that it was copied from
    assert answer["win_probability"] == pytest.approx(asks(known)[1]["win_probability"], abs=0.1)


def test_a_rep_learns_nothing_of_other_peoples_history(loaded, asks, cast):
    own, other = request_of(loaded, cast.deal), request_of(loaded, cast.other_deal)
    mine, everything = asks(own, Role.REP)[1], asks(own)[1]
    assert {name: mine[name] for name in FIGURES} == {name: everything[name] for name in FIGURES}
    assert mine["reasons"] == everything["reasons"]
    assert mine["given"] == [each for each in everything["given"] if each["theme"] != "owner"]
    kept = sum(each["points"] for each in (*mine["reasons"], *mine["given"])) + mine["other_points"]
    assert mine["base_probability"] + kept == pytest.approx(mine["win_probability"], abs=1e-12)
    # other owners and accounts are as ones that nobody knows
    deals = loaded.crm.deals
    seen = {cast.rep, *deals.loc[deals["owner_id"] == cast.rep, "account_id"]}
    unknown = json.loads(json.dumps(other))
    for row in (unknown["deal"], *unknown["deal_history"]):
        for name in {"owner_id", "account_id"} & row.keys():
            row[name] = row[name] if row[name] in seen else f"nobody {row[name]}"
    assert unknown["deal"]["owner_id"].startswith("nobody")
    theirs, nobodys = asks(other, Role.REP)[1], asks(unknown, Role.REP)[1]
    assert theirs == nobodys
    assert asks(other)[1] != theirs


def test_other_kinds_of_bodies(client, app, cast):
    headers = {"Authorization": f"Bearer {Newcomer(app, cast, Role.REP).key('score')}"}
    assert client.post("/api/v1/score", content="{}", headers=headers).status_code == 415
    assert client.post("/api/v1/score", data={"deal": "x"}, headers=headers).status_code == 415
    large = json.dumps({"deal": NEW | {"name": "x" * 2_000_000}})
    answer = client.post("/api/v1/score", content=large, headers=headers | {"Content-Type": "application/json"})
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_crowd_is_sent_away(app, asks, monkeypatch):
    monkeypatch.setattr(app.state.request_scorer.batches, "_most_waiting", 0)
    status, answer = asks({"deal": NEW})
    assert (status, answer["title"]) == (429, "Too Many Requests")


def test_reasons_come_in_the_language_of_whoever_asks(app, cast, client, loaded):
    key = Newcomer(app, cast, Role.SCIENTIST).key("score")
    body = json.dumps(request_of(loaded, cast.deal))
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    french, english = (
        client.post("/api/v1/score", content=body, headers=headers | {"Accept-Language": language}).json()
        for language in ("fr", "en")
    )
    assert [each["points"] for each in french["reasons"]] == [each["points"] for each in english["reasons"]]
    assert [each["sentence"] for each in french["reasons"]] != [each["sentence"] for each in english["reasons"]]
    first = french["reasons"][0]["sentence"]
    assert " point" in first
    assert "," in first
