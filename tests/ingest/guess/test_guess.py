"""What a guess makes of files that are not one plain table of deals, and what it says."""

import json

import pandas as pd
import pytest

from winpredict.errors import InputFileError, ProfileError
from winpredict.ingest.guess import guess_profile, propose

PLAIN = {
    "columns": {
        "Deal ID": "id", "Deal Name": "name", "Stage": "stage", "Amount": "amount", "Created Date": "created",
        "Close Date": "close_date", "Owner": "owner", "Account": "account",
    },
    "stages": ["Prospecting", "Qualification", "Proposal", "Negotiation"],
    "won": "Closed Won",
    "lost": "Closed Lost",
}  # fmt: skip


def with_columns(**columns: str) -> dict[str, object]:
    """The plain layout with further columns."""
    return {**PLAIN, "columns": {**PLAIN["columns"], **columns}}


# --- columns ---------------------------------------------------------------------------------------------------------


def test_actual_close_goes_before_expected_close(table, save, imported, differences):
    layout = {
        **PLAIN,
        "columns": {
            "Id": "id", "Stage": "stage", "Amount": "amount", "Created": "created", "Close Date": "expected",
            "Actual Close Date": "closed",
        },
    }  # fmt: skip
    result = imported(save(table(layout)))
    columns = result.guess.profile.tables["deals"][0].columns
    assert columns["closed_at"] == ("Actual Close Date",)
    assert columns["expected_close_date"] == ("Close Date",)
    assert not differences(result.deals)


def test_a_close_date_that_open_deals_have_too_is_the_expected_one_as_well(table, save):
    columns = guess_profile(save(table(PLAIN))).tables["deals"][0].columns
    assert columns["closed_at"] == columns["expected_close_date"] == ("Close Date",)


def test_won_and_lost_time_are_taken_row_by_row(table, save, imported, differences):
    layout = {
        **PLAIN,
        "columns": {
            "ID": "id",
            "Status": "status",
            "Value": "amount",
            "Created": "created",
            "Won time": "won_at",
            "Lost time": "lost_at",
        },
    }
    result = imported(save(table(layout)))
    assert result.guess.profile.tables["deals"][0].columns["closed_at"] == ("Won time | Lost time",)
    assert not differences(result.deals)


def test_names_of_accounts_and_owners_are_not_those_of_deals(table, save):
    layout = {
        **PLAIN,
        "columns": {
            "ID": "id",
            "Account Name": "account",
            "Owner Name": "owner",
            "Stage": "stage",
            "Created": "created",
        },
    }
    columns = guess_profile(save(table(layout))).tables["deals"][0].columns
    assert "name" not in columns
    assert columns["account_id"] == ("Account Name",)
    assert columns["owner_id"] == ("Owner Name",)


def test_a_contact_and_an_account_that_was_created_are_not_the_deals(table, save):
    frame = table(PLAIN).assign(
        **{"Contact Name": "Ann", "Account Created Date": "2001-01-01", "Contact Email": "a@b.c"}
    )
    columns = guess_profile(save(frame)).tables["deals"][0].columns
    assert columns["name"] == ("Deal Name",)
    assert columns["created_at"] == ("Created Date",)


def test_an_end_of_a_word_names_nothing(table, save):
    frame = table(PLAIN).rename(columns={"Amount": "Discount"}).assign(Grid="a", Paid="b")
    columns = guess_profile(save(frame)).tables["deals"][0].columns
    assert "amount" not in columns
    assert columns["deal_id"] == ("Deal ID",)


def test_contents_count_beside_names(tmp_path):
    path = tmp_path / "deals.csv"
    path.write_text("id,result,amount,created\n1,won,soon,never\n2,lost,later,always\n")
    guess = propose([path])
    assert set(guess.profile.tables["deals"][0].columns) == {"deal_id", "outcome"}
    assert any("amount" in point["text"] and "later" in point["text"] for point in guess.points)


