import html
import re
import shutil
from dataclasses import replace

import pandas as pd
import pytest
from desk_world import csrf_token
from sqlalchemy import select

from winpredict.app.pages.feedback_views import call_name, without
from winpredict.app.pages.model_views import shift_rows
from winpredict.app.records import AuditEntry, Feedback, Score
from winpredict.locale.text import text
from winpredict.models.backtest_record import read_backtest
from winpredict.models.drift import Drift
from winpredict.models.monitoring import FILE, Check, Health, keep_health
from winpredict.models.registry import find_model, list_models, promote
from winpredict.workspace import Workspace


@pytest.fixture(scope="module")
def workspace(tmp_path_factory, judged):
    """With a backtest, and a challenger."""
    place = tmp_path_factory.mktemp("desk") / "workspace"
    shutil.copytree(judged.folder, place)
    return Workspace(place)


@pytest.fixture
def scientist(signed_in):
    return signed_in("scientist")


@pytest.fixture
def as_before(workspace):
    """The first model is the champion again afterwards."""
    yield
    promote(workspace.folder, 1)


def page(client) -> str:
    """The page of models, with all its parts."""
    for _ in range(60):
        answer = client.get("/models")
        assert answer.status_code == 200
        if "data-waiting" not in answer.text:
            return answer.text
    pytest.fail("parts of the page are never there")


def test_health_stands_on_the_page_and_in_the_figures(scientist, workspace, app):
    assert "Nobody has looked yet" in page(scientist)
    checks = (
        Check("freshness", "ok", text("the newest fact is of {newest:day}", newest="2025-03-12")),
        Check("odds", "act", text("of 5 deals < 3 were won")),
    )
    keep_health(workspace.folder, Health(pd.Timestamp("2025-03-13", tz="UTC"), 1, checks))
    try:
        shown, figures = page(scientist), app.state.metrics.text().decode()
        french = scientist.get("/models", headers={"Accept-Language": "fr"}).text
    finally:
        (workspace.folder / FILE).unlink()
    assert '<td data-label="State">fine</td>' in shown
    assert "the newest fact is of 12 Mar 2025" in shown
    assert '<td data-label="State"><strong>act</strong></td>' in shown
    assert "of 5 deals &lt; 3 were won" in shown
    assert "le fait le plus récent date du 12 mars 2025" in french
    assert 'winpredict_health_state{check="freshness"} 0.0' in figures
    assert 'winpredict_health_state{check="odds"} 2.0' in figures
    assert "winpredict_health_state" not in app.state.metrics.text().decode()


def test_champion_challenger_and_backtest(scientist, workspace):
    shown = page(scientist)
    assert shown.index("Model 2") < shown.index("Model 1")
    assert 'class="tag champion">champion<' in shown
    assert 'class="tag challenger">challenger<' in shown
    assert "earlier ones" in shown
    assert "logistic regression" in shown
    assert "win rate of the stage" in shown
    tables = read_backtest(workspace.folder)[1]
    judged = f"{tables['overall']['n'].iloc[0]:,.0f}"
    assert f'data-label="Odds judged">{judged}<' in shown
    chart = scientist.get("/models/calibration.svg?size=half")
    assert chart.headers["content-type"] == "image/svg+xml"
    assert b"Calibration" in chart.content
    assert not re.search(rb"(?:stroke|fill)=.(?:black|#000)", chart.content)  # it would vanish on a dark screen


def test_one_model(scientist, model):
    shown = html.unescape(scientist.get("/models/1").text)
    assert "What moves the odds most" in shown
    assert f"{len(model.info)} features" in shown
    for name, reason in model.dropped_attributes.items():
        assert name in shown
        assert str(reason).split("%")[0] in shown
    assert scientist.get("/models/99").status_code == 404


