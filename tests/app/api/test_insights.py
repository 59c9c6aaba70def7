"""Insights for programs: computed once, and worded in the language of whoever asks."""

import numpy as np
import pandas as pd
import pytest
from desk_access import Newcomer
from fastapi.testclient import TestClient

from winpredict.app.records import Person, Role
from winpredict.app.shared_work import SharedWork
from winpredict.app.visibility import visible_owners, visible_tables
from winpredict.explain import drivers as explaining
from winpredict.explain._evidence import Evidence
from winpredict.explain.themes import Themes
from winpredict.insights import forecast as forecasts
from winpredict.insights import funnel as funnels
from winpredict.insights.control import changes
from winpredict.insights.winrates import closed_won
from winpredict.locale.language import Language
from winpredict.report.drivers import compared_attributes, segment_of


@pytest.fixture(scope="module")
def get(app, cast):
    """Ask as a manager, in a language."""
    key = Newcomer(app, cast, Role.MANAGER).key("read")
    with TestClient(app) as client:
        yield lambda path, language: client.get(
            f"/api/v1{path}", headers={"Authorization": f"Bearer {key}", "Accept-Language": language}
        ).json()


@pytest.mark.parametrize(
    ("path", "module", "name"), [("/funnel", funnels, "funnel"), ("/forecast", forecasts, "forecast")]
)
def test_sentences_are_in_the_callers_language_and_figures_are_computed_once(get, app, monkeypatch, path, module, name):
    original, computed = getattr(module, name), []

    def counted(*arguments, **settings):
        computed.append(arguments)
        return original(*arguments, **settings)

    app.state.desk._forget_former()
    monkeypatch.setattr(module, name, counted)
    english, german, again = (get(path, language) for language in ("en", "de", "en"))
    assert len(computed) == 1
    assert again == english
    assert english["sentences"] != german["sentences"]
    assert len(english["sentences"]) == len(german["sentences"]) > 0
    worded = ("sentences", "notes")
    assert {key: english[key] for key in english if key not in worded} == {
        key: german[key] for key in german if key not in worded
    }


def test_drivers_have_names_in_the_callers_language(get, monkeypatch):
    def evidence(model, crm, **_):
        names = Themes(model.info).names
        table = pd.DataFrame({"theme": names, "p_value": 0.01, "evidence": True, "stability": np.nan})
        return Evidence(table, pd.DataFrame(columns=["first", "second", "points"]), ())

    monkeypatch.setattr("winpredict.explain.drivers.evidence_of", evidence)
    english, french = (get("/drivers", language)["drivers"] for language in ("en", "fr"))
    assert [each["theme"] for each in english] == [each["theme"] for each in french]
    assert [Language("fr").message(each["name"]) for each in english] == [each["name"] for each in french]
    touches = next(each["name"] for each in french if each["theme"] == "touches")
    assert touches == Language("fr").message("number of touches") != "number of touches"


def test_the_drivers_of_all_segments_explain_each_deal_once(get, app, monkeypatch):
    original, explained = explaining.explain_deals, []

    def counted(*arguments, **settings):
        explained.append(arguments)
        return original(*arguments, **settings)

    app.state.desk._forget_former()
    monkeypatch.setattr(explaining, "explain_deals", counted)
    whole, of_product, of_stage = (
        get(f"/drivers{asked}", "en") for asked in ("", "?segment=product", "?segment=stage")
    )
    assert len(explained) == 1
    for found in (of_product, of_stage):
        assert found["drivers"] == whole["drivers"]
        assert found["sentences"] == whole["sentences"]
    assert not whole["groups"]
    assert {each["group"] for each in of_product["groups"]} != {each["group"] for each in of_stage["groups"]}


def test_drivers_within_groups_are_those_that_are_made_alone(get, app, cast):
    loaded = app.state.desk.loaded()
    with app.state.desk.database.reading() as session:
        owners = visible_owners(session, Person(role=Role.MANAGER, crm_user_id=cast.boss, active=True))
    crm = visible_tables(loaded.crm, owners)
    groups = segment_of(crm, "product", compared_attributes(loaded.model, crm))
    alone = explaining.drivers(loaded.model, crm, groups=groups, cross_deal_history=loaded.scorer.cross_deal_history)
    found = get("/drivers?segment=product", "en")
    assert found["deals"] == alone.deals
    for rows, frame in ((found["drivers"], alone.themes), (found["groups"], alone.groups)):
        assert [each["strength"] for each in rows] == frame["strength"].tolist()
        assert [each["low"] for each in rows] == frame["low"].tolist()


@pytest.mark.parametrize("who", ["manager", "boss"])
def test_what_pages_share_is_what_each_makes_alone(app, cast, who):
    desk = app.state.desk
    loaded = desk.loaded()
    person = Person(role=Role.MANAGER, crm_user_id=getattr(cast, who), active=True)
    with desk.database.reading() as session:
        owners = visible_owners(session, person)
    work, history = SharedWork(desk, loaded, owners), loaded.scorer.cross_deal_history
    assert work.at_end() is not None
    crm = visible_tables(loaded.crm, owners)
    alone, shared = forecasts.forecast(loaded.model, crm, cross_deal_history=history), work.forecast()
    for name in ("periods", "by_team", "by_rep", "deals", "booked"):
        pd.testing.assert_frame_equal(getattr(shared, name), getattr(alone, name), check_exact=True)
    alone, shared = funnels.funnel(crm), work.funnel()
    for name in ("now", "history", "conversion", "stalled", "moves_back", "after_moving_back", "velocity", "coverage"):
        pd.testing.assert_frame_equal(getattr(shared, name), getattr(alone, name), check_exact=True)
    assert [str(note) for note in shared.notes] == [str(note) for note in alone.notes]
    compared = {"attributes": work.attributes}
    alone, shared = closed_won(crm, **compared), closed_won(crm, **compared, at_end=work.at_end())
    pd.testing.assert_frame_equal(shared.segments, alone.segments, check_exact=True)
    alone, shared = changes(crm, **compared), changes(crm, **compared, at_end=work.at_end())
    pd.testing.assert_frame_equal(shared.frame, alone.frame, check_exact=True)
    assert "booked" not in work.at_end(), "who takes the shared table leaves it as it is"
