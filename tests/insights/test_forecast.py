import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from winpredict import Config, CRMData, WinPredictError, train
from winpredict.insights._forecast_draws import Groups, Odds, quantiles_of, won_by_owner
from winpredict.insights._forecast_history import NewBusiness
from winpredict.insights._forecast_quota import quotas_of
from winpredict.insights._forecast_shock import middle_log_odds
from winpredict.insights.deals import deals_at_end
from winpredict.insights.forecast import forecast, periods_at
from winpredict.insights.forecast_backtest import backtest_forecast
from winpredict.models.trained import TrainedModel


@pytest.fixture(scope="module")
def found(world, model):
    return forecast(model, world.crm, draws=800)


def test_every_period_adds_up_and_its_interval_is_in_order(found):
    periods = found.periods
    assert periods["period"].tolist() == ["this month", "next month", "this quarter", "next quarter"]
    parts = periods["booked"] + periods["open_pipeline"] + periods["not_yet_created"]
    np.testing.assert_allclose(parts, periods["expected"], rtol=1e-6)
    assert (periods["low"] <= periods["commit"]).all()
    assert (periods["commit"] <= periods["best_case"]).all()
    assert (periods["best_case"] <= periods["high"]).all()
    assert periods["quota"].isna().all()


def test_the_interval_holds_what_is_expected_even_where_one_rare_deal_makes_most_of_it(world, model):
    """A mean lies beyond nine of ten futures where a single unlikely deal is worth more than all others together."""
    scores = forecast(model, world.crm, draws=50).deals
    unlikely = scores.sort_values("win_probability").iloc[0]["deal_id"]
    rare = dataclasses.replace(
        world.crm,
        **{
            name: table.assign(amount=table["amount"].where(table["deal_id"] != unlikely, 1e12))
            for name, table in world.crm.tables()
            if name in ("deals", "deal_history")
        },
    )
    result = forecast(model, rare, draws=400)
    for table in (result.periods, result.by_team, result.by_rep):
        assert (table["low"] <= table["expected"]).all()
        assert (table["expected"] <= table["high"]).all()
    # widened to hold it, since nine of ten futures lie below
    assert (result.periods["high"] == result.periods["expected"]).any()


def test_what_is_said_of_the_quota_follows_what_is_expected_and_not_what_is_booked(found):
    row = found.periods.iloc[[0]].assign(
        expected=400_000.0, low=300_000.0, high=500_000.0, booked=100_000.0, commit=250_000.0, quota=1_000_000.0,
        attainment=0.4, p_quota=0.02,
    )  # fmt: skip
    assert dataclasses.replace(found, periods=row, notes=(), currency="EUR").sentences() == [
        "This month: €400,000 expected (80% interval €300,000 to €500,000). That is 40% of the quota; the odds of "
        "reaching it are 2%. €100,000 of the expected amount is booked already. Commit: €250,000."
    ]


def test_what_was_won_since_the_period_began_is_booked(world, found):
    crm = world.crm
    start = crm.known_until.normalize().replace(day=1)
    won = crm.deals[(crm.deals["outcome"] == "won") & (crm.deals["closed_at"] >= start)]
    assert found.periods["booked"].iloc[0] == pytest.approx(won["amount"].sum())


def test_teams_and_reps_add_up_to_the_company(found):
    for level in (found.by_team, found.by_rep):
        sums = level.groupby("period")["open_pipeline"].sum()
        company = found.periods.set_index("period")["open_pipeline"]
        np.testing.assert_allclose(sums[company.index], company)


#: In the last month of a quarter, where month and quarter end alike and the next ones begin alike; and a month before.
LAST_MONTH, MONTH_BEFORE = "2024-12-09", "2024-11-19"


@pytest.fixture(scope="module")
def late_model(world, quick_config):
    return train(world.crm, quick_config, as_of=MONTH_BEFORE)


@pytest.fixture(scope="module")
def ending_alike(world, late_model):
    return forecast(late_model, world.crm, as_of=LAST_MONTH, draws=400, seed=3)


def levels(found) -> dict[str, pd.DataFrame]:
    return {"all": found.periods.assign(name="all"), "team": found.by_team, "rep": found.by_rep}


