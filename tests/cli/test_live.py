"""winpredict connect and sync, against a CRM in memory."""

import json

import pandas as pd
import pytest
from living_crm import LivingCRM
from printed_words import untranslated_words
from typer.testing import CliRunner

from winpredict.cli import app
from winpredict.connectors import registry as crms
from winpredict.connectors.base import CustomField, Description, Stage
from winpredict.ingest.profiles import load_profile
from winpredict.workspace import Workspace


@pytest.fixture
def crm(monkeypatch):
    living = LivingCRM(seed=4)
    monkeypatch.setattr(crms, "connect_to", lambda name, config: living)
    return living


def run(*command: object, code: int = 0) -> str:
    done = CliRunner().invoke(app, [*map(str, command)], catch_exceptions=False)
    assert done.exit_code == code, done.output
    return done.stdout if code == 0 else done.output


def synced(tmp_path, *options: object) -> dict:
    return json.loads(run("sync", "salesforce", "--workspace", tmp_path / "place", *options, "--json"))


def test_a_sync_makes_tables_that_the_other_commands_read(crm, tmp_path):
    result = synced(tmp_path)
    assert result["read"]["Opportunity"] == {"new": 8, "changed": 0, "deleted": 0}
    assert result["rows"]["deals"] == result["rows"]["attribute_history"] == 8
    assert result["profile"] == "salesforce"
    assert result["rewritten"]
    assert pd.Timestamp(result["known_until"]) > crm.now
    words = run("check", "--workspace", tmp_path / "place")
    assert "Observed attributes: 2" in words
    assert "Region__c: since 1 Jan 2025, 0 won and 0 lost deals seen while open" in words


def stamp_of_deals(folder):
    return (Workspace(folder).version().folder / "tables" / "deals.parquet").stat().st_mtime_ns


def test_unchanged_records_leave_the_tables_as_they_are(crm, tmp_path):
    first = synced(tmp_path)
    stamp, manifest = stamp_of_deals(tmp_path / "place"), Workspace(tmp_path / "place").manifest
    crm.now += pd.Timedelta("3D")
    again = synced(tmp_path)
    assert not again["rewritten"]
    assert stamp_of_deals(tmp_path / "place") == stamp
    assert again["known_until"] > first["known_until"]
    assert Workspace(tmp_path / "place").crm().known_until == pd.Timestamp(again["known_until"])
    assert again["fingerprint"] != first["fingerprint"]  # scores as of now are other scores
    assert Workspace(tmp_path / "place").manifest["imports"] == manifest["imports"]
    crm.change()
    crm.new_deal()
    assert synced(tmp_path)["rewritten"]
    assert len(Workspace(tmp_path / "place").manifest["imports"]) == 1


def test_a_changed_profile_is_replayed_without_the_crm(crm, tmp_path, monkeypatch):
    crm.stage(crm.live("Opportunity")[0], "Qualification")
    synced(tmp_path)
    profile = tmp_path / "mine.yaml"
    profile.write_text("extends: salesforce\nstage_order: [Prospecting]\nwon: [Closed Won]\nlost: [Closed Lost]\n")

    def nothing(*_):
        raise AssertionError("the CRM was asked")

    monkeypatch.setattr(crms, "connect_to", nothing)
    result = synced(tmp_path, "--replay", "--profile", profile)
    assert result["rewritten"]
    told = {cause: rows for cause, rows in result["repairs"].items() if not cause.endswith("(left out)")}
    assert told == {'deals: the profile lacks the stage "Qualification" (repaired)': 1}
    assert result["profile"] == str(profile)
    assert not synced(tmp_path, "--replay")["rewritten"]  # the profile of the last sync is the default
    profile.write_text(profile.read_text() + "description: The tables stay the same\n")
    again = synced(tmp_path, "--replay")
    assert (again["rewritten"], again["profile"]) == (False, str(profile))
    other = tmp_path / "other.yaml"
    other.write_text(profile.read_text())
    assert not synced(tmp_path, "--replay", "--profile", other)["rewritten"]
    assert synced(tmp_path, "--replay")["profile"] == str(other)
    assert "leave one of them out" in run("sync", "salesforce", "--replay", "--full", code=2)
    assert "holds no records; run `winpredict sync salesforce`" in run(
        "sync", "salesforce", "--replay", "--workspace", tmp_path / "other", code=2
    )


