import json

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from winpredict.privacy.erased import Erased
from winpredict.privacy.scrubbing import Scrubber, kind_of, personal_values


@pytest.fixture
def erased():
    found = Erased(b"key")
    found.add("contact", ["101"])
    found.add("user", ["7"])
    found.add("account", ["900"])
    found.add_values(["Ann Lee"], found.pseudonym("user", "7"))
    return found


@pytest.fixture
def scrubber(erased):
    return Scrubber(erased).at("here")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("OwnerId", "user"), ("hubspot_owner_id", "user"), ("CreatedById", "user"), ("Reporting_To", "user"),
        ("WhoId", "contact"), ("associations.contacts.results.0.id", "contact"), ("AccountId", "account"),
        ("companies", "account"), ("deal_id", None), ("WhatId", None), ("amount", None),
    ],
)  # fmt: skip
def test_names_of_columns_tell_whose_id_they_hold(name, kind):
    assert kind_of(name) == kind


def test_short_ids_are_replaced_where_they_are_ids_of_that_kind(scrubber, erased):
    record = {
        "id": "7",
        "properties": {
            "hubspot_owner_id": "7",
            "amount": "900",
            "hs_call_title": "with her",
            "hs_call_duration": "101",
        },
        "associations": {"contacts": {"results": [{"id": "101"}]}, "deals": {"results": [{"id": 101}]}},
    }
    own, found = scrubber.record("calls", "7", record)
    assert own == "7"
    assert found["id"] == "7"
    assert found["properties"] == {
        "hubspot_owner_id": erased.pseudonym("user", "7"), "amount": "900", "hs_call_title": None,
        "hs_call_duration": "101",
    }  # fmt: skip
    assert found["associations"]["contacts"]["results"] == [{"id": erased.pseudonym("contact", "101")}]
    assert found["associations"]["deals"]["results"] == [{"id": 101}]
    assert scrubber.record("calls", own, found) == (own, found)


def test_what_stands_beside_an_id_goes_with_it(scrubber, erased):
    record = {
        "id": "5", "Deal_Name": "Acme renewal", "Amount": 3, "Account_Name": {"id": "900", "name": "Acme"},
        "Owner": {"id": "8", "name": "Bo", "email": "bo@example.com"}, "Contact_Name": {"id": 101, "name": "Cy"},
    }  # fmt: skip
    _, found = scrubber.record("Deals", "5", record)
    assert found == {
        "id": "5", "Deal_Name": None, "Amount": 3,
        "Account_Name": {"id": erased.pseudonym("account", "900"), "name": None}, "Owner": record["Owner"],
        "Contact_Name": {"id": erased.pseudonym("contact", "101"), "name": None},
    }  # fmt: skip


def test_of_an_account_its_figures_stay(scrubber):
    record = {
        "Id": "900", "Name": "Acme", "BillingCity": "Ulm", "BillingCountry": "DE", "NumberOfEmployees": 40,
        "Industry": "Media", "Website": "acme.example", "OwnerId": "8",
    }  # fmt: skip
    _, found = scrubber.record("Account", "900", record)
    assert {key for key, value in found.items() if value is None} == {"Name", "BillingCity", "Website"}
    assert (found["Industry"], found["NumberOfEmployees"], found["OwnerId"]) == ("Media", 40, "8")


def test_values_of_a_person_are_those_beside_their_id():
    records = {"id": "7", "firstName": "Ann", "lastName": "Lee", "email": "ann@example.com", "city": "Ulm"}
    assert personal_values("user", "owners", records, ["7"]) == {"Ann Lee", "Lee Ann", "ann@example.com"}
    deal = {"id": "7", "Deal_Name": "x", "Owner": {"id": "7", "name": "Ann Lee"}}
    assert personal_values("user", "Deals", deal, ["7"]) == {"Ann Lee"}
    assert personal_values("contact", "Deals", deal, ["7"]) == set()


def test_tables_keep_their_kinds_and_their_other_rows(scrubber, erased, tmp_path):
    table = pa.table(
        {
            "deal_id": ["a", "b", None], "owner_id": pa.array(["7", "8", None], pa.large_string()),
            "odds": [0.1, 0.2, None], "reasons": [json.dumps([["Owner: {who}", {"who": "Ann Lée"}]]), None, "ann lee"],
        }
    )  # fmt: skip
    pq.write_table(table, tmp_path / "scores.parquet")
    assert scrubber.file(tmp_path / "scores.parquet", apply=False) == 2
    assert pq.read_table(tmp_path / "scores.parquet").equals(table)
    assert scrubber.file(tmp_path / "scores.parquet") == 2
    found = pq.read_table(tmp_path / "scores.parquet")
    assert found.schema == table.schema
    pseudonym = erased.pseudonym("user", "7")
    assert found["owner_id"].to_pylist() == [pseudonym, "8", None]
    assert found["reasons"].to_pylist() == [table["reasons"][0].as_py(), None, pseudonym]
    assert scrubber.file(tmp_path / "scores.parquet") == 0


@pytest.mark.parametrize(
    ("name", "words", "without"),
    [
        ("calls.csv", "deal_id;user_id;who\r\n7;7;Ann Lee\r\n", "deal_id;user_id;who\r\n7;@;@\r\n"),
        ("calls.csv", 'a,owner_id,a\n"x, y",7,7\n', 'a,owner_id,a\n"x, y",@,7\n'),
        ("log.jsonl", '{"problem": "Ann Lee is late"}\n{"n": 7}\n', '{"problem": "@ is late"}\n{"n": 7}\n'),
        ("health.json", '{"by": "Ann Lee", "user_count": 7}', '{"by": "@", "user_count": 7}\n'),
        ("model.json", '{"owner_id": {"7": 0.5}, "d": {"7": 1e-7}}', '{"owner_id": {"@": 0.5}, "d": {"7": 1e-07}}\n'),
        ("mine.yaml", "description: by Ann Lee\n", "description: by @\n"),
        ("latin.csv", "name,city\nAnn Lee,Köln\n", "name,city\n@,Köln\n"),
    ],
)
def test_files_of_text_are_rewritten_in_their_own_form(scrubber, erased, tmp_path, name, words, without):
    encoding = "latin-1" if name.startswith("latin") else "utf-8"
    (tmp_path / name).write_bytes(words.encode(encoding))
    scrubber.file(tmp_path / name)
    assert (tmp_path / name).read_bytes().decode(encoding) == without.replace("@", erased.pseudonym("user", "7"))


def test_a_file_without_them_is_not_touched(scrubber, tmp_path):
    words = '{"b":1,   "a":"Bo"}'
    (tmp_path / "a.json").write_text(words)
    stamp = (tmp_path / "a.json").stat().st_mtime_ns
    assert scrubber.file(tmp_path / "a.json") == 0
    assert (tmp_path / "a.json").stat().st_mtime_ns == stamp


def test_lists_out_of_json_files_are_looked_into(scrubber, erased):
    frame = pd.DataFrame({"contacts": [[{"id": "101"}], None, [{"id": "102"}]], "n": [1, 2, 3]})
    found = scrubber.frame("deals", frame)["contacts"]
    assert found[0] == [{"id": erased.pseudonym("contact", "101")}]
    assert found[2] == [{"id": "102"}]
