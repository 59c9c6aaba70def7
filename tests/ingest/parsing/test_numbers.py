"""Numbers as people export them: each cell's value, and how a column's separators are decided."""

import json
import random
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from winpredict.ingest.parsing import numbers as numbers_module
from winpredict.ingest.parsing.currencies import currency_codes, parse_unit
from winpredict.ingest.parsing.number_formats import NumberFormat, NumberHints, number_format
from winpredict.ingest.parsing.numbers import Numbers, number_hints, to_numbers
from winpredict.tables.schema import text_dtype

NBSP, NARROW, THIN, FIGURE, WIDE = "\u00a0", "\u202f", "\u2009", "\u2007", "\u3000"


def column(*texts: str | None) -> pd.Series:
    return pd.Series(texts, dtype=text_dtype())


def read(*texts: str | None, decimal: str = "", money: bool = False) -> list[float | None]:
    """Numbers of a column in the format that its cells tell; None where unread or missing."""
    texts_ = column(*texts)
    numbers = to_numbers(texts_, number_format(number_hints(texts_), decimal=decimal, money=money))
    return [None if pd.isna(value) else value for value in numbers.values]


def form_of(*texts: str | None, decimal: str = "", money: bool = False) -> NumberFormat:
    return number_format(number_hints(column(*texts)), decimal=decimal, money=money)


# --- single cells ---------------------------------------------------------------------------------------------------

