"""What tests of pages in a browser have in common."""

import time

import pytest

#: Widths and colour schemes in which every page is looked at.
LOOKS = [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")]
NOTHING_WAITS = "!document.querySelector('[data-waiting]')"


def until(shown, expression: str) -> None:
    """Wait for something to be so; not by wait_for_function, which the content security policy forbids."""
    for _ in range(600):
        if shown.evaluate(expression):
            return
        time.sleep(0.05)
    pytest.fail(f"it never is so: {expression}")


def whole(page, address: str) -> None:
    """Go to a page and wait, as people do, until all its parts are there and its charts are drawn."""
    page.goto(address)
    until(page, NOTHING_WAITS)
    # a chart is asked for once it has come into sight, for which a browser needs a moment
    for image in page.locator("figure img, picture img").all():
        if image.is_visible():
            image.scroll_into_view_if_needed()
            until(image, "each => each.complete && each.naturalWidth > 0")
    page.evaluate("scrollTo(0, 0)")


def fits(page) -> bool:
    """Whether nothing runs over the right edge."""
    return page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def press_until(page, locator, key: str = "Tab") -> None:
    """Reach something by a key alone."""
    for _ in range(60):
        page.keyboard.press(key)
        if locator.evaluate("each => each === document.activeElement"):
            return
    pytest.fail("it is not reached by the keyboard")
