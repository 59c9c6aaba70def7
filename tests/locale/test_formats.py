from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from winpredict.locale import formats
from winpredict.locale.language import speaking
from winpredict.locale.text import texts

NARROW = "\u202f"  # between thousands in French
NBSP = "\u00a0"  # before a unit

# style, value, and how it is written in en_US, fr and de
WRITTEN: list[tuple[str, Any, str, str, str]] = [
    ("number", 3.14, "3.1", "3,1", "3,1"),
    ("number", 2.0, "2", "2", "2"),
    ("number", 9.96, "10", "10", "10"),
    ("number", -1234.5, "−1,234", f"−1{NARROW}234", "−1.234"),
    ("count", 12345, "12,345", f"12{NARROW}345", "12.345"),
    ("count", -0.2, "0", "0", "0"),
    ("percent", 0.234, "23%", f"23{NBSP}%", f"23{NBSP}%"),
    ("percent", 0.004, "0.4%", f"0,4{NBSP}%", f"0,4{NBSP}%"),
    ("percent", 0.0, "0%", f"0{NBSP}%", f"0{NBSP}%"),
    ("percent", -0.05, "−5%", f"−5{NBSP}%", f"−5{NBSP}%"),
    ("percent", 0.997, "99.7%", f"99,7{NBSP}%", f"99,7{NBSP}%"),
    ("points", -0.031, "−3", "−3", "−3"),
    ("points", 0.12, "+12", "+12", "+12"),
    ("points", 0.0001, "0", "0", "0"),
    ("exact_points", -0.0312, "−3.1", "−3,1", "−3,1"),
    ("exact_points", 0.01, "+1.0", "+1,0", "+1,0"),
    ("exact_points", -0.0001, "0.0", "0,0", "0,0"),
    ("size_points", -0.031, "3", "3", "3"),
    ("exact_percent", 0.2341, "23.4%", f"23,4{NBSP}%", f"23,4{NBSP}%"),
    ("exact_percent", 0.5, "50.0%", f"50,0{NBSP}%", f"50,0{NBSP}%"),
    ("multiple", 1.234, "1.2", "1,2", "1,2"),
    ("multiple", 12.4, "12", "12", "12"),
    ("multiple", 0.0, "0", "0", "0"),
    ("money", (12345.6, "EUR"), "€12,346", f"12{NARROW}346{NBSP}€", f"12.346{NBSP}€"),
    ("money", (-12345.6, "EUR"), "−€12,346", f"−12{NARROW}346{NBSP}€", f"−12.346{NBSP}€"),
    ("money", (5000.0, "USD"), "$5,000", f"5{NARROW}000{NBSP}$US", f"5.000{NBSP}$"),
    ("money", (5000.0, "CHF"), f"CHF{NBSP}5,000", f"5{NARROW}000{NBSP}CHF", f"5.000{NBSP}CHF"),
    ("money", (-5000.0, "CHF"), f"−CHF{NBSP}5,000", f"−5{NARROW}000{NBSP}CHF", f"−5.000{NBSP}CHF"),
    ("money", (12345.6, None), "12,346", f"12{NARROW}346", "12.346"),
    ("money", 12345.6, "12,346", f"12{NARROW}346", "12.346"),
    ("rough_money", (103456.0, "EUR"), "€103,000", f"103{NARROW}000{NBSP}€", f"103.000{NBSP}€"),
    ("rough_money", 0.0, "0", "0", "0"),
    ("day", date(2025, 3, 7), "7 Mar 2025", "7 mars 2025", "07.03.2025"),
    ("day", "2025-08-01T10:00:00+00:00", "1 Aug 2025", "1er août 2025", "01.08.2025"),
    ("day", "2025-08-11T10:00:00+00:00", "11 Aug 2025", "11 août 2025", "11.08.2025"),
    ("moment", "2025-03-07T09:05:00+00:00", "7 Mar 2025, 09:05", "7 mars 2025, 09:05", "07.03.2025, 09:05"),
    ("listed", ["a", "b", "c"], "a, b, and c", "a, b et c", "a, b und c"),
    ("listed", ["a", "b"], "a and b", "a et b", "a und b"),
    ("listed", ["a"], "a", "a", "a"),
    ("exact_size_points", -0.0312, "3.1", "3,1", "3,1"),
    ("month", "2025-03-07", "March 2025", "mars 2025", "März 2025"),
    ("precise", 0.43171, "0.432", "0,432", "0,432"),
    ("precise_change", -0.00417, "−0.0042", "−0,0042", "−0,0042"),
    ("precise_change", 0.02, "+0.0200", "+0,0200", "+0,0200"),
    ("precise_change", 0.00001, "0.0000", "0,0000", "0,0000"),
]


