"""Good and bad input: everything is read, counted or refused with a sentence, and nothing is lost."""

import gzip
import json
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from winpredict.errors import InputFileError, ProfileError
from winpredict.ingest import Imported, Profile, import_files, load_profile

NOW = pd.Timestamp("2025-06-01", tz="UTC")
HEADER = "deal_id,stage,outcome,created_at,closed_at,amount,owner_id\n"
ROWS = "a,Won,won,2025-01-01T10:00:00Z,2025-02-01T09:00:00Z,100,u1\nb,Demo,open,2025-01-05T00:00:00Z,,200,u2\n"


def imported(
    folder: Path, files: dict[str, str | bytes], profile: Profile | str = "generic", **options: object
) -> Imported:
    for name, content in files.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    chosen = load_profile(profile) if isinstance(profile, str) else profile
    return import_files([folder], chosen, now=NOW, **options)


def changed(profile: str = "generic", **values: object) -> Profile:
    return load_profile(profile).model_copy(update=values)


def deals_of(found: Imported) -> dict[str, dict[str, object]]:
    return found.crm.deals.set_index("deal_id").to_dict("index")


def same(one: Imported, other: Imported) -> None:
    for (name, frame), (_, again) in zip(one.crm.tables(), other.crm.tables(), strict=True):
        pd.testing.assert_frame_equal(frame, again, obj=name)
    assert one.crm.known_until == other.crm.known_until


def test_plain_files_come_in_whole(tmp_path):
    result = imported(tmp_path, {"deals.csv": HEADER + ROWS})
    assert result.repairs == {}
    assert deals_of(result)["a"]["outcome"] == "won"
    assert result.crm.known_until == pd.Timestamp("2025-02-01T09:00:00.000001Z")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("deals.csv", (HEADER + ROWS).replace(",", ";").encode()),
        ("deals.csv", (HEADER + ROWS).replace(",", "\t").encode()),
        ("deals.csv", (HEADER + ROWS).encode("utf-8-sig")),
        ("deals.csv", (HEADER + ROWS).encode("utf-16")),
        ("deals.csv", (HEADER + ROWS).encode("utf-16-le")),
        ("deals.csv", (HEADER + ROWS).replace("\n", "\r\n").encode()),
        ("deals.csv.gz", gzip.compress((HEADER + ROWS).encode(), mtime=0)),
    ],
    ids=["semicolons", "tabs", "byte-order mark", "UTF-16", "UTF-16 without a mark", "Windows line ends", "gzip"],
)
def test_spelling_of_a_file_does_not_matter(tmp_path, name, content):
    (tmp_path / "plain").mkdir()
    (tmp_path / "other").mkdir()
    plain = imported(tmp_path / "plain", {"deals.csv": HEADER + ROWS})
    same(imported(tmp_path / "other", {name: content}), plain)


def test_windows_1252_is_read_and_said(tmp_path):
    result = imported(tmp_path, {"deals.csv": (HEADER + ROWS).replace("u1", "Zoë").encode("cp1252")})
    assert deals_of(result)["a"]["owner_id"] == "Zoë"
    assert "Windows-1252" in result.sources[0]["remark"]


def test_parquet_excel_json_and_zip_give_the_same(tmp_path):
    frame = pd.read_csv(imported_csv(tmp_path / "csv"), dtype=str, keep_default_na=False)
    plain = import_files([tmp_path / "csv"], load_profile("generic"), now=NOW)
    typed = frame.assign(amount=frame["amount"].astype(float), created_at=pd.to_datetime(frame["created_at"]))
    typed.to_parquet(tmp_path / "deals.parquet")
    frame.to_excel(tmp_path / "deals.xlsx", index=False)
    lines = "\n".join(json.dumps(row) for row in frame.to_dict("records"))
    (tmp_path / "deals.jsonl").write_text(lines)
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as archive:
        archive.writestr("../../deals.csv", HEADER + ROWS)  # a name that would leave the folder is harmless
    for name in ("deals.parquet", "deals.xlsx", "deals.jsonl", "export.zip"):
        same(import_files([tmp_path / name], load_profile("generic"), now=NOW), plain)