#: Text, its number, and the ISO code that it names ("" for none, or one that is not clear).
READ = [
    # plain
    ("0", 0, ""),
    ("7", 7, ""),
    ("007", 7, ""),
    ("14875.28", 14875.28, ""),
    ("-14875.28", -14875.28, ""),
    ("+5", 5, ""),
    (".5", 0.5, ""),
    ("-.5", -0.5, ""),
    (",5", 0.5, ""),
    ("5.", 5, ""),
    ("0.125", 0.125, ""),
    ("0,125", 0.125, ""),
    ("1234.567", 1234.567, ""),
    ("1234,567", 1234.567, ""),
    ("12,5", 12.5, ""),
    ("1,2345", 1.2345, ""),
    ("0.1234567890123456789", 0.1234567890123456789, ""),
    ("12345678901234567890", 12345678901234567890.0, ""),
    ("10624.804772627567", 10624.804772627567, ""),
    # scientific
    ("1.24E+05", 124000, ""),
    ("1,24E+05", 124000, ""),
    ("1e5", 100000, ""),
    ("1.e5", 100000, ""),
    ("2E\u22123", 0.002, ""),
    ("-1.5e-3", -0.0015, ""),
    ("\u22121.5E3", -1500, ""),
    # grouped
    ("1,234,567", 1234567, ""),
    ("1.234.567", 1234567, ""),
    ("1.234,56", 1234.56, ""),
    ("1,234.56", 1234.56, ""),
    ("1.234,567", 1234.567, ""),
    ("1 234 567", 1234567, ""),
    ("14 875,28", 14875.28, ""),
    ("14 875.28", 14875.28, ""),
    ("1 234,567", 1234.567, ""),
    ("1'234'567.89", 1234567.89, ""),
    ("12,34,567.89", 1234567.89, ""),
    ("1,00,000", 100000, ""),
    # spaces of all kinds
    (f"14{NBSP}875,28", 14875.28, ""),
    (f"14{NARROW}875,28{NBSP}€", 14875.28, "EUR"),
    (f"14{THIN}875,28 €", 14875.28, "EUR"),
    (f"14{FIGURE}875,28 €", 14875.28, "EUR"),
    (f"€{NBSP}14{NBSP}875,28", 14875.28, "EUR"),
    (f"500{WIDE}円", 500, "JPY"),
    ("\u200e1 200\u200f €", 1200, "EUR"),
    # currencies
    ("12.500 €", 12500, "EUR"),
    ("€ 14 875,28", 14875.28, "EUR"),
    ("EUR 1,200", 1200, "EUR"),
    ("EUR1200", 1200, "EUR"),
    ("1200EUR", 1200, "EUR"),
    ("1200 eur", 1200, "EUR"),
    ("1200 Euro", 1200, "EUR"),
    ("1200 euros", 1200, "EUR"),
    ("SEK 1 200", 1200, "SEK"),
    ("1 200 kr", 1200, ""),
    ("1.200,50 kr.", 1200.5, ""),
    ("1 200 SEK kr", 1200, "SEK"),
    ("Fr. 1'200", 1200, "CHF"),
    ("Fr.1'200", 1200, "CHF"),
    ("SFr. 1'200", 1200, "CHF"),
    ("CHF 14’875.28", 14875.28, "CHF"),
    ("$1,200", 1200, "USD"),
    ("$.50", 0.5, "USD"),
    ("US$ 1,200", 1200, "USD"),
    ("USD $1,200", 1200, "USD"),
    ("1 200 $US", 1200, "USD"),
    ("1 200,00 $ CA", 1200, "CAD"),
    ("$1,200 CAD", 1200, "CAD"),
    ("COP $ 1.200.000", 1200000, "COP"),
    ("A$1,200", 1200, "AUD"),
    ("CA$1,200", 1200, "CAD"),
    ("R$ 1.234,56", 1234.56, "BRL"),
    ("MX$1,200", 1200, "MXN"),
    ("HK$ 1,200", 1200, "HKD"),
    ("＄1,200", 1200, "USD"),
    ("£1,200.50", 1200.5, "GBP"),
    ("¥1,200", 1200, ""),
    ("￥1,200", 1200, ""),
    ("¥1,200 CNY", 1200, "CNY"),
    ("JP¥1,200", 1200, "JPY"),
    ("1,200円", 1200, "JPY"),
    ("1,200元", 1200, "CNY"),
    ("RMB 1,200", 1200, "CNY"),
    ("1 234,56 zł", 1234.56, "PLN"),
    ("500 руб.", 500, "RUB"),
    ("1 234,56 ₽", 1234.56, "RUB"),
    ("₹12,34,567", 1234567, "INR"),
    ("Rs. 500/-", 500, ""),
    ("Rs 500", 500, ""),
    ("1 200 Kč", 1200, "CZK"),
    ("1 200 Ft", 1200, "HUF"),
    ("₪1,200", 1200, "ILS"),
    ("R 1 200,00", 1200, "ZAR"),
    ("1 200 F CFA", 1200, ""),
    ("KWD 1250.500", 1250.5, "KWD"),
    ("1200 US dollars", 1200, "USD"),
    ("1200 US-Dollar", 1200, "USD"),
    ("1200 Schweizer Franken", 1200, "CHF"),
    # multipliers
    ("$1.2M", 1200000, "USD"),
    ("1.2m", 1200000, ""),
    ("50K", 50000, ""),
    ("50k", 50000, ""),
    ("$14.9K", 14900, "USD"),
    ("$0.04M", 40000, "USD"),
    ("€1.2bn", 1.2e9, "EUR"),
    ("$1.2MM", 1200000, "USD"),
    ("$M 3", 3000000, "USD"),
    ("1,5 Mio. €", 1500000, "EUR"),
    ("1,5 Mio.€", 1500000, "EUR"),
    ("Mio. € 1,5", 1500000, "EUR"),
    ("2,3 Mrd", 2.3e9, ""),
    ("1,2 Md€", 1.2e9, "EUR"),
    ("12 Tsd.", 12000, ""),
    ("12 k€", 12000, "EUR"),
    ("12,5 K€", 12500, "EUR"),
    ("12 T€", 12000, "EUR"),
    ("12 TEUR", 12000, "EUR"),
    ("3 MSEK", 3000000, "SEK"),
    ("12 tkr", 12000, ""),
    ("3 millions d'euros", 3000000, "EUR"),
    ("1,5 milioni di euro", 1500000, "EUR"),
    ("1,2 milhões de reais", 1200000, "BRL"),
    ("1,2 miljoen", 1200000, ""),
    ("1.2 mln zł", 1200000, "PLN"),
    ("3 млн ₽", 3000000, "RUB"),
    ("1,2 тыс.", 1200, ""),
    ("500 тыс. руб.", 500000, "RUB"),
    ("500 т.р.", 500000, "RUB"),
    ("12万円", 120000, "JPY"),
    ("1.5億", 150000000, ""),
    ("1,200千円", 1200000, "JPY"),
    ("3百万円", 3000000, "JPY"),
    ("12万元", 120000, "CNY"),
    ("₹1.2 Cr", 12000000, "INR"),
    ("₹ 12 lakh", 1200000, "INR"),
    ("R$ 12 mil", 12000, "BRL"),
    ("1.2 million US dollars", 1200000, "USD"),
    ("7 Cr INR", 70000000, "INR"),
    ("50 тыс. ₽", 50000, "RUB"),
    ("1,2 Mrd. Euro", 1.2e9, "EUR"),
    ("2 mld zł", 2e9, "PLN"),
    ("kEUR 12", 12000, "EUR"),
    ("USD 12K", 12000, "USD"),
    ("£1.2m", 1200000, "GBP"),
    ("12億円", 1.2e9, "JPY"),
    ("1.2億元", 1.2e8, "CNY"),
    # negative
    ("(1,200)", -1200, ""),
    ("($1,200.50)", -1200.5, "USD"),
    ("$(1,200)", -1200, "USD"),
    ("(1.200,50 €)", -1200.5, "EUR"),
    ("(1.200,50) €", -1200.5, "EUR"),
    ("-$1,200", -1200, "USD"),
    ("$-1,200", -1200, "USD"),
    ("- 500", -500, ""),
    ("\u22121 200,50 €", -1200.5, "EUR"),
    ("–500", -500, ""),
    ("27377.64-", -27377.64, ""),
    ("1200- €", -1200, "EUR"),
    # no cents
    ("1.200,-", 1200, ""),
    ("1.200,--", 1200, ""),
    ("1.200,– €", 1200, "EUR"),
    ("1200,-", 1200, ""),
    ("Fr. 1'200.–", 1200, "CHF"),
    ("Fr. 1'200.—", 1200, "CHF"),
    ("1,200.-", 1200, ""),
    # full width, and what spreadsheets put around texts
    ("１２，５００", 12500, ""),
    ("１２３４．５", 1234.5, ""),
    ("１，２３４，５００円", 1234500, "JPY"),
    ('="1200"', 1200, ""),
    ("'1200", 1200, ""),
]

