import json
from dataclasses import asdict
from datetime import UTC, datetime
from functools import reduce
from itertools import pairwise
from operator import or_

import numpy as np
import pandas as pd
import pytest
from babel.dates import format_date, format_datetime
from hypothesis import given, settings
from hypothesis import strategies as st

from winpredict.ingest.parsing.date_formats import DateHints, OrderEvidence, date_format
from winpredict.ingest.parsing.dates import date_hints, end_of_day, order_evidence, plausible_order, to_times
from winpredict.ingest.parsing.month_words import LANGUAGES, month_words, weekday_words
from winpredict.tables.schema import TIME_DTYPE, text_dtype

NOW = pd.Timestamp("2026-06-01")

DAYS = {
    # English
    "2023-05-19": "2023-05-19",
    "2023-5-9": "2023-05-09",
    "2023/05/19": "2023-05-19",
    "2023/5/9": "2023-05-09",
    "2023.05.19": "2023-05-19",
    "2023. 5. 19.": "2023-05-19",
    "20230519": "2023-05-19",
    "19-May-23": "2023-05-19",
    "04-Aug-23": "2023-08-04",
    "4-aug-23": "2023-08-04",
    "19-MAY-2023": "2023-05-19",
    "19 May 2023": "2023-05-19",
    "19 May, 2023": "2023-05-19",
    "19May2023": "2023-05-19",
    "May 19, 2023": "2023-05-19",
    "May 19 2023": "2023-05-19",
    "Sept 1, 2023": "2023-09-01",
    "May 19, 23": "2023-05-19",
    "2023-May-19": "2023-05-19",
    "2023 May 19": "2023-05-19",
    "2023 19 May": "2023-05-19",
    "1st June 2023": "2023-06-01",
    "19th of May 2023": "2023-05-19",
    "May 22nd, 2023": "2023-05-22",
    "May 3rd 2023": "2023-05-03",
    "Fri, 19 May 2023": "2023-05-19",
    "Friday, May 19, 2023": "2023-05-19",
    "Fri May 19 2023": "2023-05-19",
    "19 May 1998": "1998-05-19",
    # French
    "19 mai 2023": "2023-05-19",
    "1er juin 2023": "2023-06-01",
    "vendredi 19 mai 2023": "2023-05-19",
    "ven. 19 mai 2023": "2023-05-19",
    "mar. 16 mai 2023": "2023-05-16",
    "mar. 14 mars 2023": "2023-03-14",
    "19 févr. 2023": "2023-02-19",
    "19 Fevrier 2023": "2023-02-19",
    "19 août 2023": "2023-08-19",
    "19-aout-23": "2023-08-19",
    "19 Décembre 2023": "2023-12-19",
    "4 juil. 2023": "2023-07-04",
    # German
    "19. Mai 2023": "2023-05-19",
    "Freitag, 19. Mai 2023": "2023-05-19",
    "Fr., 19.05.2023": "2023-05-19",
    "3. März 2023": "2023-03-03",
    "03. Mrz 2023": "2023-03-03",
    "19. Dez. 2023": "2023-12-19",
    "1. Jänner 2023": "2023-01-01",
    # Spanish, Portuguese, Italian
    "19 de mayo de 2023": "2023-05-19",
    "19 de mayo del 2023": "2023-05-19",
    "viernes, 19 de mayo de 2023": "2023-05-19",
    "19/ene/2023": "2023-01-19",
    "19 de maio de 2023": "2023-05-19",
    "sexta-feira, 19 de maio de 2023": "2023-05-19",
    "1º de junho de 2023": "2023-06-01",
    "19/out/2023": "2023-10-19",
    "19 mag 2023": "2023-05-19",
    "1° giugno 2023": "2023-06-01",
    "venerdì 19 maggio 2023": "2023-05-19",
    "mar 2 mar 2024": "2024-03-02",
    # Dutch, Polish, Russian
    "19 mei 2023": "2023-05-19",
    "vr 19 mei 2023": "2023-05-19",
    "3 mrt. 2023": "2023-03-03",
    "19 maja 2023": "2023-05-19",
    "19 maja 2023 r.": "2023-05-19",
    "19 września 2023": "2023-09-19",
    "19 wrzesnia 2023": "2023-09-19",
    "19 paź 2023": "2023-10-19",
    "19 мая 2023 г.": "2023-05-19",
    "пт, 19 мая 2023 г.": "2023-05-19",
    "19 мая 2023 года": "2023-05-19",
    "19.05.2023 г.": "2023-05-19",
    # Japanese, Chinese, Korean
    "2023年5月19日": "2023-05-19",
    "2023年05月19日": "2023-05-19",
    "２０２３年５月１９日": "2023-05-19",
    "2023年5月19日(金)": "2023-05-19",
    "2023年5月19日 金曜日": "2023-05-19",
    "2023年5月19日星期五": "2023-05-19",
    "2023/05/19(金)": "2023-05-19",
    "令和5年5月19日": "2023-05-19",
    "平成31年4月30日": "2019-04-30",
    "令和元年5月1日": "2019-05-01",
    "2023년 5월 19일": "2023-05-19",
    "2023年5月19号": "2023-05-19",
    # in digits, where only one order is possible, and by dots, which have the day first
    "19/05/2023": "2023-05-19",
    "05/19/2023": "2023-05-19",
    "19-05-2023": "2023-05-19",
    "05-19-2023": "2023-05-19",
    "19.05.2023": "2023-05-19",
    "19. 05. 2023": "2023-05-19",
    "3.4.2023": "2023-04-03",
    "19 / 05 / 2023": "2023-05-19",
    "19 05 2023": "2023-05-19",
    "07/07/2023": "2023-07-07",
    "ven. 19/05/2023": "2023-05-19",
    "Fri 05/19/2023": "2023-05-19",
    "29/02/2024": "2024-02-29",
    # serial numbers
    "45065": "2023-05-19",
    "45292": "2024-01-01",
    "25000": "1968-06-11",
    # the ends of what is read
    "1900-02-01": "1900-02-01",
    "2199-12-31": "2199-12-31",
}

