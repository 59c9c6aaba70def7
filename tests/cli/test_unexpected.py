"""No command ends in a traceback: what nobody expected becomes a sentence, a log file and an exit code of its own."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from winpredict.cli import UNEXPECTED, app
from winpredict.cli import data as data_commands


@pytest.fixture
def broken(monkeypatch):
    def fail(folder):
        raise RuntimeError("a defect\nof two lines")

    monkeypatch.setattr(data_commands, "workspace_at", fail)


def test_an_unexpected_error_is_one_sentence_and_a_log(broken, tmp_path, monkeypatch):
    monkeypatch.setenv("WINPREDICT_LOG_DIR", str(tmp_path / "logs"))
    ended = CliRunner().invoke(app, ["check"])
    assert ended.exit_code == UNEXPECTED == 70
    assert "Traceback" not in ended.output
    (sentence,) = ended.output.splitlines()
    assert sentence.startswith("error: winpredict failed in a way that was not foreseen (RuntimeError: a defect of two")
    log = Path(re.search(r"details are in (\S+\.log)", sentence)[1])
    assert log.parent == tmp_path / "logs"
    text = log.read_text()
    assert text.startswith("winpredict 0.")
    assert "Traceback" in text
    assert "RuntimeError: a defect" in text


def test_where_no_log_can_be_written_it_is_said(broken, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("WINPREDICT_LOG_DIR", str(tmp_path / "file" / "logs"))
    ended = CliRunner().invoke(app, ["check"])
    assert ended.exit_code == UNEXPECTED
    assert "no log could be written; set WINPREDICT_LOG_DIR to a folder" in ended.output
