"""Signing in with a company's account, against an OpenID provider that runs here and is spoken to by HTTP."""

import re
from contextlib import contextmanager
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from winpredict.app.application import create_app
from winpredict.app.openid import Provider
from winpredict.app.people import add_person, deactivate
from winpredict.app.records import AuditEntry, Person, Role, Session
from winpredict.config import App, Config
from winpredict.errors import ConfigError, CRMSignInError
from winpredict.workspace import Workspace

oidc_provider_mock = pytest.importorskip("oidc_provider_mock")

ANN, SECRET = "ann@example.com", "the-clients-own-secret"


@pytest.fixture(scope="module", autouse=True)
def secret():
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("WINPREDICT_OIDC_CLIENT_SECRET", SECRET)
        patched.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")  # for the provider, which is without TLS here
        yield


@pytest.fixture(scope="module")
def provider(secret):
    """The address of a running provider."""
    with oidc_provider_mock.run_server_in_thread(require_nonce=True) as server:
        yield f"http://localhost:{server.server_port}"


@pytest.fixture
def desk_app(tmp_path, provider):
    """A desk that knows the provider and has Ann, without a password."""
    with app_of(tmp_path, provider) as app:
        yield app


@contextmanager
def app_of(folder, issuer, **settings):
    config = Config(app=App(oidc_issuer=issuer, oidc_client_id="winpredict", **settings))
    app = create_app(Workspace(folder), config)
    with app.state.desk.database.writing() as session:
        add_person(session, ANN, "Ann", Role.REP)
    yield app
    app.state.desk.database.close()


@pytest.fixture
def client(desk_app):
    with TestClient(desk_app, base_url="http://localhost", follow_redirects=False) as client:
        yield client


def register(provider: str, subject: str, **claims) -> None:
    """Tell the provider what it knows about somebody."""
    assert httpx.put(f"{provider}/users/{subject}", json=claims).status_code == 204


def sent(client, next: str = "/deals") -> str:
    """Where the desk sends a browser that is to sign in elsewhere."""
    answer = client.get("/sign-in/oidc", params={"next": next})
    assert answer.status_code == 302, answer.text
    return answer.headers["location"]


def agreed(address: str, subject: str) -> str:
    """Where the provider sends it back, with a code, after somebody has agreed there."""
    answer = httpx.post(address, data={"sub": subject})
    assert answer.status_code == 302, answer.text
    back = urlsplit(answer.headers["location"])
    assert back.path == "/sign-in/oidc/callback"
    return f"{back.path}?{back.query}"


def changed(address: str, **changes: str) -> str:
    parts = urlsplit(address)
    return parts._replace(query=urlencode(dict(parse_qsl(parts.query)) | changes)).geturl()


def told(answer) -> str:
    return re.search(r'role="alert">([^<]+)<', answer.text)[1].replace("&#39;", "'")


def is_signed_in(client) -> bool:
    return client.get("/deals").status_code == 200


def refused(client, answer, why: str, status: int = 401) -> bool:
    return answer.status_code == status and why in told(answer) and not is_signed_in(client)


def test_signing_in(desk_app, client, provider):
    register(provider, "ann-7", email="Ann@Example.com", email_verified=True)
    address = sent(client, "/deals?stage=Demo")
    asked = dict(parse_qsl(urlsplit(address).query))
    assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
    assert min(len(asked[name]) for name in ("state", "nonce", "code_challenge")) >= 20
    assert "openid" in asked["scope"]
    answer = client.get(agreed(address, "ann-7"))
    assert (answer.status_code, answer.headers["location"]) == (303, "/deals?stage=Demo")
    assert is_signed_in(client)
    with desk_app.state.desk.database.reading() as session:
        assert session.scalar(select(Person.oidc_identity)) == f"{provider} ann-7"
        assert session.scalar(select(Person.role)) == Role.REP


def test_later_the_subject_counts_and_not_the_address(client, provider):
    register(provider, "ann-7", email=ANN, email_verified=True)
    client.get(agreed(sent(client), "ann-7"))
    client.cookies.clear()
    register(provider, "ann-7", email="ann.married@example.com", email_verified=False)
    assert client.get(agreed(sent(client), "ann-7")).status_code == 303
    assert is_signed_in(client)
    client.cookies.clear()
    register(provider, "new-ann", email=ANN, email_verified=True)  # somebody else was given her address
    assert refused(client, client.get(agreed(sent(client), "new-ann")), "belonged to another account")


@pytest.mark.parametrize("claims", [{}, {"email_verified": False}, {"email_verified": "true"}, {"email_verified": 1}])
def test_an_address_that_is_not_verified_is_nobodys(client, provider, claims):
    register(provider, "mallory", email=ANN, **claims)
    assert refused(client, client.get(agreed(sent(client), "mallory")), "no verified e-mail address")