TIMES = {
    "2023-05-19T10:12": "2023-05-19 10:12",
    "2023-05-19 10:12:30": "2023-05-19 10:12:30",
    "2023-05-19T10:12:30.123456": "2023-05-19 10:12:30.123456",
    "2023-05-19T10:12:30.1234567": "2023-05-19 10:12:30.123456",
    "2023-05-19 10:12:30,5": "2023-05-19 10:12:30.5",
    "2023-05-19T10": "2023-05-19 10:00",
    "2023-5-19 9:05": "2023-05-19 09:05",
    "20230519T101230": "2023-05-19 10:12:30",
    "20230519101230": "2023-05-19 10:12:30",
    "202305191012": "2023-05-19 10:12",
    "2023/05/19 10:12": "2023-05-19 10:12",
    "19/05/2023 10:12": "2023-05-19 10:12",
    "19/05/2023, 10:12:30": "2023-05-19 10:12:30",
    "19/05/2023T10:12:30": "2023-05-19 10:12:30",
    "05/19/2023 2:05 PM": "2023-05-19 14:05",
    "05/19/2023 02:05:30 pm": "2023-05-19 14:05:30",
    "19/05/2023 2:05 p.m.": "2023-05-19 14:05",
    "19/05/2023 2:05 p. m.": "2023-05-19 14:05",
    "19/05/2023 2:05PM": "2023-05-19 14:05",
    "19/05/2023 2 PM": "2023-05-19 14:00",
    "19/05/2023 12:05 AM": "2023-05-19 00:05",
    "19/05/2023 12:05 PM": "2023-05-19 12:05",
    "19/05/2023 11:59 a.m.": "2023-05-19 11:59",
    "19 May, 2023 00:02:00": "2023-05-19 00:02",
    "May 19, 2023 2:05 PM": "2023-05-19 14:05",
    "May 19, 2023, 2:05:30\u202fPM": "2023-05-19 14:05:30",
    "May 19, 2023 at 2:05 PM": "2023-05-19 14:05",
    "May 19 2023 10:12:30:123PM": "2023-05-19 22:12:30.123",
    "19-MAY-23 02.05.30.123456 PM": "2023-05-19 14:05:30.123456",
    "19MAY2023:10:12:30": "2023-05-19 10:12:30",
    "10:12 19/05/2023": "2023-05-19 10:12",
    "14:05 19 May 2023": "2023-05-19 14:05",
    "Fri May 19 10:12:30 2023": "2023-05-19 10:12:30",
    "19/05/2023 - 10:12": "2023-05-19 10:12",
    "19/05/2023 14h05": "2023-05-19 14:05",
    "19/05/2023 à 14h05": "2023-05-19 14:05",
    "19/05/23 14 h 05": "2023-05-19 14:05",
    "19 mai 2023 14h": "2023-05-19 14:00",
    "19 mai 2023 14 h 05 min 30 s": "2023-05-19 14:05:30",
    "vendredi 19 mai 2023 à 14:05": "2023-05-19 14:05",
    "19.05.2023 14:05 Uhr": "2023-05-19 14:05",
    "19.05.2023 14.05 Uhr": "2023-05-19 14:05",
    "19. Mai 2023, 14 Uhr": "2023-05-19 14:00",
    "Freitag, 19. Mai 2023 um 14:05 Uhr": "2023-05-19 14:05",
    "19.05.2023 14.05": "2023-05-19 14:05",
    "19/05/2023 14.05.30": "2023-05-19 14:05:30",
    "viernes, 19 de mayo de 2023 a las 14:05": "2023-05-19 14:05",
    "19/05/2023 14:05 h": "2023-05-19 14:05",
    "sexta-feira, 19 de maio de 2023 às 14:05": "2023-05-19 14:05",
    "venerdì 19 maggio 2023 alle 14:05": "2023-05-19 14:05",
    "vrijdag 19 mei 2023 om 14:05": "2023-05-19 14:05",
    "19 maja 2023 r. o 14:05": "2023-05-19 14:05",
    "19 maja 2023 godz. 14:05": "2023-05-19 14:05",
    "19 мая 2023 г., 14:05": "2023-05-19 14:05",
    "19 мая 2023 г. в 14:05": "2023-05-19 14:05",
    "2023年5月19日 14時05分": "2023-05-19 14:05",
    "2023年5月19日14時5分30秒": "2023-05-19 14:05:30",
    "2023年5月19日 14:05": "2023-05-19 14:05",
    "2023年5月19日 午後2:05": "2023-05-19 14:05",
    "2023年5月19日 午前10時12分": "2023-05-19 10:12",
    "2023/05/19 PM 2:05": "2023-05-19 14:05",
    "2023年5月19日 下午2:05": "2023-05-19 14:05",
    "2023年5月19日 14时05分": "2023-05-19 14:05",
    "2023년 5월 19일 오후 2:05": "2023-05-19 14:05",
    "45065.5": "2023-05-19 12:00",
    "45065,75": "2023-05-19 18:00",
    "45065.424305556": "2023-05-19 10:11:00",
    # what stands for an offset or for a zone of one offset
    "2023-05-19T10:12:30Z": "2023-05-19 10:12:30",
    "2023-05-19 10:12:30.0000000 +00:00": "2023-05-19 10:12:30",
    "5/19/2023, 2:05:30 PM": "2023-05-19 14:05:30",
    "Fri May 19 10:12:30 CEST 2023": "2023-05-19 08:12:30",
    "2023-05-19t10:12:30z": "2023-05-19 10:12:30",
    "2023-05-19T10:12:30.000+0000": "2023-05-19 10:12:30",
    "2023-05-19T10:12:30+02:00": "2023-05-19 08:12:30",
    "2023-05-19 10:12:30+02": "2023-05-19 08:12:30",
    "2023-05-19 10:12:30 -0530": "2023-05-19 15:42:30",
    "2023-05-19T10:12:30.1234567Z": "2023-05-19 10:12:30.123456",
    "20230519T101230Z": "2023-05-19 10:12:30",
    "2023-05-19T10:12:30+02:00[Europe/Paris]": "2023-05-19 08:12:30",
    "2023-05-19 10:12:30 +0200 CEST": "2023-05-19 08:12:30",
    "2023-05-19 10:12:30 UTC": "2023-05-19 10:12:30",
    "19 May 2023 10:12 GMT": "2023-05-19 10:12",
    "19/05/2023 10:12 CET": "2023-05-19 09:12",
    "19/05/2023 10:12 CEST": "2023-05-19 08:12",
    "19.05.2023 10:12 MESZ": "2023-05-19 08:12",
    "19 May 2023 10:12 BST": "2023-05-19 09:12",
    "05/19/2023 10:12 AM EST": "2023-05-19 15:12",
    "05/19/2023 10:12 AM EDT": "2023-05-19 14:12",
    "05/19/2023 10:12 PM PST": "2023-05-20 06:12",
    "May 19, 2023 10:12 PDT": "2023-05-19 17:12",
    "Fri May 19 10:12:30 UTC 2023": "2023-05-19 10:12:30",
    "Fri, 19 May 2023 10:12:30 +0200": "2023-05-19 08:12:30",
    "Fri May 19 2023 10:12:30 GMT+0200 (Central European Summer Time)": "2023-05-19 08:12:30",
    "19/May/2023:10:12:30 +0200": "2023-05-19 08:12:30",
    "19/05/2023 10:12 (UTC+01:00)": "2023-05-19 09:12",
    "1684491150": "2023-05-19 10:12:30",
    "1684491150.5": "2023-05-19 10:12:30.5",
    "1684491150000": "2023-05-19 10:12:30",
    "1684491150123": "2023-05-19 10:12:30.123",
    "1684491150123456": "2023-05-19 10:12:30.123456",
    "1684491150123456789": "2023-05-19 10:12:30.123456",
    "123456789": "1973-11-29 21:33:09",
}

