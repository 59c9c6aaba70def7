import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from printed_words import untranslated_words
from sklearn.metrics import roc_auc_score

from winpredict.errors import ConfigError
from winpredict.features._leakage_population import _auc
from winpredict.features.leakage import audit_attributes, static_attributes
from winpredict.locale.language import Language, speaking
from winpredict.locale.text import Text
from winpredict.tables.crm import CRMData

SHARED = Path(__file__).parents[2] / ".." / "shared" / "data"
START = pd.Timestamp("2024-01-01", tz="UTC")


@cache
def world(number=3000, days=400, seed=0):
    """Deals with a hazard of closing; nothing but the columns needed, as of the last day."""
    random = np.random.default_rng(seed)
    created = random.uniform(0, days, number)
    fast = random.random(number) < 0.4
    length = random.exponential(np.where(fast, 25.0, 60.0))
    won = random.random(number) < np.where(fast, 0.45, 0.25)
    closed = created + length
    is_open = closed >= days
    deals = pd.DataFrame(
        {
            "deal_id": [f"d{i:05}" for i in range(number)],
            "created_at": START + pd.to_timedelta(created, unit="D"),
            "closed_at": (START + pd.to_timedelta(pd.Series(closed), unit="D")).mask(is_open),
            "outcome": np.where(is_open, "open", np.where(won, "won", "lost")),
            "stage": "any",
        }
    )
    return deals, random, fast


def audit(columns, number=3000, seed=0, **options):
    """The audit of some columns; each is a function of (deals, random, fast)."""
    deals, _, fast = world(number, seed=seed)
    random = np.random.default_rng([seed, 1])
    made = {name: make(deals, random, fast) for name, make in columns.items()}
    return audit_attributes(CRMData.from_tables(deals.assign(**made), known_until="2025-02-04"), **options)


def choice(values, share=1.0):
    def make(deals, random, fast):
        return pd.Series(random.choice(values, len(deals))).where(random.random(len(deals)) < share)

    return make


def when(outcome, otherwise=None, value="yes", share=1.0):
    def make(deals, random, fast):
        hit = deals["outcome"].isin(outcome) & (random.random(len(deals)) < share)
        return pd.Series(np.where(hit, value, otherwise), dtype=object)

    return make


def speed(deals, random, fast):
    return pd.Series(np.where(fast, "renewal", "new"))


HONEST = {
    "region": choice(["east", "west", "north", "south"]),
    "sometimes filled": choice(["a", "b"], share=0.3),
    "strong": speed,
    "campaign": lambda deals, random, fast: pd.Series(random.integers(0, 900, len(deals))).map("c{}".format),
    "size": lambda deals, random, fast: pd.Series(random.lognormal(10, 1, len(deals))),
    "days of free trial": lambda deals, random, fast: pd.Series(random.choice([0.0, 14.0, 30.0], len(deals))),
    "contract ends": lambda deals, random, fast: (
        deals["created_at"] - pd.to_timedelta(random.uniform(1, 300), unit="D")
    ),
    "wanted by": lambda deals, random, fast: (
        deals["created_at"] + pd.to_timedelta(random.uniform(10, 300, len(deals)), unit="D")
    ),
}

