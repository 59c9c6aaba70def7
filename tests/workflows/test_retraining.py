"""Retraining: a challenger is trained and judged, the gate decides, the reason is kept, and there is a way back."""

import pandas as pd
import pytest

from winpredict.config import Retraining
from winpredict.locale.text import text
from winpredict.models import challenge as challenge_module
from winpredict.models.challenge import Verdict, challenge
from winpredict.models.monitoring import Check, Health
from winpredict.models.registry import list_models, load_version, models_in_use, roll_back
from winpredict.workflows.retraining import is_due, retrain_workspace
from winpredict.workspace import Workspace

DAY = pd.Timestamp("2024-04-01", tz="UTC")


def alarm(name="odds", state="act"):
    return Health(DAY, 1, (Check(name, state, text("x")),))


@pytest.fixture
def decided(monkeypatch):
    def decide(promote):
        reason = text("it was decided so")
        monkeypatch.setattr(challenge_module, "verdict", lambda found, settings: Verdict(promote, reason))

    return decide


def test_a_challenger_is_judged_trained_and_told(workspace, world, earlier, retraining_config):
    steps = []
    done = retrain_workspace(workspace, retraining_config, progress=steps.append)
    assert (done.champion, done.challenger) == (1, 2)
    assert done.challenge == challenge(earlier, world.crm, retraining_config)
    assert load_version(workspace.folder, "2")[1].trained_as_of == world.crm.known_until
    used = models_in_use(workspace.folder)
    assert (used.champion, used.challenger) == ((2, 1) if done.promoted else (1, 2))
    kept = used.promotions[-1].reason if done.promoted else used.verdicts[2]
    assert str(kept) == str(done.reason)
    assert any("challenger as of" in each for each in steps)
    assert done.to_dict()["challenge"]["n_deals"] == done.challenge.comparison.n_deals


def test_a_better_one_takes_the_place_and_can_be_rolled_back(workspace, retraining_config, decided):
    decided(promote=True)
    done = retrain_workspace(workspace, retraining_config)
    assert str(done.sentence) == "Model 2 takes the place of model 1: it was decided so."
    assert load_version(workspace.folder)[0] == 2
    assert roll_back(workspace.folder).version == 1
    assert load_version(workspace.folder)[0] == 1


def test_one_that_is_no_better_stays_challenger(workspace, retraining_config, decided):
    decided(promote=False)
    done = retrain_workspace(workspace, retraining_config)
    assert str(done.sentence) == "Model 1 stays champion before model 2: it was decided so."
    assert load_version(workspace.folder)[0] == 1
    assert str(models_in_use(workspace.folder).verdicts[2]) == "it was decided so"


def test_with_too_few_deals_the_champion_stays_and_the_challenger_is_kept(workspace, quick_config):
    strict = quick_config.model_copy(update={"retraining": Retraining(rounds=1, least_deals=5000)})
    done = retrain_workspace(workspace, strict)
    assert not done.promoted
    assert done.challenge is None
    assert "5,000 are needed" in str(done.reason)
    assert [each.version for each in list_models(workspace.folder)] == [2, 1]


def test_the_first_model_is_champion_without_a_contest(world, quick_config, tmp_path):
    workspace = Workspace(tmp_path / "new")
    workspace.save_import(world.crm, profile="simulated")
    done = retrain_workspace(workspace, quick_config)
    assert str(done.sentence) == "Model 1 is the champion: it is the first model."
    assert load_version(workspace.folder)[0] == 1


def test_a_run_that_is_stopped_before_the_training_leaves_all_as_it_was(workspace, retraining_config, monkeypatch):
    def stopped(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("winpredict.workflows.retraining.train_workspace", stopped)
    with pytest.raises(KeyboardInterrupt):
        retrain_workspace(workspace, retraining_config)
    assert [(each.version, each.aliases) for each in list_models(workspace.folder)] == [(1, ("champion",))]


@pytest.mark.parametrize(
    ("when", "moment", "health", "due"),
    [
        ("never", "2025-01-01", alarm(), False),
        ("monthly", "2024-04-30", alarm(), False),
        ("monthly", "2024-05-01", None, True),
        ("monthly", "2025-04-02", None, True),
        ("on_alarm", "2024-04-20", alarm(), True),
        ("on_alarm", "2024-04-20", alarm("log_loss"), True),
        ("on_alarm", "2024-04-20", alarm("inputs"), False),
        ("on_alarm", "2024-04-20", alarm(state="watch"), False),
        ("on_alarm", "2024-04-10", alarm(), False),  # a training of nine days ago is given time
        ("on_alarm", "2024-05-01", None, False),
        ("monthly_or_on_alarm", "2024-04-20", alarm(), True),
        ("monthly_or_on_alarm", "2024-05-01", None, True),
        ("monthly_or_on_alarm", "2024-04-20", None, False),
    ],
)
def test_when_it_is_due(original, when, moment, health, due):
    found = is_due(original, Retraining(when=when), health, pd.Timestamp(moment, tz="UTC"))
    assert (found is not None) is due
