"""No secret of the win desk is written anywhere: logs at their most talkative, error pages, the database's files.

The desk runs in a process of its own, as `winpredict serve` runs it, with all loggers at DEBUG.
"""

import base64
import os
import re
import sqlite3
import subprocess
import sys
import time
from dataclasses import dataclass, field
from urllib.parse import parse_qs, quote, urlsplit

import httpx
import pytest
import yaml
from desk_world import csrf_token

from winpredict.app.database import open_database
from winpredict.app.people import add_person
from winpredict.app.records import Role, Setting
from winpredict.app.sign_in_throttle import TRIES_A_PAIR

oidc_provider_mock = pytest.importorskip("oidc_provider_mock")

ADMIN, ANN = "admin@example.com", "ann@example.com"
PASSWORDS = {"first": "correct horse battery", "wrong": "wrong donkey charger", "next": "another cow capacitor"}
CLIENT_SECRET = "the-clients-own-secret"
SERVER = """
import logging, sys
from pathlib import Path
logging.basicConfig(level=logging.DEBUG)
logging.getLogger("sqlalchemy").setLevel(logging.DEBUG)  # it is quiet unless asked by name
from winpredict.app import serving
from winpredict.config import load_config
from winpredict.workspace import Workspace
told = lambda address: print(address, flush=True)
serving.serve(Workspace(Path(sys.argv[1])), load_config(sys.argv[2]), listening=told)
"""


@dataclass
class Heard:
    """What a browser was told, and the secrets that it has."""

    client: httpx.Client
    texts: list[str] = field(default_factory=list)
    secrets: dict[str, str] = field(default_factory=dict)

    def ask(self, method: str, path: str, *, shows_a_secret: bool = False, **more) -> httpx.Response:
        answer = self.client.request(method, path, **more)
        if not shows_a_secret:
            # the address that a browser is sent to and the cookies are its own; so is the token of a form
            self.texts.append(re.sub(r'name="csrf_token" value="[^"]+"', "", answer.text))
        for name, value in answer.cookies.items():
            self.secrets[f"cookie {name} {value[:4]}"] = value.partition(".")[0] if name == "wp_session" else value
        for token in re.findall(r'name="csrf_token" value="([^"]+)"', answer.text):
            self.secrets[f"form token {token[:4]}"] = token
        return answer

    def sign_in(self, email: str, password: str) -> httpx.Response:
        token = csrf_token(self.ask("GET", "/sign-in").text)
        return self.ask("POST", "/sign-in", data={"email": email, "password": password, "csrf_token": token})


@pytest.fixture(scope="module")
def provider():
    with oidc_provider_mock.run_server_in_thread(require_nonce=True) as server:
        yield f"http://localhost:{server.server_port}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("secrets") / "workspace"
    database = open_database("", place)
    with database.writing() as session:
        add_person(session, ADMIN, "Admin", Role.ADMIN, password=PASSWORDS["first"])
        add_person(session, ANN, "Ann", Role.REP)
    database.close()
    return place


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    return tmp_path_factory.mktemp("log") / "log.txt"


@pytest.fixture(scope="module")
def desk(folder, provider, log):
    """The address of a running desk."""
    config = log.with_name("knobs.yaml")
    settings = {"port": 0, "oidc_issuer": provider, "oidc_client_id": "winpredict"}
    config.write_text(yaml.safe_dump({"app": settings}))
    told = {"WINPREDICT_OIDC_CLIENT_SECRET": CLIENT_SECRET, "AUTHLIB_INSECURE_TRANSPORT": "1"}
    with log.open("w") as written:
        server = subprocess.Popen(
            [sys.executable, "-c", SERVER, str(folder), str(config)],
            stdout=subprocess.PIPE, stderr=written, text=True, env=os.environ | told,
        )  # fmt: skip
        yield server.stdout.readline().strip().replace("127.0.0.1", "localhost")
        server.terminate()
        server.wait(30)


@pytest.fixture(scope="module")
def heard(desk, provider, folder, log):
    """All that happens at a desk to those who have secrets."""
    with httpx.Client(base_url=desk, timeout=60) as admin, httpx.Client(base_url=desk, timeout=60) as ann:
        first, second = Heard(admin), Heard(ann)
        by_password(first)
        with_keys(first)
        by_openid(second, provider)
        while_the_database_fails(first, folder)
    secrets = first.secrets | second.secrets | PASSWORDS | {"client secret": CLIENT_SECRET}
    database = open_database("", folder)
    with database.reading() as session:
        secrets["signing key"] = session.get(Setting, "signing key").value
    database.close()
    time.sleep(0.2)
    return first.texts + second.texts, secrets