UNREAD = [
    "TBD 500",
    "TBD",
    "Q1 2024",
    "US$ 1 of 5",
    "0x10",
    "#REF!",
    "#N/A",
    "12.5.2024",
    "2024-03",
    "2024-03-31",
    "31/03/2024",
    "12:30",
    "14-19k",
    "10 - 20",
    "1/2",
    "½",
    "12²",
    "①",
    "15%",
    "15 %",
    "1e400",
    "inf",
    "-inf",
    "nan",
    "infinity",
    "12 34",
    "1 2 3",
    "1  200",
    "1 20 000",
    "1234 567",
    "1,23,4",
    "1,,200",
    "1.200.50",
    "1,200,50",
    "1.234 567,89",
    "1,234 567",
    "1, 200",
    "012,345.6",
    "0 125",
    "1_000",
    "1200,",
    "..5",
    "1.2.3",
    "192.168.1.1",
    "--5",
    "+-5",
    "-5-",
    "(-1,200)",
    "(1,200",
    "1,200)",
    "((5))",
    "[1200]",
    "1200 -",
    "~1200",
    ">1200",
    "1200+",
    "1200?",
    "1200*",
    "ca. 1200",
    "1200/month",
    "5 days",
    "200 h",
    "5 x 200",
    "€ 1200 USD",
    "1200 £ €",
    "K12",
    "M 12",
    "12R",
    "12 KK",
    "12 K M",
    "10 T",
    "1 Cr",
    "12 mil",
    "12 bi",
    "12 L",
    "TOP 10",
    "try 5",
    "12 EURO USD GBP",
    "1e5 €",
    "12E",
    "E5",
    "12€50",
    "ABC",
    "€",
    "-",
    "()",
    "1200 €!",
    "１２²",
    "006Dn0000000001",
    "Opp 17",
    "1" * 97,
]