LEAKS = {
    "reason": (when(["lost"]), "changes at the close"),
    "written at half of the closings": (when(["won", "lost"], share=0.5), "changes at the close"),
    "competitor": (when(["lost"], otherwise="unknown", value="they won", share=0.4), "'they won' on"),
    "rival": (
        when(["lost"], otherwise="unknown", value="they won", share=0.2),
        "where it is 'they won', 100% are lost",
    ),
    "next step": (when(["open"], share=0.8), "changes at the close"),
    "stage of the account": (when(["won"], otherwise="prospect", value="customer"), "'customer' on 100"),
    "likelihood": (
        lambda deals, random, fast: (
            deals["outcome"].map({"won": 100.0, "lost": 0.0}).fillna(pd.Series(random.choice([10.0, 40.0], len(deals))))
        ),
        "changes at the close",
    ),
    "value": (
        lambda deals, random, fast: pd.Series(random.lognormal(9, 1, len(deals))).mask(deals["outcome"] == "lost", 0.0),
        "'0' on 100% of",
    ),
    "ended": (
        lambda deals, random, fast: deals["closed_at"].dt.normalize(),
        "a date that falls within a day of the closing",
    ),
    "planned end": (
        lambda deals, random, fast: (
            deals["closed_at"].fillna(deals["created_at"] + pd.Timedelta("200D")).dt.normalize()
        ),
        "within a day of the closing on 100%",
    ),
    "demo held": (
        lambda deals, random, fast: (
            deals["created_at"]
            + (deals["closed_at"].fillna(START + pd.Timedelta("400D")) - deals["created_at"])
            * random.random(len(deals))
        ),
        "something that happened on the way",
    ),
    "age": (
        lambda deals, random, fast: (
            deals["closed_at"].fillna(START + pd.Timedelta("400D")) - deals["created_at"]
        ).dt.total_seconds(),
        "a clock or a counter",
    ),
    "number of calls": (
        lambda deals, random, fast: pd.Series(
            random.poisson(
                (deals["closed_at"].fillna(START + pd.Timedelta("400D")) - deals["created_at"]).dt.days / 10 + 2
            )
        ).astype(float),
        "counts what happened over the deal's life",
    ),
    "budget known": (
        lambda deals, random, fast: pd.Series("yes", index=deals.index).where(
            (deals["closed_at"].fillna(START + pd.Timedelta("400D")) - deals["created_at"]).dt.days > 30
        ),
        "filled in on the way",
    ),
    "empty": (lambda deals, random, fast: pd.Series(None, index=deals.index, dtype=object), "empty on all 3,000"),
    "constant": (lambda deals, random, fast: pd.Series("x", index=deals.index), "the same value on all 3,000"),
    "ticket": (lambda deals, random, fast: deals["deal_id"].str.replace("d", "T-"), "like an identifier: 3,000"),
    "external number": (lambda deals, random, fast: pd.Series(random.permutation(len(deals))), "like an identifier"),
}


def test_honest_attributes_are_kept():
    result = audit(HONEST)
    assert result.dropped == {}
    assert set(result.kept) == set(HONEST)


@pytest.mark.parametrize("name", LEAKS)
def test_each_kind_of_leak_is_dropped_for_its_own_reason(name):
    make, reason = LEAKS[name]
    assert reason in str(audit({name: make}).dropped[name])


@pytest.mark.parametrize("name", LEAKS)
def test_each_reason_is_a_message_that_can_be_kept(name):
    make, _ = LEAKS[name]
    reason = audit({name: make}).dropped[name]
    assert Text.from_json(json.loads(json.dumps(reason.to_json()))) == reason
    with speaking("en_XA"):
        assert untranslated_words(str(reason)) == []
    with speaking("fr"):
        assert str(reason) != reason.said_in(Language("en"))


def test_the_reason_counts_deals():
    reason = str(audit({"reason": when(["lost"])}).dropped["reason"])
    assert reason.startswith("changes at the close: filled in on 100% of ")
    assert reason.endswith(" open deals of the same age")


def test_many_categories_are_kept_with_a_remark():
    columns = audit({"campaign": HONEST["campaign"]}).columns
    assert "different values, too many to be used as categories" in str(columns.loc[0, "reason"])


def test_habits_that_changed_over_time_are_no_leak():
    def since(day, early, late):
        def make(deals, random, fast):
            drawn = pd.Series(random.choice([early, late], len(deals)))
            return drawn.where((deals["created_at"] - START).dt.days + random.normal(0, 30, len(deals)) > day, early)

        return make

    result = audit(
        {"form": since(330, "v1", "v2"), "field given up": since(250, "x", None), "new": since(300, None, "x")}
    )
    assert result.dropped == {}


@pytest.mark.parametrize("number", [30, 100, 300])
def test_small_data_convict_nothing_by_chance(number):
    noise = {f"noise {i}": choice(list("abcde"[: 2 + i % 4]), share=1 - i % 3 / 3) for i in range(20)}
    for seed in range(3):
        assert audit(noise, number=number, seed=seed).dropped == {}


def test_a_plain_leak_is_found_in_small_data():
    assert "reason" in audit({"reason": when(["lost"])}, number=300).dropped


def test_the_config_overrules_and_the_audit_says_its_mind():
    columns = {"reason": when(["lost"]), "region": HONEST["region"]}
    result = audit(columns, keep=["reason"], drop=["region"])
    assert result.kept == ("reason",)
    assert "the audit would keep it" in str(result.dropped["region"])
    assert result.columns["decided_by"].tolist() == ["config", "config"]
    assert "the config says so; the audit would drop it: changes at the close" in result.summary()


def test_the_config_may_agree():
    result = audit({"region": HONEST["region"]}, keep=["region"])
    assert "as would the audit" in str(result.columns.loc[0, "reason"])