MONTHS = {
    "2024-02": ("2024-02-01", "2024-02-29"),
    "2024/02": ("2024-02-01", "2024-02-29"),
    "2023/2": ("2023-02-01", "2023-02-28"),
    "02/2024": ("2024-02-01", "2024-02-29"),
    "2-2024": ("2024-02-01", "2024-02-29"),
    "02.2024": ("2024-02-01", "2024-02-29"),
    "2024.12": ("2024-12-01", "2024-12-31"),
    "202412": ("2024-12-01", "2024-12-31"),
    "Feb 2024": ("2024-02-01", "2024-02-29"),
    "February, 2024": ("2024-02-01", "2024-02-29"),
    "Feb-24": ("2024-02-01", "2024-02-29"),
    "Feb '24": ("2024-02-01", "2024-02-29"),
    "2024 Feb": ("2024-02-01", "2024-02-29"),
    "März 2024": ("2024-03-01", "2024-03-31"),
    "Mrz-24": ("2024-03-01", "2024-03-31"),
    "févr.-24": ("2024-02-01", "2024-02-29"),
    "août 2024": ("2024-08-01", "2024-08-31"),
    "marzo de 2024": ("2024-03-01", "2024-03-31"),
    "grudzień 2024": ("2024-12-01", "2024-12-31"),
    "май 2024 г.": ("2024-05-01", "2024-05-31"),
    "2024年3月": ("2024-03-01", "2024-03-31"),
    "2024년 3월": ("2024-03-01", "2024-03-31"),
}

EMPTY = [
    *(
        "0000-00-00",
        "0000-00-00 00:00:00",
        "0000-00-00T00:00:00Z",
        "0000/00/00",
        "00/00/0000",
        "00.00.0000",
        "00000000",
    ),
    *("1900-01-00", "1900-01-00 00:00:00", "1/0/1900", "00/01/1900", "01/00/1900 12:00:00 AM", "1/0/00", "00.01.1900"),
    *(
        "0001-01-01",
        "0001-01-01T00:00:00",
        "01/01/0001",
        "1/1/0001 12:00:00 AM",
        "30/12/1899",
        "1899-12-31",
        "0",
        "0.0",
    ),
]

