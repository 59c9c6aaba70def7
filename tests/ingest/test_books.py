"""The books balance: every line or record of a file is accepted, merged, left out or rejected, and nothing is lost."""

import json

import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from winpredict.errors import WinPredictError
from winpredict.ingest import import_files, load_profile
from winpredict.ingest.files import read_files
from winpredict.ingest.out_of_core import import_out_of_core
from winpredict.ingest.profiles import Profile

NOW = pd.Timestamp("2025-06-01", tz="UTC")
GENERIC = load_profile("generic")
FILTERED = Profile.model_validate(
    GENERIC.model_dump()
    | {
        "tables": {
            "deals": [GENERIC.tables["deals"][0].model_dump() | {"where": {"archived": "false"}}],
            "activities": GENERIC.model_dump()["tables"]["activities"],
        }
    }
)
HEADER = "deal_id,stage,outcome,created_at,closed_at,amount,archived"

ids = st.sampled_from(["a", "b", "c", "d", "e", ""])
outcomes = st.sampled_from(["won", "lost", "open", "Won", "", "???"])
days = st.sampled_from(["2025-01-05", "2025-02-01", "13/03/2025", "2031-01-01", "soon", ""])
amounts = st.sampled_from(["12", "12.5", "-4", "1,5", "TBD 5", ""])
flags = st.sampled_from(["true", "false", "", "1"])
deal = st.tuples(ids, st.just("Demo"), outcomes, days, days, amounts, flags).map(",".join)
oddity = st.sampled_from(["", ",,,,,,", "too,few", "a,b,c,d,e,f,g,too many", HEADER, "Total,,,,,99,", '"a', "# note"])
lines = st.lists(st.one_of(deal, deal, deal, oddity), min_size=1, max_size=25)
touch = st.tuples(st.sampled_from(["1", "2", "3", ""]), ids, days, st.sampled_from(["call", "email", "fax", ""]))


def touch_line(cells):
    """A touch of an id of its own deal: an id in several deals is kept in each of their buckets, as documented."""
    return ",".join((cells[0] and cells[0] + cells[1], *cells[1:]))


def check_books(sources, expected_lines):
    for source in sources:
        ledger = source.get("lines") or source.get("records")
        assert sum(ledger.values()) == expected_lines[source["path"]], source
        for table, book in source["books"].items():
            accounted = book["accepted"] + book["merged"] + book["left_out"] + book["rejected"]
            assert book["rows"] == accounted, (table, book)


def physical_lines(path):
    text = path.read_text()
    return len(text.splitlines())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=lines, touches=st.lists(touch.map(touch_line), max_size=12), profile=st.sampled_from([GENERIC, FILTERED]))
def test_books_balance_whatever_the_lines(tmp_path_factory, rows, touches, profile):
    folder = tmp_path_factory.mktemp("books")
    (folder / "deals.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    if touches:
        header = "activity_id,deal_id,occurred_at,activity_type"
        (folder / "activities.csv").write_text("\n".join([header, *touches]) + "\n")
    expected = {str(path): physical_lines(path) for path in folder.iterdir()}
    try:
        imported = import_files([folder], profile, now=NOW)
    except WinPredictError:  # a profile that does not fit
        return
    check_books(imported.sources, expected)
    kept = imported.quarantine.get("deals", pd.DataFrame({"done": []}))["done"].value_counts().to_dict()
    (book,) = (source["books"]["deals"] for source in imported.sources if "deals" in source["books"])
    assert kept.get("rejected", 0) == book["rejected"]
    assert kept.get("merged", 0) == book["merged"]
    assert kept.get("left out", 0) == book["left_out"]
    assert len(imported.crm.deals) == book["accepted"]
    partitioned = import_out_of_core(read_files([folder]), profile, tmp_path_factory.mktemp("work"), 3, now=NOW)
    assert partitioned.repairs == imported.repairs
    books = {source["path"]: source["books"] for source in imported.sources}
    assert {source["path"]: source["books"] for source in partitioned.sources} == books


records = st.one_of(
    st.fixed_dictionaries({"deal_id": st.sampled_from(["a", "b", None]), "outcome": st.sampled_from(["won", "lost"])}),
    st.sampled_from([1, "text", None, [], [1, 2], True]),
)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(records, min_size=1, max_size=12), broken=st.booleans())
def test_records_of_json_lines_are_all_accounted_for(tmp_path_factory, values, broken):
    folder = tmp_path_factory.mktemp("records")
    lines = [json.dumps(value) for value in values] + (["{broken"] if broken else [])
    (folder / "deals.jsonl").write_text("\n".join(lines) + "\n")
    try:
        imported = import_files([folder / "deals.jsonl"], GENERIC, now=NOW)
    except WinPredictError:
        return
    (source,) = imported.sources
    book = source["books"]["deals"]
    assert book["rows"] == book["accepted"] + book["merged"] + book["left_out"] + book["rejected"]
    objects = sum(isinstance(value, dict) for value in values)
    assert book["rows"] >= objects
    assert imported.crm.rows["deals"] == book["accepted"] <= objects


def test_a_history_of_snapshots_accounts_for_what_did_not_change(tmp_path):
    rows = ["a,Demo,2025-01-01,10", "a,Demo,2025-01-08,10", "a,Offer,2025-01-15,10", "a,Offer,2025-01-22,12"]
    (tmp_path / "weekly.csv").write_text("\n".join(["id,stage,day,amount", *rows]) + "\n")
    profile = Profile.model_validate(
        {
            "name": "weekly",
            "won": ["Won"],
            "stage_order": ["Demo", "Offer"],
            "tables": {
                "deals": [
                    {
                        "file": "weekly",
                        "columns": {"deal_id": "id", "stage": "stage", "amount": "amount", "modified_at": "day"},
                    }
                ],
                "deal_history": [
                    {
                        "file": "weekly",
                        "snapshots": True,
                        "columns": {"deal_id": "id", "changed_at": "day", "stage": "stage", "amount": "amount"},
                    }
                ],
            },
        }
    )
    imported = import_files([tmp_path / "weekly.csv"], profile, now=NOW)
    history = imported.crm.deal_history
    assert history[["stage", "amount"]].astype(object).where(history.notna(), None).values.tolist() == [
        ["Demo", 10.0],
        ["Offer", None],
        [None, 12.0],
    ]
    assert imported.crm.deals[["deal_id", "stage", "amount"]].values.tolist() == [["a", "Offer", 12.0]]
    (source,) = imported.sources
    assert source["books"] == {
        "deals": {"rows": 4, "accepted": 1, "merged": 3, "left_out": 0, "rejected": 0},
        "deal_history": {"rows": 4, "accepted": 3, "merged": 1, "left_out": 0, "rejected": 0},
    }
