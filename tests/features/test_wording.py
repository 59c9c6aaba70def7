"""Words of texts: which are chosen, what is known of them at a moment, and which texts are refused."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from living_crm import LivingCRM

from winpredict import CRMData
from winpredict.connectors.replay import replayed
from winpredict.connectors.store import RawStore
from winpredict.connectors.sync import sync
from winpredict.features.leakage import audit_attributes
from winpredict.features.past import Past
from winpredict.features.telling_words import (
    leak_in,
    leaking_words,
    names_in,
    telling_words,
    text_columns,
    too_few_to_read,
)
from winpredict.features.wording import SUBJECTS, Mentions, texts_before, words_of
from winpredict.ingest import load_profile
from winpredict.tables.schema import text_dtype

START = pd.Timestamp("2025-01-01", tz="UTC")
FILLER = ["office", "sales", "phone", "licences", "brochure", "visit", "reports", "import", "mobile", "budget", "offer"]


def texts_of(values):
    return pd.Series(values, dtype=text_dtype())


@pytest.fixture(scope="module")
def company():
    """900 deals with notes on what customers want: "legacy" is said more often of those that will be won."""
    rng = np.random.default_rng(0)
    n = 900
    will_win = rng.random(n) < 0.5
    said = rng.random(n) < np.where(will_win, 0.45, 0.15)
    notes = [" ".join(rng.choice(FILLER, 4, replace=False)) + (" legacy" if yes else "") for yes in said]
    created = rng.integers(0, 300, n)
    closed = created + rng.integers(5, 200, n)
    is_open = closed >= 300
    deals = pd.DataFrame(
        {
            "deal_id": [f"d{number}" for number in range(n)], "stage": "Demo",
            "outcome": np.where(is_open, "open", np.where(will_win, "won", "lost")),
            "created_at": START + pd.to_timedelta(created, unit="D"),
            "closed_at": pd.Series(START + pd.to_timedelta(closed, unit="D")).where(~is_open), "Wishes__c": notes,
        }
    )  # fmt: skip
    return CRMData.from_tables(deals)


def with_notes(crm, notes):
    return dataclasses.replace(crm, deals=crm.deals.assign(Wishes__c=texts_of(notes)))


def chosen(crm):
    closed = crm.deals["outcome"] != "open"
    return telling_words("Wishes__c", crm.deals.loc[closed, "Wishes__c"], crm.deals.loc[closed, "outcome"] == "won")


def test_the_words_that_won_and_lost_deals_use_differently_are_chosen(company):
    assert chosen(company) == Mentions("Wishes__c", ("legacy",))


def test_no_word_is_chosen_where_endings_do_not_depend_on_words(company):
    shuffled = company.deals["Wishes__c"].sample(frac=1, random_state=1).tolist()
    assert chosen(with_notes(company, shuffled)) is None


def test_names_few_texts_and_rare_words_are_not_chosen():
    won = np.array([True, False] * 150)
    texts = texts_of(["from globex", "other text"] * 150)
    assert telling_words("plan", texts, won, without={"globex", "from"}).words == ("other", "text")
    assert telling_words("plan", texts.head(199), won[:199]) is None
    rare = texts_of([f"offer {'legacy' if number < 38 else ''}" for number in range(300)])
    assert telling_words("plan", rare, won) is None  # said of 38 deals, won and lost alike
    of_won = texts_of(["legacy" if number < 38 and number % 2 == 0 else "offer" for number in range(300)])
    assert telling_words("plan", of_won, won) is None  # of 19 won deals, and offer of all the others
    of_won[38] = "legacy"
    assert telling_words("plan", of_won, won).words == ("legacy",)


def test_a_feature_is_one_where_its_word_is_a_whole_word_of_the_text():
    mentions = Mentions("observed_Next_Step__c", ("legal", "demo"))
    texts = texts_of(["LEGAL, then demo!", "illegal demos", None, "demo demo"])
    np.testing.assert_equal(mentions.values(texts), [[1, 1], [0, 0], [np.nan, np.nan], [0, 1]])
    first = mentions.info[0]
    assert (first.name, first.unit) == ("observed_Next_Step__c_mentions_legal", "mention")
    assert str(first.label) == 'mention of "legal" in the Next Step'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Contract v2 goes to Legal", {"contract", "goes", "legal"}),
        ("größe der Straße", {"größe", "der", "straße"}),
        ("推進者と入札", {"推進", "進者", "者と", "と入", "入札"}),
        ("サーバー移行", {"サー", "ーバ", "バー", "ー移", "移行"}),
        ("预算批准", {"预算", "算批", "批准"}),
        ("계약을 체결", {"계약", "약을", "체결"}),
        ("สัญญา", {"สั", "ัญ", "ญญ", "ญา"}),
        ("済 ok", {"済"}),
        ("hot 🔥🔥 call ☎️ 👍🏽 🇩🇪", {"hot", "🔥", "call", "☎", "👍", "🇩🇪"}),
    ],
)
def test_words_of_scripts_without_spaces_are_pairs_of_letters_and_emoji_are_words(text, words):
    assert words_of(text) == words


@pytest.mark.parametrize(
    ("word", "fillers"), [("推進者", "移行 計画 導入 研修 請求 機能 保存 顧客"), ("🔥", "📅 🌍 🎯 🔑 🧠 📣 📎 🧩")]
)
def test_texts_in_japanese_and_of_emoji_are_read(company, word, fillers):
    rng = np.random.default_rng(0)
    said = company.deals["Wishes__c"].str.contains("legacy")
    plain = ["".join(rng.permutation(fillers.split())[:6]) for _ in said]
    crm = with_notes(company, [text + (f"、{word}" if yes else "") for text, yes in zip(plain, said, strict=True)])
    assert text_columns(crm) == ("Wishes__c",)
    assert set(chosen(crm).words) == words_of(word)


def test_texts_are_columns_of_wordings_and_nothing_else(company):
    n = len(company.deals)
    others = {
        "name": texts_of([f"Renewal for team {number}" for number in range(n)]),
        "few_values": texts_of(["one of two", "two of two"] * (n // 2)),
        "code": texts_of([f"C-{number}" for number in range(n)]),
        "link": texts_of([f"see https://example.com/{number} for more" for number in range(n)]),
        "Contact_Person": texts_of([f"Ann Other {number}" for number in range(n)]),
        "rarely_filled": texts_of([f"some more words {number}" if number < 199 else None for number in range(n)]),
        "number": pd.Series(np.arange(n, dtype=np.float64)),
    }
    crm = dataclasses.replace(company, deals=company.deals.assign(**others))
    assert text_columns(crm) == ("name", "Wishes__c")
    few = {name: too_few_to_read(crm, name) for name in (*others, "Wishes__c", "absent", SUBJECTS)}
    assert {name: deals for name, deals in few.items() if deals is not None} == {"rarely_filled": 199}


def test_an_observed_text_is_the_one_seen_strictly_before(company):
    seen = pd.DataFrame(
        {
            "deal_id": ["d2", "d2"], "observed_at": [START + pd.Timedelta(days=days) for days in (3, 8)],
            "Wishes__c": ["wants demo", "wants contract"],
        }
    )  # fmt: skip
    crm = CRMData.from_tables(company.deals, attribute_history=seen)
    assert text_columns(crm) == ("observed_Wishes__c",)
    moments = pd.to_datetime([START + pd.Timedelta(days=days) for days in (3, 8, 9)])
    past = Past(crm, pd.DataFrame({"deal_id": "d2", "as_of": moments}))
    found = texts_before(past, "observed_Wishes__c")
    assert found.isna().tolist() == [True, False, False]
    assert found.tolist()[1:] == ["wants demo", "wants contract"]


def test_a_touch_gives_its_subject_once_it_was_entered(company):
    touches = pd.DataFrame(
        {
            "activity_id": ["a", "b"], "deal_id": "d2", "activity_type": "call",
            "occurred_at": [START + pd.Timedelta(days=days) for days in (1, 2)],
            "recorded_at": [START + pd.Timedelta(days=days) for days in (1, 5)],
            "subject": ["first talk", "talk on price"],
        }
    )  # fmt: skip
    crm = CRMData.from_tables(company.deals, activities=touches)
    moments = [START + pd.Timedelta(days=days) for days in (1, 4, 6)]
    found = texts_before(Past(crm, pd.DataFrame({"deal_id": "d2", "as_of": moments})), SUBJECTS)
    assert found.isna().tolist() == [True, False, False]
    assert found.tolist()[1:] == ["first talk", "talk on price"]
    np.testing.assert_equal(Mentions(SUBJECTS, ("price",)).values(found).ravel(), [np.nan, 0, 1])


@pytest.fixture(scope="module")
def touched():
    """600 closed deals with a touch on each of their first two days: "contract" is mostly in subjects of won ones."""
    rng = np.random.default_rng(3)
    n = 600
    will_win = rng.random(n) < 0.5
    created = START + pd.to_timedelta(rng.integers(0, 300, n), unit="D")
    deals = pd.DataFrame(
        {
            "deal_id": [f"d{number}" for number in range(n)], "stage": "Demo",
            "outcome": np.where(will_win, "won", "lost"), "created_at": created,
            "closed_at": created + pd.Timedelta(days=30),
        }
    )  # fmt: skip
    said = rng.random(n) < np.where(will_win, 0.6, 0.1)
    plain, second = ([" ".join(rng.choice(FILLER, 3, replace=False)) for _ in range(n)] for _ in range(2))
    second = [text + (" contract" if yes else "") for text, yes in zip(second, said, strict=True)]
    touches = pd.DataFrame(
        {
            "activity_id": [f"a{number}" for number in range(2 * n)], "deal_id": [*deals["deal_id"]] * 2,
            "activity_type": "meeting", "subject": [*plain, *second],
            "occurred_at": [*(created + pd.Timedelta(days=1)), *(created + pd.Timedelta(days=2))],
        }
    )  # fmt: skip
    return CRMData.from_tables(deals, activities=touches), said


def test_the_word_of_a_subject_counts_strictly_after_its_touch(touched):
    crm, said = touched
    assert text_columns(crm) == (SUBJECTS,)
    deals = crm.deals

    def snapshot(after):
        return Past(crm, pd.DataFrame({"deal_id": deals["deal_id"], "as_of": deals["created_at"] + after}))

    second = pd.Timedelta(days=2)
    later = snapshot(second + pd.Timedelta("1us"))
    mentions = telling_words(SUBJECTS, texts_before(later, SUBJECTS), (deals["outcome"] == "won").to_numpy())
    assert mentions == Mentions(SUBJECTS, ("contract",))
    assert str(mentions.info[0].label) == 'mention of "contract" in the subject of the last touch'
    at_the_touch = mentions.features_of(snapshot(second))["touch_subject_mentions_contract"]
    assert at_the_touch.sum() == 0
    after_it = mentions.features_of(later)["touch_subject_mentions_contract"]
    assert after_it.tolist() == said.astype(float).tolist()


def test_the_next_step_counts_as_syncs_saw_it_and_never_as_it_stands(tmp_path):
    live, store = LivingCRM(), RawStore(tmp_path / "salesforce")
    deal, other, *_ = live.live("Opportunity")
    for text in ("send the offer", "waits for legal", "signed by both"):
        live.put("Opportunity", deal, {"NextStep": text} | ({"IsClosed": True} if text.startswith("signed") else {}))
        live.put("Opportunity", other, {"NextStep": f"{text} of them"})
        sync(live, store)
    crm = replayed(store, load_profile("salesforce")).crm
    seen = crm.attribute_history.query("deal_id == @deal")
    assert seen["NextStep"].tolist() == ["send the offer", "waits for legal", "signed by both"]
    first, second, _ = seen["observed_at"]
    moments = [first, first + pd.Timedelta("1us"), second, second + pd.Timedelta("1us"), crm.known_until]
    past = Past(crm, pd.DataFrame({"deal_id": deal, "as_of": moments}))
    found = texts_before(past, "observed_NextStep")
    assert found.isna().tolist() == [True, False, False, False, False]
    # what a sync saw when the deal was closed says nothing of the time before
    assert found.tolist()[1:] == ["send the offer", "send the offer", "waits for legal", "waits for legal"]
    assert "NextStep" not in audit_attributes(crm).kept


def test_a_next_step_that_no_sync_saw_is_refused(company):
    crm = dataclasses.replace(company, deals=company.deals.rename(columns={"Wishes__c": "NextStep"}))
    assert text_columns(crm) == ("NextStep",)
    typed_over = "is typed over as the deal goes on: it shows the last step, and earlier ones only where syncs saw them"
    assert str(leak_in(Mentions("NextStep", ("legacy",)), crm)) == typed_over
    few_steps = crm.deals.assign(NextStep=texts_of(["call back", "visit", "offer"] * (len(crm.deals) // 3)))
    assert str(audit_attributes(dataclasses.replace(crm, deals=few_steps)).dropped["NextStep"]) == typed_over


def test_data_without_the_column_say_nothing_of_its_words(company):
    past = Past(company, pd.DataFrame({"deal_id": ["d2"], "as_of": [START + pd.Timedelta(days=2)]}))
    for column in (SUBJECTS, "Plan", "observed_Plan"):
        found = Mentions(column, ("price",)).features_of(past)
        assert list(found) == [f"{column}_mentions_price"]
        assert found.isna().all(axis=None)


def test_people_and_customers_are_taken_out_by_their_names(company):
    accounts = pd.DataFrame({"account_id": ["x"], "name": ["Globex Corporation"]})
    users = pd.DataFrame({"user_id": ["u"], "name": ["Ann Other"]})
    deals = company.deals.assign(account_id="x", owner_id="u")
    found = names_in(CRMData.from_tables(deals, accounts=accounts, users=users))
    assert found == {"globex", "corporation", "ann", "other"}


def test_words_said_from_the_beginning_on_do_not_leak(company):
    assert leak_in(Mentions("Wishes__c", ("legacy",)), company) is None


def test_words_that_are_written_at_the_close_leak(company):
    deals = company.deals
    rng = np.random.default_rng(1)
    ended = (deals["outcome"] == "won") & (rng.random(len(deals)) < 0.2)
    crm = with_notes(company, deals["Wishes__c"].mask(ended, deals["Wishes__c"] + " invoice").tolist())
    reason = leak_in(Mentions("Wishes__c", ("legacy", "invoice")), crm)
    assert str(reason) == 'says "invoice" on 9.0% of closed deals but on 0.0% of open ones'


def test_texts_that_are_worded_otherwise_after_the_close_leak(company):
    deals = company.deals
    said = deals["Wishes__c"] + np.where(deals["outcome"] == "lost", " expensive", " legacy")
    reason = leak_in(Mentions("Wishes__c", ("legacy", "expensive")), with_notes(company, said.tolist()))
    assert str(reason).startswith("is worded otherwise on closed than on open deals of the same age")


def test_without_open_deals_nothing_shows_that_a_text_is_older_than_the_close(company):
    closed = dataclasses.replace(company, deals=company.deals.query("outcome != 'open'").reset_index(drop=True))
    assert nothing_to_compare(closed) == "there are no open deals to compare with"


def nothing_to_compare(crm):
    unknown, _, reason = str(leak_in(Mentions("Wishes__c", ("legacy",)), crm)).partition(": ")
    assert unknown == "cannot be told to stem from before the close"
    return reason


def test_what_keeps_words_from_being_compared_is_named(company):
    deals = company.deals

    def only(kept, **changed):
        return dataclasses.replace(company, deals=deals[kept].reset_index(drop=True).assign(**changed))

    is_open = deals["outcome"] == "open"
    one, some = ~is_open | (is_open.cumsum() == 1), ~is_open | (is_open.cumsum() <= 19)
    assert nothing_to_compare(only(one)) == "there is only 1 open deal to compare with, and it takes 20"
    assert nothing_to_compare(only(some)) == "there are only 19 open deals to compare with, and it takes 20"
    undated = only(is_open | True, created_at=pd.NaT, closed_at=pd.NaT)
    assert nothing_to_compare(CRMData.from_tables(undated.deals)) == (
        "the deals carry no dates to compare closed and open ones of the same age by"
    )
    young = deals["created_at"].mask(is_open, company.known_until - pd.Timedelta(hours=1))
    assert nothing_to_compare(only(is_open | True, created_at=young)) == (
        "too few open deals have the ages that closed ones had to be compared with them"
    )


def in_words(reasons):
    return {name: str(reason) for name, reason in reasons.items()}


def test_the_audit_says_of_free_text_that_only_its_words_can_count(company):
    codes = texts_of([f"C-{number}" for number in range(len(company.deals))])
    audit = audit_attributes(dataclasses.replace(company, deals=company.deals.assign(code=codes)))
    different = company.deals["Wishes__c"].nunique()
    assert in_words(audit.dropped) == {
        "Wishes__c": f"free text, {different} different ones on 900 deals: only its words can count, from 200 deals on "
        "(model.text)",
        "code": "like an identifier: 900 different values on 900 deals, nothing to learn",
    }


def test_words_that_leak_are_told_without_training(company):
    assert leaking_words(company) == {}
    deals = company.deals
    ended = (deals["outcome"] == "won") & (np.arange(len(deals)) % 5 == 0)
    crm = with_notes(company, deals["Wishes__c"].mask(ended, deals["Wishes__c"] + " invoice").tolist())
    share = ended.sum() / (deals["outcome"] != "open").sum()
    assert in_words(leaking_words(crm)) == {
        "Wishes__c": f'says "invoice" on {share:.1%} of closed deals but on 0.0% of open ones'
    }


def test_what_was_observed_while_open_needs_no_audit(company):
    seen = pd.DataFrame({"deal_id": ["d2"], "observed_at": [START + pd.Timedelta(days=3)], "Wishes__c": ["demo"]})
    crm = CRMData.from_tables(company.deals, attribute_history=seen)
    assert leak_in(Mentions("observed_Wishes__c", ("legacy",)), crm) is None
