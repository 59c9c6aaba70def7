import json

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from winpredict.connectors import latest as _latest
from winpredict.connectors import store as raw_records
from winpredict.connectors.base import Page, RawRecord
from winpredict.connectors.latest import Counts, LatestVersions, record_text
from winpredict.connectors.store import RawStore
from winpredict.errors import WorkspaceError

NOON = pd.Timestamp("2025-06-01T12:00Z").as_unit("us")
MINUTE = pd.Timedelta("1min")


def record(record_id: str, value: object = 1, minute: int = 0, *, deleted: bool = False) -> RawRecord:
    return RawRecord(record_id, {} if deleted else {"value": value}, NOON + minute * MINUTE, deleted)


@pytest.fixture
def store(tmp_path):
    return RawStore(tmp_path / "salesforce")


def read(store: RawStore, *records: RawRecord, whole: bool = False, minute: int = 0) -> Counts:
    since = None if whole or not store.state("Account").parts else NOON - MINUTE
    store.begin("Account", since, NOON + minute * MINUTE)
    counts = store.keep("Account", Page(records, "end"), NOON + minute * MINUTE)
    return counts + store.finish("Account", NOON + minute * MINUTE)


def values(store: RawStore) -> dict[str, object]:
    latest = store.latest("Account")
    return {each: json.loads(text)["value"] for each, text in zip(latest["record_id"], latest["record"], strict=True)}


def test_every_version_is_kept_and_the_latest_counts(store):
    assert read(store, record("a"), record("b")) == Counts(new=2)
    assert read(store, record("a", 2, 1), record("b"), minute=5) == Counts(changed=1)
    assert read(store, record("b", deleted=True, minute=2), record("c"), minute=9) == Counts(new=1, deleted=1)
    again = RawStore(store.folder)
    assert values(again) == {"a": 2, "c": 1}
    versions = again.versions("Account")
    assert versions["record_id"].tolist() == ["a", "b", "a", "b", "c"]
    assert versions["deleted"].tolist() == [False, False, False, True, False]
    assert versions["read_at"].tolist() == [NOON] * 2 + [NOON + 5 * MINUTE] + [NOON + 9 * MINUTE] * 2
    assert (again.crm, again.objects, again.read_at) == ("salesforce", ("Account",), NOON + 9 * MINUTE)


@pytest.mark.parametrize(
    ("known", "comes", "counts"),
    [
        (record("a", 2, 5), record("a", 1, 4), False),  # a page that was overtaken
        (record("a", 2, 5), record("a", 1, 5), True),  # stamped alike, as where only what hangs on it changed
        (record("a", 2, 5), record("a", deleted=True, minute=4), False),  # deleted, and restored since
        (record("a", 2, 5), record("a", deleted=True, minute=6), True),
    ],
)
def test_of_two_versions_the_one_with_the_later_stamp_counts(store, known, comes, counts):
    read(store, record("other"), known)
    assert read(RawStore(store.folder), comes).total == int(counts)


def test_a_deletion_stamped_in_whole_seconds_is_later_than_the_change_just_before(store):
    changed = RawRecord("a", {"value": 1}, NOON + pd.Timedelta("500ms"))
    read(store, changed)
    assert read(store, record("a", deleted=True)) == Counts(deleted=1)


def test_the_deletion_of_what_was_never_seen_says_nothing(store):
    assert read(store, record("a", deleted=True)) == Counts()
    assert store.objects == ()


def test_a_record_may_come_several_times_on_a_page(store):
    assert read(store, record("a"), record("a"), record("a", 2, 1)) == Counts(new=1, changed=1)
    assert values(store) == {"a": 2}


def test_the_order_of_fields_says_nothing():
    assert record_text(RawRecord("a", {"x": 1, "y": {"b": 1, "a": 2}}, NOON)) == record_text(
        RawRecord("a", {"y": {"a": 2, "b": 1}, "x": 1}, NOON)
    )


def test_changes_are_sought_from_the_last_one_seen_but_not_after_the_reading_began(store):
    read(store, record("a", minute=3), minute=10)
    assert pd.Timestamp(store.state("Account").high_water) == NOON + 3 * MINUTE
    read(store, record("a", 2, 12), minute=11)
    assert pd.Timestamp(store.state("Account").high_water) == NOON + 11 * MINUTE
    read(store, minute=20)
    assert pd.Timestamp(store.state("Account").high_water) == NOON + 11 * MINUTE


def test_small_parts_are_put_together_and_nothing_changes(store, monkeypatch):
    monkeypatch.setattr(raw_records, "MAX_SMALL_PARTS", 4)
    monkeypatch.setattr(raw_records, "SMALL_ROWS", 6)
    for number in range(30):
        read(store, record(f"r{number % 7}", number, number), minute=number)
        files = sorted(path.name for path in (store.folder / "Account").iterdir())
        assert files == [f"part-{part.number:06d}.parquet" for part in store.state("Account").parts]
    assert len(store.state("Account").parts) < 10
    assert [json.loads(text)["value"] for text in store.versions("Account")["record"]] == list(range(30))
    assert values(RawStore(store.folder)) == {f"r{number % 7}": number for number in range(23, 30)}


