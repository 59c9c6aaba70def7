"""What an attacker tries, and that it is refused. See test_evil_names.py for what they would write into the CRM."""

import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import httpx
import pytest
from desk_access import RULES, Newcomer, try_password
from desk_world import PASSWORD, PEOPLE, csrf_token
from fastapi.testclient import TestClient
from sqlalchemy import func, select

from winpredict.app import sign_in_throttle
from winpredict.app.identity import BROWSER_COOKIE, COOKIE, CSRF_HEADER, signed
from winpredict.app.people import change_password, change_role, deactivate, reactivate, revoke_token
from winpredict.app.records import ApiToken, Person, Role, Score, Session
from winpredict.app.sign_in_throttle import TRIES_A_PAIR

OF_DEALS = sorted(route for route in RULES if "{deal_id" in route)
LISTS = ("/deals", "/deals.csv", "/api/v1/deals")
#: What routes want besides an address, so that nothing but the deal is wrong about a request.
BODIES: dict[str, dict] = {
    "POST /deals/{deal_id:path}/feedback": {"data": {"kind": "other", "text": "wrong"}},
    "POST /api/v1/deals/{deal_id:path}/what-if": {"json": {"figures": {"touches": 3}}},
}
INJECTIONS = (
    "' OR '1'='1", "'; DROP TABLE score; --", "x') UNION SELECT password_hash FROM person --", "%", "_", "\\", "\0",
    "' || (SELECT value FROM setting) || '", "1 OR 1=1", "\N{SNOWMAN}" * 50,
)  # fmt: skip


# -- other people's deals


@pytest.mark.parametrize("route", OF_DEALS)
def test_another_reps_deal_is_as_none_at_all(signed_in, cast, route):
    for who, deal in (("rep", cast.other_deal), ("manager", cast.other_deal), ("unlinked_rep", cast.deal)):
        for exact in (deal, deal.lower(), deal + " ", deal + "\0", "%"):
            theirs, nobodys = (of_deal(signed_in(who), route, each) for each in (exact, "no-such-deal"))
            assert theirs.status_code == nobodys.status_code, (who, exact)
            assert theirs.status_code == 404, (who, exact, theirs.text)
            assert without_ids(theirs.text) == without_ids(nobodys.text)


def test_a_deal_is_shown_to_those_above_its_owner(signed_in, cast):
    for who, deal in (("rep", cast.deal), ("manager", cast.deal), ("boss", cast.deal), ("boss", cast.other_deal)):
        assert signed_in(who).get(f"/deals/{deal}").status_code == 200


@pytest.mark.parametrize("address", LISTS)
def test_lists_and_exports_hold_nobody_elses_deals(app, signed_in, cast, address):
    for question in ("", "search=" + cast.other_deal, "owner=" + cast.other_rep, "page=2", "rep=x&owner_id=x&all=1"):
        text = signed_in("rep").get(f"{address}?{question}").text
        for deal in deals_of(app, cast.other_rep):
            assert deal not in text.replace(f'value="{cast.other_deal}"', ""), question


@pytest.mark.parametrize("route", [route for route in RULES if route.startswith("GET ") and RULES[route].roles])
def test_what_one_has_kept_of_a_page_opens_it_to_nobody_else(signed_in, cast, route):
    """Whoever sends the ETag of another's answer gets no 304, which would tell that the answer is the same."""
    own = of_deal(signed_in("rep"), route, cast.deal)
    assert "public" not in own.headers.get("cache-control", "")
    if "etag" not in own.headers:
        return
    for tag in (own.headers["etag"], f"W/{own.headers['etag'].removeprefix('W/')}"):
        other = of_deal(signed_in("other_rep"), route, cast.deal, headers={"If-None-Match": tag})
        assert other.status_code != 304
        assert other.text != own.text or route == "GET /api/v1/glossary"  # which says the same to everybody
        if "{deal_id" in route:
            theirs = of_deal(signed_in("rep"), route, cast.other_deal, headers={"If-None-Match": tag})
            assert theirs.status_code == 404


def test_whoever_loses_their_deals_loses_them_at_once(app, cast):
    client, newcomer = client_of_newcomer(app, cast, Role.MANAGER)
    assert client.get(f"/deals/{cast.deal}").status_code == 200
    with app.state.desk.database.writing() as session:
        session.get(Person, newcomer.id).crm_user_id = None
    assert client.get(f"/deals/{cast.deal}").status_code == 404
    assert client.get("/api/v1/deals").json()["found"] == 0