def test_only_whom_an_admin_has_added(desk_app, client, provider):
    register(provider, "eve", email="eve@example.com", email_verified=True, role="admin", groups=["admin"])
    assert refused(client, client.get(agreed(sent(client), "eve")), "ask your admin to add you")
    with desk_app.state.desk.database.reading() as session:
        assert session.scalars(select(Person.email)).all() == [ANN]
        failed = session.scalars(select(AuditEntry.subject).where(AuditEntry.action == "sign-in failed")).all()
    assert failed == ["eve@example.com"]


def test_a_role_does_not_come_from_the_provider(desk_app, client, provider):
    register(provider, "ann-7", email=ANN, email_verified=True, role="admin", roles=["admin"], groups=["admin"])
    client.get(agreed(sent(client), "ann-7"))
    with desk_app.state.desk.database.reading() as session:
        assert session.scalar(select(Person.role)) == Role.REP


@pytest.mark.parametrize("known", [True, False])
def test_the_inactive(desk_app, client, provider, known):
    register(provider, "ann-7", email=ANN, email_verified=True)
    if known:
        client.get(agreed(sent(client), "ann-7"))
    with desk_app.state.desk.database.writing() as session:
        deactivate(session, session.scalar(select(Person)), None)
    assert refused(client, client.get(agreed(sent(client), "ann-7")), "ask your admin")


def test_an_answer_for_another_browser_is_refused(desk_app, client, provider):
    """Somebody who signs in as themselves cannot make another's browser come back with their code."""
    register(provider, "ann-7", email=ANN, email_verified=True)
    back = agreed(sent(client), "ann-7")
    with TestClient(desk_app, base_url="http://localhost", follow_redirects=False) as victim:
        assert refused(victim, victim.get(back), "start again")
        sent(victim)
        assert refused(victim, victim.get(back), "start again")
    assert refused(client, client.get(changed(back, state="another")), "start again")


def test_another_nonce_is_refused(client, provider, caplog):
    register(provider, "ann-7", email=ANN, email_verified=True)
    address = changed(sent(client), nonce="of-another-sign-in-0123456789")
    assert refused(client, client.get(agreed(address, "ann-7")), "start again")
    assert "InvalidClaimError" in caplog.text


def test_the_code_is_fetched_with_what_only_this_browsers_sign_in_knows(client, provider, monkeypatch):
    """PKCE: a code that was seen on its way is worth nothing without the verifier."""
    from authlib.integrations.httpx_client import AsyncOAuth2Client
    from authlib.oauth2.rfc7636 import create_s256_code_challenge

    fetch, verifiers = AsyncOAuth2Client.fetch_token, []

    async def noted(self, *given, **more):
        verifiers.append(more["code_verifier"])
        return await fetch(self, *given, **more)

    monkeypatch.setattr(AsyncOAuth2Client, "fetch_token", noted)
    register(provider, "ann-7", email=ANN, email_verified=True)
    address = sent(client)
    client.get(agreed(address, "ann-7"))
    challenge = dict(parse_qsl(urlsplit(address).query))["code_challenge"]
    assert [create_s256_code_challenge(each) for each in verifiers] == [challenge]


def test_a_code_counts_once(client, provider):
    register(provider, "ann-7", email=ANN, email_verified=True)
    back = agreed(sent(client), "ann-7")
    assert client.get(back).status_code == 303
    client.cookies.delete("wp_session")
    assert refused(client, client.get(back), "start again")


@pytest.mark.parametrize(
    "question",
    [
        "",
        "code=x",
        "state=x",
        "code=made-up&state=made-up",
        "error=access_denied&error_description=<script>",
        "code=%00",
    ],
)
def test_made_up_answers(client, question):
    sent(client)
    answer = client.get(f"/sign-in/oidc/callback?{question}")
    assert refused(client, answer, "start again")
    assert "<script>" not in answer.text


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ("signature", "BadSignatureError"),
        ("audience", "InvalidClaimError"),
        ("expired", "ExpiredTokenError"),
        ("no algorithm", "UnsupportedAlgorithmError"),
    ],
)
def test_id_tokens_that_are_not_the_providers_word(client, provider, monkeypatch, caplog, change, fault):
    """The token is changed on its way from the provider."""
    from authlib.integrations.httpx_client import AsyncOAuth2Client
    from joserfc import jwt
    from joserfc.jwk import RSAKey

    fetch = AsyncOAuth2Client.fetch_token

    async def changed_token(self, *given, **more):
        token = await fetch(self, *given, **more)
        head, body, signature = token["id_token"].split(".")
        if change == "signature":
            token["id_token"] = f"{head}.{body}.{signature[:-8]}AAAAAAAA"
        elif change == "no algorithm":
            import base64

            none = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
            token["id_token"] = f"{none}.{body}."
        else:
            own = RSAKey.import_key(own_key(provider))
            claims = jwt.decode(token["id_token"], own).claims
            claims |= {"aud": "another", "azp": "winpredict"} if change == "audience" else {"exp": claims["iat"] - 999}
            token["id_token"] = jwt.encode(
                {"alg": "RS256", "kid": own.kid} if own.kid else {"alg": "RS256"}, claims, own
            )
        return token

    monkeypatch.setattr(AsyncOAuth2Client, "fetch_token", changed_token)
    register(provider, "ann-7", email=ANN, email_verified=True)
    assert refused(client, client.get(agreed(sent(client), "ann-7")), "start again")
    assert fault in caplog.text


