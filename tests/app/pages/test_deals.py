from fastapi.testclient import TestClient


def test_a_rep_sees_their_own_deals(signed_in, cast):
    page = signed_in("rep").get("/deals")
    assert page.status_code == 200
    assert f"/deals/{cast.deal}" in page.text
    assert f"/deals/{cast.other_deal}" not in page.text


def test_a_stranger_is_sent_to_sign_in(anybody: TestClient):
    assert anybody.get("/deals").headers["location"] == "/sign-in?next=%2Fdeals"
