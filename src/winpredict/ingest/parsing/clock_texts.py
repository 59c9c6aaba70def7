"""Times of the day in texts, vectorised: "14:05", "2:05 p.m.", "14h05", "14時5分", with an offset or a zone behind."""

import unicodedata
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

SECOND = 1_000_000
MINUTE, HOUR, DAY = 60 * SECOND, 3_600 * SECOND, 86_400 * SECOND
#: The offset of a time that is written without one.
LOCAL = np.iinfo(np.int32).max
#: Offsets in minutes of the names that mean one zone.
_ZONES = {
    "z": 0,
    "utc": 0,
    "gmt": 0,
    "ut": 0,
    "wet": 0,
    "west": 60,
    "bst": 60,
    "cet": 60,
    "cest": 120,
    "mez": 60,
    "mesz": 120,
    "eet": 120,
    "eest": 180,
    "est": -300,
    "edt": -240,
    "cdt": -300,
    "mst": -420,
    "mdt": -360,
    "pst": -480,
    "pdt": -420,
    "akst": -540,
    "akdt": -480,
    "hst": -600,
    "msk": 180,
    "jst": 540,
    "kst": 540,
    "sast": 120,
    "aest": 600,
    "aedt": 660,
    "nzst": 720,
    "nzdt": 780,
}
#: Names that mean several zones (the United States and China; India, Ireland and Israel): read where the profile's
#: zone is one of them.
_SHARED_ZONES = ("cst", "ist")
#: Names before an offset, as in GMT+0200.
_ZONES_WITH_OFFSET = ("utc", "gmt", "ut")
#: Words of times of the day; of those in Chinese signs the first sign.
CLOCK_WORDS = frozenset(
    {*_ZONES, *_SHARED_ZONES, *"thapms午上下時时點点시", "am", "pm", "uhr", "min", "mn", "godz", "오전", "오후"}
)
_MAX_OFFSET = 15 * 60
#: Moments of a year at which a zone shows all of its names.
_MONTHS_OF_NAMES = (1, 7)