def by_password(heard: Heard) -> None:
    """Wrong and right passwords, another one, and more wrong ones than are allowed."""
    assert heard.sign_in(ADMIN, PASSWORDS["wrong"]).status_code == 401
    assert heard.sign_in(ADMIN, PASSWORDS["first"]).status_code == 303
    for old, status in (("wrong", 409), ("first", 303)):
        token = csrf_token(heard.ask("GET", "/account").text)
        form = {"current": PASSWORDS[old], "new": PASSWORDS["next"], "again": PASSWORDS["next"], "csrf_token": token}
        assert heard.ask("POST", "/account/password", data=form).status_code == status
    heard.ask("POST", "/account/password", data=form | {"csrf_token": "x"})
    heard.ask("GET", "/account", params={"new": PASSWORDS["next"]})
    statuses = [heard.sign_in(ANN, PASSWORDS["wrong"]).status_code for _ in range(TRIES_A_PAIR + 1)]
    assert statuses[-1] == 429
    assert heard.sign_in(ADMIN, PASSWORDS["next"]).status_code == 303


def with_keys(heard: Heard) -> None:
    """A key is made and used, also where it does not belong."""
    token = csrf_token(heard.ask("GET", "/tokens").text)
    form = {"name": "metrics", "scopes": "metrics", "days": "90", "csrf_token": token}
    page = heard.ask("POST", "/tokens", data=form, shows_a_secret=True)
    key = re.search(r"wp_[\w-]{20,}", page.text)[0]
    heard.secrets["key"] = key
    for path in ("/metrics", "/api/v1/deals", "/api/v1/models/none", f"/api/v1/deals?key={key}&order=none"):
        for header in (f"Bearer {key}", f"Bearer {key}x", f"Basic {key}", key):
            heard.ask("GET", path, headers={"Authorization": header}, cookies={})
    heard.ask("POST", "/api/v1/score", headers={"Authorization": f"Bearer {key}"}, json={"deal": {"amount": "x"}})
    heard.ask("GET", "/tokens")


def by_openid(heard: Heard, provider: str) -> None:
    """Somebody signs in with their company's account; the answer is tried again, and with a wrong state."""
    assert httpx.put(f"{provider}/users/7", json={"email": ANN, "email_verified": True}).status_code == 204
    away = heard.ask("GET", "/sign-in/oidc").headers["location"]
    asked = parse_qs(urlsplit(away).query)
    back = urlsplit(httpx.post(away, data={"sub": "7"}).headers["location"])
    code = parse_qs(back.query)["code"][0]
    heard.secrets |= {"code": code, "state": asked["state"][0], "nonce": asked["nonce"][0]}
    assert heard.ask("GET", f"{back.path}?code={code}&state=made-up").status_code == 401
    again = heard.ask("GET", "/sign-in/oidc").headers["location"]
    for address in (away, again):
        back = urlsplit(httpx.post(address, data={"sub": "7"}).headers["location"])
        heard.secrets[f"code {address[-4:]}"] = parse_qs(back.query)["code"][0]
        answer = heard.ask("GET", f"{back.path}?{back.query}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert heard.ask("GET", f"{back.path}?{back.query}").status_code == 401


def while_the_database_fails(heard: Heard, folder) -> None:
    """Errors of ours, whose traces go into the log."""
    with sqlite3.connect(folder / "app.db", timeout=30) as connection:
        connection.execute("ALTER TABLE api_token RENAME TO elsewhere")
        connection.execute("ALTER TABLE sign_in_attempt RENAME TO elsewhere_too")
    answers = [heard.ask("GET", "/tokens"), heard.sign_in(ADMIN, PASSWORDS["next"])]
    answers.append(heard.ask("GET", "/metrics", headers={"Authorization": f"Bearer {heard.secrets['key']}"}))
    assert {answer.status_code for answer in answers} <= {500, 503}
    with sqlite3.connect(folder / "app.db", timeout=30) as connection:
        connection.execute("ALTER TABLE elsewhere RENAME TO api_token")
        connection.execute("ALTER TABLE elsewhere_too RENAME TO sign_in_attempt")


def test_the_log_tells_no_secret(heard, log):
    _, secrets = heard
    said = log.read_text()
    assert "DEBUG" in said
    assert "no such table" in said
    assert [name for name in secrets if holds(said.encode(), secrets[name])] == []


def test_no_page_tells_a_secret(heard):
    texts, secrets = heard
    assert len(texts) > 30
    said = "\n".join(texts).encode()
    # what somebody typed into an address stands in the links of a page to sign in
    assert [name for name in secrets if name != "next" and holds(said, secrets[name])] == []


def test_the_database_holds_no_secret_in_clear(heard, folder):
    """But the key that cookies are signed with and tokens against CSRF, which without a session's key open nothing."""
    _, secrets = heard
    kept = [each.read_bytes() for each in folder.rglob("*") if each.is_file()]
    with sqlite3.connect(folder / "app.db") as database:
        kept.append("\n".join(database.iterdump()).encode())
    found = {name for name, value in secrets.items() for each in kept if holds(each, value)}
    assert {name for name in found if not name.startswith("form token")} == {"signing key"}


def holds(text: bytes, secret: str) -> bool:
    """Whether a secret stands somewhere, as it is or as addresses and Basic sign-in spell it."""
    plain = secret.encode()
    spelled = {plain, quote(secret, safe="").encode(), base64.b64encode(plain).rstrip(b"=")[:-1]}
    return any(each in text for each in spelled)
