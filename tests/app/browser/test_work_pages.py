"""Pages of data scientists and admins, and everybody's account and keys, in a browser."""

import re
import shutil
from itertools import count

import pytest
from browsing import fits, press_until, whole
from desk_world import PASSWORD
from sqlalchemy import select

from winpredict.app.password_reset import make_reset
from winpredict.app.people import add_person, make_token
from winpredict.app.records import Person, Role
from winpredict.config import App, Config
from winpredict.models.registry import find_model, promote
from winpredict.workspace import Workspace

_numbers = count()


@pytest.fixture(scope="module")
def workspace(tmp_path_factory, judged):
    """With a backtest, and a challenger."""
    place = tmp_path_factory.mktemp("desk") / "workspace"
    shutil.copytree(judged.folder, place)
    return Workspace(place)


@pytest.fixture(scope="module")
def desk_config() -> Config:
    """With a server for e-mail, which nobody asks for anything."""
    mail = {"smtp_host": "127.0.0.1", "smtp_port": 9, "smtp_security": "none", "smtp_from": "desk@example.com"}
    return Config(app=App(public_url="http://desk.example.com", **mail))


@pytest.fixture
def newcomer(app):
    """The e-mail address of somebody whom a test may change."""
    email = f"new-{next(_numbers)}@example.com"
    with app.state.desk.database.writing() as session:
        add_person(session, email, "New one", Role.REP, password=PASSWORD)
    return email


@pytest.mark.parametrize(
    ("who", "address"),
    [
        ("scientist", "/models"),
        ("scientist", "/models/1"),
        ("scientist", "/models/2/promote"),
        ("scientist", "/tokens"),
        ("admin", "/people"),
        ("admin", "/people/1"),
        ("admin", "/people/log"),
        ("rep", "/account"),
        ("rep", "/account/password"),
        (None, "/password/forgot"),
        (None, "/password/forgot?done=1"),
    ],
)
def test_looks(page_of, grave_faults, screenshot, look, who, address):
    page = page_of(who, **look)
    whole(page, address)
    for summary in page.locator("summary").all():
        summary.click()
    name = re.sub(r"\W+", "-", address).strip("-")
    screenshot(page, f"{name}-{look['width']}-{look['scheme']}")
    assert fits(page)
    assert not grave_faults(page)


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize(
    ("who", "address"),
    [
        (None, "/sign-in"),
        ("scientist", "/models"),
        ("scientist", "/models/1"),
        ("scientist", "/models/2/promote"),
        ("scientist", "/tokens"),
        ("admin", "/people"),
        ("admin", "/people/1"),
        ("admin", "/people/log"),
        ("rep", "/account"),
        ("manager", "/nowhere"),
    ],
)
def test_there_is_room_for_a_longer_language(page_of, grave_faults, screenshot, who, address, width):
    page = page_of(who, width=width)
    page.set_extra_http_headers({"Accept-Language": "en-XA"})
    whole(page, address)
    for summary in page.locator("summary").all():
        summary.click()
    name = re.sub(r"\W+", "-", address).strip("-")
    screenshot(page, f"{name}-{width}-long")
    assert page.locator("body").inner_text().count("~") > 3
    assert fits(page)
    assert not grave_faults(page)


