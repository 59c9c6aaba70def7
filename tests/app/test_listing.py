import pytest
from desk_world import PEOPLE
from sqlalchemy import select

from winpredict.app.listing import DealQuery, Order, choices, falls_first, find_deals
from winpredict.app.records import Person

VALUES = {
    Order.STAKE: lambda row: (
        None if row.amount is None else row.amount * row.win_probability * (1 - row.win_probability)
    ),
    Order.ODDS: lambda row: row.win_probability,
    Order.CHANGE: lambda row: None if row.week_before is None else row.win_probability - row.week_before,
    Order.AMOUNT: lambda row: row.amount,
    Order.CLOSING: lambda row: row.expected_close_date,
    Order.SILENCE: lambda row: row.last_touch_at,
    Order.NAME: lambda row: row.name.lower(),
}


@pytest.fixture
def find(app):
    """The list as somebody asks for it."""

    def found(who: str, *, rows: int | None = None, with_names: bool = True, **query):
        with app.state.desk.database.reading() as session:
            person = session.scalar(select(Person).where(Person.email == PEOPLE[who][0]))
            return find_deals(session, person, DealQuery(**query), rows=rows, with_names=with_names)

    return found


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("order", Order)
def test_orders(find, order, reverse):
    values = [VALUES[order](row) for row in find("boss", order=order, reverse=reverse).rows]
    known = [each for each in values if each is not None]
    assert known == sorted(known, reverse=falls_first(order) != reverse)
    assert values[: len(known)] == known, "what is not known comes last"


def test_pages_are_the_list_cut(find):
    whole = [row.deal_id for row in find("boss").rows]
    pages = [find("boss", rows=7, page=number + 1) for number in range(-(-len(whole) // 7))]
    assert [row.deal_id for page in pages for row in page.rows] == whole
    assert {page.found for page in pages} == {len(whole)}
    typed = [row for row in find("boss").rows if row.amount is not None]
    assert pages[0].amount == pytest.approx(sum(row.amount for row in typed))
    assert pages[-1].expected == pytest.approx(sum(row.amount * row.win_probability for row in typed))


def test_a_sum_has_a_currency_where_all_of_it_is_in_one(find, changed, cast):
    assert find("boss").currencies == ("",)
    assert find("boss").currency == ""
    changed(cast.rep, currency="EUR")
    changed(cast.other_rep, currency="USD")
    assert find("rep").currency == "EUR"
    assert find("boss").currencies == ("", "EUR", "USD")
    assert find("boss").currency is None


def test_a_sum_of_unknown_amounts_is_not_known(find, changed, cast):
    changed(cast.rep, amount=None, currency="EUR")
    found = find("rep")
    assert found.found
    assert (found.amount, found.expected, found.currencies) == (None, None, ())
    nothing = find("rep", search="nothing of the kind")
    assert (nothing.amount, nothing.expected) == (0.0, 0.0)


def test_filters(find):
    whole = find("boss").rows
    for name in ("stage", "band"):
        value = getattr(whole[0], name)
        wanted = [row.deal_id for row in whole if getattr(row, name) == value]
        assert [row.deal_id for row in find("boss", **{name: value}).rows] == wanted
    owner = whole[0].owner_id
    assert {row.owner_id for row in find("boss", owner=owner).rows} == {owner}


def test_a_search_takes_nothing_for_a_pattern(find):
    one = find("boss").rows[0]
    assert one.deal_id in [row.deal_id for row in find("boss", search=one.name[1:].upper()).rows]
    for pattern in ("%", "_", "' OR 1=1 --", "\\"):
        assert not find("boss", search=pattern).rows


def test_who_reads_no_names_cannot_guess_them(find):
    one = find("boss").rows[0]
    assert not find("boss", with_names=False, search=one.name).rows
    by_stake = [row.deal_id for row in find("boss", with_names=False).rows]
    assert [row.deal_id for row in find("boss", with_names=False, order=Order.NAME).rows] == by_stake


def test_an_owner_that_one_may_not_see_is_no_way_in(find, cast):
    assert not find("rep", owner=cast.other_rep).rows


def test_choices_are_of_what_one_sees(app, find):
    with app.state.desk.database.reading() as session:
        person = session.scalar(select(Person).where(Person.email == PEOPLE["manager"][0]))
        offered = choices(session, person)
    seen = find("manager").rows
    assert set(offered.stages) == {row.stage for row in seen}
    assert {owner for owner, _ in offered.owners} == {row.owner_id for row in seen}
    bands = ["very low", "low", "medium", "high", "very high"]
    assert offered.bands == [each for each in bands if each in {row.band for row in seen}]