UNREAD = [
    # no days
    *(
        "Q1 2024",
        "Q1-2024",
        "2024-Q1",
        "2024Q1",
        "2024-W03",
        "2024W03",
        "W03 2024",
        "KW 3 2024",
        "Week 3, 2024",
        "T1 2024",
    ),
    *("1T2024", "1T 2024", "H1 2024", "1H 2024", "2H24", "S2 2024", "FY2024", "FY 24", "2024", "24", "2024-032"),
    # impossible days and times
    *(
        "31/02/2024",
        "29/02/2023",
        "2023-02-30",
        "2023-02-30T10:00:00",
        "2023-13-01",
        "2023-00-10",
        "13/13/2023",
        "0/5/2023",
    ),
    *("31 April 2023", "31. Februar 2023", "2023年2月30日", "00 May 2023", "32/01/2024", "2023/19/05", "20231301"),
    *("2023-05-19 25:00", "2023-05-19 10:60", "2023-05-19 10:12:61", "19/05/2023 13:05 AM", "2023-05-19 24:00"),
    *("2023-05-19 10:12+99:00", "2023-13", "13/2024"),
    # years out of range
    *("1899-05-01", "2200-01-01", "9999-12-31", "19 May 1899", "01/01/2999", "1234-12", "19/05/0023", "7258118400"),
    # no year, or not clear which number is the year
    *("19 May", "May 19", "24-Mar", "Mar 24", "05/19", "99-May-19", "1/2/3", "200403"),
    # no zones
    *("19 May 2023 10:12 XYZ", "2023-05-19 10:12 Europe/Paris"),
    *("2023-05-19 10:12 CET+0200", "2023-05-19 UTC"),
    # mixtures
    *(
        "19/05-2023",
        "19.05/2023",
        "2023-05/19",
        "19/05/2023/4",
        "19 May 2023 June",
        "19 May 2023 2024",
        "19 20 May 2023",
    ),
    *(
        "19/05/2023 and later",
        "May 2023 rev 2",
        "around 19 May 2023",
        "19 May 2023?",
        "19/05/2023 10:12 11:12",
        "(2023-05-19",
    ),
    *("19/05/2023 (approx.)", "1° 05 2023", "R5.5.19", "12A-05-2023", "(555) 123-4567", "19/05/2023 to 22/05/2023"),
    # neither
    *(
        "soon",
        "Maybe",
        "May",
        "Monday",
        "10:12",
        "TBD",
        "n/a",
        "-",
        "?",
        "true",
        "12:30 2023",
        "OPP-2023-00123",
        "Deal 1000",
    ),
    *(
        "44",
        "24999",
        "70000",
        "123456",
        "12.5",
        "-45065",
        "45 065",
        "1,684,491,150",
        "1e9",
        "€ 45065",
        "99999999999999",
    ),
    *("12345678901234567890123", "May 19 May 19 May 19, 2023 " * 9, "午後2:05", "5月19日"),
]


def _texts(*values):
    return pd.Series(values, dtype=text_dtype())


def _read(*values, zone="UTC", month_end=False, **options):
    texts = _texts(*values)
    form = date_format(date_hints(texts), now=NOW, **options)
    return to_times(texts, zone, form, month_end=month_end)


def _utc(text):
    return pd.Timestamp(text, tz="UTC")


@pytest.mark.parametrize(("text", "day"), DAYS.items())
def test_texts_that_name_a_day(text, day):
    times = _read(text)
    assert times.values[0] == _utc(day)
    assert times.values.dtype == TIME_DTYPE
    assert times.day_only[0]
    assert not times.month_only[0]
    assert not times.unread[0]


@pytest.mark.parametrize(("text", "time"), TIMES.items())
def test_texts_with_a_time_of_the_day(text, time):
    times = _read(text)
    assert times.values[0] == _utc(time)
    assert not times.day_only[0]
    assert not times.unread[0]


@pytest.mark.parametrize(("text", "days"), MONTHS.items())
def test_months_are_their_first_or_their_last_day(text, days):
    first, last = _read(text), _read(text, month_end=True)
    assert first.values[0] == _utc(days[0])
    assert last.values[0] == _utc(days[1])
    assert first.month_only[0]
    assert first.day_only[0]
    assert date_hints(_texts(text)).months == 1


def test_the_end_of_a_month_leaves_other_dates_alone():
    times = _read("2024-02", "2024-02-10", "19 May 2023", "45065", month_end=True)
    assert times.values.tolist() == [_utc("2024-02-29"), _utc("2024-02-10"), _utc("2023-05-19"), _utc("2023-05-19")]
    assert times.month_only.tolist() == [True, False, False, False]


@pytest.mark.parametrize("text", EMPTY)
def test_empty_dates_are_missing_rather_than_unread(text):
    times = _read(text)
    assert times.values.isna().all()
    assert not times.unread[0]
    assert not times.day_only[0]
    hints = date_hints(_texts(text))
    assert (hints.filled, hints.empty_dates, hints.unread) == (1, 1, 0)


