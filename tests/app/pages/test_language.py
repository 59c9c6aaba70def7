import re
import shutil
from html import unescape

import pandas as pd
import pytest
from desk_world import PEOPLE, client_of, csrf_token
from fastapi.testclient import TestClient
from sqlalchemy import select
from untranslated import untranslated

from winpredict.app.application import create_app
from winpredict.app.language import language_names
from winpredict.app.pages.rendering import TEMPLATES
from winpredict.app.people import add_person, make_token
from winpredict.app.records import ApiToken, AuditEntry, CrmUser, Person, Role
from winpredict.config import Config
from winpredict.locale.language import Language
from winpredict.models.drift import Drift
from winpredict.models.registry import list_models, read_dropped_attributes
from winpredict.workspace import Workspace

#: Templates of the pages that are the same for everybody: the frame, accounts, people, keys, models and errors.
SHELL = (
    *("_odds", "_parts", "_work", "account", "api_reference", "base", "error", "forgot_password", "given_password"),
    *("log", "model", "models", "own_password", "people", "person", "promote", "reset_password", "sign_in", "tokens"),
)
PSEUDO = {"Accept-Language": "en_XA"}
FRENCH = {"Accept-Language": "fr-CH, fr;q=0.9, en;q=0.8"}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory, judged):
    """With a backtest, and a challenger."""
    folder = tmp_path_factory.mktemp("desk") / "workspace"
    shutil.copytree(judged.folder, folder)
    return Workspace(folder)


@pytest.fixture
def spoken(app, signed_in):
    """Give somebody of `desk_world.PEOPLE` a language of their own, as long as a test lasts."""

    def speak(who: str, language: str | None) -> TestClient:
        with app.state.desk.database.writing() as session:
            person = session.scalars(select(Person).where(Person.email == PEOPLE[who][0])).one()
            person.language = language
        return signed_in(who)

    yield speak
    for who in PEOPLE:
        speak(who, None)


def names_of(app, workspace) -> set[str]:
    """What pages of people and models show of data."""
    with app.state.desk.database.reading() as session:
        people = [word for each in session.scalars(select(Person)) for word in (each.name, each.email)]
        users = [
            word
            for user, name, team in session.execute(select(CrmUser.user_id, CrmUser.name, CrmUser.team))
            for word in (user, name, team and f"{name}, {team}")
            if word
        ]
        tokens = session.scalars(select(ApiToken.name)).all()
    dropped = read_dropped_attributes(workspace.folder, list_models(workspace.folder)[-1])
    return {*people, *users, *tokens, *dropped}


def number_of(app, who: str) -> int:
    with app.state.desk.database.reading() as session:
        return session.scalars(select(Person.id).where(Person.email == PEOPLE[who][0])).one()


def whole(client, address: str, **headers) -> str:
    """A page with all its parts."""
    for _ in range(60):
        answer = client.get(address, headers=headers)
        if "data-waiting" not in answer.text:
            return answer.text
    pytest.fail("parts of the page are never there")


def test_the_sign_in_page_follows_the_browser(anybody):
    answer = anybody.get("/sign-in", headers=FRENCH)
    assert '<html lang="fr">' in answer.text
    assert '<button type="submit">Se connecter</button>' in answer.text
    assert answer.headers["content-language"] == "fr"
    vary = {each.strip() for each in answer.headers["vary"].split(",")}
    assert vary >= {"Accept-Language", "Cookie"}
    answer = anybody.get("/sign-in", headers={"Accept-Language": "nl, sv;q=0.5"})
    assert '<html lang="en">' in answer.text
    assert answer.headers["content-language"] == "en"


def test_what_is_the_same_in_all_languages_says_nothing_of_them(anybody):
    answer = anybody.get("/static/app.css", headers=FRENCH)
    assert "content-language" not in answer.headers
    assert "vary" not in answer.headers


