"""The commands as a user runs them: what they print, what they leave, how they end."""

import dataclasses
import json
import re

import numpy as np
import pandas as pd
import pytest
from printed_words import untranslated_words
from typer.testing import CliRunner

from winpredict import WinPredictError
from winpredict.cli import app, demo, modelling
from winpredict.config import Attributes, Censoring, load_config
from winpredict.locale.formats import elapsed_days
from winpredict.models import learning_curve
from winpredict.models._tracking import settings_of
from winpredict.models.registry import find_model, load_model, read_drivers
from winpredict.simulate.world import simulate, write_salesforce_export
from winpredict.tables.crm import utc
from winpredict.workflows.reporting import recorded_settings
from winpredict.workspace import Workspace

QUICK = "model: {bags: 1, trees: 40, learning_rate: 0.1, threads: 1}\nsnapshots: {every_days: 30}\n"


def run(*words, code=0):
    found = CliRunner().invoke(app, [str(word) for word in words])
    assert found.exit_code == code, found.output
    return found


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A workspace with data and a model."""
    folder = tmp_path_factory.mktemp("project")
    write_salesforce_export(simulate(700, seed=8), folder / "export.zip")
    (folder / "quick.yaml").write_text(QUICK)
    run("import", folder / "export.zip", "--profile", "salesforce", "--workspace", folder / "w")
    run("train", "--workspace", folder / "w", "--config", folder / "quick.yaml")
    return folder


@pytest.fixture(scope="module")
def backtest(place):
    """Words that print a backtest of the workspace, which is done once."""
    done = []

    def once(*args, **options):
        if not done:
            done.append(judge(*args, **options))
        return done[0]

    judge = modelling.backtest_workspace
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(modelling, "backtest_workspace", once)
        yield ["backtest", "--workspace", place / "w", "--folds", "1", "--config", place / "quick.yaml"]


@pytest.fixture(scope="module")
def backtested(backtest):
    """What a backtest of the workspace prints as JSON."""
    return json.loads(run(*backtest, "--json").output)


COMMANDS = ["demo", "import", "check", "train", "backtest", "score", "explain", "report"]


@pytest.mark.parametrize(
    "command", [[name] for name in COMMANDS] + [["models", name] for name in ("list", "show", "promote")]
)
def test_every_command_has_help_with_an_example(command):
    assert "Example: winpredict" in run(*command, "--help").output


def test_import_counts_what_it_repaired_and_twice_is_once(place):
    again = ["import", place / "export.zip", "--profile", "salesforce", "--workspace", place / "w"]
    before = Workspace(place / "w").manifest
    parsed = json.loads(run(*again, "--json").output)
    assert parsed["fingerprint"] == before["fingerprint"]
    assert parsed["import"]["repairs"]["deals: the same row again (merged)"] > 0
    assert (Workspace(place / "w").version().quarantine_folder / "deals.csv").exists()
    assert "x deals: the same row again (merged)" in run(*again).output


def test_check_tells_quality_and_leaks(place):
    output = run("check", "--workspace", place / "w").output
    assert "drop Loss_Reason__c" in output
    assert "Data quality" in output
    parsed = json.loads(run("check", "--workspace", place / "w", "--json").output)
    verdicts = {row["column"]: row["verdict"] for row in parsed["leakage"]}
    assert verdicts["Contract_Signed__c"] == "drop"
    assert verdicts["Region__c"] == "keep"


def test_score_writes_one_row_an_open_deal(place):
    for name in ("scores.csv", "scores.parquet"):
        run("score", "--workspace", place / "w", "--out", place / name)
    csv, parquet = pd.read_csv(place / "scores.csv"), pd.read_parquet(place / "scores.parquet")
    assert list(csv.columns) == list(parquet.columns)
    assert len(csv) == len(parquet) > 0
    assert csv["win_probability"].between(0, 1).all()
    assert (csv["model_version"] == 1).all()


def test_explain_says_why(place):
    run("score", "--workspace", place / "w", "--out", place / "scores.csv")
    deal = pd.read_csv(place / "scores.csv")["deal_id"].iloc[0]
    assert "win odds" in run("explain", deal, "--workspace", place / "w").output
    parsed = json.loads(run("explain", deal, "--workspace", place / "w", "--json").output)
    told = sum(each["points"] for each in (*parsed["reasons"], *parsed["given"])) + parsed["other_points"]
    assert parsed["base_probability"] + told == pytest.approx(parsed["win_probability"])


def test_a_day_long_after_the_end_of_the_data_is_warned_of(place):
    deal = json.loads(run("score", "--workspace", place / "w", "--json").stdout)["scores"][0]["deal_id"]
    until = utc(Workspace(place / "w").manifest["known_until"])
    warned = (
        f"warning: 1 Jan 2099 is {elapsed_days(utc('2099-01-01'), until):,} days after the end of the data on "
        f"{until.day} {until:%b %Y}. What was entered since is unknown, so open deals only look older; import a newer "
        "export.\n"
    )
    w = ["--workspace", place / "w"]
    for words in (["score", *w], ["explain", deal, *w], ["report", "pipeline", "--out", place / "late.md", *w]):
        assert run(*words, "--as-of", "2099-01-01").stderr == warned
    for late, warns in ((7, False), (8, True)):
        day = (until + pd.Timedelta(days=late)).isoformat()
        assert ("warning" in run("score", *w, "--as-of", day).stderr) == warns


def import_with_plans(folder, word):
    """Import 900 deals with a text each, to which `word` may add, given the number of the deal and how it ended."""
    rng = np.random.default_rng(0)
    created = rng.integers(0, 300, 900)
    closed = created + rng.integers(5, 200, 900)
    start = pd.Timestamp("2025-01-01")
    outcome = np.where(rng.random(900) < 0.5, "won", "lost")
    deals = pd.DataFrame(
        {
            "deal_id": np.arange(900), "stage": "Demo", "outcome": np.where(closed >= 300, "open", outcome),
            "created_at": start + pd.to_timedelta(created, unit="D"),
            "closed_at": pd.Series(start + pd.to_timedelta(closed, unit="D")).where(closed < 300),
            "Plan": [f"call no{number} again {word(number, each)}" for number, each in enumerate(outcome)],
        }
    )  # fmt: skip
    deals.loc[deals["outcome"] == "open", "Plan"] = deals["Plan"].str.removesuffix("invoice")
    deals.to_csv(folder / "deals.csv", index=False)
    (folder / "quick.yaml").write_text(QUICK)
    (folder / "off.yaml").write_text(QUICK.replace("model: {", "model: {text: off, "))
    run("import", folder / "deals.csv", "--profile", "generic", "--workspace", folder / "w")
    return ["--workspace", folder / "w"]


FREE_TEXT = "free text, 900 different ones on 900 deals: only its words can count, from 200 deals on (model.text)"


def test_a_text_whose_words_count_is_not_called_useless(tmp_path):
    w = import_with_plans(tmp_path, lambda number, end: "legacy" if number % 10 < {"won": 8, "lost": 1}[end] else "")
    assert f"drop Plan: {FREE_TEXT}" in run("check", *w).output
    assert json.loads(run("check", *w, "--json").output)["words"] == {}
    output = run("train", *w, "--config", tmp_path / "quick.yaml").output
    assert 'words of the Plan that count: "legacy"' in output
    assert "Plan is not used" not in output
    output = run("train", *w, "--config", tmp_path / "off.yaml").output
    assert f"- attribute Plan is not used: {FREE_TEXT}" in output
    assert "words of" not in output


def test_check_tells_of_words_that_are_written_at_the_close(tmp_path):
    w = import_with_plans(tmp_path, lambda number, end: "invoice" if end == "won" and number % 5 == 0 else "")
    checked = json.loads(run("check", *w, "--json").output)["words"]
    assert list(checked) == ["Plan"]
    assert re.fullmatch(r'says "invoice" on \d+\.\d% of closed deals but on 0\.0% of open ones', checked["Plan"])
    assert f"  drop words of Plan: it {checked['Plan']}\n" in run("check", *w).output


def test_models_are_listed_shown_and_promoted(place):
    run("train", "--workspace", place / "w", "--config", place / "quick.yaml", "--as-of", "2025-01-15")
    listed = json.loads(run("models", "list", "--workspace", place / "w", "--json").output)["models"]
    assert [each["version"] for each in listed] == [2, 1]
    assert run("models", "promote", "2", "--workspace", place / "w").output == "Model 2 is now the champion.\n"
    assert "Top drivers" in run("models", "show", "champion", "--workspace", place / "w").output
    run("models", "promote", "1", "--workspace", place / "w")


def test_backtest_tells_whether_the_model_beats_the_stage_win_rate(backtested):
    assert backtested["verdict"]
    assert {row["scorer"] for row in backtested["overall"]} >= {"winpredict", "stage_win_rate", "logistic"}


def test_guess_prints_a_profile(tmp_path):
    rows = "".join(f"{number},{'Won' if number % 2 else 'Lost'},{number}\n" for number in range(40))
    (tmp_path / "crm.csv").write_text("Deal Number,Result,Amount\n" + rows)
    assert "outcome:" in run("import", tmp_path / "crm.csv", "--guess").output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["check"], "winpredict import"),
        (["train"], "winpredict import"),
        (["score", "--out", "scores.pdf"], "must end in .csv or .parquet"),
        (["import", "nowhere.csv", "--profile", "generic"], "does not exist"),
        (["import", "nowhere.csv"], "nowhere.csv does not exist"),
        (["import", "env:WAREHOUSE"], "name a mapping profile with --profile"),
        (["import", "nowhere.csv", "--profile", "pipedrive"], "profile 'pipedrive' not found"),
        (["models", "show", "--workspace", "w"], "winpredict import"),
    ],
)
def test_what_the_user_must_change_is_a_sentence_and_exit_code_2(tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    output = run(*words, code=2)
    assert message in output.output + output.stderr
    assert "Traceback" not in output.output + output.stderr


def test_wrong_settings_dates_and_deals_are_sentences(place):
    w = ["--workspace", place / "w"]
    (place / "wrong.yaml").write_text("model: {bag: 2}\n")
    for words, message in (
        (["train", *w, "--config", place / "wrong.yaml"], "unknown setting model.bag"),
        (["train", *w, "--as-of", "soon"], "is not a date"),
        (["train", *w, "--as-of", "2023-01-20"], "20 of each"),
        (["explain", "nobody", *w], "no deal 'nobody'"),
        (["score", *w, "--as-of", "2024-01-01"], "would know the future"),
        (["score", *w, "--model", "9"], "model '9' not found"),
    ):
        output = run(*words, code=2)
        assert message in output.output + output.stderr


def test_one_deal_and_no_lost_deals_can_be_checked_but_not_learnt_from(tmp_path):
    header = "deal_id,outcome,stage,created_at,closed_at\n"
    won = "".join(
        f"d{number},won,Won,2025-01-{number % 28 + 1:02},2025-02-{number % 28 + 1:02}\n" for number in range(60)
    )
    for name, text in (("one", "a,open,Demo,2025-01-01,\n"), ("won", won)):
        (tmp_path / f"{name}.csv").write_text(header + text)
        w = ["--workspace", tmp_path / name]
        run("import", tmp_path / f"{name}.csv", "--profile", "generic", *w)
        assert "serious" in run("check", *w).output
        output = run("train", *w, code=2)
        assert "20 of each are the least" in output.output + output.stderr


def test_the_demo_runs_from_end_to_end(tmp_path, monkeypatch):
    def smaller(seed):
        """The demo's own config, with less to learn."""
        config = demo_config(seed)
        assert config.seed == seed
        return config.model_copy(
            update={
                "model": config.model.model_copy(update={"bags": 1, "trees": 40}),
                "snapshots": config.snapshots.model_copy(update={"every_days": 30.0}),
            }
        )

    demo_config = demo.demo_config
    monkeypatch.setattr(demo, "demo_config", smaller)
    parsed = json.loads(run("demo", "--deals", "400", "--workspace", tmp_path / "demo", "--json").output)
    assert parsed["scores"]
    assert parsed["backtest"]["verdict"]
    assert (tmp_path / "demo" / "mlflow.db").exists()