def test_dates_and_ids_are_found_by_their_contents_where_no_name_tells(table, save, imported, differences):
    layout = {
        **PLAIN,
        "columns": {"Xa": "id", "Xb": "stage", "Xc": "amount", "Xd": "created", "Xe": "closed"},
        "before": "$",
    }
    result = imported(save(table(layout)))
    assert not differences(result.deals)
    assert result.points.count("is taken for") == 5


def test_of_an_id_and_a_name_people_get_the_name_unless_it_is_not_unique(table, save):
    layout = with_columns(**{"Owner ID": "owner_id", "Account ID": "account_id"})
    frame = table(layout)
    frame.loc[frame["Account"] == "Client 3", "Account"] = "Client 4"  # two accounts of one name
    source = guess_profile(save(frame)).tables["deals"][0]
    assert source.columns["owner_id"] == ("Owner",)
    assert source.columns["account_id"] == ("Account ID",)
    assert {"Owner ID", "Account"} <= set(source.never)


def test_without_ids_they_are_made_up_and_that_is_told(table, save, imported):
    result = imported(save(table(PLAIN).drop(columns=["Deal ID", "Deal Name"])))
    assert len(result.deals) == 40
    assert "no column has the ids" in result.points


def test_columns_known_at_the_close_are_never_used(table, save):
    layout = with_columns(
        **{
            "Probability (%)": "chance",
            "Lost Reason": "reason",
            "Last Modified Date": "modified",
            "Signature": "won_at",
        }
    )
    frame = table(layout).assign(**{"Forecast Category": "Pipeline", "winpredict_odds__c": "7"})
    guess = propose([save(frame)])
    source = guess.profile.tables["deals"][0]
    assert {"Probability (%)", "Lost Reason", "Forecast Category", "Signature"} <= set(source.never)
    assert "*winpredict*" in source.never
    assert source.columns["modified_at"] == ("Last Modified Date",)


def test_currencies_become_codes(table, save, imported):
    frame = table(with_columns(Currency="currency")).assign(Currency=["Euro", "US Dollar"] * 20)
    assert set(imported(save(frame)).deals["currency"]) == {"EUR", "USD"}


def test_types_of_deals_are_new_or_existing(table, save, imported):
    result = imported(save(table(with_columns(Type="new"))))
    assert set(result.deals["deal_type"]) == {"new", "existing"}
    result = imported(save(table(PLAIN).assign(Type=["Services", "Hardware"] * 20)))
    assert set(result.deals["Type"]) == {"Services", "Hardware"}


def test_amounts_in_cents_are_scaled_only_if_they_are(table, save, imported, differences):
    layout = {
        "columns": {"id": "id", "lead_id": "account_id", "status_type": "status", "status_label": "step",
                    "value": "amount", "date_created": "created", "date_won": "won_at", "date_lost": "lost_at"},
        "status": {"open": "active", "won": "won", "lost": "lost"},
    }  # fmt: skip
    assert not differences(imported(save(table(layout))).deals)
    assert not differences(imported(save(table({**layout, "cents": True}))).deals)


# --- outcomes --------------------------------------------------------------------------------------------------------


def test_a_won_flag_that_is_false_for_open_deals_does_not_make_them_lost(table, save, imported, differences):
    frame = table({**with_columns(Won="is_won"), "flags": ["1", "0"]})
    assert not differences(imported(save(frame)).deals)


def test_flags_that_contradict_the_stages_are_left_out(table, save, imported, differences):
    frame = table(PLAIN).assign(hs_is_closed_won="true", hs_is_closed="true")  # a loader's cast of the text "false"
    result = imported(save(frame))
    assert not differences(result.deals)
    assert "is_won" not in result.guess.profile.tables["deals"][0].columns
    assert {"hs_is_closed_won", "hs_is_closed"} <= set(result.guess.profile.tables["deals"][0].never)


def test_statuses_and_stages_of_a_crm_with_both(table, save, imported):
    layout = {"columns": {"ID": "id", "Stage": "step", "Status": "status", "Created": "created", "Closed": "closed"}}
    frame = table(layout)
    frame.loc[[0, 1], "Status"] = "Deleted"
    result = imported(save(frame))
    assert len(result.deals) == 38
    assert "Deleted" in result.points
    assert result.guess.profile.won == ()
    assert len(result.guess.profile.stage_order) == 4