def imported_csv(folder: Path) -> Path:
    folder.mkdir()
    path = folder / "deals.csv"
    path.write_text(HEADER + ROWS)
    return path


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"deals.csv": ""}, "is empty"),
        ({"deals.csv": "\n\n"}, "is empty"),
        ({"deals.csv": HEADER}, "no rows of deals"),
        ({"deals.csv": "x" * 200_000}, "no header that can be read"),
        ({"deals.xlsx": "not a workbook"}, "cannot be read"),
        ({"deals.parquet": "not parquet"}, "cannot be read"),
        ({"deals.csv.gz": "not gzip"}, "cannot be read"),
        ({"deals.json": "[]"}, "no JSON objects"),
        ({"export.zip": "not a zip", "deals.csv": HEADER + ROWS}, None),
        ({"one.csv": HEADER + ROWS, "two.csv": HEADER + ROWS}, "no file holds deals"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_sentence(tmp_path, files, message):
    if message is None:  # zips inside folders are left alone
        assert len(imported(tmp_path, files).crm.deals) == 2
        return
    with pytest.raises(InputFileError, match=message):
        imported(tmp_path, files)


def test_of_two_columns_of_one_name_the_second_is_numbered(tmp_path):
    result = imported(tmp_path, {"deals.csv": HEADER.replace("stage", "deal_id") + ROWS})
    assert result.crm.deals["deal_id"].tolist() == ["a", "b"]
    assert result.crm.deals["deal_id (2)"].tolist() == ["Won", "Demo"]
    assert "deal_id" in result.sources[0]["remark"]


def test_files_with_a_header_alone_are_as_good_as_absent(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    touches = {"activities.csv": "activity_id,deal_id,occurred_at\n", "contacts.csv": "deal_id,contact_id,added_at\n"}
    result = imported(tmp_path / "one", {"deals.csv": HEADER + ROWS} | touches)
    same(result, imported(tmp_path / "two", {"deals.csv": HEADER + ROWS}))
    assert [each["rows"] for each in result.sources] == [0, 0, 2]
    (tmp_path / "two" / "deals.csv").write_text(HEADER)  # nothing has changed since: what was there stays
    again = import_files([tmp_path / "two"], load_profile("generic"), earlier=result.crm, now=NOW)
    same(again, result)


@pytest.mark.parametrize("flags", [("false", "true"), ("0", "1"), ("FALSE", "TRUE"), ("No", "Yes")])
def test_flags_of_deleted_records_are_read_in_every_notation(tmp_path, flags):
    rows = "".join(f"006{each},2025-01-05,Prospecting,{each}\n" for each in flags)
    (tmp_path / "Opportunity.csv").write_text("Id,CreatedDate,StageName,IsDeleted\n" + rows)
    result = import_files([tmp_path], load_profile("salesforce"), now=NOW)
    assert result.crm.deals["deal_id"].tolist() == [f"006{flags[0]}"]


def test_a_broken_zip_and_a_missing_path_are_refused(tmp_path):
    (tmp_path / "export.zip").write_text("no zip")
    with pytest.raises(InputFileError, match="no readable zip"):
        import_files([tmp_path / "export.zip"], load_profile("generic"))
    with pytest.raises(InputFileError, match="does not exist"):
        import_files([tmp_path / "nowhere.csv"], load_profile("generic"))
    (tmp_path / "deals.pdf").write_text("x")
    with pytest.raises(InputFileError, match="is none of"):
        import_files([tmp_path / "deals.pdf"], load_profile("generic"))


def test_a_missing_column_names_file_column_and_what_is_there(tmp_path):
    with pytest.raises(ProfileError, match=r"activities\.csv has no column 'occurred_at'.*it has activity_id, deal_id"):
        imported(tmp_path, {"deals.csv": HEADER + ROWS, "activities.csv": "activity_id,deal_id\n1,a\n"})


def test_lines_that_do_not_fit_are_kept_aside(tmp_path):
    result = imported(tmp_path, {"deals.csv": HEADER + ROWS + "c,Demo,open,2025-01-07,,1,u1,too,many\n"})
    assert len(result.crm.deals) == 2
    assert result.repairs == {"deals: the line does not fit the header (rejected)": 1}
    kept = result.quarantine["deals"]
    assert (kept["row"].item(), kept["text"].item()) == (4, "c,Demo,open,2025-01-07,,1,u1,too,many")


def test_two_date_formats_in_one_column(tmp_path):
    rows = (
        "a,Won,won,13/01/2025,2025-02-01T00:00:00Z,1,u\nb,Demo,open,2025-01-05 08:00,,1,u\n"
        "c,Demo,open,02/01/2025,,1,u\n"
    )
    found = deals_of(imported(tmp_path, {"deals.csv": HEADER + rows}))
    assert [found[deal]["created_at"].isoformat()[:10] for deal in "abc"] == ["2025-01-13", "2025-01-05", "2025-01-02"]


def test_dates_in_both_orders_are_read_where_they_can_be_one_only(tmp_path):
    rows = "a,Demo,open,13/01/2025,,1,u\nb,Demo,open,01/14/2025,,1,u\nc,Demo,open,02/01/2025,,1,u\n"
    result = imported(tmp_path, {"deals.csv": HEADER + rows})
    created = {deal: row["created_at"] for deal, row in deals_of(result).items()}
    assert [str(created[deal])[:10] for deal in "abc"] == ["2025-01-13", "2025-01-14", "NaT"]
    assert result.repairs == {
        "deals: created_at may start with the day or the month; write dates: day_first or dates: month_first into the "
        "profile, taken as missing (repaired)": 1
    }


def test_an_order_that_nothing_tells_must_be_said(tmp_path):
    rows = "a,Demo,open,03/04/2025,,1,u\n"
    with pytest.raises(ProfileError, match="dates: day_first"):
        imported(tmp_path, {"deals.csv": HEADER + rows})
    result = imported(tmp_path, {"deals.csv": HEADER + rows}, changed(dates="month_first"))
    assert deals_of(result)["a"]["created_at"] == pd.Timestamp("2025-03-04", tz="UTC")


def test_local_times_become_utc_also_when_the_clock_changes(tmp_path):
    rows = (
        "a,Demo,open,2025-01-15 09:00,,1,u\nb,Demo,open,2025-05-15 09:00,,1,u\n"
        "c,Demo,open,2024-10-27 02:30,,1,u\nd,Demo,open,2025-03-30 02:30,,1,u\n"
        "e,Demo,open,2025-05-15T09:00:00-0400,,1,u\n"
    )
    found = deals_of(imported(tmp_path, {"deals.csv": HEADER + rows}, changed(time_zone="Europe/Berlin")))
    utc = {deal: row["created_at"].strftime("%m-%d %H:%M") for deal, row in found.items()}
    assert utc == {"a": "01-15 08:00", "b": "05-15 07:00", "c": "10-27 00:30", "d": "03-30 01:00", "e": "05-15 13:00"}


def test_epoch_milliseconds_and_seconds(tmp_path):
    rows = "a,Demo,open,1735725600000,,1,u\nb,Demo,open,1735725600,,1,u\n"
    found = deals_of(imported(tmp_path, {"deals.csv": HEADER + rows}))
    assert {str(row["created_at"]) for row in found.values()} == {"2025-01-01 10:00:00+00:00"}


AMOUNTS = ("-5", "9e15", "many", "inf")


def test_impossible_amounts_are_taken_as_missing_and_counted(tmp_path):
    rows = "".join(f"{deal},Demo,open,2025-01-07,,{amount},u\n" for deal, amount in zip("cdef", AMOUNTS, strict=True))
    result = imported(tmp_path, {"deals.csv": HEADER + ROWS + rows})
    assert result.repairs == {
        "deals: amount is not a number, taken as missing (repaired)": 2,
        "deals: impossibly large amount, taken as missing (repaired)": 1,
        "deals: negative amount, taken as missing (repaired)": 1,
    }
    assert result.crm.deals["amount"].notna().sum() == 2
    assert set(result.quarantine["deals"]["amount"].astype(str)) == {"-5.0", "9000000000000000.0", "many", "inf"}


@pytest.mark.parametrize(("text", "number"), [("1.234,50", 1234.5), ("12,5", 12.5)])
def test_decimal_commas(tmp_path, text, number):
    rows = ROWS.replace(",100,", f',"{text}",')
    assert deals_of(imported(tmp_path, {"deals.csv": HEADER + rows}))["a"]["amount"] == number


def test_closed_before_created(tmp_path):
    result = imported(tmp_path, {"deals.csv": HEADER + ROWS + "c,Won,won,2025-03-01,2025-02-01,1,u\n"})
    assert result.repairs == {"deals: closed before created, created_at taken as missing (repaired)": 1}
    assert pd.isna(deals_of(result)["c"]["created_at"])


def test_a_close_dated_by_the_day_counts_from_its_end(tmp_path):
    result = imported(tmp_path, {"deals.csv": HEADER + "c,Won,won,2025-02-01T10:00:00Z,2025-02-01,1,u\n"})
    assert deals_of(result)["c"]["closed_at"] == pd.Timestamp("2025-02-01T23:59:59.999999Z")
    assert result.repairs == {}


def test_of_disagreeing_rows_the_last_modified_counts(tmp_path):
    header = HEADER.replace("owner_id", "owner_id,modified_at")
    rows = "a,Demo,open,2025-01-01,,1,new,2025-03-01\na,Demo,open,2025-01-01,,1,old,2025-02-01\n"
    result = imported(tmp_path, {"deals.csv": header + rows})
    assert deals_of(result)["a"]["owner_id"] == "new"
    assert result.repairs == {"deals: the same id with other values, the later row counts (merged)": 1}
    assert result.quarantine["deals"]["owner_id"].tolist() == ["old"]


def test_deals_without_an_id_are_rejected_where_others_have_one(tmp_path):
    result = imported(tmp_path, {"deals.csv": HEADER + ROWS + ",Demo,open,2025-01-07,,1,u\n"})
    assert result.repairs == {"deals: deal_id is missing (rejected)": 1}


def test_unknown_stages_are_counted(tmp_path):
    profile = changed(stage_order=("Demo",))
    rows = "c,Haggling,,2025-01-07,,1,u\nd,Haggling,lost,2025-01-07,2025-01-08,1,u\n"
    result = imported(tmp_path, {"deals.csv": HEADER + ROWS + rows}, profile)
    assert result.repairs == {
        'deals: the profile lacks the stage "Haggling" (repaired)': 1,
        'deals: the profile lacks the stage "Haggling", taken as open (repaired)': 1,
    }
    assert (deals_of(result)["c"]["outcome"], deals_of(result)["d"]["outcome"]) == ("open", "lost")


ACTIVITIES = "activity_id,deal_id,occurred_at,recorded_at,activity_type\n1,a,2025-01-10,2025-01-10,call\n"


def test_touches_of_unknown_deals_are_rejected_and_kept(tmp_path):
    result = imported(
        tmp_path, {"deals.csv": HEADER + ROWS, "activities.csv": ACTIVITIES + "2,zz,2025-01-11,2025-01-11,call\n"}
    )
    assert result.repairs == {"activities: belongs to no known deal (rejected)": 1}
    assert result.quarantine["activities"]["activity_id"].tolist() == ["2"]


def test_facts_recorded_in_the_future_cannot_be(tmp_path):
    deals = HEADER + ROWS + "c,Won,won,2025-03-01,2031-01-01,1,u\n"
    touches = ACTIVITIES + "2,a,2025-09-01,2025-01-11,meeting\n3,a,2025-01-12,2031-01-01,call\n"
    result = imported(tmp_path, {"deals.csv": deals, "activities.csv": touches})
    assert result.repairs == {
        "activities: recorded_at lies in the future, taken as missing (repaired)": 1,
        "deals: closed_at lies in the future, taken as missing (repaired)": 1,
    }
    # a meeting booked for the future is a fact of the day it was entered
    assert "2" in set(result.crm.activities["activity_id"])
    assert result.crm.known_until < NOW


def test_the_day_on_which_an_open_deal_is_expected_may_lie_ahead(tmp_path):
    rows = "Id,StageName,CreatedDate,CloseDate,IsClosed,IsWon\nx,Prospecting,2025-01-01,2031-01-01,false,false\n"
    result = imported(tmp_path, {"Opportunity.csv": rows}, load_profile("salesforce"))
    assert result.repairs == {}
    assert result.crm.deals["expected_close_date"].tolist() == [pd.Timestamp("2031-01-01", tz="UTC")]


def test_names_may_be_joined(tmp_path):
    users = {"users": [{"file": "people", "columns": {"user_id": "id", "name": ["first + last", "nick"]}}]}
    profile = Profile.model_validate({"tables": changed().model_dump()["tables"] | users})
    people = "id,first,last,nick\n1,Ann,Lee,a\n2,,Bo,b\n3,,,c\n"
    result = imported(tmp_path, {"deals.csv": HEADER + ROWS, "people.csv": people}, profile)
    assert result.crm.users["name"].fillna("").tolist() == ["Ann Lee", "Bo", ""]


def test_touches_of_no_deal_at_all(tmp_path):
    (tmp_path / "notes.jsonl").write_text(json.dumps({"id": "1", "associations": {"deals": {"results": []}}}))
    deal = {"id": "d", "properties": {"dealstage": "contractsent", "createdate": "2025-01-01T00:00:00Z"}}
    result = imported(tmp_path, {"deals.jsonl": json.dumps(deal)}, load_profile("hubspot"))
    assert result.crm.activities is None


def test_one_deal_is_enough_to_import(tmp_path):
    result = imported(tmp_path, {"whatever.csv": HEADER + ROWS.splitlines()[0] + "\n"})
    assert len(result.crm.deals) == 1


def test_importing_twice_changes_nothing(tmp_path):
    first = imported(tmp_path, {"deals.csv": HEADER + ROWS, "activities.csv": ACTIVITIES})
    again = import_files([tmp_path], load_profile("generic"), earlier=first.crm, now=NOW)
    same(first, again)


def test_a_later_export_updates_by_id_and_an_older_one_does_not(tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    old = imported(tmp_path / "old", {"deals.csv": HEADER + ROWS, "activities.csv": ACTIVITIES})
    rows = "b,Won,won,2025-01-05T00:00:00Z,2025-03-01T00:00:00Z,250,u2\nc,Demo,open,2025-02-20T00:00:00Z,,1,u1\n"
    touches = "activity_id,deal_id,occurred_at,recorded_at,activity_type\n9,a,2025-02-20,2025-02-20,email\n"
    files = {"deals.csv": HEADER + rows, "activities.csv": touches}
    updated = imported(tmp_path / "new", files, earlier=old.crm)
    assert {deal: row["outcome"] for deal, row in deals_of(updated).items()} == {"a": "won", "b": "won", "c": "open"}
    assert updated.crm.activities["activity_id"].tolist() == ["1", "9"]
    assert updated.repairs == {}
    same(imported(tmp_path / "old", {}, earlier=updated.crm), updated)


def test_an_export_of_new_changes_only_completes_the_history(tmp_path):
    first = "deal_id,changed_at,stage\na,2025-01-01T10:00:00Z,Demo\n"
    files = {"deals.csv": HEADER + ROWS, "deal_history.csv": first}
    earlier = imported(tmp_path, files).crm
    files["deals.csv"] += "z,Demo,open,2025-03-01,,1,u1\n"
    files["deal_history.csv"] = "deal_id,changed_at,stage\na,2025-01-20T10:00:00Z,Won\n"
    completed = imported(tmp_path, files, earlier=earlier).crm.deal_history
    assert completed["stage"].tolist() == ["Demo", "Won"]
    files["deal_history.csv"] = first.replace("10:00", "12:00") + "a,2025-01-20T10:00:00Z,Won\n"
    retold = imported(tmp_path, files, earlier=earlier).crm.deal_history
    assert retold["changed_at"].dt.hour.tolist() == [12, 10]


def test_the_order_of_rows_does_not_matter(tmp_path):
    (tmp_path / "turned").mkdir()
    lines = ROWS.splitlines(keepends=True)
    straight = imported(
        tmp_path, {"deals.csv": HEADER + ROWS + "a,Won,won,2025-01-01T10:00:00Z,2025-02-01T09:00:00Z,100,u1\n"}
    )
    turned = imported(tmp_path / "turned", {"deals.csv": HEADER + "".join(reversed(lines))})
    same(straight, turned)


def test_columns_that_the_profile_does_not_name_come_in_as_attributes(tmp_path):
    text = (
        "deal_id,outcome,created_at,score,code,region,signed,amount\na,won,2024-12-01,1.5,007,East,2025-01-01,1\n"
        "b,lost,2024-12-02,2,010,West,,2\n"
    )
    deals = imported(tmp_path, {"deals.csv": text}).crm.deals
    assert deals["score"].tolist() == [1.5, 2.0]
    assert deals["code"].tolist() == ["007", "010"]
    assert isinstance(deals["signed"].dtype, pd.DatetimeTZDtype)


def test_attributes_that_change_their_kind_between_exports_become_text(tmp_path):
    (tmp_path / "new").mkdir()
    first = imported(tmp_path, {"deals.csv": "deal_id,outcome,created_at,size\na,won,2025-01-01,5\n"})
    later = {"deals.csv": "deal_id,outcome,created_at,size\nb,lost,2025-02-01,big\n"}
    result = imported(tmp_path / "new", later, earlier=first.crm)
    assert result.crm.deals["size"].tolist() == ["5", "big"]


def test_rows_without_ids_get_ids_of_their_contents(tmp_path):
    (tmp_path / "again").mkdir()
    rows = ["won,x\n", "lost,y\n", "won,x\n"]
    first = imported(tmp_path, {"deals.csv": "outcome,colour\n" + "".join(rows)})
    again = imported(tmp_path / "again", {"deals.csv": "outcome,colour\n" + "".join(sorted(rows))})
    assert len(first.crm.deals) == 3
    same(first, again)


def test_the_close_is_dated_by_the_history(tmp_path):
    history = (
        "deal_id,changed_at,stage\na,2025-01-01T10:00:00Z,Demo\na,2025-01-20T12:00:00Z,Won\n"
        "a,2025-01-21T12:00:00Z,Demo\na,2025-01-30T08:00:00Z,Won\na,2025-01-31T08:00:00Z,Closed Won\n"
    )
    result = imported(tmp_path, {"deals.csv": HEADER + ROWS, "deal_history.csv": history})
    assert deals_of(result)["a"]["closed_at"] == pd.Timestamp("2025-01-30T08:00:00Z")


def test_the_first_owner_is_written_where_the_history_has_owners(tmp_path):
    history = "deal_id,changed_at,owner_id\na,2025-01-15T00:00:00Z,u1\n"
    result = imported(tmp_path, {"deals.csv": HEADER + ROWS, "deal_history.csv": history}).crm.deal_history
    assert result[["deal_id", "owner_id"]].values.tolist() == [["a", "u1"], ["b", "u2"]]


def test_ids_of_many_digits_beside_missing_ones(tmp_path):
    many = 2**53 + 1  # the next float is one less
    deals = pd.DataFrame({"deal_id": [many, many + 2], "stage": "Demo", "outcome": "open", "created_at": "2024-01-01"})
    deals.assign(closed_at=None).to_parquet(tmp_path / "deals.parquet")
    touches = {"activity_id": ["a", "b", "c"], "deal_id": pd.array([many, many + 2, None], dtype="Int64")}
    touches |= {"occurred_at": "2024-01-02", "activity_type": "call"}
    pd.DataFrame(touches).to_parquet(tmp_path / "activities.parquet")
    result = import_files([tmp_path], load_profile("generic"))
    assert result.crm.activities["deal_id"].tolist() == [str(many), str(many + 2)]