@pytest.mark.parametrize("level", ["all", "team", "rep"])
def test_periods_that_end_alike_differ_by_what_was_booked_alone(ending_alike, level):
    rows = levels(ending_alike)[level].set_index("name")
    month, quarter = (rows[rows["period"] == name] for name in ("this month", "this quarter"))
    assert (month["ends"] == quarter["ends"]).all()
    for column in ("open_pipeline", "not_yet_created"):
        pd.testing.assert_series_equal(month[column], quarter[column], check_exact=True)
    booked = quarter["booked"] - month["booked"]
    for column in ("expected", "low", "high", "commit", "best_case"):
        np.testing.assert_allclose(quarter[column] - month[column], booked, atol=1e-6)


@pytest.mark.parametrize("level", ["all", "team", "rep"])
@pytest.mark.parametrize(
    ("day", "short", "long"),
    [(MONTH_BEFORE, "this month", "this quarter"), (LAST_MONTH, "next month", "next quarter")],
)
def test_a_longer_period_is_never_below_a_shorter_one(world, late_model, day, short, long, level):
    rows = levels(forecast(late_model, world.crm, as_of=day, draws=100))[level].set_index("name")
    shorter, longer = (rows[rows["period"] == name] for name in (short, long))
    for column in ("open_pipeline", "not_yet_created", "expected"):
        assert (longer[column] >= shorter[column]).all()


def test_chances_by_period_stay_below_the_win_odds(found):
    deals = found.deals
    both = deals["p this month"] + deals["p next month"]
    assert (both <= deals["win_probability"] + 1e-9).all()


def test_quotas_are_met_against(world, model):
    crm = world.crm
    users = crm.deals["owner_id"].dropna().unique()[:3]
    quarter = periods_at(crm.known_until)[2]
    quotas = pd.DataFrame({"user_id": users, "amount": [1e3, 1e12, 5e4]})
    quotas = quotas.assign(period_start=quarter.starts, period_end=quarter.ends - pd.Timedelta(days=1))
    result = forecast(
        model,
        CRMData.from_tables(
            **dict(crm.tables()), quotas=quotas, stage_order=crm.stage_order, known_until=crm.known_until
        ),
        draws=300,
    )
    row = result.periods.set_index("period").loc["this quarter"]
    assert row["quota"] == pytest.approx(quotas["amount"].sum())
    assert row["p_quota"] == 0.0
    assert result.periods.set_index("period").loc["this month", "quota"] != row["quota"]
    reps = result.by_rep[result.by_rep["period"] == "this quarter"].set_index("name")
    assert reps["quota"].notna().sum() == 3
    assert any("of the quota; the odds of reaching it are 0%." in sentence for sentence in result.sentences())


def test_the_same_seed_gives_the_same_forecast_whatever_the_order_of_rows(world, model, found):
    shuffled = {name: frame.sample(frac=1, random_state=4).reset_index(drop=True) for name, frame in world.crm.tables()}
    again = forecast(model, dataclasses.replace(world.crm, **shuffled), draws=800)
    pd.testing.assert_frame_equal(again.periods, found.periods)
    pd.testing.assert_frame_equal(again.by_rep, found.by_rep)


def test_nothing_recorded_later_is_used(world, quick_config):
    day = pd.Timestamp("2024-10-10", tz="UTC")
    model = train(world.crm, quick_config, as_of=day)
    whole = forecast(model, world.crm, as_of=day, draws=200)
    cut = forecast(model, world.crm.as_known_at(day), draws=200)
    pd.testing.assert_frame_equal(whole.periods, cut.periods)
    with pytest.raises(WinPredictError, match="would know the future"):
        forecast(model, world.crm, as_of="2024-06-01")


def test_undated_deals_or_deals_without_amounts_get_a_sentence(world, model, quick_config):
    bare = world.crm.deals.assign(amount=np.nan)
    none = dataclasses.replace(world.crm, deals=bare, deal_history=world.crm.deal_history.drop(columns="amount"))
    assert "No deal has an amount" in forecast(model, none).sentences()[0]
    undated = dataclasses.replace(world.crm, deals=bare.assign(created_at=pd.NaT, closed_at=pd.NaT), known_until=None)
    assert "no dates" in forecast(model, undated).sentences()[0]


def test_amounts_of_several_currencies_are_added_with_a_note(world, model):
    mixed = world.crm.deals.assign(currency=np.where(np.arange(len(world.crm.deals)) % 2, "USD", "EUR"))
    note = "Amounts in EUR and USD are added without conversion."
    several = forecast(model, dataclasses.replace(world.crm, deals=mixed), draws=50)
    assert note in map(str, several.notes)
    assert several.currency is None
    single = forecast(model, dataclasses.replace(world.crm, deals=mixed.assign(currency="EUR")), draws=50)
    assert note not in map(str, single.notes)
    assert single.currency == "EUR"
    assert single.sentences()[0].startswith("This month: €")


