"""HTTP to live CRMs: what is tried again, what is no answer, and that no error tells a secret."""

import httpx
import pytest
from pydantic import SecretStr

from winpredict.config import Sync
from winpredict.connectors.http import Connection, Unsigned
from winpredict.connectors.secrets import Redactor
from winpredict.errors import CRMError, CRMSignInError, CRMUncertainError

TOKEN = "pat-eu1-4f1c7c1e"


class Tokens:
    """Hands out a new token whenever it is asked."""

    def __init__(self, token=TOKEN):
        self.token, self.renewed = token, 0

    def header(self):
        return {"Authorization": f"Bearer {self.token}"}

    def renew(self):
        self.renewed += 1
        return True


def connection(answers, *, sign_in=None, **options):
    """A connection that is given these answers, one after the other, and the requests that it sent."""
    left, sent = list(answers), []

    def answer(request):
        sent.append(request)
        return left.pop(0) if len(left) > 1 else left[0]

    made = Connection(
        "HubSpot",
        "https://crm.test",
        sign_in or Tokens(),
        Sync(attempts=3),
        Redactor([SecretStr(TOKEN)]),
        sleep=lambda seconds: None,
        **options,
    )
    made._client = httpx.Client(base_url="https://crm.test", transport=httpx.MockTransport(answer))
    return made, sent


def test_a_new_token_that_is_refused_once_more_is_renewed_again():
    tokens = Tokens()
    made, _ = connection([httpx.Response(401), httpx.Response(401), httpx.Response(200)], sign_in=tokens)
    assert made.get("/x").status_code == 200
    assert tokens.renewed == 2


@pytest.mark.parametrize("options", [{}, {"accept": (401,)}])
def test_tokens_are_not_renewed_for_ever(options):
    tokens = Tokens()
    made, sent = connection([httpx.Response(401)], sign_in=tokens)
    if options:
        assert made.send("GET", "/x", **options).status_code == 401
    else:
        with pytest.raises(CRMSignInError, match="Check the credentials"):
            made.get("/x")
    assert tokens.renewed == 2
    assert len(sent) == 3


def test_a_refusal_about_rights_and_a_request_without_a_token_are_final():
    tokens = Tokens()
    for made, sent in (
        connection([httpx.Response(401)], sign_in=tokens, for_good=lambda answer: True),
        connection([httpx.Response(401)], sign_in=Unsigned()),
    ):
        with pytest.raises(CRMSignInError):
            made.get("/x")
        assert len(sent) == 1
    assert tokens.renewed == 0


@pytest.mark.parametrize("status", [408, 423, 477, 500, 502, 503, 504, 520, 521, 522, 523, 524, 526])
def test_what_may_pass_is_tried_again_and_of_a_write_unknown(status):
    made, sent = connection([httpx.Response(status), httpx.Response(200)])
    assert made.get("/x").status_code == 200
    assert len(sent) == 2
    made, sent = connection([httpx.Response(status), httpx.Response(200)])
    with pytest.raises(CRMUncertainError):
        made.send("POST", "/x", writes=True)
    assert len(sent) == 1


def test_a_web_page_is_no_answer():
    page = httpx.Response(200, html="<h1>Down for maintenance</h1>")
    made, sent = connection([page, httpx.Response(200, json={})])
    assert made.get("/x").json() == {}
    assert len(sent) == 2
    made, _ = connection([page])
    with pytest.raises(CRMError, match=r"after 3 tries: a web page came in place of an answer\. What was read"):
        made.get("/x")
    with pytest.raises(CRMUncertainError, match="a web page came"):
        made.send("POST", "/x", writes=True)


def test_an_address_that_sends_elsewhere_is_told_without_its_query():
    made, sent = connection([httpx.Response(302, headers={"location": f"https://login.test/?of={TOKEN}"})])
    with pytest.raises(CRMError, match=r"sends on to https://login\.test/; correct the address") as caught:
        made.get("/x")
    assert TOKEN not in str(caught.value)
    assert len(sent) == 1


@pytest.mark.parametrize("address", ["acme.my.salesforce.com", "https://acme.test:port", "", "ftp://acme.test"])
def test_what_is_no_address_is_told_before_anything_is_sent(address):
    with pytest.raises(CRMError, match=r"is no address .* correct it in the config"):
        Connection("Salesforce", address, Unsigned(), Sync(), Redactor())


@pytest.mark.parametrize("token", [f"{TOKEN}\n", f"{TOKEN}ä", f"{TOKEN}\x00"])
def test_a_token_that_fits_no_header_is_told_without_it(token):
    made, sent = connection([httpx.Response(200)], sign_in=Tokens(token))
    with pytest.raises(CRMSignInError, match="holds a line break or letters") as caught:
        made.get("/x")
    assert TOKEN not in str(caught.value)
    assert not sent


def test_no_part_of_a_secret_is_told_where_an_answer_is_cut():
    for before in range(280, 300):
        made, _ = connection([httpx.Response(400, text="x" * before + TOKEN)])
        with pytest.raises(CRMError) as caught:
            made.get("/x")
        assert TOKEN[:4] not in str(caught.value)


def test_too_many_requests_at_a_time_are_waited_for_whatever_the_status():
    refusal = httpx.Response(403, json=[{"errorCode": "REQUEST_LIMIT_EXCEEDED"}])
    made, sent = connection([refusal, httpx.Response(200)], too_many=lambda answer: "LIMIT" in answer.text)
    assert made.send("PATCH", "/x", writes=True).status_code == 200
    assert len(sent) == 2