# -- more than one's role


def test_a_role_cannot_be_sent_along(app, anybody):
    token = csrf_token(anybody.get("/sign-in").text)
    form = {"email": PEOPLE["rep"][0], "password": PASSWORD, "csrf_token": token, "role": "admin", "active": "1"}
    assert anybody.post("/sign-in?role=admin", data=form, headers={"X-Role": "admin"}).status_code == 303
    with app.state.desk.database.reading() as session:
        assert session.scalar(select(Person.role).where(Person.email == PEOPLE["rep"][0])) == Role.REP


def test_a_key_cannot_do_more_than_its_person(app, cast):
    """Scopes narrow what a role allows, and widen nothing."""
    newcomer = Newcomer(app, cast, Role.REP)
    key = newcomer.key("read", "models")
    client = TestClient(app, headers={"Authorization": f"Bearer {key}"})
    seen = client.get("/api/v1/deals").json()["deals"]
    assert {each["owner_id"] for each in seen} == {cast.rep}
    assert is_forbidden(client.get("/api/v1/models"), "your role")


@pytest.mark.parametrize("role", [Role.ADMIN, Role.SCIENTIST])
def test_a_key_does_not_outlive_its_persons_role(app, cast, role):
    """A rep's key, left in some spreadsheet, must not see all deals once the rep is a data scientist."""
    newcomer = Newcomer(app, cast, Role.REP)
    client = TestClient(app, headers={"Authorization": f"Bearer {newcomer.key('read')}"})
    assert client.get("/api/v1/deals").status_code == 200
    with app.state.desk.database.writing() as session:
        change_role(session, session.get(Person, newcomer.id), role, None)
    assert client.get("/api/v1/deals").status_code == 401


# -- requests made by others in somebody's name


def test_the_form_of_another_visit_signs_nobody_in(app, anybody):
    with TestClient(app) as attacker:
        token = csrf_token(attacker.get("/sign-in").text)
    for cookies in ({}, {"wp_visit": "made-up"}):
        anybody.cookies.update(cookies)
        form = {"email": PEOPLE["rep"][0], "password": PASSWORD, "csrf_token": token}
        answer = anybody.post("/sign-in", data=form)
        assert is_forbidden(answer, "open for too long")
        assert COOKIE not in answer.cookies


def test_a_token_in_the_address_or_in_json_does_not_count(app, cast):
    client, newcomer = client_of_newcomer(app, cast, Role.REP)
    for sent in ({"params": {"csrf_token": newcomer.csrf}}, {"json": {"csrf_token": newcomer.csrf}}):
        assert is_forbidden(client.post("/sign-out", **sent), "out of date")


def test_cookies_stay_with_us(app):
    with TestClient(app, follow_redirects=False) as client:
        answers = [client.get("/sign-in")]
        form = {"email": PEOPLE["rep"][0], "password": PASSWORD, "csrf_token": csrf_token(answers[0].text)}
        answers.append(client.post("/sign-in", data=form))
    cookies = [each for answer in answers for each in answer.headers.get_list("set-cookie")]
    assert {each.partition("=")[0] for each in cookies} >= {"wp_visit", COOKIE, BROWSER_COOKIE}
    for each in cookies:
        assert "httponly" in each.lower()
        assert "samesite=lax" in each.lower()
        assert "domain" not in each.lower()


# -- what is typed


@pytest.mark.parametrize("typed", INJECTIONS)
@pytest.mark.parametrize("field", ["search", "stage", "band", "owner", "order", "page", "reverse"])
def test_sql_in_filters_is_text(app, signed_in, field, typed):
    everything = signed_in("rep").get("/api/v1/deals").json()["found"]
    for address in LISTS:
        answer = signed_in("rep").get(address, params={field: typed})
        assert answer.status_code in (200, 422), answer.text
        assert "argon2" not in answer.text
    found = signed_in("rep").get("/api/v1/deals", params={field: typed})
    assert found.status_code == 422 or found.json()["found"] in ((0, everything) if typed in "_\0" else (0,))
    assert len(deals_of(app)) > everything


@pytest.mark.parametrize("route", [route for route in RULES if route.startswith("GET ") and "{" in route])
@pytest.mark.parametrize("typed", [*INJECTIONS, "9" * 40, "-1", "..", "%2e%2e%2f%2e%2e%2fapp.db", "a/b", ""])
def test_sql_and_paths_in_addresses_are_text(signed_in, route, typed):
    path = re.sub(r"\{\w+(:\w+)?\}", lambda _: typed, route.removeprefix("GET "))
    for who in ("rep", "scientist", "admin"):
        answer = signed_in(who).get(path.replace("\\", "%5C").replace("%2", "%252").replace("\0", "%00"))
        assert answer.status_code < 500
        assert "SQLite format" not in answer.text


