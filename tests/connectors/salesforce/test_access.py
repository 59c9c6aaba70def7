import httpx
import pandas as pd
import pytest
from pydantic import SecretStr

pytest.importorskip("fastapi")
pytest.importorskip("httpx")

from winpredict.config import Config
from winpredict.connectors.base import FieldChange, FieldOutcome, ScoreField
from winpredict.connectors.salesforce.client import SalesforceSource, connect
from winpredict.errors import CRMError, CRMFieldError, CRMLimitError, CRMSignInError, CRMUncertainError
from winpredict.simulate.world import simulate
from winpredict_sandbox.changes import DealDeletion
from winpredict_sandbox.faults import Faults
from winpredict_sandbox.salesforce.server import SalesforceServer
from winpredict_sandbox.serving import served

SCORES = (
    ScoreField("WinPredict_Odds", "Win odds", "percent"),
    ScoreField("WinPredict_Band", "Band", "text"),
    ScoreField("WinPredict_Reasons", "Reasons", "long_text"),
    ScoreField("WinPredict_Scored_At", "Scored at", "time"),
)


@pytest.fixture(scope="module")
def world():
    return simulate(deals=80, seed=3)


@pytest.fixture
def server(world):
    server = SalesforceServer.of(world, seed=1)
    server.behaviour.page_rows = 50
    return server


@pytest.fixture
def address(server):
    with served(server.app, server.clock) as address:
        server.address = address
        yield address


@pytest.fixture
def source(server, address):
    return made(server, address)


def made(server, address, sync=None, **settings):
    config = server.config(address, **settings)
    crm = config.crm.model_copy(update={"sync": config.crm.sync.model_copy(update=sync or {})})
    config = config.model_copy(update={"crm": crm})
    return SalesforceSource(config, SecretStr(server.client_secret), sleep=lambda seconds: None)


def all_pages(source, name, since=None, resume=""):
    return list(source.read(name, since, resume))


def values_of(pages):
    return {each.record_id: dict(each.values) for page in pages for each in page.records}


def test_a_token_that_expires_is_renewed(server, source):
    server.behaviour.token_requests = 2
    assert len(values_of(all_pages(source, "Task"))) == len(server.records.live("Task"))
    assert len(server.secrets) > 3


def test_the_customer_keeps_a_share_of_the_requests(server, address):
    server.behaviour.daily_limit = 10
    source = made(server, address, daily_share=0.5)
    pages = []
    with pytest.raises(CRMLimitError, match="5 of the organisation's 10 daily requests"):
        pages += (page for page in source.read("Task", None))
    assert server.used_requests == 5
    server.used_requests = 9
    with pytest.raises(CRMLimitError):
        all_pages(source, "Task")
    server.used_requests = 10
    with pytest.raises(CRMLimitError, match="used up"):
        all_pages(made(server, address), "Task")


def test_too_many_requests_at_the_same_time_are_waited_for(server, source, monkeypatch):
    deal = server.open_deals()[0]
    source.read_fields([deal], ["Region"])
    client = source._api.connection._client
    ask, refusals = client.request, 2

    def busy(*args, **options):
        nonlocal refusals
        if not refusals:
            return ask(*args, **options)
        refusals -= 1
        said = "ConcurrentRequests (Concurrent API Requests) Limit exceeded."
        return httpx.Response(403, json=[{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": said}])

    monkeypatch.setattr(client, "request", busy)
    assert source.write([FieldChange(deal, {"Region": "West"})])[0].done


def test_a_write_that_reaches_the_share_is_still_told(server, address):
    source = made(server, address, daily_share=0.5)
    deal = server.open_deals()[0]
    source.describe()
    server.used_requests = server.behaviour.daily_limit // 2 - 1
    assert source.write([FieldChange(deal, {"Region": "West"})])[0].done
    with pytest.raises(CRMLimitError):
        source.write([FieldChange(deal, {"Region": "East"})])
    assert len(server.writes) == 1


@pytest.fixture(scope="module")
def keys():
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    def pair():
        key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return private.decode(), public.decode()

    return [pair(), pair()]


def by_key(server, address, private, username="sync@example.com"):
    return SalesforceSource(server.config(address, sign_in="jwt", username=username), SecretStr(private))


def test_a_signed_assertion_signs_in(server, address, keys):
    server.trust("sync@example.com", keys[0][1])
    assert by_key(server, address, keys[0][0]).describe().account.startswith("Simulated")


@pytest.mark.parametrize(
    ("private", "username", "told"),
    [
        (1, "sync@example.com", "upload the certificate"),
        (0, "other@example.com", "let an administrator approve"),
        (
            "-----BEGIN PRIVATE KEY-----\nc2VjcmV0c2VjcmV0\n-----END PRIVATE KEY-----",
            "a@example.com",
            "no RSA private key",
        ),
    ],
)
def test_assertions_that_are_refused_say_what_to_do(server, address, keys, private, username, told):
    server.trust("sync@example.com", keys[0][1])
    private = keys[private][0] if isinstance(private, int) else private
    with pytest.raises(CRMSignInError, match=told) as caught:
        by_key(server, address, private, username).describe()
    assert "c2VjcmV0" not in str(caught.value)
    assert private not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, "client_id is empty"),
        ({"client_id": "x"}, "My Domain"),
        ({"client_id": "x", "sign_in": "jwt"}, "username is empty"),
    ],
)
def test_what_a_sign_in_lacks_is_told_before_anything_is_sent(settings, told):
    with pytest.raises(CRMSignInError, match=told):
        SalesforceSource(Config.model_validate({"crm": {"salesforce": settings}}), SecretStr("secret"))