@pytest.mark.parametrize("text", UNREAD)
def test_what_is_not_a_date_is_unread(text):
    times = _read(text, day_first=True)
    assert times.values.isna().all()
    assert times.unread.tolist() == [True]
    assert not times.unclear[0]
    assert not times.day_only[0]
    assert date_hints(_texts(text)).unread == 1


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("width", ["full", "long", "medium"])
def test_dates_as_every_language_writes_them(language, width):
    days = [datetime(2023, month, day, tzinfo=UTC) for month in range(1, 13) for day in (1, 9, 28)]
    times = _read(*(format_date(day, width, locale=language) for day in days))
    assert times.values.tolist() == [pd.Timestamp(day) for day in days]


@pytest.mark.parametrize("language", LANGUAGES)
def test_times_as_every_language_writes_them(language):
    moments = [datetime(2023, month, 28, hour, 5, tzinfo=UTC) for month in range(1, 13) for hour in (0, 9, 12, 23)]
    texts = [format_datetime(moment, "medium", locale=language, tzinfo=UTC) for moment in moments]
    assert _read(*texts).values.tolist() == [pd.Timestamp(moment) for moment in moments]


def test_months_have_one_meaning_in_all_languages():
    words = month_words()
    for word, month in {"mai": 5, "mars": 3, "set": 9, "out": 10, "lip": 7, "мая": 5, "dez.": 12, "aout": 8}.items():
        assert words[word] == month
    assert set(words.values()) == set(range(1, 13))
    assert all(word == word.lower() and len(word) > 2 for word in words)
    assert "jui" not in words  # June and July alike
    assert not {"m", "j", "1"} & set(words)
    assert {"fri", "lundi", "sábado", "sabado", "金曜日", "feira"} <= weekday_words()


# The order of day and month


def test_one_cell_decides_for_its_separator():
    times = _read("03/04/2025", "25/04/2025")
    assert times.values.tolist() == [_utc("2025-04-03"), _utc("2025-04-25")]
    times = _read("03/04/2025", "04/25/2025")
    assert times.values.tolist() == [_utc("2025-03-04"), _utc("2025-04-25")]


def test_each_separator_has_its_own_order():
    times = _read("03/04/2025", "25/04/2025", "03-04-2025", "04-25-2025", "03.04.2025")
    days = ["2025-04-03", "2025-04-25", "2025-03-04", "2025-04-25", "2025-04-03"]
    assert times.values.tolist() == [_utc(day) for day in days]
    form = date_format(date_hints(_texts("25/04/2025", "04-25-2025")), now=NOW)
    assert form.order == {"/": "day_first", "-": "month_first"}
    assert form.certain
    assert form.reason == ""


def test_another_separator_does_not_decide():
    times = _read("25/04/2025", "03-04-2025")
    assert times.values[0] == _utc("2025-04-25")
    assert times.unclear.tolist() == [False, True]
    assert times.unread.tolist() == [False, True]


def test_dots_have_the_day_first_unless_cells_say_otherwise():
    assert _read("03.04.2025").values[0] == _utc("2025-04-03")
    assert date_format(date_hints(_texts("03.04.2025"))).certain
    assert _read("03.04.2025", "04.25.2025").values.tolist() == [_utc("2025-03-04"), _utc("2025-04-25")]


def test_nothing_decides():
    texts = _texts("03/04/2025", "05/05/2025", "12/11/2024 10:00", "2025-01-02")
    form = date_format(date_hints(texts), now=NOW)
    assert form.order == {"/": "unclear"}
    assert form.unclear == ("/",)
    assert not form.certain
    assert "12/11/2024 starts with the day or the month" in form.reason
    times = to_times(texts, "UTC", form)
    assert times.unclear.tolist() == times.unread.tolist() == [True, False, True, False]
    assert times.values[1] == _utc("2025-05-05")  # the same in both orders


def test_a_suggestion_is_followed_and_told():
    hints = date_hints(_texts("03/04/2025", "07/04/2025"))
    form = date_format(hints, day_first=True, now=NOW)
    assert form.reason == "03/04/2025 is read as 3 April 2025, as in the other date columns"
    assert not form.certain
    form = date_format(hints, day_first=False, suggested_by="since the headers are English", now=NOW)
    assert form.reason == "03/04/2025 is read as 4 March 2025, since the headers are English"
    assert _read("03/04/2025", day_first=False).values[0] == _utc("2025-03-04")


def test_a_suggestion_gives_way_to_cells_and_to_dots():
    assert _read("03/04/2025", "04/25/2025", day_first=True).values[0] == _utc("2025-03-04")
    assert _read("03.04.2025", day_first=False).values[0] == _utc("2025-04-03")


def test_both_orders_at_one_separator_leave_what_could_be_either_unread():
    texts = ["03/04/2025", "25/04/2025", "04/25/2025", "24/04/2025", "05/05/2025"]
    times = _read(*texts, day_first=True)
    assert times.unclear.tolist() == [True, False, False, False, False]
    days = ["2025-04-25", "2025-04-25", "2025-04-24", "2025-05-05"]
    assert times.values[1:].tolist() == [_utc(day) for day in days]
    form = date_format(date_hints(_texts(*texts)))
    assert not form.certain
    assert form.unclear == ("/",)
    counts = "2 can only start with the day and 1 only with the month; 1 could be either (left unread)"
    assert form.reason == f'of the dates with "/", {counts}'