def test_stages_of_a_second_pipeline_are_told_apart(table, save, imported, differences):
    layout = {
        **with_columns(Pipeline="pipeline"),
        "won": ["Closed Won", "Renewed"],
        "lost": ["Closed Lost", "Churned"],
        "stages": ["Prospecting", "Proposal", "Renewal due", "Renewal offered"],
    }
    frame = table(layout)
    result = imported(
        save(
            frame.assign(
                **{
                    "Win Probability": [
                        {"Renewed": "100", "Closed Won": "100"}.get(each, "20") for each in frame["Stage"]
                    ]
                }
            )
        )
    )
    assert not differences(result.deals)
    assert set(result.guess.profile.won) == {"Closed Won", "Renewed"}
    assert set(result.guess.profile.lost) == {"Closed Lost", "Churned"}


def test_one_stage_of_unknown_words_is_the_missing_ending(table, save, imported, differences):
    layout = {
        **PLAIN,
        "columns": {
            "ID": "id",
            "Stage": "stage",
            "Amount": "amount",
            "Created": "created",
            "Actual close date": "closed",
        },
        "won": "Live with customer",
    }
    result = imported(save(table(layout)))
    assert not differences(result.deals)
    assert "Live with customer" in result.points


def test_two_stages_of_unknown_words_are_not_guessed(table, save):
    layout = {
        **PLAIN,
        "columns": {
            "ID": "id",
            "Stage": "stage",
            "Amount": "amount",
            "Created": "created",
            "Actual close date": "closed",
        },
        "won": "Omega",
        "lost": "Zeta",
    }
    with pytest.raises(ProfileError, match=r"no column tells won from lost.*Omega"):
        guess_profile(save(table(layout)))


def test_spellings_of_stages_are_one(table, save, imported, differences):
    layout = {
        **PLAIN,
        "won": ["Closed Won", "CLOSED WON", "closed  won", "Closed-Won"],
        "lost": ["Closed Lost (EMEA)", "Closed Lost (US)"],
        "stages": ["Demo (EMEA)", "Demo (US)", "demo"],
    }
    result = imported(save(table(layout)))
    assert not differences(result.deals)
    assert {stage.lower() for stage in result.deals["stage"]} == {"closed won", "closed lost", "demo"}
    assert result.deals["stage"].nunique() == 3


def test_names_with_wildcards_are_taken_as_they_are(table, save, imported, differences):
    layout = {
        **PLAIN,
        "columns": {"ID": "id", "Status": "status", "Value": "amount", "Created": "created", "Closed": "closed"},
        "status": {"open": ["[new] open", "open?"], "won": "[*] won", "lost": "lost *"},
        "named": "deals [2026]",
    }
    assert not differences(imported(save(table(layout), named="deals [2026]")).deals)


@pytest.mark.parametrize(
    ("missing", "counts"), [("Closed Lost", "13 won, 13 open, no lost"), ("Closed Won", "14 lost, 13 open, no won")]
)
def test_a_report_without_one_of_both_endings_is_refused_with_counts(table, save, missing, counts):
    frame = table(PLAIN)
    rows = frame[frame["Stage"] != missing]
    won, lost, is_open = ((rows["Stage"] == stage).sum() for stage in ("Closed Won", "Closed Lost", "none"))
    is_open = len(rows) - won - lost
    wanted = f"{won} won, {is_open} open, no lost" if not lost else f"{lost} lost, {is_open} open, no won"
    with pytest.raises(ProfileError, match=f"{wanted} deals.*filtered"):
        guess_profile(save(rows))


def test_a_table_that_is_not_about_deals_is_refused_with_its_columns(tmp_path):
    path = tmp_path / "weather.csv"
    path.write_text("day,degrees\n2025-01-01,3\n2025-01-02,4\n")
    with pytest.raises(ProfileError, match=r"no column tells won from lost deals; there are day, degrees.*stage"):
        guess_profile(path)