def test_the_config_cannot_name_what_is_not_audited():
    with pytest.raises(ConfigError, match="names stage, not found among the attributes without history"):
        audit({"region": HONEST["region"]}, drop=["stage"])
    with pytest.raises(ConfigError, match="under keep and under drop"):
        audit({"region": HONEST["region"]}, drop=["region"], keep=["region"])


def test_the_summary_has_a_line_for_each_attribute():
    result = audit({"reason": when(["lost"]), "region": HONEST["region"]})
    lines = result.summary().splitlines()
    assert lines[0] == "Leakage audit: 1 attribute kept, 1 dropped."
    assert lines[1].startswith("  drop reason: ")
    assert lines[2].startswith("  keep region: ")


def test_no_attributes_no_rows():
    deals, _, _ = world()
    found = audit_attributes(CRMData.from_tables(deals))
    assert found.columns.empty
    assert found.kept == ()
    assert "there are no attributes" in found.summary()


@settings(max_examples=3, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_order_of_rows_does_not_matter(seed):
    deals, _, fast = world(500)
    frame = deals.assign(**{name: make(deals, np.random.default_rng(5), fast) for name, make in HONEST.items()})
    shuffled = frame.sample(frac=1, random_state=seed)
    one, other = (audit_attributes(CRMData.from_tables(each, known_until="2025-02-04")) for each in (frame, shuffled))
    pd.testing.assert_frame_equal(one.columns, other.columns, check_exact=True)


def test_outcomes_after_as_of_have_no_influence():
    deals, _, fast = world()
    frame = deals.assign(region=choice(["east", "west"])(deals, np.random.default_rng(3), fast))
    as_of = pd.Timestamp("2024-08-01", tz="UTC")
    later = frame["closed_at"] >= as_of
    other = frame.assign(outcome=frame["outcome"].mask(later, "lost"))
    one, two = (audit_attributes(CRMData.from_tables(each), as_of=as_of) for each in (frame, other))
    pd.testing.assert_frame_equal(one.columns, two.columns)


def undated(**columns):
    random = np.random.default_rng(0)
    won = random.random(2000) < 0.3
    deals = pd.DataFrame(
        {
            "deal_id": np.arange(2000).astype(str),
            "created_at": pd.NaT,
            "closed_at": pd.NaT,
            "stage": None,
            "outcome": np.where(won, "won", "lost"),
        }
    )
    return audit_attributes(CRMData.from_tables(deals.assign(**{k: make(won, random) for k, make in columns.items()})))


def shifted(by):
    return lambda won, random: random.normal(0, 1, len(won)) + by * won


def test_undated_columns_are_dropped_by_name_and_evidence_together():
    tells, silent = shifted(1.0), shifted(0.0)
    found = undated(
        **{
            "ElapsedDaysInStage": tells,
            "stage_change_count": tells,
            "Revenue Past Two Years": tells,
            "final price": tells,
            "Employee Count": tells,
            "Revenue": tells,
            "Days Of Trial": silent,
        }
    )
    assert set(found.kept) == {"Employee Count", "Revenue", "Days Of Trial"}
    assert "measures elapsed time" in str(found.dropped["ElapsedDaysInStage"])
    assert "counts what happened" in str(found.dropped["stage_change_count"])
    assert "a window that ends at the export" in str(found.dropped["Revenue Past Two Years"])
    assert "the deal's ending" in str(found.dropped["final price"])


def test_what_is_too_good_is_not_true():
    found = undated(
        score=shifted(4.0), group=lambda won, random: np.where(won & (random.random(len(won)) < 0.2), "x", "y")
    )
    assert "with an AUC of 0.99" in str(found.dropped["score"])
    assert "where it is 'x', 100% are won" in str(found.dropped["group"])


def test_too_few_closed_deals_are_no_evidence():
    deals, _, _ = world(30)
    crm = CRMData.from_tables(deals.assign(region=np.tile(["east", "west"], 15)))
    assert str(audit_attributes(crm).columns.loc[0, "reason"]) == "too few closed deals to judge it"


def with_accounts(account_id, accounts):
    deals, _, _ = world()
    frame = deals.assign(account_id=account_id(deals))
    return audit_attributes(CRMData.from_tables(frame, accounts=accounts, known_until="2025-02-04"))


def accounts(number=50):
    random = np.random.default_rng(2)
    return pd.DataFrame(
        {
            "account_id": [f"a{i}" for i in range(number)],
            "name": [f"Account {i}" for i in range(number)],
            "industry": random.choice(["media", "banking"], number),
            "tier": random.choice(["gold", "silver"], number),
            "created_at": START,
        }
    )


def test_attributes_of_accounts_are_joined():
    found = with_accounts(lambda deals: [f"a{i % 50}" for i in range(len(deals))], accounts())
    assert found.kept == ("account_id", "account_industry", "account_tier")


def test_attributes_of_accounts_fall_with_an_account_that_is_named_at_the_close():
    def named_at_close(deals):
        ids = pd.Series([f"a{i % 50}" for i in range(len(deals))])
        return ids.where(deals["outcome"] != "open", None)

    found = with_accounts(named_at_close, accounts())
    assert set(found.dropped) == {"account_id", "account_industry", "account_tier"}
    assert "the deal's account itself: changes at the close" in str(found.dropped["account_tier"])


def test_amount_is_audited_only_without_a_history_of_it():
    deals, _, _ = world()
    deals = deals.assign(amount=1.0, currency="EUR", product="p", name="n", owner_id="u", Zone="z", Area="a")
    assert static_attributes(CRMData.from_tables(deals)) == (
        "amount",
        "owner_id",
        "product",
        "currency",
        "Area",
        "Zone",
    )
    history = pd.DataFrame({"deal_id": ["d00000"], "changed_at": [START], "amount": [1.0]})
    assert "amount" not in static_attributes(CRMData.from_tables(deals, deal_history=history))


def test_dates_written_as_text_and_odd_dtypes_are_read():
    def as_text(deals, random, fast):
        return deals["closed_at"].fillna(deals["created_at"] + pd.Timedelta("300D")).dt.strftime("%Y-%m-%d")

    result = audit(
        {
            "finish": as_text,
            "flag": lambda deals, random, fast: pd.Series(random.random(len(deals)) < 0.5),
            "nullable": lambda deals, random, fast: pd.Series(random.integers(0, 3, len(deals))).astype("Int64"),
            "categorical": lambda deals, random, fast: pd.Series(
                random.choice(["a", "b"], len(deals)), dtype="category"
            ),
        }
    )
    assert result.kept == ("categorical", "flag", "nullable")
    kinds = result.columns.set_index("column")["kind"].to_dict()
    assert kinds == {"finish": "date", "flag": "category", "nullable": "number", "categorical": "category"}


def test_the_real_sales_without_dates_lose_what_is_final_at_the_close():
    path = SHARED / "ibm_sales_win_loss" / "WA_Fn-UseC_-Sales-Win-Loss.csv.gz"
    if not path.exists():
        pytest.skip("shared data are not beside the project")
    raw = pd.read_csv(path, keep_default_na=False).drop_duplicates("Opportunity Number")
    deals = raw.rename(columns={"Opportunity Number": "deal_id", "Opportunity Amount USD": "amount"}).assign(
        outcome=raw["Opportunity Result"].map({"Won": "won", "Loss": "lost"}),
        created_at=None,
        closed_at=None,
        stage=None,
    )
    found = audit_attributes(CRMData.from_tables(deals.drop(columns="Opportunity Result")))
    final = [name for name in deals if "Days" in name or "Change Count" in name]
    assert len(final) == 7
    assert set(found.dropped) == {*final, "Revenue From Client Past Two Years"}
    assert {"amount", "Supplies Group", "Route To Market", "Region", "Competitor Type"} <= set(found.kept)
    assert {"Client Size By Revenue", "Client Size By Employee Count"} <= set(found.kept)


def test_the_real_pipeline_loses_its_closing_value():
    folder = SHARED / "maven_crm_sales"
    if not folder.exists():
        pytest.skip("shared data are not beside the project")
    raw = pd.read_csv(folder / "sales_pipeline.csv")
    names = {"opportunity_id": "deal_id", "deal_stage": "stage", "engage_date": "created_at", "close_date": "closed_at"}
    outcome = raw["deal_stage"].map({"Won": "won", "Lost": "lost"}).fillna("open")
    deals = raw.drop(columns=["sales_agent", "account"]).rename(columns=names).assign(outcome=outcome)
    found = audit_attributes(CRMData.from_tables(deals))
    assert found.kept == ("product",)
    assert "changes at the close" in str(found.dropped["close_value"])


def test_area_under_the_curve_is_that_of_scikit_learn():
    random = np.random.default_rng(3)
    codes, weight = random.integers(0, 9, 500), random.random(500)
    score = random.integers(0, 4, 9) / 4  # ties between codes
    positive = random.random(500) < 0.2 + score[codes] / 2
    expected = roc_auc_score(positive, score[codes], sample_weight=weight)
    assert _auc(score, codes, positive, weight) == pytest.approx(expected, abs=1e-12)