def test_new_business_counts_what_is_created_from_now_on():
    """One deal a day, each won on its tenth day: of those created from now on, 20 are won within 30 days."""
    coming = NewBusiness(1.0, np.where(np.arange(100) >= 10, 1.0, 0.0), np.array([5.0]))
    assert coming.wins(0, 30) == pytest.approx(20)
    assert coming.wins(30, 60) == pytest.approx(30)


def test_past_forecasts_are_judged_beside_their_rivals(world):
    config = Config.model_validate({"model": {"bags": 1, "trees": 30, "learning_rate": 0.1, "threads": 1}})
    found = backtest_forecast(world.crm, config, cutoffs=2, draws=200)
    assert set(found.overall.index) == {"winpredict", "stage-weighted", "same period last year"}
    assert found.overall.loc["winpredict", "coverage"] == pytest.approx(
        (
            (found.forecasts["actual"] >= found.forecasts["low"])
            & (found.forecasts["actual"] <= found.forecasts["high"])
        ).mean()
    )
    assert (found.forecasts["ends"] <= world.crm.known_until).all()
    assert "mean error" in found.sentences()[0]


def test_too_short_a_history_for_past_forecasts_is_said(world):
    with pytest.raises(WinPredictError, match="longer history"):
        backtest_forecast(world.crm.as_known_at("2023-03-01"), cutoffs=1)


def changed(crm, *, deals=None, **more):
    """A copy with some columns of some deals set: {deal_id: {column: value}}."""
    table = crm.deals.set_index("deal_id")
    for deal, values in (deals or {}).items():
        for column, value in values.items():
            table.loc[deal, column] = value
    return dataclasses.replace(crm, deals=table.reset_index()[crm.deals.columns], **more)


def lately_won(crm, days=90):
    deals = crm.deals
    return deals[(deals["outcome"] == "won") & (deals["closed_at"] >= crm.known_until - pd.Timedelta(days=days))]


@pytest.mark.parametrize("placeholders", [1, 30])
def test_placeholder_amounts_do_not_multiply_the_forecast(world, model, found, placeholders):
    crm = world.crm
    won = lately_won(crm, 300).sort_values("closed_at")["deal_id"].tail(placeholders)
    history = crm.deal_history.copy()
    history.loc[history["deal_id"].isin(won) & history["amount"].notna(), "amount"] = 1.0
    periods = forecast(model, dataclasses.replace(crm, deal_history=history), draws=800).periods
    np.testing.assert_allclose(periods["expected"], found.periods["expected"], rtol=0.1)
    assert periods["expected"].between(periods["low"], periods["high"]).all()


def test_deals_without_a_creation_or_closed_before_it_count_as_far_as_they_go(world, model, found):
    crm = world.crm
    undated, backwards = lately_won(crm)["deal_id"].head(2)
    closed = crm.deals.set_index("deal_id").loc[backwards, "closed_at"]
    deals = {undated: {"created_at": pd.NaT}, backwards: {"created_at": closed + pd.Timedelta(days=3)}}
    periods = forecast(model, changed(crm, deals=deals), draws=800).periods
    np.testing.assert_allclose(periods["expected"], found.periods["expected"], rtol=0.1)


def test_by_default_nothing_recorded_after_the_end_of_knowledge_is_used(world, quick_config):
    day = pd.Timestamp("2024-11-15", tz="UTC")
    model = train(world.crm, quick_config, as_of=day)
    ends_there = dataclasses.replace(world.crm, known_until=day)
    by_default, cut = forecast(model, ends_there, draws=200), forecast(model, world.crm, as_of=day, draws=200)
    pd.testing.assert_frame_equal(by_default.periods, cut.periods)
    pd.testing.assert_frame_equal(by_default.by_rep, cut.by_rep)


def test_a_day_before_all_deals_gets_a_sentence(world, model):
    timeless = dataclasses.replace(model, trained_as_of=None)
    assert "No deal was created before" in forecast(timeless, world.crm, as_of="2001-01-01").sentences()[0]


