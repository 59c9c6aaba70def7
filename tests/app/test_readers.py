"""People read pages and the API while scoring runs are published: no error, and all of a page is of one run."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from desk_access import Newcomer
from desk_reading import percents, with_odds

from winpredict.app.identity import COOKIE, signed
from winpredict.app.publishing import publish
from winpredict.app.records import Role

READERS, SECONDS = 20, 3.0


@pytest.fixture(scope="module")
def cookies(app, cast) -> list[tuple[Role, str]]:
    """Sessions of different people."""
    roles = [list(Role)[number % 3] for number in range(READERS)]  # all but admins, who see no deals
    return [(role, signed(app.state.desk, Newcomer(app, cast, role).cookie)) for role in roles]


def test_no_error_and_no_torn_page(app, workspace, cast, served, cookies):
    database, crm, scores = app.state.desk.database, workspace.crm(), workspace.latest_scores()
    publish(database, crm, with_odds(scores, 0))
    httpx.get(f"{served}/deals/{cast.deal}", cookies={COOKIE: cookies[0][1]}, timeout=60).raise_for_status()
    ended, shown, pages = threading.Event(), set(), [0] * READERS

    def read(number: int) -> None:
        role, cookie = cookies[number]
        addresses = ["/deals", "/api/v1/deals", f"/deals/{cast.deal}", f"/api/v1/deals/{cast.deal}"]
        addresses += ["/pipeline"] * (role != Role.REP)
        with httpx.Client(base_url=served, cookies={COOKIE: cookie}, timeout=30) as client:
            while not ended.is_set():
                for address in addresses:
                    answer = client.get(address)
                    assert answer.status_code == 200, (address, answer.text)
                    is_json = answer.headers["content-type"].startswith("application/json")
                    found = percents(address, answer.json() if is_json else answer.text)
                    assert len(found) == 1, (address, found)
                    shown.update(found)
                    pages[number] += 1

    with ThreadPoolExecutor(READERS) as threads:
        reading = [threads.submit(read, number) for number in range(READERS)]
        until, run = time.monotonic() + SECONDS, 0
        while time.monotonic() < until or run < 3:
            run += 1
            publish(database, crm, with_odds(scores, run))
            ended.wait(0.3)
        ended.set()
        for each in reading:
            each.result(60)
    assert min(pages) > 0
    assert len(shown) > 2