@pytest.mark.parametrize(
    "path",
    [
        "/static/../application.py", "/static/%2e%2e/application.py", "/static/..%2f..%2fworkspace.py",
        "/static/....//application.py", "/static//etc/passwd", "/static/%2fetc/passwd", "/static/..%5c..%5capp.db",
        "/static/app.css%00.py", "/%2e%2e/%2e%2e/etc/passwd", "/static/", "/static", "/static/.",
    ],
)  # fmt: skip
def test_no_file_but_the_static_ones(anybody, path):
    answer = anybody.get(path)
    assert answer.status_code in (303, 404, 405)
    assert "import" not in answer.text
    assert "root:" not in answer.text


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example", "//evil.example", "/\\evil.example", "\\\\evil.example", "/\t/evil.example",
        "\t//evil.example", "https:evil.example", "javascript:alert(1)", "///evil.example", "/\r\nSet-Cookie: a=b",
        "evil.example", "", "/%0d%0aLocation:%20https://evil.example", "@evil.example", ".evil.example",
    ],
)  # fmt: skip
def test_signing_in_leads_nowhere_else(app, elsewhere):
    with TestClient(app, follow_redirects=False) as client:
        page = client.get("/sign-in", params={"next": elsewhere})
        form = {"email": PEOPLE["rep"][0], "password": PASSWORD, "csrf_token": csrf_token(page.text), "next": elsewhere}
        answer = client.post("/sign-in", data=form)
    where = answer.headers["location"]
    assert re.fullmatch(r"/([^/\\\s].*)?", where), where
    assert "a=b" not in answer.cookies.values()
    assert not re.search(r'value="[^"]*evil', page.text) or elsewhere.startswith("/%0d")


# -- another host


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "localhost.evil.example", "x@evil.example", ""])
def test_requests_for_another_host_are_refused(anybody, host):
    answer = anybody.get("/sign-in", headers={"Host": host})
    assert answer.status_code == 421
    assert "public_url" in answer.json()["detail"]


