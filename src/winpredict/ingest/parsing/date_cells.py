"""What each cell of a column says about a time, vectorised, before the order of day and month is decided."""

from dataclasses import dataclass, fields

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from winpredict.ingest.parsing.clock_texts import (
    CLOCK_WORDS,
    LOCAL,
    PLAIN,
    SECOND,
    lower_plain,
    parse_clocks,
    split_clock,
)
from winpredict.ingest.parsing.clock_texts import DAY as DAY_LENGTH
from winpredict.ingest.parsing.date_texts import DAY, EMPTY, MAX_YEAR, MONTH, UNREAD, date_words, parse_date
from winpredict.tables.schema import text_dtype

#: Kinds of cells beside those of texts: a day that stands for itself, a serial number, a moment, an empty cell.
FIXED, SERIAL, MOMENT, MISSING = range(MONTH + 1, MONTH + 5)
#: Serial day numbers of spreadsheets: 1968 to 2091.
MIN_SERIAL, MAX_SERIAL = 25_000, 70_000

_MICROSECONDS = pa.timestamp("us")
_ISO_DAY = "(?:19|2[01])[0-9]{2}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
_ISO_CLOCK = r"[T ](?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,6})?)?"
#: What Arrow casts, without an offset and with one.
_ISO = (
    (f"^{_ISO_DAY}(?:{_ISO_CLOCK})?$", _MICROSECONDS),
    (f"^{_ISO_DAY}{_ISO_CLOCK}(?:Z|[+-](?:0[0-9]|1[0-4]):?[0-5][0-9])$", pa.timestamp("us", "UTC")),
)
_DAY_CHARACTERS = len("2024-03-31")
_NUMBER = "^(?P<whole>[0-9]+)(?:[.,](?P<fraction>[0-9]+))?$"
#: Twelve digits that name a minute of these years; as milliseconds they would all be of 1976.
_COMPACT_MINUTE = "^(?:199|20[0-9])[0-9](?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])(?:[01][0-9]|2[0-3])[0-5][0-9]$"
#: Digits of numbers that are dates: 202403, 20240331, 20240331141500.
_DIGITS_OF_DATES = (6, 8, 14)
#: Microseconds of one unit of an epoch number, by its digits; those of nanoseconds are cut.
_EPOCH_UNITS = {9: SECOND, 10: SECOND, 11: SECOND, 12: 1_000, 13: 1_000, 16: 1}
_DIGITS_OF_NANOSECONDS, _DIGITS_OF_MICROSECONDS = 19, 16
_DIGITS_OF_FLOATS = 15
_LAST_MOMENT = int(np.datetime64(f"{MAX_YEAR}-12-31T23:59:59.999999", "us").astype(np.int64))
#: The first run of letters; one of Chinese or Japanese signs counts sign by sign.
_FIRST_WORD = r"^\P{L}*(?P<word>\p{Han}|\p{L}+)"
#: Longer texts are not dates.
_MAX_LENGTH = 80


@dataclass(frozen=True)
class DateCells:
    """What the cells of a column say, one array each.

    Parameters
    ----------
    kind : array of uint8
        `UNREAD`, `EMPTY`, `DAY`, `MONTH`, `FIXED`, `SERIAL`, `MOMENT` or `MISSING`.
    first, second, year : array of int16
        The numbers of `DAY` and `MONTH`, as `parse_date` gives them.
    form : array of uint8
        How those are written.
    short : array of bool
        Whether their year has two digits.
    day : array of int64
        Days since 1970 of `FIXED` and `MOMENT`, the number of `SERIAL`.
    clock : array of int64
        Microseconds since midnight.
    offset : array of int32
        Minutes that day and clock are ahead of UTC, or `LOCAL`.
    day_only : array of bool
        Whether the cell has no time of the day.
    """

    kind: NDArray[np.uint8]
    first: NDArray[np.int16]
    second: NDArray[np.int16]
    year: NDArray[np.int16]
    form: NDArray[np.uint8]
    short: NDArray[np.bool_]
    day: NDArray[np.int64]
    clock: NDArray[np.int64]
    offset: NDArray[np.int32]
    day_only: NDArray[np.bool_]

    def take(self, rows: NDArray[np.int64]) -> "DateCells":
        """The cells of these rows."""
        return DateCells(**{each.name: getattr(self, each.name)[rows] for each in fields(self)})

    @classmethod
    def missing(cls, size: int) -> "DateCells":
        """Cells without values."""
        return cls(
            kind=np.full(size, MISSING, dtype=np.uint8),
            first=np.zeros(size, dtype=np.int16),
            second=np.zeros(size, dtype=np.int16),
            year=np.zeros(size, dtype=np.int16),
            form=np.zeros(size, dtype=np.uint8),
            short=np.zeros(size, dtype=bool),
            day=np.zeros(size, dtype=np.int64),
            clock=np.zeros(size, dtype=np.int64),
            offset=np.full(size, LOCAL, dtype=np.int32),
            day_only=np.zeros(size, dtype=bool),
        )