def test_explain_tells_what_moved_the_odds_what_if_and_similar_deals(place):
    w = ["--workspace", place / "w"]
    crm = Workspace(place / "w").crm()
    earlier = crm.known_until - pd.Timedelta(days=14)
    was_open = crm.deals[(crm.deals["outcome"] == "open") & (crm.deals["created_at"] < earlier)]
    asked = ["explain", was_open["deal_id"].iloc[0], *w]
    more = ["--since", f"{earlier:%Y-%m-%d}", "--what-if", "contacts=2", "--similar"]
    parsed = json.loads(run(*asked, *more, "--json").output)
    assert {"changes", "what_if", "similar"} <= set(parsed)
    assert "not what a change would bring about" in run(*asked, *more).output
    assert "FEATURE=NUMBER" in run(*asked, "--what-if", "contacts", code=2).output


def test_reports_are_written_with_their_tables(place, backtested):
    w = ["--workspace", place / "w"]
    parsed = json.loads(run("report", "model-card", "--out", place / "card.md", *w, "--json").output)
    assert any(sentence.startswith("Backtest on ") for sentence in parsed["summary"])
    assert (place / "card-quality-overall.csv").exists()
    written = run(
        "report", "pipeline", "--out", place / "pipeline.html", "--segment", "product", "--locale", "de_DE", *w
    )
    assert "pipeline.html" in written.output
    assert 'lang="de"' in (place / "pipeline.html").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["pipeline", "--out", "r.docx"], ".html, .pdf, .md"),
        (["pipeline", "--out", "r.html", "--locale", "xx_YY"], "unknown language"),
        (["pipeline", "--out", "r.html", "--segment", "nonsense"], "no segment"),
        (["forecast", "--out", "r.html", "--as-of", "2024-01-01"], "would know the future"),
    ],
)
def test_a_report_that_cannot_be_written_is_a_sentence(place, words, message):
    output = run("report", *words, "--workspace", place / "w", code=2)
    assert message in output.output
    assert not (place / "r.html").exists()