def test_no_address_is_made_of_the_host_that_a_request_names(anybody):
    headers = {"Host": "otherhost", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https", "Forwarded": "x"}
    for path in ("/deals", "/deals/", "/sign-in/", "/static", "/"):
        answer = anybody.get(path, headers=headers)
        assert "otherhost" not in answer.text + answer.headers.get("location", "")
        assert "evil" not in answer.text + answer.headers.get("location", "")


# -- sessions and keys


def test_a_planted_session_is_not_taken_on(app, cast):
    """The attacker's own session is in the browser before its owner signs in."""
    attacker = Newcomer(app, cast, Role.REP)
    planted = signed(app.state.desk, attacker.cookie)
    client = signed_in_client(app, "manager", cookies={COOKIE: planted})
    assert planted not in [each.value for each in client.cookies.jar if each.domain]
    with TestClient(app, cookies={COOKIE: planted}, follow_redirects=False) as former:
        assert former.get("/deals").status_code == 303


def test_every_sign_in_has_a_key_of_its_own(app):
    keys = {signed_in_client(app, "rep").cookies[COOKIE] for _ in range(3)}
    assert len(keys) == 3


def test_a_session_that_has_ended_does_not_come_back(app, cast):
    def ended_by(end):
        client, newcomer = client_of_newcomer(app, cast, Role.REP)
        assert client.get("/deals").status_code == 200
        end(client, newcomer)
        return client.get("/deals").status_code == 303

    def change(what):
        def end(client, newcomer):
            with app.state.desk.database.writing() as session:
                what(session, session.get(Person, newcomer.id))

        return end

    def expire(session, person):
        for each in session.scalars(select(Session).where(Session.person_id == person.id)):
            each.expires_at -= timedelta(hours=2)

    def out_and_in(session, person):
        deactivate(session, person, None)
        reactivate(session, person, None)

    assert ended_by(lambda client, newcomer: client.post("/sign-out", headers={CSRF_HEADER: newcomer.csrf}))
    assert ended_by(change(lambda session, person: change_password(session, person, "another horse battery", None)))
    assert ended_by(change(lambda session, person: change_role(session, person, Role.MANAGER, None)))
    assert ended_by(change(expire))
    assert ended_by(change(out_and_in))


def test_a_key_that_was_revoked_does_not_come_back(app, cast):
    newcomer = Newcomer(app, cast, Role.REP)
    keys = [newcomer.key("read") for _ in range(3)]
    clients = [TestClient(app, headers={"Authorization": f"Bearer {key}"}) for key in keys]
    assert [client.get("/api/v1/deals").status_code for client in clients] == [200] * 3
    with app.state.desk.database.writing() as session:
        person = session.get(Person, newcomer.id)
        tokens = session.scalars(select(ApiToken).where(ApiToken.person_id == person.id).order_by(ApiToken.id)).all()
        revoke_token(session, tokens[0], person)
        tokens[1].expires_at -= timedelta(days=400)
    assert [client.get("/api/v1/deals").status_code for client in clients] == [401, 401, 200]
    with app.state.desk.database.writing() as session:
        deactivate(session, session.get(Person, newcomer.id), None)
    with app.state.desk.database.writing() as session:
        reactivate(session, session.get(Person, newcomer.id), None)
    assert [client.get("/api/v1/deals").status_code for client in clients] == [401] * 3


def test_cookies_that_were_tampered_with_are_worth_nothing(app, cast):
    newcomer = Newcomer(app, cast, Role.REP)
    whole, other = (
        signed(app.state.desk, newcomer.cookie),
        signed(app.state.desk, Newcomer(app, cast, Role.ADMIN).cookie),
    )
    key, signature = whole.rsplit(".", 1)
    forged = [
        key, f"{key}.", f".{signature}", f"{other.rsplit('.', 1)[0]}.{signature}", whole[:-1], whole + "0",
        whole.upper(), f"{key}.{'0' * 64}", "x" * 4000, "\xe9.\xe9", f"{whole}; {COOKIE}={other[:-1]}",
    ]  # fmt: skip
    for cookie in forged:
        with TestClient(app, follow_redirects=False) as client:
            headers = {"Cookie": f"{COOKIE}={cookie}; wp_visit={cookie}".encode("latin-1")}
            assert client.get("/deals", headers=headers).status_code == 303, cookie


def test_the_database_holds_no_key_that_opens_anything(app, cast):
    newcomer = Newcomer(app, cast, Role.REP)
    key = newcomer.key("read")
    with app.state.desk.database.reading() as session:
        stored = session.execute(select(Session.key_hash).union_all(select(ApiToken.key_hash))).scalars().all()
        hashes = session.scalars(select(Person.password_hash).where(Person.password_hash.is_not(None))).all()
    assert key not in stored
    assert newcomer.cookie not in stored
    assert all(each.startswith("$argon2id$") for each in hashes)


# -- guessing


def test_guessing_from_elsewhere_does_not_shut_the_owner_out(app, cast):
    owner = signed_in_client(app, "boss")
    with TestClient(app, client=("192.0.2.7", 1), follow_redirects=False) as stranger:
        statuses = [
            try_password(stranger, PEOPLE["boss"][0], f"wrong horse {number}") for number in range(TRIES_A_PAIR + 1)
        ]
        assert statuses == [401] * TRIES_A_PAIR + [429]
        assert try_password(stranger, PEOPLE["boss"][0]) == 429
    owner.cookies.delete(COOKIE)
    assert try_password(owner, PEOPLE["boss"][0]) == 303


def test_whether_somebody_is_there_is_not_told(app):
    answers = set()
    for email in (PEOPLE["scientist"][0], "nobody@example.com"):
        with TestClient(app) as client:
            form = {"email": email, "password": "wrong", "csrf_token": csrf_token(client.get("/sign-in").text)}
            answer = client.post("/sign-in", data=form)
        told = re.search(r'role="alert">([^<]+)<', answer.text)
        answers.add((answer.status_code, told[1]))
    assert len(answers) == 1


def test_a_flood_of_passwords_holds_up_nobody_else(served, monkeypatch):
    """More sign-ins than there are threads wait for their turn, and pages are answered all the same."""
    looked_at, go_on = threading.Event(), threading.Event()

    def slow(*_):
        looked_at.set()
        go_on.wait(30)
        return False, None

    monkeypatch.setattr(sign_in_throttle, "_verify", slow)
    with httpx.Client(base_url=served, limits=httpx.Limits(max_connections=200), timeout=30) as crowd:
        token = csrf_token(crowd.get("/sign-in").text)

        def sign_in(number: int) -> int:
            form = {"email": f"nobody-{number}@example.com", "password": "wrong", "csrf_token": token}
            return crowd.post("/sign-in", data=form).status_code

        with ThreadPoolExecutor(60) as threads:
            statuses = [threads.submit(sign_in, number) for number in range(60)]
            try:
                assert looked_at.wait(20)
                while sum(each.done() for each in statuses) < 10:  # those beyond fifty are sent away at once
                    time.sleep(0.01)
                for path in ("/sign-in", "/api/v1/health"):
                    assert httpx.get(f"{served}{path}", timeout=10).status_code == 200
            finally:
                go_on.set()
    assert sorted(each.result() for each in statuses) == [401] * 50 + [503] * 10


# -- too much


def test_large_requests_are_refused(app, signed_in):
    most = app.state.desk.config.app.largest_request_kb * 1024
    client = signed_in("rep")

    def chunks():  # without saying how much will come
        for _ in range(most // 65536 + 2):
            yield b"a" * 65536

    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for route in [route for route in RULES if route.startswith("POST ")]:
        path = path_of(route, "x")
        for answer in (
            client.post(path, content=b"a" * (most + 1), headers=form),
            client.post(path, headers={"Content-Length": "9" * 30, **form}),
        ):
            assert (answer.status_code, answer.headers["x-content-type-options"]) == (413, "nosniff")
        assert client.post(path, content=chunks(), headers=form).status_code == 413


@pytest.mark.parametrize(
    "body", [b"[" * 200_000, b'{"a":' * 100_000, b"[" * 50_000 + b"]" * 50_000, b"9" * 500_000, b"\xff"]
)
def test_deep_and_broken_json_is_no_error_of_ours(signed_in, body):
    client = signed_in("rep")
    headers = {"Content-Type": "application/json", CSRF_HEADER: client.csrf}
    for route in [route for route in RULES if route.startswith("POST ") and route != "POST /sign-out"]:
        answer = client.post(path_of(route, "x"), content=body, headers=headers)
        assert 400 <= answer.status_code < 500, (route, answer.text)


# -- headers


@pytest.mark.parametrize("path", ["/sign-in", "/deals", "/static/app.css", "/static/none", "/none", "/api/v1/none"])
def test_every_answer_carries_the_headers(signed_in, path):
    headers = signed_in("rep").get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert "server" not in headers


def test_an_error_of_ours_tells_nothing_and_carries_the_headers(app, signed_in, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("secret detail")

    quiet = TestClient(app, raise_server_exceptions=False, cookies=signed_in("rep").cookies)
    monkeypatch.setattr("winpredict.app.listing.shown_deals", fail)
    for path in LISTS:
        answer = quiet.get(path)
        assert answer.status_code == 500
        assert "secret detail" not in answer.text
        assert "Traceback" not in answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["connection"] == "close"  # as the server does at an error of ours


# -- helpers


def of_deal(client, route: str, deal: str, **more):
    """The answer about a deal, asked with all that the route wants."""
    method, _ = route.split(" ")
    headers = {CSRF_HEADER: client.csrf} if method != "GET" else {}
    more = BODIES.get(route, {}) | more
    return client.request(method, path_of(route, deal), headers=headers | more.pop("headers", {}), **more)


def path_of(route: str, value: str) -> str:
    from urllib.parse import quote

    return re.sub(r"\{\w+(:\w+)?\}", quote(value, safe=""), route.partition(" ")[2])


def without_ids(text: str) -> str:
    """An answer without what differs between any two: ids that were asked for, and tokens."""
    return re.sub(r'value="[^"]*"|action="[^"]*"|"instance":"[^"]*"', "", text)


def deals_of(app, owner: str | None = None) -> list[str]:
    with app.state.desk.database.reading() as session:
        latest = select(Score.deal_id).where(Score.run_id == select(func.max(Score.run_id)).scalar_subquery())
        return list(session.scalars(latest if owner is None else latest.where(Score.owner_id == owner)))


def signed_in_client(app, who: str, **more) -> TestClient:
    client = TestClient(app, follow_redirects=False, **more)
    assert try_password(client, PEOPLE[who][0]) == 303
    return client


def client_of_newcomer(app, cast, role: Role) -> tuple[TestClient, Newcomer]:
    newcomer = Newcomer(app, cast, role)
    return newcomer.client(), newcomer


def is_forbidden(answer, why: str) -> bool:
    return answer.status_code == 403 and why in answer.text
