"""What programs read: pages, tags, names, health and figures."""

from datetime import timedelta

import pytest
from desk_access import Newcomer
from fastapi.testclient import TestClient
from sqlalchemy import select

from winpredict.app.records import Role, Score, ScoringRun
from winpredict.app.visibility import latest_run

V1 = "/api/v1"


@pytest.fixture(scope="module")
def client(app):
    with TestClient(app) as made:
        yield made


@pytest.fixture(scope="module")
def get(app, cast, client):
    """Ask as somebody of a role, with a key for everything that is read."""
    keys = {role: Newcomer(app, cast, role).key("read", "models", "metrics") for role in Role}

    def ask(path: str, role: Role = Role.REP, **headers: str):
        sent = {"Authorization": f"Bearer {keys[role]}"} | {name.replace("_", "-"): v for name, v in headers.items()}
        return client.get(path, headers=sent)

    return ask


@pytest.mark.parametrize("address", ["/deals?order=closing&limit=7", "/scores?limit=7", "/deals?search=0&limit=4"])
def test_pages_hold_every_row_once(get, address):
    kind, _, _ = address.strip("/").partition("?")
    found, path, seen = None, f"{V1}{address}", []
    while path:
        answer = get(path, Role.SCIENTIST)
        page = answer.json()
        found = page["found"] if found is None else found
        seen += [each["deal_id"] for each in page[kind]]
        link = answer.headers.get("link", "")
        assert (page["next"] is None) == ('rel="next"' not in link)
        path = page["next"]
    assert len(seen) == len(set(seen)) == found > 7


def test_beyond_the_last_page_there_is_a_way_back(get):
    page = get(f"{V1}/scores?limit=5&page=9999").json()
    assert page["scores"] == []
    assert get(page["previous"]).json()["scores"]


def test_a_tag_spares_the_answer_and_fits_nobody_else(get, cast):
    path = f"{V1}/deals/{cast.deal}"
    first = get(path)
    tag = first.headers["etag"]
    assert first.headers["cache-control"] == "private, no-cache"
    assert first.headers["vary"] == "Authorization, Cookie, Accept-Language"
    for named in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = get(path, if_none_match=named)
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert get(path, if_none_match='"other"').status_code == 200
    theirs = get(path, Role.MANAGER, if_none_match=tag)
    assert theirs.status_code == 200
    assert theirs.headers["etag"] != tag
    hidden = get(f"{V1}/deals/{cast.other_deal}", if_none_match="*")
    assert hidden.status_code == 404


def test_names_are_for_those_who_see_them(get, cast):
    assert get(f"{V1}/deals/{cast.deal}").json()["name"]
    for path in (f"/deals/{cast.deal}", "/deals?limit=200"):
        told = get(f"{V1}{path}", Role.SCIENTIST).json()
        for deal in told.get("deals", [told]):
            assert deal["name"] is deal["account"] is None


def test_a_deals_history_begins_with_the_oldest(get, cast):
    scores = get(f"{V1}/deals/{cast.deal}/scores").json()["scores"]
    assert [each["run"]["id"] for each in scores] == sorted(each["run"]["id"] for each in scores)
    assert scores[-1]["win_probability"] == get(f"{V1}/deals/{cast.deal}").json()["win_probability"]


def test_reasons_add_up_to_the_odds(get, cast):
    told = get(f"{V1}/deals/{cast.deal}/reasons").json()
    points = sum(each["points"] for each in (*told["reasons"], *told["given"])) + told["other_points"]
    assert told["base_probability"] + points == pytest.approx(told["win_probability"])
    assert told["next_steps"] == get(f"{V1}/deals/{cast.deal}").json()["next_steps"]


def test_what_if_names_each_figure_that_will_not_do(app, cast, client, get):
    path = f"{V1}/deals/{cast.deal}/what-if"
    figure = next(each for each in get(path).json()["figures"] if each["name"] == "touches")
    headers = {"Authorization": f"Bearer {Newcomer(app, cast, Role.REP).key('read')}"}
    fine = client.post(path, json={"figures": {"touches": figure["high"]}}, headers=headers)
    assert fine.status_code == 200
    assert "not what a change would bring about" in fine.json()["sentence"]
    bad = client.post(path, json={"figures": {"touches": figure["high"] + 1e6, "luck": 1}}, headers=headers)
    assert [each["where"] for each in bad.json()["errors"]] == ["body.figures.touches", "body.figures.luck"]


def test_insights_are_of_the_deals_that_one_may_see(get):
    of_all, of_team = (get(f"{V1}/funnel", role).json() for role in (Role.SCIENTIST, Role.MANAGER))
    assert sum(each["deals"] for each in of_team["stages"]) <= sum(each["deals"] for each in of_all["stages"])
    assert [each["period"] for each in get(f"{V1}/forecast", Role.MANAGER).json()["periods"]]
    wrong = get(f"{V1}/drivers?segment=nothing", Role.MANAGER)
    assert wrong.status_code == 422
    assert wrong.json()["errors"][0]["where"] == "query.segment"


def test_models(get):
    listed = get(f"{V1}/models", Role.SCIENTIST).json()["models"]
    champion = get(f"{V1}/models/champion", Role.SCIENTIST).json()
    assert champion["version"] == listed[0]["version"] == 1
    assert champion["params"]["seed"] == "0"