def test_the_hash_of_an_object_follows_its_records(store):
    read(store, record("a"))
    before = store.sha256("Account")
    read(store, record("a"))
    assert store.sha256("Account") == before == RawStore(store.folder).sha256("Account")
    read(store, record("a", 2, 1))
    assert store.sha256("Account") != before


def test_text_of_any_kind_comes_back(store):
    text = 'ünï "quoted" \ud83d\n\x00 \u2028'
    read(store, record("a", text))
    assert values(RawStore(store.folder)) == {"a": text}


def test_a_broken_store_is_told(store):
    read(store, record("a"))
    (store.folder / "Account" / "part-000001.parquet").write_text("no parquet")
    with pytest.raises(WorkspaceError, match=r"part-000001.*remove the folder"):
        RawStore(store.folder).latest("Account")
    (store.folder / "state.json").write_text("{")
    with pytest.raises(WorkspaceError, match=r"state\.json.*remove the folder"):
        RawStore(store.folder)


pages = st.lists(
    st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 2), st.integers(0, 3), st.booleans()), max_size=5),
    max_size=6,
)


@settings(max_examples=100, deadline=None)
@given(pages, st.booleans())
def test_hashes_tell_the_latest_as_a_mapping_of_plain_records_does(told, folds):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_latest, "_FOLD_AT", 1 if folds else 10**6)
        empty = pd.DataFrame(
            {"record_id": [], "modified_at": pd.to_datetime([], utc=True), "deleted": [], "record": []}
        )
        index = LatestVersions(empty.astype({"deleted": bool}))
        known: dict[str, RawRecord] = {}
        for page in told:
            records = [record(name, value, minute, deleted=gone) for name, value, minute, gone in page]
            news = index.news(records, whole=False)
            index.learn(news)
            expected = []
            for each in records:
                before = known.get(each.record_id)
                if before is None and each.deleted:
                    continue
                if before is not None and (
                    record_text(before) == record_text(each) or each.modified_at < before.modified_at
                ):
                    continue
                known[each.record_id] = each
                expected.append(each)
            assert [each for each, _ in news.rows] == expected


def test_what_was_deleted_or_told_otherwise_goes_in_time(store):
    read(store, record("a", "old"), record("b"), record("c"))
    read(store, record("a", "new", 1), record("b", deleted=True, minute=1), minute=1)
    read(store, record("a", "newest", 8), record("c", deleted=True, minute=8), minute=8)
    assert store.compact(NOON, "Opportunity") == Counts()
    sha256 = store.sha256("Account")
    assert store.compact(NOON + 2 * MINUTE, "Opportunity") == Counts(changed=1, deleted=2)
    assert store.sha256("Account") != sha256
    again = RawStore(store.folder)
    kept = again.versions("Account")[["record_id", "record"]].to_numpy().tolist()
    assert kept == [["c", '{"value":1}'], ["a", '{"value":"new"}'], ["a", '{"value":"newest"}'], ["c", "{}"]]
    assert again.compact(NOON + 2 * MINUTE, "Opportunity") == Counts()
    assert read(again, record("b", deleted=True, minute=9), minute=9) == Counts()  # a deletion that is told once more
    assert again.compact(NOON + 60 * MINUTE, "Opportunity") == Counts(changed=1, deleted=2)
    assert values(again) == {"a": "newest"}
    assert len(list((store.folder / "Account").iterdir())) == 1


def test_of_deals_earlier_versions_stay_without_their_names(store):
    def deal(name, region, minute):
        return RawRecord("d", {"Name": name, "Region__c": region}, NOON + minute * MINUTE)

    read(store, deal("Ann's deal", "East", 0))
    read(store, deal("[removed]", "West", 1), minute=1)
    assert store.compact(NOON + 2 * MINUTE, "Account") == Counts(changed=1)
    assert store.versions("Account")["record"].tolist() == [
        '{"Name":null,"Region__c":"East"}',
        '{"Name":"[removed]","Region__c":"West"}',
    ]
    assert store.compact(NOON + 2 * MINUTE, "Account") == Counts()


def test_nothing_goes_while_a_reading_is_under_way(store):
    read(store, record("a"))
    read(store, record("a", deleted=True, minute=1), minute=1)
    store.begin("Account", None, NOON + 2 * MINUTE)
    store.keep("Account", Page((record("b"),), "next"), NOON + 2 * MINUTE)
    assert store.compact(NOON + 60 * MINUTE, "Opportunity") == Counts()
    store.finish("Account", NOON + 3 * MINUTE)
    assert store.compact(NOON + 60 * MINUTE, "Opportunity") == Counts(deleted=2)
