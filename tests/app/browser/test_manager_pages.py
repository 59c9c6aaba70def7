"""The manager's pages in a browser: by keyboard and by mouse, on a desk and on a phone, light and dark."""

import re
import threading

import numpy as np
import pandas as pd
import pytest
from browsing import NOTHING_WAITS, fits, press_until, until, whole

from winpredict.explain._evidence import Evidence
from winpredict.explain.themes import Themes

COMPARED = "/drivers?segment=customer&group=new&other_group=existing"


@pytest.fixture(autouse=True, scope="module")
def quick_work():
    """The test of drivers takes half a minute and has tests of its own."""

    def evidence(model, crm, **_):
        names = Themes(model.info).names
        known = [place % 3 > 0 for place in range(len(names))]
        table = pd.DataFrame({"theme": names, "p_value": 0.01, "evidence": known, "stability": np.nan})
        return Evidence(table, pd.DataFrame(columns=["first", "second", "points"]), ())

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("winpredict.explain.drivers.evidence_of", evidence)
        yield


def test_pipeline(page_of, grave_faults, screenshot, look):
    page = page_of("boss", **look)
    whole(page, "/pipeline")
    assert page.title() == "Pipeline · winpredict"
    screenshot(page, f"pipeline-{look['width']}-{look['scheme']}")
    assert fits(page)
    assert not grave_faults(page)
    images = page.locator("figure img").all()
    sources = [image.evaluate("image => image.currentSrc") for image in images]
    assert all(("size=narrow" in each) == (look["width"] < 640) for each in sources)


@pytest.mark.parametrize("width", [390, 820, 1024])
@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("pipeline", "/pipeline"),
        ("pipeline-list", "/pipeline/deals?of=expected"),
        ("stage-list", "/pipeline/deals?of=reached&stage=Prospecting&page=2"),
        ("drivers", COMPARED),
        ("drivers-list", "/drivers/deals?of=closed"),
        ("deals", "/deals"),
    ],
)
def test_pages_fit_screens_between_a_phone_and_a_desk(page_of, screenshot, changed, cast, width, name, address):
    changed(cast.rep, currency="EUR")
    changed(cast.other_rep, currency="USD")
    page = page_of("boss", width=width)
    whole(page, address)
    for details in page.locator("details").all():
        details.locator("summary").click()
    screenshot(page, f"{name}-{width}")
    assert fits(page)


def test_a_list_is_paged_and_downloaded_by_mouse(page_of):
    page = page_of("boss")
    whole(page, "/pipeline/deals?of=reached&stage=Prospecting")
    first = page.locator("tbody th").all_inner_texts()
    page.click("text=Next")
    page.wait_for_url(re.compile("page=2"))
    until(page, NOTHING_WAITS)
    assert not set(first) & set(page.locator("tbody th").all_inner_texts())
    with page.expect_download() as begun:
        page.click("text=Download as CSV")
    assert begun.value.suggested_filename == "deals.csv"


def test_from_a_figure_to_its_deals_by_keyboard(page_of):
    page = page_of("boss")
    whole(page, "/pipeline")
    figure = page.locator(".figures a").first
    number = figure.locator("strong").inner_text()
    press_until(page, figure)
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/deals"))
    assert f"{number} open deals" in page.locator("main").inner_text()


def test_a_team_is_chosen_by_mouse(page_of):
    page = page_of("boss")
    whole(page, "/pipeline")
    before = page.locator(".figures strong").first.inner_text()
    page.select_option("#whose", "under:manager-1")
    page.wait_for_url(re.compile("whose=under"))
    until(page, NOTHING_WAITS)
    assert page.locator("h1").inner_text() == "Pipeline of Olga Odd and reports"
    assert page.locator(".figures strong").first.inner_text() != before
    page.locator("td[data-label='Deals'] a").first.click()
    assert "of the team or person you chose" in page.locator("main").inner_text()


