import re

import pytest
from sqlalchemy import select

from winpredict.app.people import make_token
from winpredict.app.records import ApiToken, Person


def made(client, **form):
    return client.post("/tokens", data={"csrf_token": client.csrf, "name": "sheet", "scopes": ["read"]} | form)


def test_a_key_is_shown_once_and_works_until_it_is_revoked(app, signed_in, anybody):
    rep = signed_in("rep")
    key = re.search(r'class="secret">([^<]+)<', made(rep, name="my <i> sheet").text)[1]
    page = rep.get("/tokens").text
    assert key not in page
    assert "my &lt;i&gt; sheet" in page
    bearer = {"Authorization": f"Bearer {key}"}
    assert anybody.get("/api/v1/deals", headers=bearer).status_code == 200
    with app.state.desk.database.reading() as session:
        token = session.scalars(select(ApiToken).where(ApiToken.name == "my <i> sheet")).one()
        assert key not in str(vars(token))
    answer = rep.post(f"/tokens/{token.id}/revoke", data={"csrf_token": rep.csrf})
    assert answer.headers["location"] == "/tokens?revoked=1"
    assert anybody.get("/api/v1/deals", headers=bearer).status_code == 401
    assert "The key has been revoked." in rep.get("/tokens?revoked=1").text
    # once more changes nothing
    assert rep.post(f"/tokens/{token.id}/revoke", data={"csrf_token": rep.csrf}).status_code == 303


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"scopes": []}, 409),
        ({"scopes": ["models"]}, 409),
        ({"scopes": ["everything"]}, 409),
        ({"days": "36500"}, 409),
        ({"days": "soon"}, 422),
        ({"name": "x" * 201}, 422),
    ],
)
def test_keys_that_are_not_on_offer(signed_in, form, status):
    assert made(signed_in("rep"), **form).status_code == status


def test_each_role_is_offered_what_is_of_use_to_it(signed_in):
    offered = {
        who: set(re.findall(r'name="scopes" value="(\w+)"', signed_in(who).get("/tokens").text))
        for who in ("rep", "manager", "scientist", "admin")
    }
    assert offered["rep"] == offered["manager"] == {"read", "score"}
    assert offered["scientist"] == {"read", "score", "models", "metrics"}
    assert offered["admin"] == {"metrics"}


def test_keys_of_others_are_as_none(app, signed_in):
    with app.state.desk.database.writing() as session:
        other = session.scalars(select(Person).where(Person.email == "other@example.com")).one()
        number = make_token(session, other, "not yours", ["read"])[1].id
    rep = signed_in("rep")
    assert "not yours" not in rep.get("/tokens").text
    assert rep.post(f"/tokens/{number}/revoke", data={"csrf_token": rep.csrf}).status_code == 404
    with app.state.desk.database.reading() as session:
        assert session.get(ApiToken, number).revoked_at is None
