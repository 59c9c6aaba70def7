"""A small trained workspace, its win desk, people who are signed in, and the desk served for browsers."""

import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import uvicorn
from browsing import LOOKS
from desk_access import cheap_hashes
from desk_world import (
    PASSWORD,
    PEOPLE,
    Cast,
    cast_of,
    client_of,
    fill,
    judge,
    let_in,
    populate,
    with_teams,
    without_dates,
)
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import select, update

from winpredict.app.application import create_app
from winpredict.app.records import Score
from winpredict.app.visibility import latest_run
from winpredict.config import Config
from winpredict.models.training import train
from winpredict.workspace import Workspace

#: Chromium as root in a container, quiet on the network.
_CHROMIUM = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
_CHROMIUM += ["--disable-component-update", "--disable-sync", "--disable-quic"]


#: Argon2 costs what it is to cost only where people are added by the command line.
cheap_passwords = pytest.fixture(scope="module", autouse=True)(cheap_hashes)


@pytest.fixture(scope="session")
def trained(tmp_path_factory, world, model, quick_config) -> Workspace:
    """A workspace with tables, a champion and scores. Shared by all tests: take `workspace` to change something."""
    workspace = Workspace(tmp_path_factory.mktemp("trained") / "workspace")
    workspace.save_import(with_teams(world.crm), profile="simulated")
    fill(workspace, model, quick_config)
    return workspace


@pytest.fixture(scope="module")
def workspace(tmp_path_factory, trained) -> Workspace:
    """A copy of the trained workspace for one module."""
    folder = tmp_path_factory.mktemp("desk") / "workspace"
    shutil.copytree(trained.folder, folder)
    return Workspace(folder)


@pytest.fixture(scope="session")
def judged(tmp_path_factory, trained, model, quick_config) -> Workspace:
    """The trained workspace with a backtest, and a challenger. Shared by all tests: take a copy to change something."""
    folder = tmp_path_factory.mktemp("judged") / "workspace"
    shutil.copytree(trained.folder, folder)
    judge(Workspace(folder), model, quick_config)
    return Workspace(folder)


@pytest.fixture(scope="module")
def app(workspace, desk_config) -> Iterator[FastAPI]:
    """The win desk of the module's workspace, with two scoring runs and everybody of `desk_world.PEOPLE`."""
    made = create_app(workspace, desk_config)
    made.state.cast = populate(made.state.desk, workspace.crm(), workspace.latest_scores())
    yield made
    made.state.desk.database.close()


@pytest.fixture(scope="session")
def undated(tmp_path_factory, world, quick_config) -> Iterator[FastAPI]:
    """The win desk of a workspace whose deals carry no dates, with one scoring run and everybody as in `app`."""
    workspace = Workspace(tmp_path_factory.mktemp("undated") / "workspace")
    crm = without_dates(with_teams(world.crm))
    workspace.save_import(crm, profile="simulated")
    fill(workspace, train(crm, quick_config), quick_config)
    made = create_app(workspace, Config())
    cast = cast_of(with_teams(world.crm))
    let_in(made.state.desk, workspace.crm(), [workspace.latest_scores()], cast)
    made.state.cast = cast
    yield made
    made.state.desk.database.close()


@pytest.fixture(scope="module")
def desk_config() -> Config:
    """Knobs of the app; a module that wants others overrides this fixture."""
    return Config()


@pytest.fixture(scope="module")
def cast(app) -> Cast:
    """Who is who in the CRM."""
    return app.state.cast


@pytest.fixture(scope="module")
def signed_in(app) -> Iterator[Callable[[str], TestClient]]:
    """A client for anybody of `desk_world.PEOPLE`, signed in once a module: ``signed_in("rep").get("/deals")``.

    For a request that changes something send ``client.csrf`` as the field csrf_token or the header X-CSRF-Token.
    """
    clients: dict[str, TestClient] = {}

    def of(who: str) -> TestClient:
        if who not in clients:
            clients[who] = client_of(app, PEOPLE[who][0])
        return clients[who]

    yield of
    for each in clients.values():
        each.close()