@pytest.mark.parametrize(("text", "number", "currency"), READ)
def test_a_cell_is_read(text: str, number: float, currency: str) -> None:
    numbers = to_numbers(column(text), form_of(text, money=True))
    assert numbers.values[0] == number
    assert not numbers.unread[0]
    assert (numbers.currency[0] == currency) if currency else pd.isna(numbers.currency[0])


@pytest.mark.parametrize("text", UNREAD)
@pytest.mark.parametrize("decimal", [".", ","])
def test_a_cell_is_unread_whatever_the_separators(text: str, decimal: str) -> None:
    numbers = to_numbers(column(text), NumberFormat("." if decimal == "." else ","))
    assert np.isnan(numbers.values[0])
    assert numbers.unread[0]
    assert pd.isna(numbers.currency[0])


def test_currencies_that_several_countries_write_alike_are_left_open() -> None:
    for text in ("1 200 kr", "¥1,200", "Rs 500", "1 200 francs", "500 pesos", "1 200 FCFA"):
        numbers = to_numbers(column(text, "1200 kr SEK", "¥5 JPY"))
        assert not numbers.unread.any()
        assert pd.isna(numbers.currency[0])
        assert numbers.currency.tolist()[1:] == ["SEK", "JPY"]


def test_negative_zero_is_zero() -> None:
    assert str(to_numbers(column("-0.0")).values[0]) == "0.0"


def test_a_currency_is_missing_where_the_number_is_unread() -> None:
    numbers = to_numbers(column("€ 12,5", "€ 14.5"), NumberFormat("."))
    assert numbers.currency.tolist()[1] == "EUR"
    assert pd.isna(numbers.currency[0])
    assert numbers.unread.tolist() == [True, False]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("Euro", "EUR"),
        ("dólares estadounidenses", "USD"),
        ("dollars canadiens", "CAD"),
        ("Schweizer Franken", "CHF"),
        ("российских рублей", "RUB"),
        ("złotych polskich", "PLN"),
        ("ユーロ", "EUR"),
        ("円", "JPY"),
    ],
)
def test_names_of_currencies_in_the_languages_of_the_vocabulary(name: str, code: str) -> None:
    unit = parse_unit("", name)
    assert unit is not None
    assert unit.currency == code


def test_codes_are_those_of_currencies_in_use() -> None:
    assert {"EUR", "USD", "SEK", "PLN", "HRK", "BGN"} <= currency_codes()
    assert not {"TBD", "XXX", "XAU", "XTS", "FRF", "TOP"} & currency_codes()


# --- the separators of a column -------------------------------------------------------------------------------------


def test_one_comma_among_dots_is_unread_and_rescales_nothing() -> None:
    plain = [f"{number * 100}.0" for number in range(1, 150)]
    assert read("12,5", *plain) == [None, *(number * 100.0 for number in range(1, 150))]
    form = form_of("12,5", *plain)
    assert form == NumberFormat(
        ".", True, "numbers are read as in 100.0 (149); cells such as 12,5 (1) contradict that: not read"
    )


def test_one_dot_among_commas_is_unread() -> None:
    assert read("12.5", *["14875,28"] * 149)[:2] == [None, 14875.28]


def test_one_decimal_comma_among_grouped_amounts_is_unread() -> None:
    assert read("12,5", *["$14,875"] * 149)[:2] == [None, 14875]
    assert read("12,5", *["14,875"] * 149, money=True)[:2] == [None, 14875]
    assert read("12,5", *["14,875"] * 149)[:2] == [None, 14875]


