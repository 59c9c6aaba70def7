"""The rep's pages in a browser: their main task by keyboard and by mouse, on a desk and on a phone, light and dark."""

import re

import pytest
from browsing import fits, press_until, whole


def open_the_second_by_keyboard(page):
    """From the list's beginning by Tab alone; short cuts have tests of their own."""
    page.locator("#search").focus()
    second = page.locator("[data-row]").nth(1)
    press_until(page, second)
    page.keyboard.press("Enter")


def test_list(page_of, grave_faults, screenshot, look):
    page = page_of("rep", **look)
    page.goto("/deals")
    assert page.title() == "My deals · winpredict"
    name = page.locator("[data-row]").nth(1).inner_text()
    screenshot(page, f"list-{look['width']}-{look['scheme']}")
    assert fits(page)
    assert not grave_faults(page)
    open_the_second_by_keyboard(page)
    page.wait_for_url(re.compile("/deals/.+"))
    assert page.locator("h1").inner_text() == name


def test_deal(page_of, grave_faults, screenshot, cast, look):
    page = page_of("rep", **look)
    whole(page, f"/deals/{cast.deal}")
    chart = page.locator("picture img")
    for summary in page.locator("summary").all():
        summary.click()
    screenshot(page, f"deal-{look['width']}-{look['scheme']}")
    assert fits(page)
    assert not grave_faults(page)
    assert ("narrow=1" in chart.evaluate("image => image.currentSrc")) == (look["width"] < 760)


@pytest.mark.parametrize("width", [768, 1024])
@pytest.mark.parametrize("who", ["rep", "manager"])
def test_on_a_tablet(page_of, screenshot, cast, who, width):
    page = page_of(who, width=width)
    for address, name in (("/deals", "list"), (f"/deals/{cast.deal}", "deal")):
        page.goto(address)
        screenshot(page, f"{name}-{who}-{width}")
        assert fits(page)


def test_filters_by_mouse(page_of):
    page = page_of("rep")
    page.goto("/deals")
    stage = page.locator('td[data-label="Stage"]').first.inner_text()
    page.select_option("#stage", stage)  # applies at once
    page.wait_for_url(re.compile("stage="))
    assert set(page.locator('td[data-label="Stage"]').all_inner_texts()) == {stage}
    page.get_by_role("link", name="Amount").click()
    page.wait_for_url(re.compile("order=amount"))
    assert "stage=" in page.url
    assert page.locator('th[aria-sort="descending"]').inner_text().startswith("Amount")
    with page.expect_download() as found:
        page.get_by_role("link", name="Download as CSV").click()
    told = found.value.path().read_text()
    assert told.count("\n") - 1 == page.locator("[data-row]").count()


def test_filters_by_keyboard(page_of):
    """Going through the options with the arrows loads nothing; the button does."""
    page = page_of("rep")
    page.goto("/deals")
    stage = page.locator("#stage")
    stage.focus()
    for _ in range(2):
        page.keyboard.press("ArrowDown")
    chosen = stage.input_value()
    assert chosen
    assert page.url.endswith("/deals")
    assert stage.evaluate("each => each === document.activeElement")
    press_until(page, page.get_by_role("button", name="Apply"))
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("stage="))
    assert page.locator("#stage").input_value() == chosen


def test_keys(page_of):
    page = page_of("rep")
    page.goto("/deals")
    names = page.locator("[data-row]").all_inner_texts()
    focused = "document.activeElement.innerText"
    page.keyboard.press("ArrowDown")
    assert page.evaluate(focused) == names[0]
    page.keyboard.press("ArrowDown")
    page.keyboard.press("j")
    assert page.evaluate(focused) == names[2]
    page.keyboard.press("ArrowUp")
    assert page.evaluate(focused) == names[1]
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "search"
    page.keyboard.type("/jk")  # in a field they are letters
    assert page.input_value("#search") == "/jk"
    page.fill("#search", names[1])
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("search="))
    assert names[1] in page.locator("[data-row]").all_inner_texts()
    page.get_by_role("button", name="Turn them off").click()
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") != "search"
    page.get_by_role("button", name="Turn them on").click()


@pytest.mark.parametrize("scripts", [True, False])
def test_what_if(page_of, cast, scripts):
    page = page_of("rep", scripts=scripts)
    page.goto(f"/deals/{cast.deal}")
    slider = page.locator("#if-touches_30d")
    slider.focus()
    before = int(slider.input_value())
    key = "ArrowLeft" if before == int(slider.get_attribute("max")) else "ArrowRight"
    page.keyboard.press(key)
    if not scripts:
        page.get_by_role("button", name="Apply").click()
    answer = page.locator("#what-if-answer .big")
    answer.wait_for()
    assert re.fullmatch(r"\d+%( instead of \d+%| \(about the same as now\))", answer.inner_text())
    assert "not what a change would bring about" in page.locator("#what-if-answer").inner_text()
    moved = before + (1 if key == "ArrowRight" else -1)
    assert f"touches_30d={moved}" in page.url
    assert page.locator('output[for="if-touches_30d"]').inner_text() == str(moved)
    page.get_by_role("link", name="Reset").click()
    page.wait_for_url(lambda url: "touches_30d" not in url)
    assert not page.locator("#what-if-answer").inner_text()


@pytest.mark.parametrize("by", ["mouse", "keyboard"])
def test_feedback(page_of, grave_faults, cast, by):
    page = page_of("rep", width=390)
    page.goto(f"/deals/{cast.deal}")
    said = f"They bought elsewhere, by {by}"
    if by == "mouse":
        page.get_by_label("The odds are too high").check()
        page.get_by_label("What do you know").fill(said)
        page.get_by_role("button", name="Submit").click()
    else:
        page.locator('input[name="kind"]').first.focus()
        page.keyboard.press("Space")
        page.keyboard.press("Tab")
        page.keyboard.type(said)
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
    page.wait_for_url(re.compile("thanks=1"))
    assert page.get_by_text("Thank you.").is_visible()
    assert page.get_by_text(said).is_visible()
    assert not grave_faults(page)


def test_all_of_a_list_without_scripts(page_of, cast):
    page = page_of("rep", scripts=False)
    page.goto("/deals")
    page.fill("#search", cast.deal)
    page.get_by_role("button", name="Apply").click()
    page.wait_for_url(re.compile("search="))
    page.locator("[data-row]").click()
    page.wait_for_url(re.compile(f"/deals/{cast.deal}"))
    assert page.locator("picture img").evaluate("image => image.complete && image.naturalWidth > 0")


@pytest.mark.parametrize("address", ["/deals/nobody", "/deals?page=0", "/deals?search=nothing-of-the-kind"])
def test_errors_and_nothing(page_of, grave_faults, screenshot, address):
    page = page_of("rep", width=390, scheme="dark")
    page.goto(address)
    screenshot(page, re.sub(r"\W+", "-", address).strip("-"))
    assert page.locator(".message").is_visible()
    assert fits(page)
    assert not grave_faults(page)