@pytest.mark.parametrize(("style", "value", "english", "french", "german"), WRITTEN)
def test_each_style_follows_the_language(style: str, value: Any, english: str, french: str, german: str) -> None:
    written = []
    for name in ("en_US", "fr", "de"):
        with speaking(name):
            written.append(formats.STYLES[style](value))
    assert written == [english, french, german]


def test_every_style_is_tested() -> None:
    assert {style for style, *_ in WRITTEN} == set(formats.STYLES)


@pytest.mark.parametrize(
    ("language", "written"),
    [("de_CH", f"CHF{NBSP}12’346"), ("fr_CA", f"12{NBSP}346{NBSP}CHF"), ("en_GB", f"CHF{NBSP}12,346")],
)
def test_money_follows_the_country(language: str, written: str) -> None:
    with speaking(language):
        assert formats.money((12345.6, "CHF")) == written


def test_a_moment_elsewhere_is_written_in_utc() -> None:
    in_paris = datetime(2025, 3, 7, 0, 30, tzinfo=timezone(timedelta(hours=1)))
    assert formats.moment(in_paris) == "6 Mar 2025, 23:30"
    assert formats.day(in_paris) == "6 Mar 2025"
    assert formats.moment(in_paris.astimezone(UTC)) == formats.moment(in_paris.isoformat())


@pytest.mark.parametrize(
    ("language", "one", "many", "single"),
    [
        ("en_US", "touch a week since the start", "touches a week since the start", ["1", "1"]),
        (
            "fr",
            "échange par semaine depuis le début",
            "échanges par semaine depuis le début",
            ["0", "0,5", "1", "1", "1,5"],
        ),
        ("de", "Kontakt pro Woche seit Beginn", "Kontakte pro Woche seit Beginn", ["1", "1"]),
    ],
)
def test_a_form_goes_with_the_number_as_it_is_written(language: str, one: str, many: str, single: list[str]) -> None:
    touches = texts("{n:number} touch a week since the start", "{n:number} touches a week since the start")
    with speaking(language):
        told = [str(touches.with_values(n=n)) for n in (0.0, 0.5, 1.0, 1.04, 1.5, 2.0, 12.0)]
    assert [each.split(" ", 1)[0] for each in told if each.endswith(f" {one}")] == single
    assert all(each.endswith((f" {one}", f" {many}")) for each in told)


@pytest.mark.parametrize(
    ("language", "told"),
    [
        ("en_US", ["0.0 points", "+1.0 points", "+1.4 points", "−2.0 points"]),
        ("fr", ["0,0 point", "+1,0 point", "+1,4 point", "−2,0 points"]),
        ("de", ["0,0 Punkte", "+1,0 Punkte", "+1,4 Punkte", "−2,0 Punkte"]),
    ],
)
def test_points_with_a_decimal_are_plural_in_english(language: str, told: list[str]) -> None:
    points = texts("{n:exact_points} point", "{n:exact_points} points")
    with speaking(language):
        assert [str(points.with_values(n=n)) for n in (0.0, 0.01, 0.014, -0.02)] == told


def test_a_language_without_a_catalogue_counts_as_the_english_message_does() -> None:
    touches = texts("{n:number} touch", "{n:number} touches")
    with speaking("pt_BR"):  # Portuguese says "1,5 dia"
        assert str(touches.with_values(n=1.5)) == "1,5 touches"