def test_one_decimal_dot_among_grouped_amounts_is_unread() -> None:
    texts = ["12.5", *["14.875 €"] * 149]
    assert read(*texts)[:2] == [None, 14875]
    assert form_of(*texts).reason == (
        "numbers are read as in 14.875 € (149); cells such as 12.5 (1) contradict that: not read"
    )


def test_one_grouped_amount_among_decimals_is_unread() -> None:
    """12.500 can be the 12,500 of a European colleague: money with three decimals is not likely."""
    assert read("12.500", *["14875.28"] * 149, money=True)[:2] == [None, 14875.28]
    assert read("12.500", *["14875.28"] * 149)[:2] == [12.5, 14875.28]
    assert read("12.500", *["950.125", "14875.125"] * 70, money=True)[:2] == [12.5, 950.125]


def test_where_few_amounts_have_decimals_those_that_fit_two_readings_are_unread() -> None:
    texts = ("14,875", "23,100", "9,800", "12,5")
    assert read(*texts, money=True) == [None, None, None, 12.5]
    form = form_of(*texts, money=True)
    assert not form.certain
    assert form.reason == "numbers are read as in 12,5 (1); cells such as 14,875 (3) can mean two numbers: not read"
    assert read(*texts) == [14.875, 23.1, 9.8, 12.5]


def test_whole_numbers_decide_nothing_and_are_read_in_any_case() -> None:
    assert read("1200", "1 200", "12,5", "7") == [1200, 1200, 12.5, 7]
    assert form_of("1200", "7", None) == NumberFormat(".")
    assert form_of("1200", "7", decimal=",") == NumberFormat(",")


@pytest.mark.parametrize(
    ("deciding", "decimal"),
    [
        ("12.5", "."),
        ("0.125", "."),
        ("1234.567", "."),
        ("12.3456", "."),
        ("1,234,567", "."),
        ("1,234.56", "."),
        ("12,34,567", "."),
        ("14 875.280", "."),
        ("14 875.28", "."),
        ("1,200.-", "."),
        ("1.5E3", "."),
        ("12,5", ","),
        ("0,125", ","),
        ("1234,567", ","),
        ("1.234.567", ","),
        ("1.234,56", ","),
        ("14 875,280", ","),
        ("1'234,5", ","),
        ("1.200,-", ","),
        ("1,5E3", ","),
    ],
)
def test_cells_that_fit_one_reading_decide_for_the_others(deciding: str, decimal: str) -> None:
    form = form_of(deciding)
    assert form == NumberFormat("." if decimal == "." else ",")
    # the others follow, where three decimals are not unlikely
    assert read("2.250", deciding)[0] == (2.25 if decimal == "." else 2250)


def test_unclear_amounts_follow_those_that_decide() -> None:
    assert read("12.500 €", "14.875,28 €") == [12500, 14875.28]
    assert read("12,500", "14,875.28", money=True) == [12500, 14875.28]


def test_a_tie_is_decided_by_the_rest_of_the_file_or_not_at_all() -> None:
    texts = ("12.5", "12,5", "1200", "3.250")
    assert read(*texts) == [None, None, 1200, None]
    form = form_of(*texts)
    assert (form.decimal, form.certain) == ("", False)
    assert "12.5 (1) and 12,5 (1) and 3.250 (1)" in form.reason
    assert read(*texts, decimal=".") == [12.5, None, 1200, None]
    assert read(*texts, decimal=",") == [None, 12.5, 1200, None]


def test_where_many_contradict_the_unclear_cells_are_unread() -> None:
    texts = [*["14.5"] * 60, *["14,5"] * 40, "3.250", "3,250", "1200"]
    assert read(*texts)[-3:] == [None, None, 1200]
    form = form_of(*texts)
    assert (form.decimal, form.certain, form.unclear) == (".", False, ".,")
    assert form.reason == (
        "numbers are read as in 14.5 (60); cells such as 14,5 (40) contradict that, "
        "and cells such as 3.250 (1) and 3,250 (1) can mean two numbers: not read"
    )


