"""Each page's main task over an export of Salesforce: names, stages and sizes as a company has them."""

import re
from pathlib import Path

import pandas as pd
import pytest
from browsing import NOTHING_WAITS, fits, press_until, until, whole
from desk_world import fill, with_teams

from winpredict import Config, train
from winpredict.ingest import import_files, load_profile
from winpredict.workspace import Workspace

DATA = Path(__file__).parents[4] / "shared" / "data" / "salesforce_export" / "WE_export_2025-03-13.zip"
DEALS = 2000


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """Trained as of five weeks before the export's end, so that there is drift to show."""
    if not DATA.exists():
        pytest.skip("the export of Salesforce is not on this machine")
    workspace = Workspace(tmp_path_factory.mktemp("export") / "workspace")
    crm = with_teams(import_files([DATA], load_profile("salesforce")).crm)
    # all open ones, and as many closed ones as drivers and drift need: the rest only takes time
    latest = crm.deals.sort_values(["closed_at", "deal_id"])["deal_id"].tail(DEALS)
    workspace.save_import(crm.of_deals(latest), profile="salesforce")
    crm = workspace.crm()
    config = Config.model_validate({"model": {"bags": 2, "trees": 40, "learning_rate": 0.1, "threads": 1}})
    model = train(crm, config, as_of=crm.known_until - pd.Timedelta(weeks=5))
    fill(workspace, model, config)
    return workspace


@pytest.fixture
def seen(grave_faults, screenshot, look):
    """Look at a page as it stands."""

    def see(page, name: str) -> None:
        screenshot(page, f"export-{name}-{look['width']}-{look['scheme']}")
        assert fits(page)
        assert not grave_faults(page)

    return see


def test_a_rep_from_the_list_to_a_deal_and_back(page_of, look, seen):
    page = page_of("rep", **look)
    whole(page, "/deals")
    seen(page, "list")
    first = page.locator("[data-row]").first
    name = first.inner_text()
    press_until(page, first)
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/deals/.+"))
    whole(page, page.url)
    assert page.locator("h1").inner_text() == name
    for summary in page.locator("summary").all():
        summary.click()
    seen(page, "deal")
    slider = page.locator(".what-if input[type=range]").first
    slider.focus()
    at_the_end = slider.input_value() == slider.get_attribute("max")
    page.keyboard.press("ArrowLeft" if at_the_end else "ArrowRight")
    page.locator("#what-if-answer .big").wait_for()
    page.get_by_label("The odds are too low").check()
    page.get_by_label("What do you know").fill("They told us yesterday")
    page.get_by_role("button", name="Submit").click()
    page.get_by_text("Thank you.").wait_for()
    seen(page, "feedback")
    page.get_by_role("link", name="My deals").first.click()
    page.wait_for_url(re.compile("/deals$"))


def test_a_manager_from_a_figure_to_its_deals(page_of, look, seen):
    page = page_of("boss", **look)
    whole(page, "/pipeline")
    seen(page, "pipeline")
    figure = page.locator("td[data-label='Deals'] a").first
    count = int(figure.inner_text().replace(",", ""))
    figure.click()
    page.wait_for_url(re.compile("/deals"))
    assert f"{count:,} open deal" in page.locator("main").inner_text()


def test_a_manager_compares_two_products(page_of, look, seen):
    page = page_of("boss", **look)
    whole(page, "/drivers")
    page.select_option("#segment", "product")
    page.get_by_role("button", name="Apply").click()
    page.wait_for_url(re.compile("segment=product"))
    until(page, NOTHING_WAITS)
    options = page.locator("#group option").evaluate_all("all => all.map(each => each.value).filter(Boolean)")
    page.select_option("#group", options[0])
    page.select_option("#other_group", options[1])
    page.get_by_role("button", name="Apply").click()
    page.wait_for_url(re.compile("other_group="))
    whole(page, page.url)
    seen(page, "drivers")


def test_a_data_scientist_sees_what_came_true(page_of, look, seen):
    page = page_of("scientist", **look)
    whole(page, "/models")
    assert re.search(r"Of \d+ deals that were open at training the model expected", page.locator("#drift").inner_text())
    seen(page, "models")
    page.get_by_role("link", name="Model 1").click()
    page.wait_for_url(re.compile("/models/1"))
    assert "Loss_Reason__c" in page.locator("main").inner_text()