def test_signing_in_elsewhere_ends_the_former_session(desk_app, client, provider):
    register(provider, "ann-7", email=ANN, email_verified=True)
    for _ in range(2):
        client.get(agreed(sent(client), "ann-7"))
    with desk_app.state.desk.database.reading() as session:
        assert len(session.scalars(select(Session)).all()) == 1


@pytest.mark.parametrize("elsewhere", ["https://evil.example", "//evil.example", "/\\evil"])
def test_it_leads_nowhere_else(client, provider, elsewhere):
    register(provider, "ann-7", email=ANN, email_verified=True)
    assert client.get(agreed(sent(client, elsewhere), "ann-7")).headers["location"] == "/"


def test_a_provider_that_is_down(tmp_path, provider):
    with app_of(tmp_path, "http://127.0.0.1:9") as app, TestClient(app, follow_redirects=False) as client:
        assert refused(client, client.get("/sign-in/oidc"), "does not answer", 503)
        assert refused(client, client.get("/sign-in/oidc/callback?code=x&state=y"), "does not answer", 503)


def test_a_provider_that_goes_down_on_the_way(client, provider):
    register(provider, "ann-7", email=ANN, email_verified=True)
    back = agreed(sent(client), "ann-7")
    metadata = client.app.state.openid._client.server_metadata
    metadata["token_endpoint"] = "http://127.0.0.1:9/token"
    assert refused(client, client.get(back), "does not answer", 503)


@pytest.mark.parametrize("path", ["", "/userinfo-of-another"])
def test_a_provider_that_speaks_for_another(tmp_path, provider, path):
    issuer = provider.replace("localhost", "127.0.0.1") + path
    with app_of(tmp_path, issuer) as app, TestClient(app, follow_redirects=False) as client:
        if not path:  # the same server by another name: it says so in its metadata
            app.state.openid._client._server_metadata_url = f"{provider}/.well-known/openid-configuration"
        assert refused(client, client.get("/sign-in/oidc"), "does not answer", 503)


def test_browsers_come_back_to_the_public_address(tmp_path, provider):
    with app_of(tmp_path, provider, public_url="https://desk.example.com/") as app:
        client = TestClient(app, base_url="https://desk.example.com", follow_redirects=False)
        address = client.get("/sign-in/oidc", headers={"Host": "localhost"}).headers["location"]
    back = dict(parse_qsl(urlsplit(address).query))["redirect_uri"]
    assert back == "https://desk.example.com/sign-in/oidc/callback"


def test_without_a_provider_there_is_no_such_way(tmp_path):
    app = create_app(Workspace(tmp_path))
    with TestClient(app) as client:
        assert client.get("/sign-in/oidc").status_code == 404
        assert client.get("/sign-in/oidc/callback?code=x&state=y").status_code == 404
        assert "oidc" not in client.get("/sign-in").text


@pytest.mark.parametrize(
    "issuer", ["http://login.example.com", "ftp://x", "login.example.com", "http://evil.example#localhost"]
)
def test_a_provider_without_tls_is_not_believed(issuer):
    with pytest.raises(ConfigError, match="https"):
        Provider(App(oidc_issuer=issuer, oidc_client_id="winpredict"))


def test_what_is_missing_is_told_at_the_start(monkeypatch):
    with pytest.raises(ConfigError, match="oidc_client_id"):
        Provider(App(oidc_issuer="https://login.example.com"))
    monkeypatch.delenv("WINPREDICT_OIDC_CLIENT_SECRET")
    monkeypatch.setenv("WINPREDICT_SECRETS", "/nowhere")
    with pytest.raises(CRMSignInError, match="WINPREDICT_OIDC_CLIENT_SECRET"):
        Provider(App(oidc_issuer="https://login.example.com", oidc_client_id="winpredict"))


def own_key(provider: str) -> dict[str, str]:
    """The provider's own key, as if its server signed something else."""
    import gc

    from oidc_provider_mock._storage import Storage

    metadata = httpx.get(f"{provider}/.well-known/openid-configuration").json()
    public = {each["n"] for each in httpx.get(metadata["jwks_uri"]).json()["keys"]}
    # other tests may have left providers behind
    keys = (each.jwk.as_dict(is_private=True) for each in gc.get_objects() if isinstance(each, Storage))
    return next(each for each in keys if each["n"] in public)