@pytest.fixture
def changed(app):
    """Scores of the shown run with other values, as long as a test lasts: ``changed(owner_id, currency="EUR")``."""
    kept = []

    def change(owner_id: str, **values):
        with app.state.desk.database.writing() as session:
            mine = session.scalars(
                select(Score).where(Score.run_id == latest_run().scalar_subquery(), Score.owner_id == owner_id)
            )
            for row in mine:
                kept.append((row.run_id, row.deal_id, {name: getattr(row, name) for name in values}))
                for name, value in values.items():
                    setattr(row, name, value)

    yield change
    with app.state.desk.database.writing() as session:
        for run_id, deal_id, values in reversed(kept):
            where = Score.run_id == run_id, Score.deal_id == deal_id
            session.execute(update(Score).where(*where).values(**values))


@pytest.fixture
def anybody(app) -> Iterator[TestClient]:
    """A client that is not signed in."""
    with TestClient(app, follow_redirects=False) as client:
        yield client


@pytest.fixture(scope="module")
def served(app) -> Iterator[str]:
    """The address at which the module's app answers browsers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        for _ in range(200):
            if server.started:
                break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join(10)


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium. For the module only: while it runs, this thread has an event loop of its own."""
    pytest.importorskip("playwright", reason="browser tests need playwright")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("browser tests need chromium, which is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=_CHROMIUM)
        yield running
        running.close()


@pytest.fixture(scope="module")
def kept_sign_ins() -> dict[str, object]:
    """Cookies of those who have signed in, so that each does so once a module."""
    return {}


@pytest.fixture
def page_of(browser, served, kept_sign_ins):
    """A page of somebody's browser: ``page_of("rep", width=390, scheme="dark")``; relative addresses are the app's.

    Errors of scripts and of the content security policy make the test fail.
    """
    faults: list[str] = []
    with ExitStack() as open_ones:

        def page(who: str | None, *, width: int = 1280, scheme: str = "light", scripts: bool = True):
            context = browser.new_context(
                base_url=served, viewport={"width": width, "height": 844 if width < 700 else 900},
                color_scheme=scheme, java_script_enabled=scripts, storage_state=kept_sign_ins.get(who),
            )  # fmt: skip
            open_ones.callback(context.close)
            shown = context.new_page()
            shown.set_default_timeout(10_000)
            shown.on("pageerror", lambda error: faults.append(str(error)))
            shown.on("console", lambda said: faults.append(said.text) if "Content Security" in said.text else None)
            if who is not None and who not in kept_sign_ins:
                shown.goto("/sign-in")
                shown.fill("#email", PEOPLE[who][0])
                shown.fill("#password", PASSWORD)
                shown.click("button[type=submit]")
                kept_sign_ins[who] = context.storage_state()
            return shown

        yield page
    assert not faults


@pytest.fixture(params=LOOKS, ids=lambda look: f"{look[0]}-{look[1]}")
def look(request) -> dict[str, object]:
    """How a page is looked at: ``page_of("rep", **look)``, on a desk and on a phone, light and dark."""
    width, scheme = request.param
    return {"width": width, "scheme": scheme}


@pytest.fixture
def grave_faults():
    """Violations that axe-core calls serious or critical on a page, in words: ``assert not grave_faults(page)``."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python").Axe()

    def found(page) -> list[str]:
        violations = axe.run(page).response["violations"]
        return [
            f"{each['id']}: {each['help']}: {[node['html'][:200] for node in each['nodes'][:3]]}"
            for each in violations
            if each["impact"] in ("serious", "critical")
        ]

    return found


@pytest.fixture
def screenshot():
    """Keep a picture of a page in the folder that WINPREDICT_SCREENSHOTS names; without one nobody looks at any."""
    folder = os.environ.get("WINPREDICT_SCREENSHOTS")

    def keep(page, name: str) -> None:
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)

    return keep
