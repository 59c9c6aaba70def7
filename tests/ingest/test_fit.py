"""A profile that cannot label or date deals is refused, and nothing is stored."""

import pandas as pd
import pytest

from winpredict.errors import InputFileError, ProfileError
from winpredict.ingest import import_files, load_profile
from winpredict.ingest.profiles import Profile

NOW = pd.Timestamp("2025-06-01", tz="UTC")


def read(tmp_path, text, profile="generic", name="deals.csv", **options):
    (tmp_path / name).write_text(text)
    chosen = load_profile(profile) if isinstance(profile, str) else profile
    return import_files([tmp_path / name], chosen, now=NOW, **options)


def rows(header, *lines):
    return "\n".join([header, *lines]) + "\n"


def test_rows_that_where_leaves_out_are_named_where_none_is_left(tmp_path):
    text = rows("Id,CreatedDate,StageName,IsDeleted", *(f"006{n},2024-01-01,Closed Won,true" for n in range(80)))
    with pytest.raises(InputFileError, match="no deals are left of 80 rows: 80 rows left out: IsDeleted is not false"):
        read(tmp_path, text, "salesforce", "Opportunity.csv")


def test_a_profile_of_other_stages_is_refused_with_the_stages_that_there_are(tmp_path):
    lines = [f"006{n},2024-01-01,2024-03-0{n % 9 + 1},{'Signiert' if n % 2 else 'Abgesagt'}" for n in range(40)]
    text = rows("Id,CreatedDate,CloseDate,StageName", *lines)
    with pytest.raises(ProfileError, match=r'of 40 deals nothing says of 40 .*"Abgesagt" \(20\), "Signiert" \(20\)'):
        read(tmp_path, text, "salesforce", "Opportunity.csv")


def test_where_no_column_tells_won_from_lost_the_names_that_were_looked_for_are_told(tmp_path):
    text = rows("deal_id,created_at", *(f"{n},2024-01-01" for n in range(10)))
    with pytest.raises(ProfileError, match=r"no column tells won from lost deals .*outcome: outcome; stage: stage"):
        read(tmp_path, text)


def test_news_of_a_few_open_deals_are_no_poor_fit(tmp_path):
    first = read(tmp_path, rows("deal_id,stage,created_at", "a,Won,2024-01-01", "b,Demo,2024-01-02"))
    news = rows("deal_id,stage,created_at", *(f"n{n},Demo,2024-02-01" for n in range(30)))
    assert len(read(tmp_path, news, earlier=first.crm).crm.deals) == 32
    with pytest.raises(ProfileError, match="does not fit"):
        read(tmp_path, news)


def test_a_date_column_that_is_not_read_makes_no_undated_deals(tmp_path):
    header = "deal_id,outcome,Created On,colour"
    lines = [f"{n},{'won' if n % 2 else 'lost'},2024-01-0{n % 9 + 1},red" for n in range(20)]
    with pytest.raises(ProfileError, match="reads no creation date, and Created On may be one"):
        read(tmp_path, rows(header, *lines))
    source = load_profile("generic").tables["deals"][0].model_copy(update={"never": ("Created On",)})
    left_out = Profile(name="mine", tables={"deals": (source,)})
    assert not read(tmp_path, rows(header, *lines), left_out).crm.dated


def test_closes_without_a_creation_are_refused(tmp_path):
    text = rows("deal_id,outcome,closed_at", *(f"{n},won,2024-01-0{n % 9 + 1}" for n in range(20)))
    with pytest.raises(ProfileError, match="dates the close of deals, and no column is their creation"):
        read(tmp_path, text)


def test_a_creation_that_cannot_be_read_is_refused_with_its_texts_counted(tmp_path):
    text = rows("deal_id,outcome,created_at", *(f"{n},won,soon" for n in range(20)))
    with pytest.raises(ProfileError, match="20 of 20 deals the creation date cannot be read: 20 x created_at is not"):
        read(tmp_path, text)


def test_dates_of_an_order_that_nothing_tells_are_refused_with_what_to_write(tmp_path):
    text = rows("deal_id,outcome,created_at", *(f"{n},won,0{n % 9 + 1}/0{n % 7 + 1}/2024" for n in range(20)))
    with pytest.raises(ProfileError, match="may start with the day or the month; write dates: day_first or dates:"):
        read(tmp_path, text)


def test_a_table_of_which_most_rows_are_rejected_is_refused(tmp_path):
    (tmp_path / "deals.csv").write_text(rows("deal_id,outcome,created_at", "a,won,2024-01-01", "b,lost,2024-01-01"))
    touches = rows("deal_id,occurred_at,activity_type", "a,then,call", "a,2024-01-02,call", "b,whenever,call")
    (tmp_path / "activities.csv").write_text(touches)
    with pytest.raises(ProfileError, match=r"2 of 3 rows of activities are rejected.*2 x occurred_at is not a date"):
        import_files([tmp_path], load_profile("generic"), now=NOW)


def test_touches_of_deals_that_are_not_in_the_export_are_not_the_profiles_fault(tmp_path):
    (tmp_path / "deals.csv").write_text(rows("deal_id,outcome,created_at", "a,won,2024-01-01"))
    lines = [f"z{n},2024-01-02,call" for n in range(9)]
    (tmp_path / "activities.csv").write_text(rows("deal_id,occurred_at,activity_type", "a,2024-01-02,call", *lines))
    imported = import_files([tmp_path], load_profile("generic"), now=NOW)
    assert imported.crm.rows["activities"] == 1
    assert imported.repairs == {"activities: belongs to no known deal (rejected)": 9}


def test_an_ending_in_a_word_that_the_profile_lacks_is_named_and_counted(tmp_path):
    lines = ["a,Won,2024-01-01", "b,Lost,2024-01-01", "c,Demo,2024-01-01", "d,Abandoned,2024-01-01"]
    imported = read(tmp_path, rows("deal_id,stage,created_at", *lines))
    (point,) = imported.understood.points
    assert point["text"].startswith('1 deal is at the stage "Abandoned", which sounds lost; the profile does not list')
    assert point["line"] == "lost: [Abandoned]"


def test_closed_deals_of_which_nothing_says_whether_they_are_won_are_not_taken_as_open(tmp_path):
    lines = ["a,Closed Won,true,2024-01-01", "b,Archived,true,2024-01-01", "c,Demo,false,2024-01-01"]
    profile = load_profile("salesforce").model_copy(update={"stage_order": ("Demo",)})
    imported = read(tmp_path, rows("Id,StageName,IsClosed,CreatedDate", *lines), profile, "Opportunity.csv")
    assert imported.crm.deals.set_index("deal_id")["outcome"].to_dict() == {"a": "won", "c": "open"}
    cause = "deals: closed, but neither its stage nor a flag says won or lost (rejected)"
    assert imported.repairs[cause] == 1


def test_an_outcome_that_cannot_be_read_is_not_taken_as_open(tmp_path):
    lines = ["a,won,2024-01-01", "b,lost,2024-01-01", "c,???,2024-01-01", "d,,2024-01-01", "e,Signed,2024-01-01"]
    imported = read(tmp_path, rows("deal_id,outcome,created_at", *lines))
    outcomes = imported.crm.deals.set_index("deal_id")["outcome"].to_dict()
    assert outcomes == {"a": "won", "b": "lost", "d": "open", "e": "won"}
    assert imported.repairs["deals: its outcome cannot be read, and nothing else tells it (rejected)"] == 1
    assert [point["text"] for point in imported.understood.points] == ['"Signed" in outcome is read as won']