@pytest.mark.parametrize(
    ("path", "status"), [("/nothing", 404), ("/deals?page=0", 422), ("/models/9", 404), ("/deals/no%2Fsuch", 404)]
)
def test_errors_are_problem_documents(get, path, status):
    answer = get(f"{V1}{path}", Role.SCIENTIST)
    assert answer.status_code == answer.json()["status"] == status
    assert answer.headers["content-type"] == "application/problem+json"


def test_other_methods_are_told_so(client):
    answer = client.delete(f"{V1}/deals")
    assert answer.status_code == answer.json()["status"] == 405
    assert "GET" in answer.headers["allow"]


def test_what_breaks_is_a_problem_document_without_the_cause(app, get, monkeypatch):
    def broken(*of, **more):
        raise RuntimeError("secret cause")

    monkeypatch.setattr("winpredict.app.api.deals.find_deals", broken)
    quiet = TestClient(app, raise_server_exceptions=False)
    key = get(f"{V1}/scores").request.headers["authorization"]
    answer = quiet.get(f"{V1}/deals", headers={"Authorization": key})
    assert answer.status_code == answer.json()["status"] == 500
    assert "secret cause" not in answer.text


def test_alive_and_ready(client, app, monkeypatch):
    assert client.get(f"{V1}/health").json() == {"status": "alive"}
    ready = client.get(f"{V1}/readiness").json()
    assert ready["status"] == "ready"
    assert ready["scores_age_hours"] >= 0
    monkeypatch.setattr("winpredict.app.api.health.published", lambda database: None)
    answer = client.get(f"{V1}/readiness")
    assert (answer.status_code, answer.json()["detail"]) == (503, "not ready: no scores were published")


def test_figures_for_prometheus(get, cast):
    get(f"{V1}/deals/{cast.deal}")
    get("/no/such/page")
    text = get("/metrics", Role.ADMIN).text
    assert 'winpredict_requests_total{method="GET",route="/api/v1/deals/{deal_id:path}",status="200"}' in text
    assert 'winpredict_request_seconds_bucket{le="0.05",method="GET",route="/api/v1/deals/{deal_id:path}"}' in text
    assert "winpredict_scoring_runs 2.0" in text
    assert "winpredict_scores_age_seconds" in text
    assert cast.deal not in text
    assert "/no/such" not in text


def test_the_reference_is_a_page_for_everybody(client):
    page = client.get(f"{V1}/docs")
    assert page.status_code == 200
    for told in ("Score a deal that is sent", "/api/v1/deals/{deal_id}", "openapi.json", "Authorization: Bearer"):
        assert told in page.text
    assert "<script>" not in page.text


def test_what_is_asked_about_is_the_deal_whose_odds_are_shown(app, get, client, cast):
    """What if starts from the odds of the run, to the last bit, and knows nothing that came after it."""
    key = Newcomer(app, cast, Role.SCIENTIST).key("read")
    sent = {"Authorization": f"Bearer {key}"}
    shown = get(f"{V1}/scores?limit=20", Role.SCIENTIST).json()["scores"]
    for each in shown:
        address = f"{V1}/deals/{each['deal_id']}/what-if"
        figure = next(one for one in client.get(address, headers=sent).json()["figures"] if one["now"] is not None)
        asked = {"figures": {figure["name"]: min(max(figure["now"], figure["low"]), figure["high"])}}
        answer = client.post(address, json=asked, headers=sent).json()
        reasons = get(f"{V1}/deals/{each['deal_id']}/reasons", Role.SCIENTIST).json()
        assert answer["before"] == reasons["win_probability"] == each["win_probability"]


def test_a_run_before_the_models_training_tells_neither_reasons_nor_what_if(app, get, cast):
    database = app.state.desk.database
    with database.writing() as session:
        run = session.get(ScoringRun, session.scalar(latest_run()))
        kept, run.as_of = run.as_of, run.as_of - timedelta(days=3)
    try:
        for what in ("reasons", "what-if"):
            answer = get(f"{V1}/deals/{cast.deal}/{what}")
            assert answer.status_code == 409
            assert "would know" in answer.json()["detail"]
    finally:
        with database.writing() as session:
            session.get(ScoringRun, run.id).as_of = kept


def test_deals_come_with_their_reasons_and_what_to_do_next(get, app):
    """As they were published, and for a rep without the owner's record."""
    for role in (Role.REP, Role.MANAGER):
        deals = get(f"{V1}/deals?limit=100", role).json()["deals"]
        assert deals
        assert all(each["reasons"] and each["reasons"][0].endswith("points)") for each in deals)
        told = [sentence for each in deals for sentence in each["reasons"]]
        assert any("the owner's win rate" in each.lower() for each in told) == (role is Role.MANAGER)
    steps = [step for each in deals for step in each["next_steps"]]
    assert all(set(step["flags"]) <= set(each["flags"]) for each in deals for step in each["next_steps"])
    assert all(step["action"].endswith((".", "?")) and step["why"] for step in steps)
    assert any(step["is_to_do"] for step in steps)
    with app.state.desk.database.reading() as session:
        score = session.scalars(select(Score).where(Score.deal_id == deals[0]["deal_id"])).first()
    assert score.reasons
    assert all(each["points"] for each in score.reasons)