@pytest.mark.parametrize(
    ("who", "address", "words"),
    [
        ("rep", "/account", "<h1>Mon compte</h1>"),
        ("rep", "/tokens", "<h1>Clés d’API</h1>"),
        ("scientist", "/models", "<h1>Modèles</h1>"),
        ("scientist", "/models/1", '<h2 id="audit">Audit de fuite de données</h2>'),
        ("scientist", "/models/2/promote", "<h1>Promouvoir le modèle 2\u00a0?</h1>"),
        ("scientist", "/models/99", "<p>Le modèle 99 est introuvable.</p>"),
        ("admin", "/people", "<h1>Utilisateurs</h1>"),
        ("admin", "/people/1", '<h2 id="role_head">Rôle et utilisateur du CRM</h2>'),
        ("admin", "/people/log", "<h1>Journal d’audit</h1>"),
        ("rep", "/people", "<h1>Accès refusé</h1>"),
        ("rep", "/nowhere", "<h1>Page introuvable</h1>"),
        ("rep", "/api/v1/docs", "<h1>L’API</h1>"),
    ],
)
def test_pages_are_french(signed_in, who, address, words):
    answer = signed_in(who).get(address, headers=FRENCH)
    assert '<html lang="fr">' in answer.text
    assert words in answer.text
    assert answer.headers["content-language"] == "fr"


def test_ones_own_setting_beats_the_browser(spoken):
    rep = spoken("rep", "de")
    answer = rep.get("/account", headers=FRENCH)
    assert '<html lang="de">' in answer.text
    assert "<h1>Mein Konto</h1>" in answer.text
    assert answer.headers["content-language"] == "de"
    # also where something is refused
    assert "<h1>Kein Zugriff</h1>" in rep.get("/people", headers=FRENCH).text


def test_the_browser_beats_the_config(app, signed_in, monkeypatch):
    admin = signed_in("admin")
    monkeypatch.setattr(app.state.desk, "config", Config(language="de"))
    assert "<h1>Benutzer</h1>" in admin.get("/people").text
    assert "<h1>Utilisateurs</h1>" in admin.get("/people", headers=FRENCH).text


def test_without_a_wish_the_config_decides_also_for_those_who_are_not_signed_in(tmp_path):
    app = create_app(Workspace(tmp_path), Config(language="fr"))
    with TestClient(app) as client:
        assert '<html lang="fr">' in client.get("/sign-in").text
        assert '<html lang="de">' in client.get("/sign-in", headers={"Accept-Language": "de"}).text
    app.state.desk.database.close()


def test_numbers_and_days_follow_the_region(signed_in):
    scientist = signed_in("scientist")
    swiss = whole(scientist, "/models", **{"Accept-Language": "de-CH"})
    german = whole(scientist, "/models", **{"Accept-Language": "de-DE"})
    deals = r'data-label="Abgeschlossene Deals">([^<]+)<'
    assert re.search(deals, swiss)[1].replace("’", "") == re.search(deals, german)[1].replace(".", "")