@pytest.mark.parametrize("kind", ["drivers", "pipeline", "forecast"])
def test_no_report_tells_of_days_before_training(place, kind):
    words = ["report", kind, "--out", place / "r.html", "--as-of", "2024-01-01", "--workspace", place / "w"]
    assert "would know the future" in run(*words, code=2).output


def test_past_forecasts_are_judged_by_models_with_the_same_settings(place, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "winpredict.insights.forecast_backtest.backtest_forecast", lambda crm, config, **_: asked.append(config)
    )
    words = ["report", "forecast", "--backtest", "--out", place / "f.md", "--workspace", place / "w"]
    run(*words)
    (place / "other.yaml").write_text("model: {bags: 1, monotone: {touches: 1}}\nattributes: {drop: [Region__c]}\n")
    run(*words, "--config", place / "other.yaml")
    assert asked == [load_config(place / "quick.yaml"), load_config(place / "other.yaml")]


def test_every_setting_of_a_model_is_read_back(place):
    config = load_config(place / "quick.yaml")
    config = config.model_copy(
        update={
            "attributes": Attributes(drop=("Region__c", "a.b")),
            "model": config.model.model_copy(update={"monotone": {"Field.with.dots": -1}, "linear_weight": 0.5}),
            "censoring": Censoring(method="none"),
        }
    )
    version = dataclasses.replace(find_model(place / "w"), params=settings_of(config))
    assert recorded_settings(version) == config
    with pytest.raises(WinPredictError, match="name a config file with --config"):
        recorded_settings(dataclasses.replace(version, params={"model.leafs": "3"}))