def test_what_a_person_declares_holds() -> None:
    hints = number_hints(column("12.500 €", "9.800 €", "1.234,56 €"))
    assert number_format(hints, declared=".") == NumberFormat(".")
    assert number_format(hints, declared="guess").decimal == ","


# --- every cell fits two readings -----------------------------------------------------------------------------------


@pytest.mark.parametrize("suggested", ["", ".", ","])
def test_amounts_with_three_digits_behind_every_dot_are_grouped(suggested: str) -> None:
    texts = ("14.875 €", "9.800 €", "900 €")
    assert read(*texts, decimal=suggested) == [14875, 9800, 900]
    form = form_of(*texts, decimal=suggested)
    assert form.certain == (suggested == ",")
    assert form.reason == "14.875 € is read as 14875 (every amount with a dot has exactly three digits behind it)"


@pytest.mark.parametrize("suggested", ["", ".", ","])
def test_amounts_with_three_digits_behind_every_comma_are_grouped(suggested: str) -> None:
    assert read("14,875", "9,800", decimal=suggested, money=True) == [14875, 9800]
    form = form_of("14,875", "9,800", decimal=suggested, money=True)
    assert form.certain == (suggested == ".")
    assert form.reason == "14,875 is read as 14875 (every amount with a comma has exactly three digits behind it)"


def test_numbers_that_are_no_money_are_read_as_the_file_suggests_else_as_programs_write_them() -> None:
    assert read("12.500", "1.250") == [12.5, 1.25]
    assert form_of("12.500") == NumberFormat(
        ".", True, "12.500 is read as 12.5 (the dot is taken for the decimal separator)"
    )
    assert read("12.500", "1.250", decimal=".") == [12.5, 1.25]
    assert read("12.500", "1.250", decimal=",") == [12500, 1250]
    assert form_of("12.500", decimal=",") == NumberFormat(
        ",", False, "12.500 is read as 12500 (as in the rest of the file)"
    )
    assert read("14,875") == [14875]
    assert not form_of("14,875").certain
    assert read("14,875", decimal=",") == [14.875]
    assert read("14,875", "12.500") == [14875, 12.5]


def test_currencies_with_three_decimals_have_them() -> None:
    assert read("KWD 12.500", "KWD 9.800") == [12.5, 9.8]
    assert read("12,500 TND", decimal=",") == [12.5]


def test_thousands_and_millions_have_three_decimals() -> None:
    assert read("$14.875K", "$9.800K") == [14875, 9800]
    assert read("1,250 Mio. €", decimal=",") == [1250000]
    assert read("1.250 Mio. €", decimal=",") == [1250000000]


def test_a_dot_is_unread_where_large_amounts_are_not_grouped() -> None:
    plain = ["12500"] * 20
    assert read("14.875", *plain, money=True)[:2] == [None, 12500]
    assert read("14.875", *plain, money=True, decimal=".")[:2] == [None, 12500]
    assert read("14.875", *plain, money=True, decimal=",")[:2] == [14875, 12500]
    assert read("14,875", *plain, money=True)[:2] == [14875, 12500]
    assert form_of("14.875", *plain, money=True).reason == (
        "14.875 is not read: other amounts have no dot between thousands"
    )
    # a few of them do not turn the others into small amounts
    assert read(*["14.875"] * 20, "12500", money=True)[0] == 14875


def test_dots_and_commas_between_thousands_in_one_column() -> None:
    many = ["14,875"] * 100
    assert read(*many, "12.500", money=True)[-2:] == [14875, None]
    assert read(*many, "12.500", money=True, decimal=",")[-2:] == [14875, None]
    assert read("14,875", "12.500", money=True) == [None, None]
    assert read("14,875", "12.500", money=True, decimal=",") == [None, 12500]
    assert read("14,875", "12.500", money=True, decimal=".") == [14875, None]


# --- hints ----------------------------------------------------------------------------------------------------------