QUARTER = (pd.Timestamp("2025-01-01", tz="UTC"), pd.Timestamp("2025-04-01", tz="UTC"))
MONTHS = [("2025-01-01", "2025-01-31"), ("2025-02-01", "2025-02-28"), ("2025-03-01", "2025-03-31")]


def quarterly(rows, users=()):
    """Quotas of the first quarter from (user, first day, last day, amount), users from (id, name)."""
    quotas = pd.DataFrame(rows, columns=["user_id", "period_start", "period_end", "amount"])
    deals = pd.DataFrame(
        {"deal_id": ["a"], "outcome": ["open"], "stage": ["x"], "created_at": [None], "closed_at": [None]}
    )
    people = pd.DataFrame(users, columns=["user_id", "name"]) if users else None
    return quotas_of(CRMData.from_tables(deals, quotas=quotas, users=people), *QUARTER)


def test_quotas_of_several_lengths_are_not_added_up():
    monthly = [("u1", *month, 100.0) for month in MONTHS]
    assert quarterly(monthly)["rep"] == {"u1": 300.0}
    assert quarterly([*monthly, ("u1", "2025-01-01", "2025-03-31", 330.0)])["rep"] == {"u1": 330.0}


def test_reps_of_one_name_keep_their_quotas():
    rows = [("u1", "2025-01-01", "2025-03-31", 100.0), ("u2", "2025-01-01", "2025-04-01", 300.0)]
    found = quarterly(rows, [("u1", "Ann"), ("u2", "Ann")])
    assert found["rep"] == {"Ann (u1)": 100.0, "Ann (u2)": 300.0}
    assert found["overall"] == {"all": 400.0}


def test_a_quota_with_a_hole_is_none_nor_is_a_sum_with_it():
    holed = [("u1", *MONTHS[0], 100.0), ("u1", *MONTHS[2], 100.0)]
    whole = ("u2", "2025-01-01", "2025-03-31", 300.0)
    assert quarterly([*holed, whole]) == {"overall": {}, "team": {}, "rep": {"u2": 300.0}}
    company = (None, "2025-01-01", "2025-03-31", 500.0)
    assert quarterly([*holed, company])["overall"] == {"all": 500.0}


def test_the_future_business_of_a_rep_is_less_sure_than_that_of_the_company(world, model):
    crm = world.crm
    closed = dataclasses.replace(crm, deals=crm.deals[crm.deals["outcome"] != "open"].reset_index(drop=True))
    result = forecast(model, closed, draws=2000)
    company = result.periods.set_index("period").loc["next quarter"]
    reps = result.by_rep[result.by_rep["period"] == "next quarter"]
    spread = (reps["high"] - reps["low"]) / reps["expected"]
    assert spread.min() > 1.3 * (company["high"] - company["low"]) / company["expected"]
    assert reps["not_yet_created"].sum() == pytest.approx(company["not_yet_created"])


def test_business_of_nobodys_team_is_not_handed_to_the_named_teams(world, model):
    users = world.crm.users.assign(team=world.crm.users["team"].mask(world.crm.users["user_id"].str[-1] < "5"))
    result = forecast(model, dataclasses.replace(world.crm, users=users), draws=300)
    teams = result.by_team.groupby("period")["not_yet_created"].sum()
    company = result.periods.set_index("period")["not_yet_created"]
    assert (teams[company.index] < 0.8 * company).all()


class Sure(TrainedModel):
    """Every deal is won with 70%, at once."""

    def odds(self, features):
        return pd.DataFrame({"win_probability": np.full(len(features), 0.7)})

    def win_by(self, features, days, win_probability):
        return np.asarray(win_probability)[:, None] * (days > 0)


def test_what_is_expected_of_open_deals_is_their_odds_times_their_amounts(world, model):
    sure = Sure(**{each.name: getattr(model, each.name) for each in dataclasses.fields(model)})
    crm = dataclasses.replace(world.crm, deal_history=world.crm.deal_history.drop(columns="amount"))
    recipe = dataclasses.replace(model.recipe, attributes=(*model.attributes, "amount"))
    sure = dataclasses.replace(sure, recipe=recipe)
    result = forecast(sure, crm)
    row = result.periods.set_index("period").loc["this month"]
    assert row["open_pipeline"] == pytest.approx(0.7 * result.deals["amount"].sum())
    # what is simulated lies around it
    assert row["expected"] == pytest.approx((row["commit"] + row["best_case"]) / 2, rel=0.05)