def test_one_mistake_does_not_change_a_column():
    days = [f"{day:02}/04/2025" for day in range(1, 31)] * 2
    times = _read(*days, "04/25/2025")
    assert times.values[2] == _utc("2025-04-03")
    assert times.unread.tolist() == [False] * 60 + [True]
    assert not times.unclear.any()
    form = date_format(date_hints(_texts(*days, "04/25/2025")))
    assert form.order["/"] == "day_first"
    assert not form.certain
    assert form.reason == (
        'of the dates with "/", 36 can only start with the day and 1 only with the month (left unread)'
    )


def test_a_declared_order_is_followed():
    assert _read("03/04/2025", declared="month_first").values[0] == _utc("2025-03-04")
    assert _read("03.04.2025", declared="month_first").values[0] == _utc("2025-03-04")
    assert _read("03/04/2025", declared="day_first", day_first=False).values[0] == _utc("2025-04-03")
    assert date_format(date_hints(_texts("03/04/2025")), declared="day_first").certain


def test_cells_that_contradict_a_declared_order_are_unread():
    times = _read("03/04/2025", "04/25/2025", "2025-04-25", declared="day_first")
    assert times.unread.tolist() == [False, True, False]
    assert not times.unclear.any()
    form = date_format(date_hints(_texts("03/04/2025", "04/25/2025")), declared="day_first")
    assert not form.certain
    assert form.reason == 'of the dates with "/", 1 can only start with the month (left unread)'


def test_impossible_days_are_not_evidence():
    hints = date_hints(_texts("31/02/2024", "02/31/2024", "13/13/2024", "03/04/2025"))
    assert hints.day_first == hints.month_first == {}
    assert hints.unread == 3


def test_an_order_is_only_of_the_separators_in_the_column():
    assert date_format(date_hints(_texts("2024-03-31", "19 May 2023", "45065"))).order == {}


# Two-digit years


@pytest.mark.parametrize(
    ("text", "year"),
    [("25/04/00", 2000), ("25/04/26", 2026), ("25/04/46", 2046), ("25/04/47", 1947), ("25/04/99", 1999)],
)
def test_two_digit_years_reach_twenty_years_ahead(text, year):
    assert _read(text).values[0] == _utc(f"{year}-04-25")
    assert _read(text.replace("04", "Apr").replace("/", "-")).values[0] == _utc(f"{year}-04-25")


def test_two_digit_years_in_both_orders():
    assert _read("03/04/23", "25/04/23").values.tolist() == [_utc("2023-04-03"), _utc("2023-04-25")]
    assert _read("3/4/23", "4/25/23").values.tolist() == [_utc("2023-03-04"), _utc("2023-04-25")]
    assert _read("03/04/23", "25/04/2023").values[0] == _utc("2023-04-03")
    assert _read("03/04/23").unclear[0]


def test_two_digit_years_in_front():
    texts = [
        f"{year}/{month:02}/{day:02}"
        for year in (23, 24)
        for month, day in ((1, 5), (5, 19), (6, 30), (9, 12), (3, 28))
    ]
    days = ["23/02/11", "24/11/03", *texts]
    form = date_format(date_hints(_texts(*days)), now=NOW)
    assert form.order == {"/": "year_first"}
    assert "year in front" in form.reason
    times = _read(*days)
    assert times.values[0] == _utc("2023-02-11")
    assert times.values[3] == _utc("2023-05-19")
    assert not times.unread.any()


def test_many_days_before_few_years_have_the_day_first():
    texts = [f"{day:02}/{month:02}/{year}" for year in (23, 24, 25) for month in (2, 7, 11) for day in range(1, 28, 3)]
    form = date_format(date_hints(_texts(*texts)), now=NOW)
    assert form.order == {"/": "day_first"}
    assert form.certain
    assert _read(*texts).values[0] == _utc("2023-02-01")


def test_where_the_year_could_be_in_front_it_is_told():
    form = date_format(date_hints(_texts("23-05-19", "23-06-20", "24-01-22")), now=NOW)
    assert form.order == {"-": "day_first"}
    assert not form.certain
    assert "year could be in front" in form.reason


# Serial numbers


def test_serial_numbers_are_of_1900_unless_declared():
    hints = date_hints(_texts("45065", "45065.25", "45292"))
    assert hints.serials == 3
    form = date_format(hints, now=NOW)
    assert not form.epoch1904
    assert form.certain
    assert form.reason == "numbers are read as a spreadsheet's days since 1900 (45065 is 19 May 2023)"
    times = _read("43603", "43603.25", epoch1904=True)
    assert times.values.tolist() == [_utc("2023-05-19"), _utc("2023-05-19 06:00")]
    assert times.day_only.tolist() == [True, False]


def test_a_fraction_of_a_day_is_rounded_to_seconds():
    assert _read("45065.4243055556").values[0] == _utc("2023-05-19 10:11:00")
    assert _read("45065.999999999").values[0] == _utc("2023-05-20")


def test_serial_numbers_are_local_times():
    assert _read("45065.5", zone="Europe/Paris").values[0] == _utc("2023-05-19 10:00")