def test_a_list_behind_a_figure(page_of, grave_faults, screenshot, look):
    page = page_of("boss", **look)
    whole(page, "/pipeline/deals?of=open&period=this+quarter")
    screenshot(page, f"pipeline-open-{look['width']}-{look['scheme']}")
    assert fits(page)
    assert not grave_faults(page)
    page.locator("[data-row]").first.click()
    page.wait_for_url(re.compile("/deals/.+"))


def test_drivers(page_of, grave_faults, screenshot, look):
    page = page_of("boss", **look)
    whole(page, COMPARED)
    assert page.title() == "Drivers · winpredict"
    screenshot(page, f"drivers-{look['width']}-{look['scheme']}")
    assert fits(page)
    assert not grave_faults(page)


def test_drivers_are_compared_by_keyboard(page_of):
    page = page_of("boss")
    whole(page, "/drivers")
    press_until(page, page.locator("#segment"))
    page.keyboard.type("new or")
    press_until(page, page.locator(".choices button"))
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("segment=customer"))
    page.locator("#group").focus()
    page.keyboard.type("new")
    page.locator("#other_group").focus()
    page.keyboard.type("exist")
    page.keyboard.press("Enter")
    press_until(page, page.locator(".choices button"))
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("other_group=existing"))
    assert re.search("New customers: .* Existing customers:", page.locator("#all").inner_text())


def test_without_scripts(page_of):
    page = page_of("boss", scripts=False)
    page.goto("/drivers?segment=product")
    for _ in range(60):
        if not page.locator("[data-waiting]").count():
            break
        page.locator(".no-script a, a.no-script").first.click()
    assert not page.locator("[data-waiting]").count()
    page.goto("/pipeline")
    page.select_option("#whose", "under:manager-0")
    page.get_by_role("button", name="Apply").click()
    assert "whose=under%3Amanager-0" in page.url


def test_parts_come_into_place_while_one_looks(page_of, app, grave_faults, screenshot):
    desk, page = app.state.desk, page_of("manager")
    desk._cache.clear()  # as after new scores
    page.goto("/drivers")
    screenshot(page, "drivers-waiting")
    assert not grave_faults(page)
    until(page, NOTHING_WAITS)
    assert page.locator("#strengths table").count() == 1


def test_a_desk_that_does_not_answer_is_told(page_of, app, monkeypatch, grave_faults):
    from winpredict.insights import control

    going_on, worked_out = threading.Event(), control.changes
    monkeypatch.setattr(control, "changes", lambda *given, **named: going_on.wait(30) and worked_out(*given, **named))
    app.state.desk._cache.clear()
    page = page_of("manager")
    page.goto("/drivers")
    page.context.set_offline(True)
    until(page, "document.querySelector('#told')?.textContent.includes('does not answer')")
    assert page.locator("#told").is_visible()
    assert not grave_faults(page)
    page.context.set_offline(False)
    going_on.set()
    until(page, NOTHING_WAITS)
    assert "does not answer" not in page.locator("#told").inner_text()


def test_figures_of_drivers_lead_to_their_deals(page_of, grave_faults, screenshot, look):
    page = page_of("boss", **look)
    whole(page, "/drivers")
    page.locator(".figures a", has_text="win rate").click()
    page.wait_for_url(re.compile("/drivers/deals"))
    screenshot(page, f"drivers-deals-{look['width']}-{look['scheme']}")
    assert "All deals: won" in page.locator("h1").inner_text()
    assert fits(page)
    assert not grave_faults(page)
    page.locator(".back a").click()
    page.wait_for_url(re.compile("/drivers[?]?$"))


def test_nothing_there_yet(page_of, screenshot, grave_faults, app):
    from sqlalchemy import update

    from winpredict.app.records import Person

    with app.state.desk.database.writing() as session:
        session.execute(update(Person).where(Person.email == "manager@example.com").values(crm_user_id="nobody"))
    page = page_of("manager")
    for name in ("pipeline", "drivers"):
        whole(page, f"/{name}")
        screenshot(page, f"{name}-empty")
        assert "ask your admin" in page.locator("main").inner_text()
        assert not grave_faults(page)