_OFFSET = "[+-][0-9]{1,2}(?::?[0-9]{2})?"
_NAMES = "|".join(sorted((*_ZONES, *_SHARED_ZONES), key=lambda name: (-len(name), name)))
_ZONE = f" ?(?:{_OFFSET}|(?:{_NAMES})(?:{_OFFSET})?)"
_FRACTION = "[.,:][0-9]{1,9}"
_CLOCK = f"[0-9]{{1,2}}:[0-9]{{1,2}}(?::[0-9]{{1,2}}(?:{_FRACTION})?)?(?: ?[ap]m)?(?:{_ZONE})?"
#: A date in digits and, if there is one, a time as most programs write it; both as they stand.
PLAIN = (
    "^(?P<date>[0-9]{1,4}[-/.][0-9]{1,2}[-/.][0-9]{1,4})"
    f"(?:[T ,] ?(?P<clock>[0-9]{{1,2}}:[0-9]{{2}}(?::[0-9]{{2}}(?:{_FRACTION})?)?"
    "(?: ?[AaPp][Mm])?(?: ?(?:UTC|Z|[+-][0-9]{2}:?(?:[0-9]{2})?))?))?$"
)
_ANYWHERE = f"^(?P<before>(?:.*?[^0-9:.])?)(?P<clock>{_CLOCK})(?P<after>(?:[ ,].*)?)$"
#: A time needs no other spelling with nothing behind it, or the year, as in Unix dates, and nothing of this before it.
_PLAIN_END = "^(?: [0-9]{4})?$"
_OTHER_START = "(?:[ap]m|[前後午전후]|[0-9]t) ?$"
_OTHER_BLANKS = r"  |[\t\n\r\f\v]"
_PARTS = (
    "^(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{1,2})(?::(?P<second>[0-9]{1,2})(?:[.,:](?P<fraction>[0-9]{1,9}))?)?"
    "(?: ?(?P<half>[ap]m))?(?: ?(?P<zone>[a-z]+)?(?P<offset>[+-][0-9]{1,2}(?::?[0-9]{2})?)?)?$"
)
#: How other spellings become H:MM:SS.fff am +HH:MM, one after another. Each is a condition, without which a pattern is
#: not looked for, the pattern, and what takes its place.
_SPELLINGS: tuple[tuple[str, str, str], ...] = (
    # (UTC+01:00), +02:00[Europe/Paris], +0200 (Central European Summer Time), +0200 CEST
    ("[(]", rf"[(\[]((?:utc|gmt)(?:{_OFFSET})?)[)\]]", r"\1"),
    (r"[(\[]", rf"(z|{_OFFSET}) ?[(\[][^)\]]*[)\]]$", r"\1"),
    (r"[+-].* [a-z]", r"([+-][0-9]{2}:?[0-9]{2}) [a-z]{3,4}$", r"\1"),
    # 20230519T101200Z, 20230519101200, 20230519T1012, 2023-05-19T10
    (
        "[0-9]{8}",
        rf"^([0-9]{{8}})[t ]?([0-9]{{2}})([0-9]{{2}})([0-9]{{2}})((?:{_FRACTION})?(?:{_ZONE})?)$",
        r"\1 \2:\3:\4\5",
    ),
    ("[0-9]{8}", rf"^([0-9]{{8}})[t ]?([0-9]{{2}})([0-9]{{2}})((?:{_ZONE})?)$", r"\1 \2:\3\4"),
    ("^[0-9]{4}-", rf"^([0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}})[t ]([0-9]{{2}})((?:{_ZONE})?)$", r"\1 \2:00\3"),
    # 2023-5-19T10:12
    ("[0-9]t", "([0-9])t([0-9]{1,2}[:.])", r"\1 \2"),
    # 19MAY2023:10:12:00, 19/May/2023:10:12:00
    ("[0-9]{4}:", "([a-z/][0-9]{4}):([0-9]{2}:)", r"\1 \2"),
    # 14時5分30秒
    ("[時时點点시]", "([0-9]{1,2}) ?[時时點点시] ?([0-9]{1,2}) ?[分분] ?([0-9]{1,2}) ?[秒초]", r" \1:\2:\3 "),
    ("[時时點点시]", "([0-9]{1,2}) ?[時时點点시] ?([0-9]{1,2}) ?[分분]", r" \1:\2 "),
    ("[時时點点시]", "([0-9]{1,2}) ?[時时點点시]", r" \1:00 "),
    # 14:05 Uhr, 14.05 Uhr, 14 Uhr, 14:05 h
    ("uhr|hrs?|[0-9] ?h", r"(:[0-9]{2}) ?(?:uhr|hrs?|h)\b\.?", r"\1"),
    ("uhr", r"([0-9]{1,2})\.([0-9]{2}) ?uhr\b", r"\1:\2"),
    ("uhr", r"([0-9]{1,2}) ?uhr\b", r"\1:00"),
    # 14h05m30s, 14h05, 14 h
    ("[0-9] ?h", r"([0-9]{1,2}) ?h ?([0-9]{2}) ?(?:min|mn|m|:) ?([0-9]{2}) ?s?\b", r"\1:\2:\3"),
    ("[0-9] ?h", r"([0-9]{1,2}) ?h ?([0-9]{2}) ?(?:min|mn|m)?\b", r"\1:\2"),
    ("[0-9] ?h", r"([0-9]{1,2}) ?h(?:eures?|oras?)?\b", r"\1:00"),
    # 2:05 p. m., 2.05.30 PM, 2 PM, 午後2:05, PM 2:05
    ("[ap]\\.? ?m", r"([0-9]) ?([ap])(?:\. ?m\.?|m\b)", r"\1 \2m"),
    ("午前|上午|오전|^am|[^a-z]am", r"(?:午前|上午|오전|\bam\b) ?([0-9]{1,2}(?::[0-9]{1,2}){1,2})", r" \1 am "),
    ("午後|下午|오후|^pm|[^a-z]pm", r"(?:午後|下午|오후|\bpm\b) ?([0-9]{1,2}(?::[0-9]{1,2}){1,2})", r" \1 pm "),
    (" [ap]m", "(^|[^0-9:.])([0-9]{1,2}) ([ap]m)", r"\1\2:00 \3"),
    # 19/05/2023 14.05.30, 19-MAY-23 02.05.30.123456 PM
    (
        r" [0-9]{1,2}\.",
        rf"^(.*[0-9]{{2}},? )([0-9]{{1,2}})\.([0-9]{{2}})\.([0-9]{{2}})((?:[.,][0-9]{{1,9}})?(?: [ap]m)?(?:{_ZONE})?)$",
        r"\1\2:\3:\4\5",
    ),
    (r" [0-9]{1,2}\.", r"^(.*[0-9]{2},? )([0-9]{1,2})\.([0-9]{2})((?: [ap]m)?)$", r"\1\2:\3\4"),
)


@dataclass(frozen=True)
class Clocks:
    """Times of the day.

    Parameters
    ----------
    microseconds : array of int64
        Since midnight.
    offset : array of int32
        Minutes ahead of UTC; `LOCAL` where the text says nothing of it.
    valid : array of bool
        Whether the text could be read.
    """

    microseconds: NDArray[np.int64]
    offset: NDArray[np.int32]
    valid: NDArray[np.bool_]


def lower_plain(texts: pa.Array) -> pa.Array:
    """Texts in lower case, with one kind of digits and blanks, stripped."""
    other = pc.invert(pc.string_is_ascii(texts))
    if pc.any(other).as_py():
        # Arrow's own normalization leaves letters and their accents apart
        normalized = [unicodedata.normalize("NFKC", text) for text in texts.filter(other).to_pylist()]
        texts = pc.replace_with_mask(texts, other, pa.array(normalized, type=texts.type))
    texts = pc.utf8_lower(texts)
    if pc.any(pc.match_substring_regex(texts, _OTHER_BLANKS)).as_py():
        texts = pc.replace_substring_regex(texts, r"\s+", " ")
    return pc.utf8_trim_whitespace(texts)