def test_hints_count_cells() -> None:
    hints = number_hints(
        column("12.5", "12,5 €", "3.500 €", "3,500", "14.875K", "12500", "900", "1 200 kr", "soon", None, "$5")
    )
    assert hints == NumberHints(
        dot_decimal=1,
        comma_decimal=1,
        dot_unclear=2,
        comma_unclear=1,
        dot_precise=1,
        long_integers=1,
        with_currency=4,
        with_multiplier=1,
        unread=1,
        filled=10,
        currencies={"EUR": 2, "USD": 1},
        examples={"dot_decimal": "12.5", "comma_decimal": "12,5 €", "dot_unclear": "14.875K", "comma_unclear": "3,500"},
    )


def test_hints_are_plain_values() -> None:
    hints = number_hints(column("12,5 €", "14.875 €", "x"))
    assert NumberHints(**json.loads(json.dumps(asdict(hints)))) == hints


@pytest.mark.parametrize(
    "empty",
    [
        pd.Series([], dtype=text_dtype()),
        pd.Series([], dtype=object),
        column(None),
        pd.Series([None]),
        pd.Series([np.nan]),
    ],
)
def test_columns_without_values(empty: pd.Series) -> None:
    hints = number_hints(empty)
    assert hints == NumberHints()
    numbers = to_numbers(empty, number_format(hints))
    assert len(numbers.values) == len(empty)
    assert numbers.values.dtype == "float64"
    assert numbers.values.isna().all()
    assert not numbers.unread.any()
    assert numbers.unread.dtype == bool
    assert numbers.currency.isna().all()
    assert numbers.currency.dtype == text_dtype()


def test_index_and_name_stay() -> None:
    texts = pd.Series(["1 €", "x"], index=[7, 3], name="Montant", dtype=text_dtype())
    numbers = to_numbers(texts)
    for cells in parts_of(numbers):
        assert cells.index.tolist() == [7, 3]
        assert cells.name == "Montant"
    assert numbers.currency.dtype == text_dtype()


def test_texts_of_any_dtype() -> None:
    for dtype in (object, "string", "category"):
        texts = pd.Series(["1,5", None], dtype=dtype)
        assert to_numbers(texts).values[0] == 1.5
        assert not to_numbers(texts).unread[1]


# --- any column -----------------------------------------------------------------------------------------------------

CELLS = st.sampled_from([text for text, _, _ in READ] + UNREAD[:40]) | st.none()
COLUMNS = st.lists(CELLS, max_size=30)


@settings(max_examples=150, deadline=None)
@given(COLUMNS, st.integers(0, 30), st.sampled_from(["", ".", ","]), st.booleans())
def test_parts_joined_are_the_whole(texts: list[str | None], cut: int, decimal: str, money: bool) -> None:
    whole = column(*texts)
    one, other = whole.iloc[:cut], whole.iloc[cut:]
    hints = number_hints(one) | number_hints(other)
    assert hints == number_hints(whole) == number_hints(other) | number_hints(one)
    form = number_format(hints, decimal=decimal, money=money)
    first, second = (parts_of(to_numbers(part, form)) for part in (one, other))
    joined = Numbers(*(pd.concat(pair) for pair in zip(first, second, strict=True)))
    assert_same(to_numbers(whole, form), joined)