def test_a_language_is_chosen_by_keyboard(page_of, newcomer):
    page = page_of(None, width=390)
    page.goto("/sign-in")
    page.fill("#email", newcomer)
    page.fill("#password", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/deals"))
    page.goto("/account")
    press_until(page, page.locator("#language"))
    page.keyboard.type("Fran")
    press_until(page, page.get_by_role("button", name="Save"))
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Mon compte").wait_for()
    assert page.locator("html").get_attribute("lang") == "fr"
    assert page.locator("#language").input_value() == "fr"


def use(page, locator, by: str) -> None:
    """Press a link or a button."""
    if by == "mouse":
        locator.click()
    else:
        press_until(page, locator)
        page.keyboard.press("Enter")


@pytest.mark.parametrize("by", ["mouse", "keyboard"])
def test_promotion(page_of, workspace, grave_faults, by):
    page = page_of("scientist")
    whole(page, "/models")
    use(page, page.get_by_role("link", name="Promote model 2"), by)
    page.wait_for_url(re.compile("/models/2/promote"))
    button = page.get_by_role("button", name="Promote model 2")
    assert find_model(workspace.folder, "champion").version == 1
    use(page, button, by)
    page.wait_for_url(re.compile("promoted=2"))
    page.get_by_text("Model 2 is now the champion").wait_for()
    assert not grave_faults(page)
    assert find_model(workspace.folder, "champion").version == 2
    promote(workspace.folder, 1)


def test_a_person_is_added_by_keyboard(page_of, grave_faults):
    page = page_of("admin", width=390)
    page.goto("/people")
    press_until(page, page.locator("#email"))
    page.keyboard.type("kim@example.com")
    page.keyboard.press("Tab")
    page.keyboard.type("Kim Key")
    page.keyboard.press("Tab")
    page.keyboard.type("manager")
    page.keyboard.press("Tab")
    page.keyboard.type("Bea")
    press_until(page, page.get_by_role("button", name="Add", exact=True))
    page.keyboard.press("Enter")
    page.locator(".secret").wait_for()
    assert page.locator("h1").inner_text() == "Kim Key"
    assert page.locator("#role").input_value() == "manager"
    assert page.locator("#crm_user").input_value() == "boss"
    assert not grave_faults(page)


def test_a_person_is_shut_out_and_let_in_by_mouse(page_of, newcomer):
    page = page_of("admin")
    page.goto("/people")
    page.locator("tr", has_text=newcomer).get_by_role("link").click()
    page.get_by_role("button", name="Deactivate New one").click()
    page.get_by_text("has been deactivated and signed out").wait_for()
    page.get_by_role("button", name="Reactivate New one").click()
    page.get_by_text("can sign in again").wait_for()


def test_a_key_is_made_and_revoked(page_of, grave_faults):
    page = page_of("rep", width=390, scheme="dark")
    page.goto("/tokens")
    page.fill("#name", "spreadsheet")
    page.keyboard.press("Enter")
    page.locator(".secret").wait_for()
    assert page.locator(".secret").inner_text().startswith("wp_")
    assert fits(page)
    assert not grave_faults(page)
    page.get_by_role("button", name="Revoke spreadsheet").click()
    page.wait_for_url(re.compile("revoked=1"))
    assert page.get_by_role("button", name="Revoke spreadsheet").count() == 0


def test_a_key_of_another_is_revoked_by_the_admin(page_of, app, newcomer):
    with app.state.desk.database.writing() as session:
        person = session.scalars(select(Person).where(Person.email == newcomer)).one()
        make_token(session, person, "left behind", ["read"])
        number = person.id
    page = page_of("admin")
    page.goto(f"/people/{number}")
    page.get_by_role("button", name="Revoke left behind").click()
    page.get_by_text("The key has been revoked").wait_for()


def test_another_password_by_keyboard(page_of, newcomer, grave_faults):
    page = page_of(None, width=390)
    page.goto("/sign-in")
    page.fill("#email", newcomer)
    page.fill("#password", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/deals"))
    page.get_by_role("link", name="New one").click()
    page.locator("#current").focus()
    page.keyboard.type("not the one")
    for _ in range(2):
        page.keyboard.press("Tab")
        page.keyboard.type("a new one, quite long")
    page.keyboard.press("Enter")
    page.get_by_role("alert").wait_for()
    assert not grave_faults(page)
    page.fill("#current", PASSWORD)
    page.fill("#new", "a new one, quite long")
    page.fill("#again", "a new one, quite long")
    page.get_by_role("button", name="Change password").click()
    page.get_by_text("Your password has been changed").wait_for()


def test_a_given_password_is_changed_first(app, page_of, newcomer, grave_faults, look, screenshot):
    with app.state.desk.database.writing() as session:
        session.scalars(select(Person).where(Person.email == newcomer)).one().password_must_change = True
    page = page_of(None, **look)
    page.goto("/sign-in")
    page.fill("#email", newcomer)
    page.fill("#password", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/account/password"))
    screenshot(page, f"given-password-{look['width']}-{look['scheme']}")
    assert fits(page)
    assert not grave_faults(page)
    page.fill("#current", PASSWORD)
    page.fill("#new", "a new one, quite long")
    page.fill("#again", "a new one, quite long")
    page.get_by_role("button", name="Change password").click()
    page.get_by_text("Your password has been changed").wait_for()
    page.get_by_role("button", name="Sign out everywhere, including here").click()
    page.wait_for_url(re.compile("/sign-in"))


def test_a_forgotten_password_in_a_browser(app, page_of, newcomer, grave_faults, look, screenshot):
    page = page_of(None, **look)
    page.goto("/sign-in")
    page.get_by_role("link", name="Forgot your password?").click()
    page.fill("#email", newcomer)
    page.get_by_role("button", name="Send the link").click()
    page.get_by_text("an e-mail with a link is on its way").wait_for()
    with app.state.desk.database.writing() as session:
        key = make_reset(session, session.scalars(select(Person).where(Person.email == newcomer)).one())
    page.goto(f"/password/new?key={key}")
    assert "key" not in page.url
    screenshot(page, f"reset-password-{look['width']}-{look['scheme']}")
    assert fits(page)
    assert not grave_faults(page)
    page.fill("#new", "a new one, quite long")
    page.fill("#again", "a new one, quite long")
    page.get_by_role("button", name="Set password").click()
    page.get_by_text("Your new password is set").wait_for()
    page.fill("#email", newcomer)
    page.fill("#password", "a new one, quite long")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/deals"))