def test_a_language_is_chosen_on_the_account_page(app, lea):
    shown = lea.get("/account").text
    assert '<option value="browser">Same as my browser</option>' in shown
    for name, words in language_names().items():
        assert f'<option value="{name}" lang="{name}">{words}</option>' in shown
    form = {"csrf_token": csrf_token(shown), "language": "fr"}
    answer = lea.post("/account/language", data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/account?done=language")
    shown = lea.get(answer.headers["location"], headers={"Accept-Language": "de"}).text
    assert "Votre langue a été enregistrée." in shown
    assert '<option value="fr" lang="fr" selected>Français</option>' in shown
    assert lea.post("/account/language", data=form | {"language": "browser"}).status_code == 303
    assert "<h1>Mein Konto</h1>" in lea.get("/account", headers={"Accept-Language": "de"}).text
    with app.state.desk.database.reading() as session:
        entries = session.scalars(select(AuditEntry).where(AuditEntry.action == "language changed"))
        kept = [(each.person.email, each.subject, each.details) for each in entries]
    assert kept == [
        ("lea@example.com", "lea@example.com", {"language": [None, "fr"]}),
        ("lea@example.com", "lea@example.com", {"language": ["fr", None]}),
    ]


@pytest.fixture
def lea(app):
    """Somebody whose language tests may change."""
    with app.state.desk.database.writing() as session:
        add_person(session, "lea@example.com", "Lea", Role.REP, password="correct horse battery")
    with client_of(app, "lea@example.com") as client:
        yield client


def test_a_language_that_is_not_there_is_refused(signed_in):
    rep = signed_in("rep")
    for language, status in (("tlh", 409), ("en_XA", 409), ("", 422), ("x" * 21, 422)):
        answer = rep.post("/account/language", data={"csrf_token": rep.csrf, "language": language})
        assert answer.status_code == status
    assert rep.post("/account/language", data={"language": "fr"}).status_code == 403
    assert '<html lang="en">' in rep.get("/account").text


def test_admins_choose_for_others(app, spoken, signed_in):
    admin, rep = signed_in("admin"), number_of(app, "rep")
    answer = admin.post(f"/people/{rep}/language", data={"csrf_token": admin.csrf, "language": "de"})
    assert answer.headers["location"] == f"/people/{rep}?done=language"
    assert "The language has been saved." in admin.get(answer.headers["location"]).text
    assert '<html lang="de">' in signed_in("rep").get("/account").text
    shown = admin.get("/people/log").text
    assert "language: – → de" in shown
    form = {"csrf_token": signed_in("rep").csrf, "language": "fr"}
    assert signed_in("rep").post(f"/people/{rep}/language", data=form).status_code == 403


def test_programs_are_told_in_the_language_of_whom_the_key_belongs_to(app, spoken, anybody):
    spoken("rep", "fr")
    with app.state.desk.database.writing() as session:
        person = session.get(Person, number_of(app, "rep"))
        key, _ = make_token(session, person, "key", ["read"])
    headers = {"Authorization": f"Bearer {key}", "Accept-Language": "de"}
    answer = anybody.get("/api/v1/deals?limit=3", headers=headers)
    assert answer.headers["content-language"] == "fr"
    words = " ".join(reason for deal in answer.json()["deals"] for reason in deal["reasons"])
    assert re.search(r"\((?:\+|−)\d+,\d point", words)
    spoken("rep", None)
    assert anybody.get("/api/v1/deals?limit=3", headers=headers).headers["content-language"] == "de"


def test_a_fault_is_told_in_the_language_of_the_request(app, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("disk full")

    with client_of(app, PEOPLE["rep"][0]) as client:
        client._transport.raise_server_exceptions = False
        monkeypatch.setattr("winpredict.app.pages.account.render", broken)
        answer = client.get("/account", headers=FRENCH)
    assert answer.status_code == 500
    assert '<html lang="fr">' in answer.text
    assert "<h1>Une erreur s’est produite</h1>" in answer.text
    assert answer.headers["content-language"] == "fr"


@pytest.mark.parametrize(
    ("who", "address"),
    [
        (None, "/sign-in"),
        (None, "/api/v1/docs"),
        (None, "/nowhere"),
        ("rep", "/account"),
        ("rep", "/account?changed=1&done=language"),
        ("unlinked_rep", "/account"),
        ("rep", "/account?done=ended"),
        ("rep", "/account/password"),
        ("rep", "/tokens"),
        ("scientist", "/tokens?revoked=1"),
        ("rep", "/people"),
        ("admin", "/people"),
        ("admin", "/people/1"),
        ("admin", "/people/1?done=changed"),
        ("admin", "/people/1?done=language"),
        ("admin", "/people/log"),
        ("admin", "/people/log?page=999"),
        ("admin", "/people/99999"),
        ("scientist", "/models"),
        ("scientist", "/models/1"),
        ("scientist", "/models/2"),
        ("scientist", "/models/1/promote"),
        ("scientist", "/models/2/promote"),
    ],
)
def test_every_word_comes_from_a_message_or_from_data(app, workspace, signed_in, anybody, who, address):
    client = anybody if who is None else signed_in(who)
    assert untranslated(whole(client, address, **PSEUDO), names_of(app, workspace)) == []


@pytest.mark.parametrize("name", SHELL)
def test_templates_hold_no_words_but_messages(name):
    source = (TEMPLATES / f"{name}.html").read_text(encoding="utf-8")
    # the macros that make addresses of pages stand on a line each
    addresses = r"\{% macro \w+_on\(page\) %\}.*?\{% endmacro %\}"
    assert (
        untranslated(re.sub(rf"{addresses}|\{{#.*?#\}}|\{{%.*?%\}}|\{{\{{.*?\}}\}}", "", source, flags=re.DOTALL)) == []
    )


def test_every_word_about_drift_and_feedback(app, workspace, signed_in, cast, monkeypatch):
    rep, scientist, desk = signed_in("rep"), signed_in("scientist"), app.state.desk
    form = {"csrf_token": rep.csrf, "kind": "too_low", "text": "too low, I say"}
    assert rep.post(f"/deals/{cast.deal}/feedback", data=form).status_code == 303
    rows = pd.DataFrame(
        [
            {
                "sentence": "amount",
                "unit": unit,
                "then": 0.2,
                "now": 0.5,
                "category": "EU",
                "shift": 0.3,
                "is_clear": clear,
            }
            for unit, clear in (("category", True), ("points", False), ("days", False))
        ]
    )
    day = pd.Timestamp("2025-01-01", tz="UTC")
    drift = Drift(day, day, 20, 20, 0.3, 0.3, rows, 5.0, 1.0, 9.0, 5, 5)
    key = ("drift", desk.workspace.state, 1, "en_XA")
    desk.forget(key)
    monkeypatch.setattr("winpredict.app.pages.models._drift", lambda desk: drift)
    shown = whole(scientist, "/models", **PSEUDO)
    desk.forget(key)
    data = {"amount", "EU", "too low, I say", cast.deal}
    assert untranslated(shown, names_of(app, workspace) | data) == []
    assert "Kôlmôgôrôv" in shown


def test_every_word_without_a_model(app, workspace, signed_in, monkeypatch):
    monkeypatch.setattr("winpredict.models.registry.list_models", lambda folder: [])
    monkeypatch.setattr("winpredict.models.backtest_record.list_backtests", lambda folder: [])
    monkeypatch.setattr("winpredict.app.pages.models._key", lambda desk: "nothing there")
    names = names_of(app, workspace) | {"too low, I say"}
    shown = whole(signed_in("scientist"), "/models", **PSEUDO)
    assert "[Ñô môdél ýét~~~~~]" in shown
    assert [words for words in untranslated(shown, names) if not words.startswith("006")] == []


def test_notes_verdicts_and_reasons_on_record_are_french(signed_in, workspace):
    """They were recorded by whoever trained, in any language, and are said in the reader's."""
    french = {"Accept-Language": "fr"}
    models = unescape(whole(signed_in("scientist"), "/models", **french))
    assert re.search(r"Log loss inférieure de|Aucun signal exploitable|Rien ne montre que le modèle", models)
    assert re.search(r"intervalle à 95\u00a0% de la différence de [+−]\d,\d{4} à [+−]\d,\d{4}, ", models)
    first = list_models(workspace.folder)[-1]
    page = unescape(whole(signed_in("scientist"), f"/models/{first.version}", **french))
    messages = [*first.notes, *read_dropped_attributes(workspace.folder, first).values()]
    assert len(messages) > 1
    for message in messages:
        said = message.said_in(Language("fr"))
        assert said != str(message)
        assert said in page


def test_who_cannot_sign_in_is_told_why_in_french(anybody):
    form = {"email": "nobody@example.com", "password": "wrong password"}
    form["csrf_token"] = csrf_token(anybody.get("/sign-in", headers=FRENCH).text)
    answers = [anybody.post("/sign-in", data=form, headers=FRENCH) for _ in range(6)]
    assert [answers[0].status_code, answers[-1].status_code] == [401, 429]
    words = ["ette adresse e-mail et ce mot de passe ne correspondent pas", "rop de mots de passe erronés"]
    assert words[0] in answers[0].text
    assert words[1] in answers[-1].text


@pytest.mark.parametrize("header", ["*", "fr;q=x", ",,,;q=", "x" * 5000, "fr-" * 3000, "\u00e9"])
def test_a_header_of_any_kind_is_borne(anybody, header):
    assert anybody.get("/sign-in", headers={"Accept-Language": header.encode()}).status_code == 200


def test_every_word_of_what_forms_answer(app, workspace, signed_in):
    names = names_of(app, workspace)
    rep, admin = signed_in("rep"), signed_in("admin")
    answers = [
        rep.post("/tokens", data={"csrf_token": rep.csrf, "name": "my sheet", "scopes": ["read"]}, headers=PSEUDO),
        rep.post("/tokens", data={"csrf_token": rep.csrf, "name": "my sheet"}, headers=PSEUDO),
        rep.post("/account/password", data={"csrf_token": rep.csrf, "new": "a" * 12, "again": "b"}, headers=PSEUDO),
        rep.post("/account/password", data={}, headers=PSEUDO),
        admin.post(
            "/people",
            data={"csrf_token": admin.csrf, "email": "kim@example.com", "name": "Kim", "role": "rep"},
            headers=PSEUDO,
        ),
        admin.post(
            "/people",
            data={"csrf_token": admin.csrf, "email": "x@y.example", "role": "rep", "crm_user": "made-up"},
            headers=PSEUDO,
        ),
    ]
    assert [each.status_code for each in answers] == [200, 409, 409, 403, 200, 409]
    for answer in answers:
        assert untranslated(answer.text, names | {"Kim", "kim@example.com", "made-up", "my sheet"}) == []