def read_cells(texts: pd.Series, zone: str | None) -> DateCells:
    """Read the cells of a column.

    Parameters
    ----------
    texts : Series of str
        Stripped; missing where empty.
    zone : str or None
        The zone whose own abbreviations mean it; None where only the form matters.
    """
    cells = DateCells.missing(len(texts))
    array = pa.array(texts.astype(text_dtype()), from_pandas=True)
    array = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    rows = np.flatnonzero(np.asarray(array.is_valid()))
    array = array.drop_null()
    cells.kind[rows] = UNREAD
    for pattern, kind in _ISO:
        matches = np.asarray(pc.match_substring_regex(array, pattern))
        if matches.all():
            _put_iso(cells, rows, array, kind)
            return cells
        if matches.any():
            _put_iso(cells, rows[matches], array.filter(pa.array(matches)), kind)
            rows, array = rows[~matches], array.filter(pa.array(~matches))
    rows, array = _put_numbers(cells, rows, array)
    if len(rows):
        _put_texts(cells, rows, array, zone)
    return cells


def _put_iso(cells: DateCells, rows: NDArray[np.int64], array: pa.Array, kind: pa.DataType) -> None:
    """Put ISO times at their rows; days that a month does not have are unread."""
    try:
        times = np.asarray(pc.cast(array, kind).cast(_MICROSECONDS))
    except pa.ArrowInvalid:
        found = pd.to_datetime(array.to_pandas(), format="ISO8601", errors="coerce", utc=True)
        times = found.dt.tz_localize(None).to_numpy().astype("datetime64[us]")
        read = ~np.isnat(times)
        rows, array, times = rows[read], array.filter(pa.array(read)), times[read]
    microseconds = times.astype(np.int64)
    cells.kind[rows] = FIXED
    cells.day[rows] = microseconds // DAY_LENGTH
    cells.clock[rows] = microseconds % DAY_LENGTH
    cells.day_only[rows] = np.asarray(pc.equal(pc.utf8_length(array), _DAY_CHARACTERS))
    if kind.tz is not None:
        cells.offset[rows] = 0