def test_promotion_is_asked_for_and_written_down(app, scientist, workspace, as_before):
    asked = scientist.get("/models/2/promote").text
    assert find_model(workspace.folder, "champion").version == 1
    form = {"csrf_token": csrf_token(asked), "champion": "1"}
    answer = scientist.post("/models/2/promote", data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/models?promoted=2")
    assert find_model(workspace.folder, "champion").version == 2
    assert find_model(workspace.folder, "challenger").version == 1
    assert "Model 2 is now the champion" in scientist.get("/models?promoted=2").text
    assert "Model 1 is now the champion" not in scientist.get("/models?promoted=1").text
    with app.state.desk.database.reading() as session:
        entry = session.scalars(select(AuditEntry).where(AuditEntry.action == "model promoted")).one()
        assert (entry.subject, entry.details, entry.person.email) == (
            "model 2",
            {"before": "1"},
            "scientist@example.com",
        )


def test_a_promotion_that_others_overtook_is_refused(app, scientist, workspace, as_before):
    token = csrf_token(scientist.get("/models/1/promote").text + scientist.get("/tokens").text)
    promote(workspace.folder, 2)  # by somebody else in the meantime
    form = {"csrf_token": token, "champion": "1"}
    assert scientist.post("/models/2/promote", data=form).status_code == 409
    answer = scientist.post("/models/1/promote", data=form)
    assert answer.status_code == 409
    assert "the champion has changed" in answer.text.lower()
    assert find_model(workspace.folder, "champion").version == 2


def test_a_promotion_without_a_token_is_refused(scientist, workspace):
    assert scientist.post("/models/2/promote", data={"champion": "1"}).status_code == 403
    assert find_model(workspace.folder, "champion").version == 1


def test_a_failing_registry_leaves_no_entry(app, scientist, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("disk full")

    before = promotions(app)
    monkeypatch.setattr("winpredict.models.registry.promote", broken)
    with pytest.raises(RuntimeError):
        scientist.post("/models/2/promote", data={"csrf_token": scientist.csrf, "champion": "1"})
    assert promotions(app) == before


def promotions(app) -> list[int]:
    with app.state.desk.database.reading() as session:
        return list(session.scalars(select(AuditEntry.id).where(AuditEntry.action == "model promoted")))


def test_a_model_trained_on_all_that_is_known_has_no_drift(scientist):
    assert "drift shows once there are newer data" in page(scientist)


def test_feedback_reaches_the_scientist_without_names(app, scientist, signed_in, cast):
    rep = signed_in("rep")
    name = app.state.desk.workspace.crm().deals.set_index("deal_id").loc[cast.deal, "name"]
    form = {"csrf_token": rep.csrf, "kind": "too_low", "text": f"{name} is as good as signed <b>"}
    said = rep.post(f"/deals/{cast.deal}/feedback", data=form)
    assert said.status_code == 303, said.text
    shown = page(scientist)
    assert "[name] is as good as signed &lt;b&gt;" in shown
    assert name not in shown
    of_the_deal = scientist.get(f"/deals/{cast.deal}").text
    assert "[name] is as good as signed &lt;b&gt;" in of_the_deal
    assert name not in of_the_deal
    assert f"{name} is as good as signed" in rep.get(f"/deals/{cast.deal}").text
    with app.state.desk.database.reading() as session:
        assert session.scalars(select(Feedback)).one().run_id is not None


def test_without_a_model(scientist, monkeypatch):
    monkeypatch.setattr("winpredict.models.registry.list_models", lambda folder: [])
    monkeypatch.setattr("winpredict.models.backtest_record.list_backtests", lambda folder: [])
    monkeypatch.setattr("winpredict.app.pages.models._key", lambda desk: "nothing there")
    shown = page(scientist)
    assert "No model yet" in shown
    assert "No backtest on record" in shown
    assert scientist.get("/models/calibration.svg").status_code == 404


def test_names_are_taken_out_the_longest_first():
    assert without("Acme renewal of ACME", {"Acme", "Acme renewal"}) == "[name] of [name]"
    assert without("a.c", {"a.c"}) == "[name]"
    assert without("abc", {"a.c"}) == "abc"
    assert without("nothing to hide", set()) == "nothing to hide"
    assert without("nothing to hide", {" "}) == "nothing to hide"


def test_names_are_taken_out_as_words():
    assert without("Acmeville is no acme, Acme's is", {"Acme"}) == "Acmeville is no [name], [name]'s is"
    assert without("acme  corp. and Acme\nCorp., not Acme Corps", {"Acme Corp."}) == "[name] and [name], not Acme Corps"
    assert without("what a plan: A wants IT, if it can", {"A", "IT"}) == "what a plan: [name] wants [name], if it can"
    assert without("(Ünal) ÜNAL", {"ünal"}) == "([name]) [name]"
    assert without("Boschs Einkäufer, acme_corp", {"Bosch", "Acme"}) == "[name] Einkäufer, [name]_corp"
    assert without("今日アクメ商事と話した", {"アクメ商事"}) == "今日[name]と話した"
    assert without("아크메는 좋다", {"아크메"}) == "[name]는 좋다"


def test_what_customers_are_called_by_takes_no_common_words_out():
    assert without("New York Life is no new one", {"New York Life", "New"}) == "[name] is no new one"
    assert without("ALL or All of all", {"All"}) == "[name] or [name] of all"


def test_a_customer_is_not_told_by_the_first_word_of_the_name(app, scientist, signed_in, cast):
    with app.state.desk.database.reading() as session:
        account = session.scalars(select(Score.account).where(Score.deal_id == cast.deal)).first()
    rep, word = signed_in("rep"), call_name(account)
    assert word
    form = {"csrf_token": rep.csrf, "kind": "other", "text": f"{word.upper()} has called, {word.lower()} will sign"}
    assert rep.post(f"/deals/{cast.deal}/feedback", data=form).status_code == 303
    shown = scientist.get(f"/deals/{cast.deal}").text
    assert "[name] has called, [name] will sign" in shown


def test_shifts_in_words():
    row = {"feature": "x", "sentence": "amount", "unit": "points", "then": -0.05, "now": 0.021, "category": None}
    rows = pd.DataFrame(
        [
            row | {"shift": 1.234, "p_value": 0.001, "is_clear": True},
            row | {"unit": "category", "then": 0.2, "now": 0.5, "category": "EU", "shift": 0.3, "is_clear": False},
            row | {"unit": "days", "then": float("nan"), "now": 1234.5, "shift": 0.1, "is_clear": False},
        ]
    )
    day = pd.Timestamp("2025-01-01", tz="UTC")
    drift = Drift(day, day, 20, 20, 0.3, 0.3, rows, 5.0, 1.0, 9.0, 5, 5)
    told = [tuple(each.values()) for each in shift_rows(drift)]
    assert told == [
        ("amount", "−5.0 points", "+2.1 points", "1.2 sd", True),
        ("amount: EU", "20%", "50%", "30% of deals", False),
        ("amount", "–", "1,234", "0.10 sd", False),
    ]
    assert "within chance" in drift.sentence
    assert "more than chance" in replace(drift, won=12).sentence


def test_versions_are_those_on_record(workspace):
    assert [each.version for each in list_models(workspace.folder)] == [2, 1]