def test_tables_that_the_crm_does_not_hold_stay(crm, tmp_path):
    synced(tmp_path)
    quotas = tmp_path / "quotas.csv"
    quotas.write_text("team,period_start,period_end,amount\nEast,2025-01-01,2025-04-01,1000\n")
    only = tmp_path / "quotas.yaml"
    only.write_text(
        "tables:\n  quotas:\n    - file: quotas\n      columns: {team: team, period_start: period_start, "
        "period_end: period_end, amount: amount}\n"
    )
    run("import", quotas, "--profile", only, "--workspace", tmp_path / "place")
    assert not synced(tmp_path)["rewritten"]
    crm.new_deal()
    result = synced(tmp_path)
    assert result["rows"]["quotas"] == 1
    assert not result["replaced_files"]
    assert len(Workspace(tmp_path / "place").manifest["imports"]) == 2


def test_calls_from_a_file_stay_through_syncs(crm, tmp_path):
    synced(tmp_path)
    first, second = crm.live("Opportunity")[:2]
    calls = tmp_path / "calls.csv"
    calls.write_text(
        f"call_id,deal_id,start_time,user_id\n7,{first},2025-01-20T12:00Z,u1\n8,{second},2025-01-21T12:00Z,u1\n"
    )
    run("import", calls, "--profile", "tenfold", "--workspace", tmp_path / "place")
    calls.unlink()

    def kept():
        touches = Workspace(tmp_path / "place").crm().activities
        return set(touches.loc[touches["activity_id"].isin(["7", "8"]), "deal_id"])

    assert kept() == {first, second}
    assert not synced(tmp_path)["rewritten"]
    crm.new_deal()
    result = synced(tmp_path)
    assert (result["rewritten"], result["replaced_files"], kept()) == (True, False, {first, second})
    crm.delete("Opportunity", second)
    synced(tmp_path)
    assert kept() == {first}


def test_deals_from_files_are_replaced_with_a_word(crm, tmp_path):
    deals = tmp_path / "deals.csv"
    deals.write_text("deal_id,stage,outcome,created_at,closed_at\na,Won,won,2025-01-01,2025-02-01\n")
    run("import", deals, "--profile", "generic", "--workspace", tmp_path / "place")
    words = run("sync", "salesforce", "--workspace", tmp_path / "place")
    assert "The CRM's deals replace those that were imported from files before\n" in words
    assert "a" not in set(Workspace(tmp_path / "place").crm().deals["deal_id"])
    run("import", deals, "--profile", "generic", "--workspace", tmp_path / "place")
    assert synced(tmp_path)["rewritten"]
    assert "a" not in set(Workspace(tmp_path / "place").crm().deals["deal_id"])


def test_what_is_not_supported_is_said(crm, tmp_path):
    assert "there is no live CRM 'pipedrive'" in run("sync", "pipedrive", "--workspace", tmp_path, code=2)
    synced(tmp_path)
    assert "synced with salesforce; name another folder" in run(
        "sync", "hubspot", "--workspace", tmp_path / "place", code=2
    )
    deals = tmp_path / "deals.csv"
    deals.write_text("deal_id,stage,outcome,created_at,closed_at\na,Won,won,2025-01-01,2025-02-01\n")
    run("import", deals, "--profile", "generic", "--buckets", 2, "--workspace", tmp_path / "parted")
    assert "are split into buckets" in run("sync", "salesforce", "--workspace", tmp_path / "parted", code=2)


def test_what_is_left_out_is_said(crm, tmp_path):
    crm.missing = {"Task": "grant Read on Task"}
    words = run("sync", "salesforce", "--workspace", tmp_path / "place")
    assert "Left out: Task (grant Read on Task)\n" in words


DESCRIPTION = Description(
    account="Acme",
    readable=("deals",),
    missing={"calls": "grant crm.objects.calls.read"},
    stages=(
        Stage("a1", "Intro", "open", "Sales"),
        Stage("a2", "Done", "won", "Sales"),
        Stage("a3", "No deal", "lost", "Sales"),
        Stage("b1", "Done", "open", "Renewals"),
        Stage("b2", "No deal", "lost", "Renewals"),
    ),
    custom_fields=(CustomField("region", "Region of\nthe deal", "enumeration"),),
)