def test_real_dates_that_a_spreadsheet_misread_are_unread():
    # a file of 25/04/2025 opened where months come first: days up to 12 became dates with day and month exchanged
    real = [pd.Timestamp(2025, month, day) for month, day in enumerate((1, 3, 4, 6, 8, 9, 11, 2, 5), start=1)]
    serials = [str((day - pd.Timestamp("1899-12-30")).days) for day in real]
    for early in (serials, [day.strftime("%Y-%m-%d") for day in real]):
        times = _read(*early, "25/04/2025", "13/04/2025", "28/02/2025")
        assert times.unclear.tolist() == [True] * len(early) + [False] * 3
        form = date_format(date_hints(_texts(*early, "25/04/2025", "13/04/2025", "28/02/2025")))
        assert form.exchanged
        assert not form.certain
        assert "exchanged their day and month" in form.reason
    # a day above 12, a text that could be either, or texts in words say that they are real
    assert not _read(*serials, "45315", "25/04/2025", "13/04/2025", "28/02/2025").unread.any()
    assert not _read(*serials, "03/04/2025", "25/04/2025", "13/04/2025", "28/02/2025").unread.any()
    assert not _read(*serials, "25 April 2025", "13 April 2025", "28 Feb 2025").unread.any()


# Zones


def test_local_times_become_utc():
    times = _read("2024-07-01 12:00", "2024-01-01 12:00", "2024-07-01", zone="Europe/Paris")
    assert times.values.tolist() == [_utc("2024-07-01 10:00"), _utc("2024-01-01 11:00"), _utc("2024-06-30 22:00")]
    times = _read(
        "01/07/2024 12:00", "13 January 2024 12:00", "2024-07-01T12:00:00Z", zone="America/New_York", day_first=True
    )
    assert times.values.tolist() == [_utc("2024-07-01 16:00"), _utc("2024-01-13 17:00"), _utc("2024-07-01 12:00")]


@pytest.mark.parametrize(
    ("zone", "twice", "first_pass", "never", "forward"),
    [
        ("Europe/Paris", "2024-10-27 02:30", "2024-10-27 00:30", "2024-03-31 02:30", "2024-03-31 01:00"),
        ("America/New_York", "2024-11-03 01:30", "2024-11-03 05:30", "2024-03-10 02:30", "2024-03-10 07:00"),
    ],
)
@pytest.mark.parametrize("form", ["%Y-%m-%d %H:%M", "%d %B %Y %H:%M", "%d.%m.%Y %H:%M"])
def test_the_change_of_the_clock(zone, twice, first_pass, never, forward, form):
    texts = [pd.Timestamp(text).strftime(form) for text in (twice, never)]
    assert _read(*texts, zone=zone).values.tolist() == [_utc(first_pass), _utc(forward)]
    # the same beside a time that has an offset
    assert _read(*texts, "2024-01-01T00:00:00Z", zone=zone).values[:2].tolist() == [_utc(first_pass), _utc(forward)]


def test_names_of_zones_that_are_shared_mean_the_own_zone():
    assert _read("19 May 2023 10:12 CST", zone="America/Chicago").values[0] == _utc("2023-05-19 16:12")
    assert _read("19 May 2023 10:12 CST", zone="Asia/Shanghai").values[0] == _utc("2023-05-19 02:12")
    assert _read("19 May 2023 10:12 IST", zone="Asia/Kolkata").values[0] == _utc("2023-05-19 04:42")
    assert _read("19 May 2023 10:12 CST", zone="Europe/Paris").unread[0]


def test_offsets_and_local_times_in_one_column():
    texts = ["2024-07-01T12:00:00Z", "2024-07-01 12:00", "2024-07-01T12:00:00+05:30", "2024-07-01", None]
    times = _read(*texts, zone="Europe/Paris")
    days = ["2024-07-01 12:00", "2024-07-01 10:00", "2024-07-01 06:30", "2024-06-30 22:00"]
    assert times.values[:4].tolist() == [_utc(day) for day in days]
    assert times.values.isna()[4]
    assert not times.unread.any()


def test_days_end_at_their_end():
    times = _read("2024-05-19", "2024-05-19 10:00", "19 May 2024", "2024-05", "soon", month_end=True)
    ends = end_of_day(times)
    last = "23:59:59.999999"
    expected = [f"2024-05-19 {last}", "2024-05-19 10:00", f"2024-05-19 {last}", f"2024-05-31 {last}"]
    assert ends[:4].tolist() == [_utc(text) for text in expected]
    assert ends.isna()[4]
    assert ends.dtype == TIME_DTYPE


# Columns


def test_rows_keep_their_index_and_missing_cells_are_missing():
    texts = pd.Series(["2024-05-19", None, "soon", "19 May 2024"], index=[9, 4, 7, 1], dtype=text_dtype())
    times = to_times(texts, "UTC", date_format(date_hints(texts)))
    for column in (times.values, times.unread, times.unclear, times.day_only, times.month_only):
        assert column.index.tolist() == [9, 4, 7, 1]
    assert times.values.isna().tolist() == [False, True, True, False]
    assert times.unread.tolist() == [False, False, True, False]


@pytest.mark.parametrize(
    "texts", [_texts(), _texts(None, None), pd.Series([], dtype=object), pd.Series([np.nan, np.nan])]
)
def test_columns_without_values(texts):
    hints = date_hints(texts)
    assert hints == DateHints()
    times = to_times(texts, "Europe/Paris", date_format(hints))
    assert len(times.values) == len(texts)
    assert times.values.isna().all()
    assert times.values.dtype == TIME_DTYPE
    assert not times.unread.any()