def test_without_endings_there_is_no_profile(tmp_path):
    path = tmp_path / "deals.csv"
    path.write_text("id,amount\n1,2\n")
    with pytest.raises(ProfileError, match="no column tells won from lost"):
        guess_profile(path)


@pytest.mark.parametrize("label", ["Payment Status", "Lead Status", "Task Status"])
def test_a_status_of_something_else_is_not_the_outcome(table, save, imported, differences, label):
    frame = table(PLAIN).assign(**{label: ["Lost", "Won", "Open", "Won"] * 10})
    assert not differences(imported(save(frame)).deals)


def test_deleted_deals_are_left_out_and_counted(table, save, imported):
    frame = table({**with_columns(IsDeleted="deleted"), "flags": ["true", "false"]})
    frame.loc[:4, "IsDeleted"] = "true"
    result = imported(save(frame))
    assert len(result.deals) == 35
    assert result.imported.repairs == {"deals: IsDeleted is not false (left out)": 5}
    with pytest.raises(InputFileError, match="all 40 rows are deleted"):
        guess_profile(save(frame.assign(IsDeleted="true")))


def test_archived_flags_may_be_empty(table, save, imported):
    frame = table(PLAIN).assign(Archived=["Oui", "", "Non", ""] * 10)
    assert len(imported(save(frame)).deals) == 30


# --- stages in order -------------------------------------------------------------------------------------------------


def test_the_order_of_stages_is_that_of_their_first_visits(table, tmp_path, imported):
    layout = {**PLAIN, "stages": ["Gamma", "Alpha", "Delta", "Beta"]}
    frame = table(layout)
    folder = tmp_path / "both"
    folder.mkdir()
    frame.to_csv(folder / "mine.csv", index=False)
    visits = [
        {"Deal ID": row["Deal ID"], "Stage": stage, "Changed": f"2024-01-{day:02d}"}
        for _, row in frame.iterrows()
        for day, stage in enumerate(layout["stages"], start=1)
    ]
    pd.DataFrame(visits).rename(columns={"Changed": "Change date"}).to_csv(folder / "changes.csv", index=False)
    guess = propose([folder])
    assert list(guess.profile.stage_order) == layout["stages"]
    assert "deal_history" in guess.profile.tables
    assert len(imported(folder).imported.crm.deal_history) > 0


def test_an_order_that_nothing_tells_is_to_be_confirmed(table, save):
    guess = propose([save(table({**PLAIN, "stages": ["Amber", "Blue", "Copper"]}))])
    assert any(point["line"] == "stage_order" for point in guess.points)
    guess = propose([save(table(PLAIN))])
    assert not any(point["line"] == "stage_order" for point in guess.points)


# --- several rows a deal ---------------------------------------------------------------------------------------------


def snapshots(frame: pd.DataFrame, label: str) -> pd.DataFrame:
    """Three weekly states of each deal; the last one is as the deal is now."""
    early = frame.assign(Stage="Prospecting", Amount="1")
    middle = frame.assign(Stage="Proposal")
    weeks = [
        early.assign(**{label: "2026-01-05"}),
        middle.assign(**{label: "2026-01-12"}),
        frame.assign(**{label: "2026-01-19"}),
    ]
    return pd.concat(weeks, ignore_index=True)


@pytest.mark.parametrize("label", ["Snapshot Date", "As of", "Semaine", "Modified On", "Xq"])
def test_weekly_states_are_deals_and_their_history(table, save, imported, differences, label):
    frame = snapshots(table(PLAIN), label).sample(frac=1, random_state=3)
    result = imported(save(frame))
    assert not differences(result.deals)
    source = result.guess.profile.tables["deal_history"][0]
    assert source.snapshots
    assert source.columns["changed_at"] == (label,)
    history = result.imported.crm.deal_history
    assert set(history["stage"].dropna()) >= {"Prospecting", "Proposal", "Closed Won"}
    assert "several days" in result.points