def test_connect_tells_what_there_is_and_writes_a_profile(crm, tmp_path, monkeypatch):
    monkeypatch.setattr(crm, "describe", lambda mapped=None: DESCRIPTION)
    path = tmp_path / "mine.yaml"
    words = run("connect", "hubspot", "--out", path)
    for told in (
        "signed in to Acme",
        "calls (grant crm.objects.calls.read)",
        "No deal",
        "region",
        "`winpredict push` needs",
    ):
        assert told in words
    profile = load_profile(path)
    assert profile.stage_order == ("Intro", "Done (Renewals)")
    assert (profile.won, profile.lost) == (("Done (Sales)",), ("No deal",))
    shipped = load_profile("hubspot")
    for table in ("deals", "deal_history"):
        for source, base in zip(profile.tables[table], shipped.tables[table], strict=True):
            assert source.model_copy(update={"values": base.values}) == base
            if "stage" in source.columns:
                assert source.values["stage"]["b1"] == "Done (Renewals)"
    assert profile.tables["activities"] == shipped.tables["activities"]
    assert "region: Region of the deal (enumeration)" in path.read_text()
    assert "may have been edited" in run("connect", "hubspot", "--out", path, code=2)
    facts = json.loads(run("connect", "hubspot", "--json"))
    assert facts["missing"] == DESCRIPTION.missing
    assert facts["profile"] == path.read_text()


def test_a_profile_of_plain_stages_names_only_what_differs(crm):
    profile = json.loads(run("connect", "salesforce", "--json"))["profile"]
    assert "extends: salesforce" in profile
    assert "tables" not in profile


def test_every_sentence_of_a_sync_is_translated(crm, tmp_path, wide):
    crm.missing = {"Task": "grant Read on Task"}
    words = ["sync", "salesforce", "--workspace", tmp_path / "place", "--locale"]
    printed = run(*words, "en_XA")
    repairs = Workspace(tmp_path / "place").manifest["imports"][-1]["repairs"]
    tables = [*Workspace(tmp_path / "place").manifest["rows"], *crm.objects, "User", "RecordType"]
    assert untranslated_words(printed, [*repairs, *tables, str(tmp_path / "place")]) == []
    printed = run(*words, "fr")
    assert "Laissé de côté\u00a0: Task (grant Read on Task)\nTables " in printed
    assert f"\u00a0; enregistré dans {tmp_path / 'place'}\n" in printed


def test_every_sentence_about_an_account_is_translated(crm, tmp_path, wide, monkeypatch):
    monkeypatch.setattr(crm, "describe", lambda mapped=None: DESCRIPTION)
    stages = [name for each in DESCRIPTION.stages for name in (each.name, each.label, each.pipeline)]
    fields = [name for each in DESCRIPTION.custom_fields for name in (each.name, each.kind, *each.label.splitlines())]
    assert untranslated_words(run("connect", "hubspot", "--locale", "en_XA"), [*stages, *fields]) == []
    lines = run("connect", "hubspot", "--locale", "fr").splitlines()
    assert lines[:3] == [
        "hubspot\u00a0: connecté à Acme",
        "Lecture possible\u00a0: deals",
        "Lecture impossible\u00a0: calls (grant crm.objects.calls.read)",
    ]
    assert lines[-2] == "Ensuite\u00a0: winpredict sync hubspot"


def test_an_object_that_is_refused_ends_with_1_and_check_tells_what_is_blind(crm, tmp_path):
    place = tmp_path / "place"
    for _ in range(30):
        crm.change()
    crm.refused = {"Task": "too many ids: grant View All Data"}
    words = run("sync", "salesforce", "--workspace", place, code=1)
    assert "Left out: Task (too many ids: grant View All Data)" in words
    assert Workspace(place).manifest["rows"]["deals"] >= 8
    assert "Not read from the CRM: Task (too many ids: grant View All Data)" in run("check", "--workspace", place)
    crm.refused = {}
    run("sync", "salesforce", "--workspace", place)
    assert "Not read from the CRM" not in run("check", "--workspace", place)


def test_what_is_hidden_is_told_by_sync_connect_and_check(crm, tmp_path, monkeypatch):
    place = tmp_path / "place"
    asked = []

    def describe(mapped=None) -> Description:
        asked.append(mapped)
        hidden = {"Opportunity": ("Amount", "Type")}
        calculated = {"Opportunity": ("Score__c",)}
        return Description("Acme (1)", crm.objects, hidden=hidden, calculated=calculated, remarks=("Ask for more.",))

    monkeypatch.setattr(crm, "describe", describe)
    words = run("connect", "salesforce")
    assert "Not shown: Amount and Type of Opportunity, which the profile maps." in words
    assert "Calculated by the CRM, known from the first sync on: Score__c of Opportunity" in words
    assert "Ask for more." in words
    assert asked[0]["Opportunity"]["amount"] == ("Amount",)
    assert "Not shown: Amount and Type of Opportunity" in run("sync", "salesforce", "--workspace", place)
    assert json.loads(run("check", "--workspace", place, "--json"))["blind"] == {
        "objects": {},
        "fields": {"Opportunity": ["Amount", "Type"]},
    }
