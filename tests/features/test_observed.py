"""Attributes as they were observed: against a loop, and the promises of the feature frame."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_crm import STAGES, START, random_tables

from winpredict import CRMData, train
from winpredict.config import Config
from winpredict.explain.scores import score
from winpredict.features.build import build_features
from winpredict.features.builders import default_builders
from winpredict.features.leakage import audit_attributes
from winpredict.features.observations import Observations
from winpredict.features.past import Past
from winpredict.features.snapshots import every, on_dates
from winpredict.models.training import training_set
from winpredict.tables.buckets import DealBuckets
from winpredict.tables.quality import check_quality

AS_OF = START + pd.Timedelta(days=35)
KEPT, STRICT = ("product", "region", "score"), ("observed_product", "observed_region", "observed_score")
SEEDS = st.integers(0, 10_000)


def observations(seed: int, deals: pd.DataFrame) -> pd.DataFrame:
    """What syncs saw, on whole hours; some attributes were not asked for at some looks."""
    rng = np.random.default_rng([seed, 7])
    n = len(deals) * 4
    rows = pd.DataFrame(
        {
            "deal_id": rng.choice(deals["deal_id"], n),
            "observed_at": START + pd.to_timedelta(rng.integers(0, 24 * 70, n), unit="h"),
            "outcome": rng.choice(["open", "won", "lost", None], n, p=[0.7, 0.1, 0.1, 0.1]),
            "unread": rng.choice([None, "region", "region\nscore"], n, p=[0.8, 0.1, 0.1]),
            "product": rng.choice(["basic", "plus", None], n),
            "region": rng.choice(["north", "south", None], n),
            "score": rng.choice([1.0, 2.0, np.nan], n),
        }
    )
    return rows.drop_duplicates(["deal_id", "observed_at"])


def tables_of(seed: int) -> dict[str, pd.DataFrame]:
    tables = random_tables(seed)
    return tables | {"attribute_history": observations(seed, tables["deals"])}


def crm_of(tables: dict[str, pd.DataFrame]) -> CRMData:
    return CRMData.from_tables(**tables, stage_order=STAGES)


def frame(crm: CRMData, snapshots: pd.DataFrame, settled_on: CRMData | None = None) -> pd.DataFrame:
    attributes = (*KEPT, *STRICT)
    cross_deal_history = Past(settled_on or crm, snapshots, attributes).cross_deal_history
    builders = [each.settled(cross_deal_history) for each in default_builders()]
    return build_features(crm, snapshots, attributes=attributes, builders=builders).frame


def by_loop(rows: list[dict], today: object, name: str, as_of: pd.Timestamp, *, strictly: bool) -> object:
    told = [row for row in rows if name not in str(row["unread"]).split("\n")]
    earlier = [row for row in told if row["observed_at"] < as_of and row["outcome"] not in ("won", "lost")]
    if earlier:
        return earlier[-1][name]
    if strictly:
        return None
    return told[0][name] if told else today


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_what_was_observed_equals_a_loop(seed):
    tables = tables_of(seed)
    crm = crm_of(tables)
    past = Past(crm, every(crm, 5), (*KEPT, *STRICT))
    snapshots = list(past.snapshots.itertuples(index=False))
    seen = tables["attribute_history"].sort_values("observed_at")
    rows = {deal_id: seen[seen["deal_id"] == deal_id].to_dict("records") for deal_id in crm.deals["deal_id"]}
    for name in KEPT:
        today = dict(zip(crm.deals["deal_id"], crm.deals[name], strict=True))
        for asked, strictly in ((name, False), (f"observed_{name}", True)):
            expected = [
                by_loop(rows[snapshot.deal_id], today[snapshot.deal_id], name, snapshot.as_of, strictly=strictly)
                for snapshot in snapshots
            ]
            found = past.attribute(asked)
            expected = pd.Series(expected, dtype=object).astype(found.dtype)
            pd.testing.assert_series_equal(found, expected, check_names=False)


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_features_equal_those_of_the_data_as_one_could_have_exported_them(seed):
    crm = crm_of(tables_of(seed))
    snapshots = on_dates(crm, [AS_OF, AS_OF - pd.Timedelta(days=9)])
    pd.testing.assert_frame_equal(frame(crm, snapshots), frame(crm.as_known_at(AS_OF), snapshots, crm))


@settings(max_examples=25, deadline=None)
@given(SEEDS, SEEDS)
def test_changing_any_observation_at_or_after_as_of_changes_no_feature_row(seed, other_seed):
    tables = tables_of(seed)
    history, other = tables["attribute_history"], observations(other_seed, tables["deals"])
    earlier = history[history["observed_at"] < AS_OF]
    # the first observation of a deal also stands for the time before it, whenever it was made
    later = other[(other["observed_at"] >= AS_OF) & other["deal_id"].isin(_seen_whole(earlier))]
    kept = history[(history["observed_at"] >= AS_OF) & ~history["deal_id"].isin(_seen_whole(earlier))]
    changed = tables | {"attribute_history": pd.concat([earlier, later, kept])}
    snapshots = on_dates(crm_of(tables), [AS_OF])
    pd.testing.assert_frame_equal(frame(crm_of(tables), snapshots), frame(crm_of(changed), snapshots))


def _seen_whole(rows: pd.DataFrame) -> pd.Series:
    """Deals of which an observation told every attribute."""
    return rows.loc[rows["unread"].isna(), "deal_id"]


@settings(max_examples=25, deadline=None)
@given(SEEDS, SEEDS)
def test_what_is_used_only_as_observed_never_looks_ahead(seed, other_seed):
    tables = tables_of(seed)
    history, other = tables["attribute_history"], observations(other_seed, tables["deals"])
    mixed = pd.concat([history[history["observed_at"] < AS_OF], other[other["observed_at"] >= AS_OF]])
    deals = tables["deals"].assign(region="elsewhere", score=-1.0, product="other")
    snapshots = on_dates(crm_of(tables), [AS_OF])
    one, two = (
        build_features(crm, snapshots, attributes=STRICT).frame
        for crm in (crm_of(tables), crm_of(tables | {"deals": deals, "attribute_history": mixed}))
    )
    pd.testing.assert_frame_equal(one, two)


@settings(max_examples=10, deadline=None)
@given(SEEDS)
def test_neither_the_order_of_rows_nor_buckets_matter(tmp_path_factory, seed):
    tables = tables_of(seed)
    crm = crm_of(tables)
    shuffled = {name: table.sample(frac=1, random_state=seed) for name, table in tables.items()}
    snapshots = every(crm, 7)
    expected = frame(crm, snapshots)
    pd.testing.assert_frame_equal(expected, frame(crm_of(shuffled), snapshots))
    buckets = DealBuckets.write(crm, tmp_path_factory.mktemp("parted") / "tables", 3)
    pd.testing.assert_frame_equal(expected, frame(buckets.whole(), snapshots))


def test_an_earlier_view_shows_what_was_seen_then():
    deals = pd.DataFrame(
        {"deal_id": ["a", "b"], "stage": "Demo", "outcome": "open", "created_at": "2025-01-01", "closed_at": None}
    ).assign(region=["now", "never seen"])
    seen = pd.DataFrame({"deal_id": "a", "observed_at": ["2025-02-01", "2025-03-01", "2025-04-01"]})
    crm = CRMData.from_tables(deals, attribute_history=seen.assign(region=["first", None, "now"]))
    views = {day: crm.as_known_at(day).deals["region"].fillna("").tolist() for day in ("2025-01-15", "2025-03-15")}
    assert views == {"2025-01-15": ["first", "never seen"], "2025-03-15": ["", "never seen"]}
    assert crm.as_known_at("2025-03-15").rows["attribute_history"] == 2
    assert crm.deals["region"].tolist() == ["now", "never seen"]


def test_observations_take_the_kind_that_the_attribute_has_in_deals(tmp_path):
    deals = pd.DataFrame(
        {"deal_id": ["a"], "stage": "Demo", "outcome": "open", "created_at": "2025-01-01", "closed_at": None}
    ).assign(size=3.0, code="7", due=pd.Timestamp("2025-05-01", tz="UTC"))
    seen = pd.DataFrame({"deal_id": "a", "observed_at": ["2025-02-01"], "size": ["big"], "code": [7.0], "due": ["?"]})
    crm = CRMData.from_tables(deals, attribute_history=seen)
    assert crm.attribute_history["code"].tolist() == ["7"]
    assert crm.attribute_history[["size", "due"]].isna().all(axis=None)
    crm.save(tmp_path / "tables")
    pd.testing.assert_frame_equal(CRMData.load(tmp_path / "tables").attribute_history, crm.attribute_history)


@pytest.fixture(scope="module")
def synced(world):
    """A company whose reason for losing is typed at the close, and whose blocker is told while a deal is open."""
    deals = world.crm.deals
    rng = np.random.default_rng(3)
    lost = (deals["outcome"] == "lost").to_numpy()
    closed = (deals["outcome"] != "open").to_numpy()
    reason = pd.Series(rng.choice(["price", "timing"], len(deals)), dtype="object").where(lost)
    blocker = pd.Series(np.where(rng.random(len(deals)) < np.where(lost, 0.8, 0.2), "legal", "none"), dtype="object")
    deals = deals.assign(loss_reason=reason, blocker=blocker.where(closed))
    seen = deals[deals["created_at"] < world.crm.known_until - pd.Timedelta(days=1)]
    at = seen["created_at"] + pd.Timedelta(hours=12)
    rows = seen[["deal_id"]].assign(observed_at=at, outcome="open", loss_reason=None, blocker=blocker[seen.index])
    tables = dict(world.crm.tables()) | {"deals": deals, "attribute_history": rows[at < seen["closed_at"].fillna(at)]}
    return CRMData.from_tables(**tables, stage_order=world.crm.stage_order, known_until=world.crm.known_until)


def test_a_dropped_attribute_comes_in_once_enough_was_observed(synced, quick_config):
    audit = audit_attributes(synced)
    assert {"loss_reason", "blocker"} <= set(audit.dropped)
    observations = Observations.of(synced)
    assert observations.usable(audit, 200) == (
        "observed_blocker",
    )  # nothing was seen of the reason but that it is empty
    assert observations.usable(audit, 10_000) == ()
    assert observations.usable(audit_attributes(synced, drop=["blocker"]), 200) == ()
    words = observations.summary(audit, 200)
    assert "blocker: since 2 Jan 2023" in words
    assert "used as observed, missing before" in words
    assert "loss_reason" in words


def test_training_and_scoring_see_the_same(synced, quick_config):
    model = train(synced, quick_config)
    assert "observed_blocker" in model.attributes
    assert "blocker" not in model.dropped_attributes
    assert "loss_reason" in model.dropped_attributes
    assert any(str(note).startswith("blocker is used as it was observed since ") for note in model.notes)
    snapshots = on_dates(synced, [synced.known_until])
    seen = model.build_features(synced, snapshots)["observed_blocker"]
    told = synced.attribute_history.sort_values("observed_at").drop_duplicates("deal_id", keep="last")
    expected = told.set_index("deal_id")["blocker"].reindex(snapshots["deal_id"]).reset_index(drop=True)
    pd.testing.assert_series_equal(seen, expected, check_names=False, check_dtype=False)
    assert len(score(model, synced)) == len(snapshots)
    without = CRMData.from_tables(
        **{name: table for name, table in synced.tables() if name != "attribute_history"},
        stage_order=synced.stage_order,
    )
    assert model.build_features(without, snapshots)["observed_blocker"].isna().all()


def test_fewer_observations_than_the_config_asks_for_are_not_used(synced, quick_config):
    config = Config.model_validate(quick_config.model_dump() | {"attributes": {"observed_deals": 100_000}})
    assert training_set(synced, config).observed == ()


def test_the_quality_report_tells_since_when_attributes_are_observed(synced):
    findings = check_quality(synced).findings
    told = findings[findings["table"] == "attribute_history"]
    assert told["what"].str.contains("observed since ").any()
    assert told["what"].str.contains("blocker").any()