def test_a_row_for_each_company_is_one_deal(table, save, imported, differences):
    frame = table(PLAIN)
    again = frame.iloc[::3].assign(Account="Another company")
    result = imported(save(pd.concat([frame, again], ignore_index=True)))
    assert not differences(result.deals)
    assert "stand in several rows, which differ in Account" in result.points


def test_ids_of_accounts_are_not_those_of_deals_though_they_repeat(table, save, imported, differences):
    layout = {**PLAIN, "columns": {"Reference": "account_id", **PLAIN["columns"]}}
    assert not differences(imported(save(table(layout))).deals)


# --- several tables --------------------------------------------------------------------------------------------------


def test_the_sheet_with_deals_is_found_and_the_others_are_named(table, save_workbook, imported, differences):
    frame = table(PLAIN)
    notes = pd.DataFrame({"Note": ["read me"], "By": ["Ann"]})
    calls = pd.DataFrame(
        {
            "Deal ID": frame["Deal ID"],
            "Activity Date": frame["Created Date"],
            "Activity Type": ["Phone call", "E-mail", "Meeting", "Task"] * 10,
            "Subject": "Price was agreed",
        }
    )
    result = imported(save_workbook({"Read me": notes, "Pipeline": frame, "Touches": calls}))
    assert not differences(result.deals)
    assert "Touches as activities" in result.points
    assert "not read: Read me" in result.guess.profile.description
    assert set(result.imported.crm.activities["activity_type"]) == {"call", "email", "meeting", "task"}
    assert result.imported.crm.activities["subject"].eq("Price was agreed").all()


def test_a_folder_with_tables_of_its_own_names(table, tmp_path, imported, differences):
    folder = tmp_path / "export"
    folder.mkdir()
    frame = table(PLAIN)
    frame.to_csv(folder / "affaires.csv", index=False)
    accounts = sorted(frame["Account"].unique())
    pd.DataFrame({"Company": accounts, "Industry": "Steel", "Country": "France"}).to_csv(
        folder / "clients.csv", index=False
    )
    owners = sorted(frame["Owner"].unique())
    pd.DataFrame({"Owner": owners, "Name": owners, "Team": "North"}).to_csv(folder / "people.csv", index=False)
    calls = pd.DataFrame({"Deal ID": frame["Deal ID"], "Call date": frame["Created Date"], "Agent": "Rep 1"})
    calls.to_csv(folder / "calls.csv", index=False)
    items = pd.DataFrame({"Deal ID": frame["Deal ID"], "Product": "Pump", "Quantity": "2", "Unit price": "3.5"})
    items.to_csv(folder / "lines.csv", index=False)
    pd.DataFrame({"Metal": ["iron"], "Price": ["3"]}).to_csv(folder / "metals.csv", index=False)
    result = imported(folder)
    assert not differences(result.deals)
    assert {"deals", "accounts", "users", "activities", "line_items"} == set(result.guess.profile.tables)
    assert result.imported.crm.activities["activity_type"].eq("call").all()
    assert "not read: metals" in result.guess.profile.description


def test_files_with_the_same_columns_are_parts_of_one_table(table, tmp_path, imported, differences):
    folder = tmp_path / "export"
    folder.mkdir()
    frame = table(PLAIN)
    frame.iloc[:25].to_csv(folder / "deals_2024.csv", index=False)
    frame.iloc[25:].to_csv(folder / "deals_2025.csv", index=False)
    result = imported(folder)
    assert not differences(result.deals)
    assert set(result.guess.profile.tables["deals"][0].file) == {"deals_2024", "deals_2025"}


def test_sheets_may_tell_the_outcome(table, save_workbook, imported, differences):
    frame = table({**PLAIN, "columns": {**PLAIN["columns"], "Status": "status"}})
    parts = {name: frame[frame["Status"] == name].drop(columns=["Status", "Stage"]) for name in ("Won", "Lost", "Open")}
    assert not differences(imported(save_workbook(parts)).deals)