@settings(max_examples=100, deadline=None)
@given(COLUMNS, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(texts: list[str | None], shuffler: random.Random) -> None:
    whole = column(*texts)
    shuffled = whole.sample(frac=1, random_state=shuffler.randrange(1 << 30))
    assert number_hints(shuffled) == number_hints(whole)
    numbers = to_numbers(shuffled)
    assert_same(to_numbers(whole), Numbers(*(cells.sort_index() for cells in parts_of(numbers))))


@settings(max_examples=100, deadline=None)
@given(COLUMNS, st.booleans())
def test_books_balance(texts: list[str | None], money: bool) -> None:
    whole = column(*texts)
    hints = number_hints(whole)
    numbers = to_numbers(whole, number_format(hints, money=money))
    assert hints.filled == whole.notna().sum()
    assert (numbers.unread == (whole.notna() & numbers.values.isna())).all()
    assert np.isfinite(numbers.values.dropna()).all()
    assert numbers.unread.sum() >= hints.unread
    assert not (numbers.currency.notna() & numbers.unread).any()


@settings(max_examples=200, deadline=None)
@example(["١٢٣"])
@example(["²", "9²", "０.０"])
@given(st.lists(st.text(alphabet=st.characters(codec="utf-8"), max_size=12) | st.text("09.,'- €$KM()eE", max_size=10)))
def test_any_text_is_read_or_unread(texts: list[str]) -> None:
    whole = column(*texts)
    numbers = to_numbers(whole)
    assert (numbers.unread == (whole != "") & numbers.values.isna()).all()
    assert np.isfinite(numbers.values.dropna()).all()


STYLES = [("", "."), (",", "."), (" ", "."), ("'", "."), ("", ","), (".", ","), (" ", ","), (NARROW, ","), ("’", ".")]
AROUND = ["{}", "{} €", "€ {}", "EUR {}", "${}", "{} kr", "US$ {}", "Fr. {}", "{} Mio. €", "{}K", "{} тыс."]
TIMES = {"{} Mio. €": 6, "{}K": 3, "{} тыс.": 3}


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(-(10**13), 10**13), min_size=1, max_size=20),
    st.sampled_from(STYLES),
    st.sampled_from(AROUND),
)
def test_amounts_with_cents_come_back_exactly(cents: list[int], style: tuple[str, str], around: str) -> None:
    group, decimal = style
    texts = []
    for cent in cents:
        amount = f"{abs(cent) // 100:,}.{abs(cent) % 100:02d}"
        amount = amount.replace(",", "g").replace(".", decimal).replace("g", group)
        texts.append(("-" if cent < 0 else "") + around.format(amount))
    power = TIMES.get(around, 0)
    assert read(*texts) == [float(f"{cent}e{power - 2}") for cent in cents]


@pytest.mark.parametrize("cells", [1, 2, 5])
def test_long_columns_are_read_in_pieces(monkeypatch: pytest.MonkeyPatch, cells: int) -> None:
    texts = column("１２ €", None, "14 875,28 €", "x", "", None, "-3,5", "x" * 200, "0,125")
    whole, hints = to_numbers(texts), number_hints(texts)
    monkeypatch.setattr(numbers_module, "_CELLS", cells)
    assert number_hints(texts) == hints
    assert_same(to_numbers(texts), whole)
    assert whole.values.dropna().tolist() == [12, 14875.28, -3.5, 0.125]
    assert whole.unread.tolist() == [False, False, False, True, False, False, False, True, False]


@settings(max_examples=200, deadline=None)
@given(st.text("09.,'- €$KeE+−ｅ０億", max_size=10) | CELLS.map(lambda text: text or ""))
def test_texts_that_cannot_be_numbers_are_left_out_without_loss(text: str) -> None:
    texts = column(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numbers_module, "_MANY_SHAPES", 0)
        quick = to_numbers(texts)
    assert_same(quick, to_numbers(texts))


def test_columns_of_ids_and_sentences_are_unread() -> None:
    generator = random.Random(3)
    ids = ["006Dn" + "".join(generator.choices("abcXYZ0189", k=10)) for _ in range(3000)]
    texts = column(*ids, "12,5 €")
    numbers = to_numbers(texts)
    assert numbers.unread.sum() == 3000
    assert numbers.values.iloc[-1] == 12.5


def parts_of(numbers: Numbers) -> tuple[pd.Series, pd.Series, pd.Series]:
    return numbers.values, numbers.unread, numbers.currency


def assert_same(one: Numbers, other: Numbers) -> None:
    for left, right in zip(parts_of(one), parts_of(other), strict=True):
        pd.testing.assert_series_equal(left, right)