def test_a_wrong_secret_is_told_without_it(server, address):
    source = SalesforceSource(server.config(address), SecretStr("wrong-secret-1234"))
    with pytest.raises(CRMSignInError, match="salesforce_client_secret") as caught:
        source.describe()
    assert "wrong-secret-1234" not in str(caught.value)


def test_connect_finds_the_secret(server, address, monkeypatch):
    monkeypatch.setenv("WINPREDICT_SALESFORCE_CLIENT_SECRET", server.client_secret)
    assert connect(server.config(address)).describe().writable
    monkeypatch.delenv("WINPREDICT_SALESFORCE_CLIENT_SECRET")
    monkeypatch.setenv("WINPREDICT_SECRETS", "/nowhere/secrets.yaml")
    with pytest.raises(CRMSignInError, match="salesforce_private_key"):
        connect(server.config(address, sign_in="jwt", username="a"))


def test_writes_are_told_each_for_itself(server, source):
    source.create_fields(SCORES)
    good, locked, refused, gone = server.open_deals()[:4]
    server.locks[locked], server.refusals[refused] = 1, "Odds are frozen this week"
    server.apply(DealDeletion(gone))
    values = {
        "WinPredict_Odds": 63.4,
        "WinPredict_Band": "high",
        "WinPredict_Scored_At": pd.Timestamp("2025-03-01 12:00:00.25", tz="Europe/Berlin"),
    }
    results = source.write([FieldChange(each, values) for each in (good, locked, refused, gone)])
    assert [(each.deal_id, each.done, each.retry) for each in results] == [
        (good, True, False),
        (locked, False, True),
        (refused, False, False),
        (gone, False, False),
    ]
    assert "Odds are frozen" in results[2].message
    assert {each[0] for each in server.writes} == {good}
    found = source.read_fields([good, gone], list(values))
    assert found == {
        good: {
            "WinPredict_Odds": 63.4,
            "WinPredict_Band": "high",
            "WinPredict_Scored_At": "2025-03-01T11:00:00.000+0000",
        }
    }
    # what was read may be written again, as an undo does; None empties a field
    assert all(each.done for each in source.write([FieldChange(good, found[good] | {"WinPredict_Band": None})]))
    assert source.read_fields([good], ["WinPredict_Band"]) == {good: {"WinPredict_Band": None}}


def test_a_write_of_unknown_fate_is_not_repeated(server, source):
    deal = server.open_deals()[0]
    source.describe()
    with served(Faults(server.app, share=1.0, most=1, kinds=["cut after"]), server.clock) as address:
        faulty = made(server, address)
        faulty._api._answered = True
        faulty._api.sign_in._keep(server.hand_out_token())
        faulty._described = source._described
        with pytest.raises(CRMUncertainError):
            faulty.write([FieldChange(deal, {"Region": "West"})])
    assert server.writes == [(deal, "Region__c", "West")]


def test_more_deals_than_a_request_takes_are_refused(source, server):
    with pytest.raises(CRMError, match="200 deals"):
        source.write([FieldChange(server.open_deals()[0], {})] * 201)
    assert source.write([]) == []


def test_unknown_fields_are_all_named(server, source):
    deal = server.open_deals()[0]
    for attempt in (
        lambda: source.read_fields([deal], ["Region", "This", "That"]),
        lambda: source.write([FieldChange(deal, {"This": 1, "That": 2})]),
    ):
        with pytest.raises(CRMFieldError, match="That__c, This__c"):
            attempt()


def test_long_ids_are_the_same_deals(server, source):
    deals = [f"{each}AAA" for each in server.open_deals()]
    found = source.read_fields(deals, ["Region", "StageName"])
    assert set(found) == set(deals)
    stages = {each.record_id: each.values["StageName"] for each in server.records.live("Opportunity")}
    assert all(values["StageName"] == stages[deal[:15]] for deal, values in found.items())
    assert source.write([FieldChange(deals[0], {"Region": "West"})])[0].deal_id == deals[0]


def test_fields_are_made_once_and_opened(server, source):
    became = source.create_fields(SCORES)
    assert {each.state for each in became.values()} == {"made"}
    assert all(each.remark.startswith("the connected user's profile may read") for each in became.values())
    assert set(source.create_fields(SCORES).values()) == {FieldOutcome("there already")}
    assert server.made_fields["WinPredict_Odds__c"]["type"] == "Percent"
    assert source.read_fields([server.open_deals()[0]], [each.name for each in SCORES])


def test_fields_that_stay_hidden_are_told(server, source):
    server.behaviour.grants = False
    assert all("Set Field-Level Security" in each.remark for each in source.create_fields(SCORES).values())
    again = source.create_fields(SCORES[:1])["WinPredict_Odds"]
    assert again.state == "there already"
    assert again.remark.startswith("nobody may read it yet")


def test_fields_that_may_not_be_made_are_told(server, source):
    server.behaviour.customizes = False
    became = source.create_fields(SCORES)
    assert {each.state for each in became.values()} == {"not made"}
    assert all("Customize Application" in each.remark for each in became.values())
    assert "WinPredict_Odds__c" in became["WinPredict_Odds"].remark
    assert server.made_fields == {}


def test_no_secret_is_in_what_is_told(server, tmp_path, caplog):
    told = []
    faults = Faults(server.app, 5, share=0.4, kinds=["401", "500", "cut before", "half an answer"])
    with served(faults, server.clock) as address:
        for _ in range(10):
            source = made(server, address, sync={"attempts": 1})
            try:
                source.describe()
                [all_pages(source, name) for name in source.objects]
            except CRMError as error:
                told.append(f"{error!r} {error.__cause__!r} {error.__context__!r}")
    told.append(caplog.text)
    assert len(told) > 5
    assert len(server.secrets) > 3
    for secret in server.secrets:
        assert not any(secret in each for each in told)