def test_an_export_with_the_tables_of_a_shipped_profile_gets_that_profile(table, tmp_path, imported, differences):
    folder = tmp_path / "export"
    folder.mkdir()
    layout = {
        "columns": {"Id": "id", "CreatedDate": "created", "CloseDate": "close_date", "IsClosed": "is_closed",
                    "IsWon": "is_won", "StageName": "stage", "Amount": "amount", "IsDeleted": "deleted",
                    "OwnerId": "owner_id"},
        "flags": ["true", "false"], "stages": ["Scoping", "Pilot"], "won": "Signed off", "lost": "Closed Lost",
    }  # fmt: skip
    frame = table(layout)
    frame.to_csv(folder / "Opportunity.csv", index=False)
    history = pd.DataFrame(
        [
            {"OpportunityId": number, "CreatedDate": f"2024-01-0{day}", "StageName": stage}
            for number in frame["Id"]
            for day, stage in enumerate(("Scoping", "Pilot"), start=1)
        ]
    )
    history.to_csv(folder / "OpportunityHistory.csv", index=False)
    result = imported(folder)
    assert not differences(result.deals)
    profile = result.guess.profile
    assert profile.name == "salesforce"
    assert "Signed off" in profile.won
    assert profile.stage_order == ("Scoping", "Pilot")
    assert "activities" in profile.tables


def test_answers_of_an_api_with_their_history_get_the_shipped_profile(tmp_path):
    folder = tmp_path / "export"
    folder.mkdir()
    records = [
        {
            "id": str(number),
            "properties": {
                "dealname": "A",
                "dealstage": stage,
                "createdate": "2024-01-02T00:00:00Z",
                "closedate": "2024-02-02T00:00:00Z",
                "amount": "5",
                "hs_is_closed": closed,
                "hs_is_closed_won": won,
            },
            "archived": False,
            "propertiesWithHistory": {"dealstage": [{"value": "qualifiedtobuy", "timestamp": "2024-01-02T00:00:00Z"}]},
        }
        for number, stage, closed, won in (
            (1, "closedwon", "true", "true"),
            (2, "closedlost", "true", "false"),
            (3, "qualifiedtobuy", "false", "false"),
        )
    ]
    (folder / "deals.jsonl").write_text("\n".join(map(json.dumps, records)))
    assert propose([folder]).profile.name == "hubspot"


# --- what is told ----------------------------------------------------------------------------------------------------


def test_the_kind_of_file_and_its_language_are_named(table, save):
    frame = table(
        {**PLAIN, "columns": {"ID de l'opportunité": "id", "Étape": "stage", "Date de clôture": "close_date"}}
    )
    assert "Salesforce report in French" in guess_profile(save(frame)).description


def test_a_date_that_only_people_can_read_is_told(table, save):
    frame = table({**PLAIN, "dates": "%d/%m/%Y"})
    unclear = frame[frame["Created Date"].str[:2].astype(int) <= 12]
    unclear = unclear[unclear["Close Date"].str[:2].astype(int) <= 12]
    endings = unclear["Stage"].isin(["Closed Won", "Closed Lost"])
    assert endings.sum() >= 2
    guess = propose([save(unclear)])
    assert any(point["line"].startswith("dates:") for point in guess.points)
    assert guess.profile.dates == "guess"


def test_rows_in_another_order_give_the_same_proposal(table, save):
    frame = snapshots(
        table({**with_columns(Probability="chance"), "stages": ["Amber", "Blue", "Copper"]}), "Snapshot Date"
    )
    one, other = propose([save(frame)]), propose([save(frame.sample(frac=1, random_state=1))])
    assert one == other


def test_a_large_table_is_looked_at_in_part(table, save, imported):
    frame = pd.concat([table(PLAIN)] * 700, ignore_index=True)
    frame["Deal ID"] = [f"D{number}" for number in range(len(frame))]
    result = imported(save(frame))
    assert len(result.deals) == len(frame)
    assert result.deals["created_at"].notna().all()