def split_clock(texts: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Take the time of the day out of each text, wherever it stands.

    Parameters
    ----------
    texts : array of str
        In the form that `lower_plain` gives.

    Returns
    -------
    rest : array of str
        The text without it.
    clock : array of str
        As H:MM[:SS[.fff]] [am] [zone]; null where the text has none.
    """
    rest, clock, plain = _split(texts)
    if pc.all(plain).as_py():
        return rest, clock
    others = pc.dictionary_encode(texts.filter(pc.invert(plain)))
    respelled = others.dictionary
    for condition, pattern, replacement in _SPELLINGS:
        if pc.any(pc.match_substring_regex(respelled, condition)).as_py():
            respelled = pc.replace_substring_regex(respelled, pattern, replacement)
    respelled_rest, respelled_clock, _ = _split(pc.utf8_trim_whitespace(respelled))
    rest = pc.replace_with_mask(rest, pc.invert(plain), respelled_rest.take(others.indices))
    return rest, pc.replace_with_mask(clock, pc.invert(plain), respelled_clock.take(others.indices))


def _split(texts: pa.Array) -> tuple[pa.Array, pa.Array, pa.Array]:
    """What stands around a time of the day, the time, and whether the text needs no other spelling."""
    parts = pc.extract_regex(texts, _ANYWHERE)
    before, clock, after = (pc.struct_field(parts, name) for name in ("before", "clock", "after"))
    rest = pc.utf8_trim_whitespace(pc.binary_join_element_wise(before, after, pa.scalar("", before.type)))
    plain = pc.and_(
        pc.match_substring_regex(after, _PLAIN_END), pc.invert(pc.match_substring_regex(before, _OTHER_START))
    )
    return pc.coalesce(rest, texts), clock, pc.coalesce(plain, False)


def parse_clocks(texts: pa.Array, zone: str | None) -> Clocks:
    """Read times of the day as `split_clock` gives them.

    Parameters
    ----------
    texts : array of str
        Not null; in lower case.
    zone : str or None
        The zone whose own abbreviations mean it, such as IST in Asia/Kolkata; None where only the form is asked for.
    """
    parts = pc.extract_regex(texts, _PARTS)
    matched = np.asarray(pc.is_valid(parts))

    def number(name: str) -> NDArray[np.int64]:
        digits = pc.struct_field(parts, name)
        filled = pc.if_else(pc.equal(pc.coalesce(digits, ""), ""), "0", digits)
        return np.asarray(pc.cast(pc.coalesce(filled, "0"), pa.int64()))

    hour, minute, second = number("hour"), number("minute"), number("second")
    fraction = pc.utf8_rpad(pc.utf8_slice_codeunits(pc.coalesce(pc.struct_field(parts, "fraction"), ""), 0, 6), 6, "0")
    half = np.asarray(pc.coalesce(pc.struct_field(parts, "half"), ""), dtype=object)
    valid = matched & (hour < 24) & (minute < 60) & (second < 60) & ~((half == "am") & (hour > 12))
    hour = np.where((half == "am") & (hour == 12), 0, np.where((half == "pm") & (hour < 12), hour + 12, hour))
    offset, known = _offsets(parts, zone)
    microseconds = hour * HOUR + minute * MINUTE + second * SECOND + np.asarray(pc.cast(fraction, pa.int64()))
    return Clocks(np.where(valid & known, microseconds, 0), offset, valid & known)


def _offsets(parts: pa.Array, zone: str | None) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Minutes ahead of UTC, and whether what stands behind the time says so many."""
    zone_name, zone_offset = (pc.coalesce(pc.struct_field(parts, part), "") for part in ("zone", "offset"))
    both = pc.binary_join_element_wise(zone_name, zone_offset, pa.scalar("|", zone_name.type))
    encoded = pc.dictionary_encode(both)
    own = _own_names(zone) if zone is not None else dict.fromkeys(_SHARED_ZONES, LOCAL)
    pairs = [text.partition("|") for text in encoded.dictionary.to_pylist()]
    minutes = [_minutes(name, offset, own) for name, _, offset in pairs]
    codes = np.asarray(encoded.indices)
    offset = np.array([LOCAL if each is None else each for each in minutes], dtype=np.int32)
    known = np.array([each is not None for each in minutes], dtype=bool)
    return offset[codes], known[codes]


def _minutes(name: str, offset: str, own: dict[str, int]) -> int | None:
    if not offset:
        return LOCAL if not name else own.get(name, _ZONES.get(name))
    if name and name not in _ZONES_WITH_OFFSET:
        return None
    digits = offset[1:].replace(":", "")
    hours, minutes = (digits[:-2], digits[-2:]) if len(digits) > 2 else (digits, "0")
    total = int(hours) * 60 + int(minutes)
    if total > _MAX_OFFSET or int(minutes) >= 60:
        return None
    return -total if offset[0] == "-" else total


def _own_names(zone: str) -> dict[str, int]:
    names = {}
    for month in _MONTHS_OF_NAMES:
        moment = datetime(2024, month, 1, tzinfo=ZoneInfo(zone))
        name, offset = moment.tzname(), moment.utcoffset()
        if name is not None and offset is not None and name.isalpha():
            names[name.lower()] = int(offset.total_seconds() // 60)
    return names