def by_deal(rng, odds, shock, amount, ratios):
    """What each deal brings in each future, by the shortcut: every deal has an owner of its own."""
    groups = Groups(np.arange(len(amount)), len(amount))
    return won_by_owner(rng, [Odds(odds, shock)], amount, ratios, [groups])[0][0]


def drawn_plainly(rng, odds, shock, amount, ratios):
    """The same as it is defined: a deal is won where its luck is below its odds."""
    out = np.zeros((len(odds), len(shock)), dtype=np.float32)
    for row, (middle, mine) in enumerate(zip(odds, amount, strict=True)):
        won = rng.random(len(shock)) < expit(middle + shock)
        out[row, won] = mine * rng.choice(ratios, len(shock))[won]
    return out


@pytest.mark.parametrize("seed", range(6))
def test_futures_added_up_by_owner_are_those_of_each_deal_to_the_last_digit(seed):
    given = np.random.default_rng(seed)
    deals, draws = 300, 700
    amount = given.lognormal(9, 2, deals)
    odds = [given.normal(-2, 3, deals) for _ in range(3)]
    odds[0][:4] = -40.0, 40.0, np.nan, -20.7
    shocks = [each * given.standard_normal(draws) for each in (0.0, 0.5, 1.4)]
    ratios = np.ones(1) if seed == 0 else np.sort(given.lognormal(0, 0.4, 50))
    names = [f"owner {place}" for place in range(9)]
    owners = pd.Series(given.choice([*names[:-1], None], deals), dtype="str")
    groups = Groups.of(owners, names)
    rng = np.random.default_rng(seed)
    found = won_by_owner(
        rng, [Odds(*each) for each in zip(odds, shocks, strict=True)], amount, ratios, [Groups.whole(deals), groups]
    )
    for (whole, by_owner), middle, shock in zip(found, odds, shocks, strict=True):
        plain = np.random.default_rng(seed)
        drawn = drawn_plainly(plain, middle, shock, amount, ratios)
        assert (whole[0] == drawn.sum(axis=0)).all()
        for place, name in enumerate(names):
            mine = (owners == name).to_numpy(dtype=bool)
            assert (by_owner[place] == drawn[mine].sum(axis=0)).all()
            assert (groups.rows(place) == np.flatnonzero(mine)).all()
        assert plain.bit_generator.state == rng.bit_generator.state, "what is drawn next is the same too"


def test_quantiles_are_those_of_each_series():
    series = np.random.default_rng(0).lognormal(size=(150, 400))
    found = list(quantiles_of(enumerate(series), (0.1, 0.2, 0.8, 0.9)))
    assert [number for number, _, _ in found] == list(range(150))
    for number, total, quantiles in found:
        assert (total == series[number]).all()
        assert (quantiles == np.quantile(series[number], (0.1, 0.2, 0.8, 0.9))).all()
    assert not list(quantiles_of(iter(()), (0.1,)))


@pytest.mark.parametrize("most", [1, 10**9])
def test_periods_drawn_together_are_those_drawn_alone(world, model, monkeypatch, most):
    expected = forecast(model, world.crm, draws=300)
    monkeypatch.setattr("winpredict.insights.forecast._MOST_BYTES", most)
    found = forecast(model, world.crm, draws=300)
    for name in ("periods", "by_team", "by_rep", "deals", "booked"):
        pd.testing.assert_frame_equal(getattr(found, name), getattr(expected, name), check_exact=True)


def test_rows_of_reps_and_teams_add_up_to_the_company(world, model):
    found = forecast(model, world.crm, draws=300)
    whole = found.periods.set_index("period")
    for frame in (found.by_team, found.by_rep):
        assert not frame.duplicated(["name", "period"]).any()
        for column in ("booked", "open_pipeline", "not_yet_created", "expected", "pipeline"):
            of_all = frame.groupby("period")[column].sum()
            np.testing.assert_allclose(of_all.reindex(whole.index), whole[column], rtol=1e-9)


def test_deals_at_their_end_may_be_given(world, model):
    crm = world.crm
    expected, table = forecast(model, crm, draws=200), deals_at_end(crm, model.attributes_in(crm))
    found = forecast(model, crm, draws=200, at_end=table)
    pd.testing.assert_frame_equal(found.by_rep, expected.by_rep, check_exact=True)