def test_undated_deals_have_no_past_forecasts_but_a_report(tmp_path):
    rows = "".join(
        f"d{number},{'won' if number % 3 else 'lost'},End,,,{number % 2},{number}\n" for number in range(120)
    )
    (tmp_path / "crm.csv").write_text("deal_id,outcome,stage,created_at,closed_at,kind,amount\n" + rows)
    (tmp_path / "quick.yaml").write_text(QUICK)
    w = ["--workspace", tmp_path / "w"]
    run("import", tmp_path / "crm.csv", "--profile", "generic", *w)
    run("train", *w, "--config", tmp_path / "quick.yaml")
    words = ["report", "forecast", "--out", tmp_path / "f.md", *w]
    assert "no dates" in run(*words).output
    assert "past forecasts cannot be judged" in run(*words, "--backtest", code=2).output


def test_a_learning_curve_tells_whether_more_deals_would_help(place, wide, monkeypatch):
    learnt = []

    def once(*asked, **options):
        """The curve, which takes long, is printed twice and not learnt twice."""
        if not learnt:
            learnt.append(learn(*asked, **options))
        return learnt[0]

    learn = learning_curve.learning_curve
    monkeypatch.setattr(learning_curve, "learning_curve", once)
    assert "Example: winpredict" in run("learning-curve", "--help").output
    words = ["learning-curve", "--workspace", place / "w", "--config", place / "quick.yaml"]
    parsed = json.loads(run(*words, "--json").output)
    assert "ore data" in parsed["verdict"]
    shares = [row["share"] for row in parsed["figures"]]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert parsed["figures"][0]["difference"] is None
    assert parsed["verdict"] in run(*words).output
    assert untranslated_words(run(*words, "--locale", "en_XA").output) == []
    printed = run(*words, "--locale", "fr_FR").output
    assert re.search(
        r"^Plus de données (n’aident plus au-delà du hasard|aideraient sans doute encore)", printed, re.MULTILINE
    )
    assert re.search(r"^laissé de côté\u00a0: 5\u00a0% des affaires, \d+ gagnées et \d+ perdues", printed, re.MULTILINE)