def test_what_hints_count():
    texts = _texts(
        "25/04/2025", "03/04/2025 10:00", "05/05/24", "45065.5", "2024-03", "2024-03-31", "0000-00-00", "soon", None
    )
    hints = date_hints(texts)
    assert (hints.filled, hints.unread, hints.empty_dates, hints.months, hints.serials) == (8, 1, 1, 1, 1)
    assert hints.day_only == 4
    assert (hints.day_first, hints.month_first, hints.unclear, hints.same) == ({"/": 1}, {}, {"/": 1}, {"/": 1})
    assert (hints.long, hints.short) == ({"/": 2}, {"/": 1})
    assert hints.years == {"2023": 1, "2024": 2, "2025": 2}
    assert hints.days == {"19": 1, "31": 1}


POOL = [
    *list(DAYS)[::3],
    *list(TIMES)[::3],
    *list(MONTHS)[::4],
    *EMPTY[::4],
    *UNREAD[::9],
    *(
        "03/04/2025",
        "04/03/2025 10:00",
        "03-04-2025",
        "04-25-2025",
        "03/04/25",
        "23/05/19",
        "2023-05-19T23:00:00-05:00",
    ),
    *("2023-05-19T01:00:00+10:00", "2023-05-19 23:00 EST", "45000", "45000.75", None),
]


@settings(deadline=None, max_examples=80)
@given(st.lists(st.sampled_from(POOL), max_size=40), st.lists(st.integers(0, 40), max_size=3))
def test_hints_of_parts_are_hints_of_the_whole(values, cuts):
    bounds = [0, *sorted(min(cut, len(values)) for cut in cuts), len(values)]
    parts = [date_hints(_texts(*values[start:end])) for start, end in pairwise(bounds)]
    whole = date_hints(_texts(*values))
    assert reduce(or_, parts, DateHints()) == whole
    assert reduce(or_, reversed(parts), DateHints()) == whole
    assert DateHints(**json.loads(json.dumps(asdict(whole)))) == whole


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from(POOL), min_size=1, max_size=30), st.randoms(use_true_random=False))
def test_a_cell_reads_the_same_wherever_it_stands(values, random):
    texts = _texts(*values)
    form = date_format(date_hints(texts), now=NOW)
    whole = to_times(texts, "Europe/Paris", form)
    order = list(range(len(values)))
    random.shuffle(order)
    shuffled = to_times(texts.iloc[order], "Europe/Paris", form)
    pd.testing.assert_series_equal(shuffled.values.sort_index(), whole.values)
    pd.testing.assert_series_equal(shuffled.unread.sort_index(), whole.unread)
    for index in order[:5]:
        alone = to_times(texts.iloc[[index]], "Europe/Paris", form)
        pd.testing.assert_series_equal(alone.values, whole.values.iloc[[index]])
        pd.testing.assert_series_equal(alone.day_only, whole.day_only.iloc[[index]])


# The order that pairs of dates speak for


def test_closes_before_the_creation_speak_against_an_order():
    created = _texts("03/01/2024", "05/02/2024", "07/01/2024", None)
    closed = _texts("01/02/2024", "01/03/2024", "02/04/2024", "01/02/2024")
    assert order_evidence(created, closed, now=NOW) == OrderEvidence(day_first=0, month_first=3)
    assert plausible_order(created, closed, now=NOW) is True
    swapped = [column.str.replace(r"(\d\d)/(\d\d)", r"\2/\1", regex=True) for column in (created, closed)]
    assert plausible_order(*swapped, now=NOW) is False


def test_dates_to_come_speak_against_an_order():
    created = _texts("01/12/2024", "02/11/2024", "03/10/2024", "01/02/2024")
    assert plausible_order(created, now=pd.Timestamp("2024-04-01", tz="UTC")) is False
    assert plausible_order(created, now=pd.Timestamp("2025-04-01")) is None


def test_pairs_may_have_one_column_in_another_form():
    created = _texts("2024-03-05", "5 March 2024", "2024-03-06")
    assert plausible_order(created, _texts("01/06/2024", "01/05/2024", "02/07/2024"), now=NOW) is True
    assert plausible_order(created, _texts("06/01/2024", "05/01/2024", "07/02/2024"), now=NOW) is False


def test_few_or_mixed_violations_decide_nothing():
    assert plausible_order(_texts("05/02/2024"), _texts("01/03/2024"), now=NOW) is None
    assert plausible_order(_texts("2024-05-01"), _texts("2024-03-01"), now=NOW) is None
    assert plausible_order(_texts(), _texts(), now=NOW) is None
    assert OrderEvidence(2, 9).is_day_first is None
    assert OrderEvidence(1, 5).is_day_first is True
    assert OrderEvidence(0, 2).is_day_first is None
    assert OrderEvidence(15, 3).is_day_first is False


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.sampled_from(POOL), st.sampled_from(POOL)), max_size=20), st.integers(0, 20))
def test_evidence_of_parts_adds_up(pairs, cut):
    def evidence(rows):
        return order_evidence(_texts(*(row[0] for row in rows)), _texts(*(row[1] for row in rows)), now=NOW)

    assert evidence(pairs[:cut]) | evidence(pairs[cut:]) == evidence(pairs)