@pytest.mark.parametrize("spread", [0.3, 0.8, 1.2])
def test_a_shock_leaves_the_odds_as_they_are_on_average(spread):
    noise = np.random.default_rng(0).standard_normal(200_000)
    shock, chances = spread * np.r_[noise, -noise], np.array([1e-6, 0.02, 0.3, 0.8, 0.99])
    middles = middle_log_odds(chances, spread)
    for middle, chance in zip(middles, chances, strict=True):
        assert expit(middle + shock).mean() == pytest.approx(chance, rel=0.01)
    amounts, ratios = np.arange(1.0, 6.0), np.array([0.5, 1.0, 1.8])
    drawn = by_deal(np.random.default_rng(1), middles, shock, amounts, ratios)
    np.testing.assert_allclose(drawn.mean(axis=1)[1:], (chances * amounts * ratios.mean())[1:], rtol=0.03)


def test_a_deal_has_the_same_luck_whatever_its_odds():
    shock = 0.5 * np.random.default_rng(0).standard_normal(500)
    odds, amounts, ratios = np.linspace(-2.0, 1.0, 20), np.ones(20), np.array([0.5, 1.0, 1.8])
    lower, higher = (by_deal(np.random.default_rng(1), odds + more, shock, amounts, ratios) for more in (0.0, 0.4))
    assert (higher >= lower).all()
    assert ((higher == lower) | (lower == 0)).all()


def test_reps_without_new_deals_keep_their_open_and_booked_ones(world, model):
    crm = world.crm
    opened = crm.deals[crm.deals["outcome"] == "open"]["deal_id"].iloc[0]
    won = lately_won(crm, 60)
    won = won.loc[won["closed_at"] >= "2025-01-01", "deal_id"].iloc[0]
    old = {"created_at": crm.known_until - pd.Timedelta(days=200)}
    deals = {opened: {"owner_id": "keeper", **old}, won: {"owner_id": "closer", **old}}
    history = crm.deal_history.assign(
        owner_id=crm.deal_history["owner_id"].mask(crm.deal_history["deal_id"].isin([opened, won]))
    )
    result = forecast(model, changed(crm, deals=deals, deal_history=history), draws=200)
    reps = result.by_rep[result.by_rep["period"] == "this quarter"].set_index("name")
    assert reps.loc["keeper", "expected"] > 0
    assert reps.loc["closer", "booked"] > 0
    assert len(result.by_rep) == 4 * len(reps)


@pytest.mark.parametrize(
    ("which", "said"), [(["won"], "with the average of the others"), (["won", "open"], "count as nothing")]
)
def test_deals_without_amounts_are_forecast_from_others_and_never_as_nan(world, model, which, said):
    crm = world.crm
    nameless = set(crm.deals.loc[crm.deals["outcome"].isin(which), "deal_id"])
    nameless |= set(crm.deals.loc[crm.deals["outcome"] == "open", "deal_id"].head(3))
    deals = crm.deals.assign(amount=crm.deals["amount"].mask(crm.deals["deal_id"].isin(nameless)))
    history = crm.deal_history.assign(
        amount=crm.deal_history["amount"].mask(crm.deal_history["deal_id"].isin(nameless))
    )
    result = forecast(model, dataclasses.replace(crm, deals=deals, deal_history=history), draws=200)
    told = " ".join(result.sentences())
    assert "nan" not in told
    assert said in told
    assert result.periods["expected"].notna().all()


def test_amounts_of_zero_are_no_amounts(world, model):
    crm = world.crm
    won = crm.deals[crm.deals["outcome"] == "won"]
    opened = crm.deals.loc[crm.deals["outcome"] == "open", "deal_id"].iloc[0]
    zero = {deal: {"amount": 0.0} for deal in [*won["deal_id"].head(len(won) // 2), opened]}
    is_zero = crm.deal_history["deal_id"].isin(zero)
    history = crm.deal_history.assign(amount=crm.deal_history["amount"].mask(is_zero, 0.0))
    result = forecast(model, changed(crm, deals=zero, deal_history=history), draws=200)
    stood_in = result.deals.set_index("deal_id").loc[opened, "amount"]
    assert stood_in == pytest.approx(won["amount"].iloc[len(won) // 2 :].mean())


def test_undated_deals_have_no_past_forecasts(world):
    bare = world.crm.deals.assign(created_at=pd.NaT, closed_at=pd.NaT)
    with pytest.raises(WinPredictError, match="carry no dates"):
        backtest_forecast(CRMData.from_tables(bare))