@pytest.fixture
def trained_before(place, monkeypatch):
    """Training takes the model that is there already."""
    version = find_model(place / "w", "1")
    trained = load_model(place / "w", "1"), version, read_drivers(place / "w", version)
    monkeypatch.setattr(modelling, "train_workspace", lambda *_, **__: trained)


def test_every_sentence_of_train_is_translated(place, wide, trained_before):
    words = ["train", "--workspace", place / "w"]
    model = load_model(place / "w", "1")
    names = [*(each.name for each in model.info), *model.dropped_attributes, *_names(place), str(place / "w")]
    assert untranslated_words(run(*words, "--locale", "en_XA").output, names) == []
    printed = run(*words, "--locale", "fr_FR").output
    signed = "- attribut Contract_Signed__c non utilisé\u00a0: une date qui tombe à un jour près de la clôture sur "
    assert signed in printed
    assert re.search(r"^- .* laissé de côté\u00a0: pas de table ", printed, re.MULTILINE)
    assert "Principaux facteurs" in printed
    assert f"Enregistré comme version 1 (champion) dans {place / 'w'}\n" in printed


def test_every_sentence_of_a_check_is_translated(place, wide):
    words = ["check", "--workspace", place / "w"]
    assert untranslated_words(run(*words, "--locale", "en_XA").output) == []
    printed = run(*words, "--locale", "fr_FR").output
    assert re.search(r"^Audit de fuite de données\u00a0: \d+ attributs gardés, 2 écartés\.$", printed, re.MULTILINE)
    assert "\n  écarter Contract_Signed__c\u00a0: une date qui tombe à un jour près de la clôture sur " in printed


def test_every_sentence_of_a_backtest_is_translated(place, wide, backtest, backtested):
    assert untranslated_words(run(*backtest, "--locale", "en_XA").output, _names(place)) == []
    printed = run(*backtest, "--locale", "fr_FR").output
    assert re.search(r"(Le modèle fait mieux|Rien ne montre que le modèle fasse mieux) que la méthode simple", printed)
    assert re.search(r"intervalle à 95\u00a0% de la différence de [+−]\d,\d{4} à [+−]\d,\d{4}, ", printed)
    assert "Les pentes de calibration sont omises en dessous de 50 affaires" in printed
    assert "Backtest, toutes dates de coupure confondues" in printed
    ages = printed[printed.index("Backtest par âge") :].splitlines()
    low = [int(line.split("│")[1].split()[0]) for line in ages if line.startswith("│ ")]
    assert low == sorted(low)
    assert ages[4].split("│")[2].strip() == "winpredict"
    own = next(line for line in printed.splitlines() if line.startswith("│ winpredict"))
    log_loss = f"{backtested['overall'][0]['log_loss']:.3f}".replace(".", ",")
    assert own.split("│")[2].strip() == log_loss


def test_every_sentence_of_a_score_is_translated(place, wide):
    words = ["score", "--workspace", place / "w"]
    deals = json.loads(run(*words, "--json").output)["scores"]
    data = [*(each["deal_id"] for each in deals), *_names(place), str(place / "w" / "scores")]
    assert untranslated_words(run(*words, "--locale", "en_XA").output, data) == []
    printed = run(*words, "--locale", "fr").output
    assert printed.startswith("Les 10 affaires en cours aux meilleures chances")
    folder = place / "w" / "scores"
    assert printed.endswith(f"Chances calculées pour {len(deals)} affaires en cours, écrites dans {folder}\n")
    best = next(line for line in printed.splitlines() if deals[0]["deal_id"] in line)
    assert best.split("│")[2].strip() == f"{100 * deals[0]['win_probability']:.0f}\u00a0%"