def _put_numbers(cells: DateCells, rows: NDArray[np.int64], array: pa.Array) -> tuple[NDArray[np.int64], pa.Array]:
    """Put serial and epoch numbers at their rows; gives the rest, with the numbers that are dates in digits."""
    parts = pc.extract_regex(array, _NUMBER)
    is_number = np.asarray(pc.is_valid(parts))
    if not is_number.any():
        return rows, array
    whole, fraction = (pc.struct_field(parts, name).filter(pa.array(is_number)) for name in ("whole", "fraction"))
    digits = np.asarray(pc.utf8_length(whole))
    is_whole = np.asarray(pc.equal(fraction, ""))
    digits_of_fraction = np.asarray(pc.utf8_length(fraction))
    as_date = is_whole & np.isin(digits, _DIGITS_OF_DATES)
    as_date |= (digits == 4) & (digits_of_fraction == 2)  # 2024.03
    as_date |= (digits <= 2) & (digits_of_fraction == 4)  # 03.2024
    as_date |= np.asarray(pc.match_substring_regex(whole, _COMPACT_MINUTE)) & is_whole
    readable = (digits <= _DIGITS_OF_NANOSECONDS) & ~as_date
    # the largest numbers of 19 digits do not fit; they are far beyond any date
    fitting = pc.if_else(pa.array(readable), pc.utf8_slice_codeunits(whole, 0, _DIGITS_OF_MICROSECONDS), "0")
    numbers = np.asarray(pc.cast(fitting, pa.int64()))
    digits_behind = pc.utf8_slice_codeunits(fraction, 0, _DIGITS_OF_FLOATS)
    behind = np.asarray(pc.cast(pc.replace_substring_regex(digits_behind, "^.*$", r"0.\00"), pa.float64()))
    at = rows[is_number]

    zero = readable & (numbers == 0) & (behind == 0)
    cells.kind[at[zero]] = EMPTY
    serial = readable & (digits == len(str(MIN_SERIAL))) & (numbers >= MIN_SERIAL) & (numbers < MAX_SERIAL)
    seconds = np.rint(behind * (DAY_LENGTH // SECOND)).astype(np.int64)  # finer than that, a fraction is rounding
    cells.kind[at[serial]] = SERIAL
    cells.day[at[serial]] = numbers[serial]
    cells.clock[at[serial]] = seconds[serial] * SECOND
    cells.day_only[at[serial]] = is_whole[serial]
    for length in (*_EPOCH_UNITS, _DIGITS_OF_NANOSECONDS):
        unit = _EPOCH_UNITS.get(length, 1)
        epoch = readable & ~zero & (digits == length)
        microseconds = numbers[epoch] * unit + np.rint(behind[epoch] * unit).astype(np.int64)
        _put_moments(cells, at[epoch], microseconds)
    rest = ~is_number
    rest[is_number] = as_date
    return rows[rest], array.filter(pa.array(rest))


def _put_moments(cells: DateCells, rows: NDArray[np.int64], microseconds: NDArray[np.int64]) -> None:
    readable = microseconds <= _LAST_MOMENT
    rows, microseconds = rows[readable], microseconds[readable]
    cells.kind[rows] = MOMENT
    cells.day[rows] = microseconds // DAY_LENGTH
    cells.clock[rows] = microseconds % DAY_LENGTH
    cells.offset[rows] = 0


def _put_texts(cells: DateCells, rows: NDArray[np.int64], array: pa.Array, zone: str | None) -> None:
    """Put all other texts at their rows: plain digits as they stand, the rest brought into one spelling first."""
    parts = pc.extract_regex(array, PLAIN)
    plain = np.asarray(pc.is_valid(parts))
    if plain.any():
        found = parts.filter(pa.array(plain))
        _put_dates(cells, rows[plain], pc.struct_field(found, "date"), pc.struct_field(found, "clock"), zone)
    if plain.all():
        return
    rows, array = rows[~plain], array.filter(pa.array(~plain))
    possible = pc.and_(pc.less_equal(pc.utf8_length(array), _MAX_LENGTH), pc.match_substring_regex(array, r"\p{Nd}"))
    rows, array = rows[np.asarray(possible)], lower_plain(array.filter(possible))
    # many columns that are asked about hold names and codes, which their first word tells from dates
    words = pc.dictionary_encode(pc.struct_field(pc.extract_regex(array, _FIRST_WORD), "word"))
    known = np.array([word in date_words() or word in CLOCK_WORDS for word in words.dictionary.to_pylist()], dtype=bool)
    codes = np.asarray(words.indices.fill_null(-1))
    possible = np.append(known, True)[codes]
    if possible.any():
        date, clock = split_clock(array.filter(pa.array(possible)))
        _put_dates(cells, rows[possible], date, pc.coalesce(clock, ""), zone)


def _put_dates(cells: DateCells, rows: NDArray[np.int64], date: pa.Array, clock: pa.Array, zone: str | None) -> None:
    """Put dates and times of the day at their rows; each text that differs is read once."""
    dates = pc.dictionary_encode(date)
    read = np.array([parse_date(text) for text in dates.dictionary.to_pylist()], dtype=np.int16).reshape(-1, 6)
    kind, first, second, year, form, short = read[np.asarray(dates.indices)].T
    clocks = pc.dictionary_encode(clock)
    times = parse_clocks(pc.utf8_lower(clocks.dictionary), zone)
    codes = np.asarray(clocks.indices)
    no_clock = np.asarray(pc.equal(clock, ""))
    valid = (times.valid[codes] | no_clock) & ~((kind == MONTH) & ~no_clock)
    cells.kind[rows] = np.where(valid, kind, UNREAD)
    cells.first[rows], cells.second[rows], cells.year[rows] = first, second, year
    cells.form[rows], cells.short[rows] = form, short
    cells.clock[rows] = np.where(no_clock, 0, times.microseconds[codes])
    cells.offset[rows] = np.where(no_clock, LOCAL, times.offset[codes])
    cells.day_only[rows] = no_clock & np.isin(kind, (DAY, MONTH))
