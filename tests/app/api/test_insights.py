"""Insights for programs: computed once, and worded in the language of whoever asks."""

import numpy as np
import pandas as pd
import pytest
from desk_access import Newcomer
from fastapi.testclient import TestClient

from winpredict.app.records import Role
from winpredict.explain._evidence import Evidence
from winpredict.explain.themes import Themes
from winpredict.insights import forecast as forecasts
from winpredict.insights import funnel as funnels
from winpredict.locale.language import Language


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