def test_every_sentence_of_an_explanation_is_translated(place, wide):
    crm = Workspace(place / "w").crm()
    earlier = crm.known_until - pd.Timedelta(days=14)
    deal = crm.deals[(crm.deals["outcome"] == "open") & (crm.deals["created_at"] < earlier)]["deal_id"].iloc[0]
    words = ["explain", deal, "--workspace", place / "w", "--since", f"{earlier:%Y-%m-%d}", "--similar"]
    printed = run(*words, "--what-if", "contacts=2", "--locale", "en_XA").output
    assert untranslated_words(printed, [deal, *_names(place)]) == []


def test_every_sentence_about_models_is_translated(place, wide):
    w = ["--workspace", place / "w", "--locale"]
    listed = run("models", "list", *w, "en_XA").output
    hashes = [
        each["fingerprint"][:12] for each in json.loads(run("models", "list", *w, "en", "--json").output)["models"]
    ]
    assert untranslated_words(listed, hashes) == []
    version, model = find_model(place / "w", "1"), load_model(place / "w", "1")
    settings = [*version.params, *version.params.values(), version.fingerprint[:12]]
    names = [*(each.name for each in model.info), *_names(place)]
    assert untranslated_words(run("models", "show", "1", *w, "en_XA").output, [*settings, *names]) == []
    shown = run("models", "show", "1", *w, "fr_FR").output
    assert re.search(r"^- .* laissé de côté\u00a0: pas de table ", shown, re.MULTILINE)
    assert run("models", "promote", "1", *w, "fr").output == "Le modèle 1 est désormais le champion.\n"


def test_every_sentence_of_an_import_is_translated(place):
    words = ["import", place / "export.zip", "--profile", "salesforce", "--workspace", place / "w"]
    stored, following = run(*words, "--locale", "en_XA").output.splitlines()[-2:]  # the others are the import's own
    assert untranslated_words(f"{stored}\n{following}", [str(place / "w")]) == []
    stored, following = run(*words, "--locale", "fr").output.splitlines()[-2:]
    assert stored.startswith(f"Enregistré dans {place / 'w'}\u00a0: 700 affaires, ")
    assert following == f"Ensuite\u00a0: winpredict check --workspace {place / 'w'}"


def test_every_sentence_of_a_report_is_translated(place):
    words = ["report", "pipeline", "--out", place / "p.md", "--workspace", place / "w", "--as-of", "2099-01-01"]
    done = run(*words, "--locale", "en_XA")
    assert untranslated_words(done.stdout + done.stderr, [*_names(place), str(place / "p.md")]) == []
    done = run(*words, "--locale", "fr")
    assert f"Écrit dans {place / 'p.md'}, avec 10 tableaux à côté\n" in done.stdout
    assert done.stderr.startswith("avertissement\u00a0: Le 1er janv. 2099 se situe ")


def test_a_language_is_that_of_the_option_or_else_of_the_config(place):
    (place / "german.yaml").write_text("language: de\ncurrency: CHF\n")
    out = ["--out", place / "c.md", "--workspace", place / "w"]
    words = ["report", "model-card", *out, "--config", place / "german.yaml"]
    assert f"Geschrieben nach {place / 'c.md'}, mit " in run(*words).output
    assert f"Écrit dans {place / 'c.md'}, avec " in run(*words, "--locale", "fr-FR").output
    said = run("score", "--workspace", place / "nowhere", "--locale", "fr_FR", code=2).output
    assert said.startswith(f"erreur\u00a0: {place / 'nowhere'} ne contient pas de données importées")
    said = run("score", "--workspace", place / "w", "--locale", "xx_YY", code=2).output
    assert said.startswith("error: unknown language 'xx_YY'")
    (place / "wrong.yaml").write_text("language: klingon\n")
    assert "unknown language 'klingon'" in run(*words[:-1], place / "wrong.yaml", code=2).output


def _names(place):
    """What the CRM calls its deals, stages, people and products, and the columns that nobody translates."""
    crm = Workspace(place / "w").crm()
    values = {
        str(each)
        for name in ("stage", "name", "product", "lead_source")
        if name in crm.deals
        for each in crm.deals[name]
    }
    labels = {str(each.label) for each in load_model(place / "w", "1").info if each.builder == "Attributes"}
    users = set() if crm.users is None else set(map(str, crm.users["name"]))
    return values | labels | users
