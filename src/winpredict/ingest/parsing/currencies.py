"""What people write beside a number: signs, codes and names of currencies, and words such as Mio., K and 万."""

import re
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from babel import Locale
from babel.core import get_global
from babel.numbers import get_currency_name, get_currency_precision

#: Languages whose currency names and signs are known, those of the vocabulary.
_LANGUAGES = ("en", "fr", "de", "es", "pt", "it", "nl", "pl", "ru", "ja")
#: Currencies that ended before are no amounts of today's exports, and their codes only get in the way.
_FIRST_YEAR = 2005
#: "TOP 10" is a rank; hardly ever is it ten Tongan pa'anga.
_WORDS_RATHER_THAN_CODES = {"TOP"}
_OTHER_CODES = {"RMB": "CNY", "CNH": "CNY", "RUR": "RUB", "NTD": "TWD"}


class Currency(NamedTuple):
    """A mention of a currency: what it can mean, and what it means where nothing else is said ("" if unclear)."""

    codes: frozenset[str]
    default: str


class Unit(NamedTuple):
    """What stands beside a number: a power of ten, and the currency's ISO code ("" where unclear or not named)."""

    exponent: int
    currency: str
    names_currency: bool


def _currency(codes: str, default: str = "") -> Currency:
    known = codes.split()
    return Currency(frozenset(known), default or (known[0] if len(known) == 1 else ""))


#: Codes that are no words in any of the languages, so that "eur" and "Usd" can be taken for them.
_CODES_IN_ANY_CASE = _currency(
    "AUD BRL CAD CHF CNY CZK DKK EUR GBP HKD HUF INR JPY KRW MXN NOK NZD PLN RUB SEK SGD TWD UAH USD ZAR"
).codes

_DOLLAR = _currency(
    "USD CAD AUD NZD SGD HKD TWD MXN ARS CLP COP UYU DOP CUP BRL JMD BBD BSD BZD BMD XCD TTD FJD NAD LRD GYD SRD BND "
    "KYD SBD NIO",
    "USD",
)
_POUND = _currency("GBP EGP GIP FKP SHP LBP SYP SDG SSP", "GBP")
_KRONE = _currency("SEK NOK DKK ISK")
_PESO = _currency("MXN ARS CLP COP UYU PHP DOP CUP")
_RUPEE = _currency("INR PKR LKR NPR MUR SCR")
_FRANC = _currency("CHF XOF XAF XPF")
_CFA = _currency("XOF XAF")

#: Signs that are not words; Babel knows more of them ("NT$", "$CA", "₪").
_SIGNS = {
    "$": _DOLLAR,
    "£": _POUND,
    "¥": _currency("JPY CNY"),
    "₨": _RUPEE,
    **{
        sign: _currency(code)
        for sign, code in {
            "€": "EUR",
            "US$": "USD",
            "U$S": "USD",
            "$US": "USD",
            "US-Dollar": "USD",
            "C$": "CAD",
            "S$": "SGD",
            "Mex$": "MXN",
            "RD$": "DOP",
            "R$": "BRL",
            "S/": "PEN",
            "S/.": "PEN",
            "₹": "INR",
            "₽": "RUB",
            "₴": "UAH",
            "₺": "TRY",
            "₦": "NGN",
            "₵": "GHS",
            "₸": "KZT",
            "₼": "AZN",
            "₾": "GEL",
            "₡": "CRC",
            "₲": "PYG",
            "₭": "LAK",
            "₮": "MNT",
            "৳": "BDT",
            "F CFA": "XOF XAF",
        }.items()
    },
}

#: Words in small letters and without a dot at their end.
_WORDS = {
    word: currency
    for words, currency in {
        "euro euros eurów евро ユーロ 欧元": _currency("EUR"),
        "dollar dollars dólar dólares dolar dolares dollaro dollari dolarów доллар доллара долларов долл ドル": _DOLLAR,
        "米ドル 美元": _currency("USD"),
        "pound pounds pfund": _POUND,
        "sterling": _currency("GBP"),
        "yen yens 円 日元": _currency("JPY"),
        "yuan 元 圆 人民币 人民元": _currency("CNY"),
        "원": _currency("KRW"),
        "kr kronor kroner krone krona kronen": _KRONE,
        "skr": _currency("SEK"),
        "nkr": _currency("NOK"),
        "dkr": _currency("DKK"),
        "ikr": _currency("ISK"),
        "fr sfr franken": _currency("CHF"),
        "franc francs": _FRANC,
        "cfa fcfa": _CFA,
        "rs rupee rupees": _RUPEE,
        "peso pesos": _PESO,
        "real reais": _currency("BRL"),
        "zł zl złoty złote złotych zloty zlote zlotych": _currency("PLN"),
        "р руб рубль рубля рублей ruble rubles rouble roubles rubel": _currency("RUB"),
        "грн": _currency("UAH"),
        "тенге": _currency("KZT"),
        "kč kc": _currency("CZK"),
        "ft forint": _currency("HUF"),
        "lei leu": _currency("RON MDL", "RON"),
        "лв": _currency("BGN"),
        "tl": _currency("TRY"),
        "nis": _currency("ILS"),
        "dhs": _currency("AED"),
        "rm": _currency("MYR"),
        "rp": _currency("IDR"),
    }.items()
    for word in words.split()
}
#: "R 1 200" is in South African rand; behind a number an R can be anything.
_WORDS_BEFORE = {"R": _currency("ZAR")}

#: Powers of ten of words in small letters and without a dot at their end.
_MULTIPLIERS = {
    word: exponent
    for words, exponent in {
        "k к thousand thousands tsd tausend mille milliers mila duizend tys tysiąc tysiące tysięcy": 3,
        "тыс тысяча тысячи тысяч 千 천": 3,
        "万 萬 만": 4,
        "lakh lakhs lac lacs 十万": 5,
        "m mm mn mln mio mill million millions millionen millón millon millones milhão milhao milhões milhoes": 6,
        "milione milioni milion miliony milionów milionow miljoen млн миллион миллиона миллионов 百万": 6,
        "crore crores 千万": 7,
        "億 亿 억": 8,
        "b bn md mds mrd mia mld milliard milliards milliarde milliarden miliard miliardy miliardów": 9,
        "miliardo miliardi miljard bilhão bilhao bilhões bilhoes billion billions": 9,
        "млрд миллиард миллиарда миллиардов 十億": 9,
        "百億": 10,
        "千億": 11,
        "兆": 12,
    }.items()
    for word in words.split()
}
#: Words that mean something else elsewhere ("1.2 mil" is a million in New York, "Cr" is credit, "T" is a trillion):
#: they count beside these currencies only.
_LOCAL_MULTIPLIERS = {
    "mil": (3, frozenset({"BRL", "MXN", "ARS", "COP", "CLP", "PEN"})),
    "mi": (6, frozenset({"BRL"})),
    "bi": (9, frozenset({"BRL"})),
    "l": (5, frozenset({"INR"})),
    "cr": (7, frozenset({"INR"})),
    "t": (3, frozenset({"EUR", "CHF", "SEK", "NOK", "DKK"})),
    "т": (3, frozenset({"RUB"})),
}
#: What is written in one word with a code: kEUR, TEUR, MUSD, mkr.
_FUSED = re.compile(r"(k|t|mio|mln|mn|mrd|md|m)(?=kr$|[a-z]{3}$)", re.IGNORECASE)
_LETTER = r"[^\W\d_]"
_WORD = re.compile(rf"({_LETTER}+)\.?")
#: 3 millions d'euros, 2 milioni di euro.
_OF = re.compile(r"^ (?:d'|(?:de|di|of) )")
_MAX_LENGTH = 40
#: Shorter texts are signs, codes or words of the tables below, so that Babel's names need not be loaded for them.
_MIN_NAME = 5
_MAX_CURRENCIES = 2


@dataclass(frozen=True)
class _Mentions:
    """What one side of a number says, in the order in which it says it."""

    exponents: tuple[int, ...] = ()
    local: tuple[str, ...] = ()
    currencies: tuple[Currency, ...] = ()

    def __add__(self, other: "_Mentions") -> "_Mentions":
        return _Mentions(self.exponents + other.exponents, self.local + other.local, self.currencies + other.currencies)

    @property
    def multipliers(self) -> int:
        return len(self.exponents) + len(self.local)


def parse_unit(before: str, after: str) -> Unit | None:
    """Multiplier and currency that stand before and after a number; None where any of it is unknown.

    Parameters
    ----------
    before, after : str
        In NFKC form, without signs and brackets of negative numbers.

    Examples
    --------
    >>> parse_unit("", "Mio. €")
    Unit(exponent=6, currency='EUR', names_currency=True)
    >>> parse_unit("$", "CAD")
    Unit(exponent=0, currency='CAD', names_currency=True)
    >>> parse_unit("TBD", "") is None
    True
    """
    if len(before) > _MAX_LENGTH or len(after) > _MAX_LENGTH:
        return None
    left, right = _mentions(before.strip(), _WORDS_BEFORE), _mentions(after.strip(), {})
    if left is None or right is None or (left.multipliers and not left.currencies):
        return None
    both = left + right
    if both.multipliers > 1 or len(both.currencies) > _MAX_CURRENCIES:
        return None
    codes = frozenset[str]()
    if both.currencies:
        codes = frozenset.intersection(*(currency.codes for currency in both.currencies))
        if not codes:  # "€ 1200 USD"
            return None
    exponent = sum(both.exponents)
    if both.local:
        exponent, places = _LOCAL_MULTIPLIERS[both.local[0]]
        codes &= places
        if not codes:
            return None
    return Unit(exponent, _one_of(codes, both.currencies), bool(both.currencies))


def _one_of(codes: frozenset[str], mentioned: tuple[Currency, ...]) -> str:
    if len(codes) == 1:
        return next(iter(codes))
    return next((currency.default for currency in mentioned if currency.default in codes), "")


def _mentions(text: str, further: dict[str, Currency]) -> _Mentions | None:
    out = _Mentions()
    while text:
        step = _name(text) or _sign(text) or _word(text, further)
        if step is None:
            return None
        out += step[0]
        text = (_OF.sub("", step[1]) if step[0].multipliers else step[1]).lstrip()
    return out


def _name(text: str) -> tuple[_Mentions, str] | None:
    if len(text) < _MIN_NAME or not text[0].isalpha():
        return None
    currency = currency_names().get(text.casefold())
    return None if currency is None else (_Mentions(currencies=(currency,)), "")


def _sign(text: str) -> tuple[_Mentions, str] | None:
    match = _sign_pattern().match(text)
    if match is None:
        return None
    return _Mentions(currencies=(_signs()[match[0].replace("$ ", "$").casefold()],)), text[match.end() :]


def _word(text: str, further: dict[str, Currency]) -> tuple[_Mentions, str] | None:
    match = _WORD.match(text)
    known = None if match is None else _known_word(match[1], further)
    return None if match is None or known is None else (known, text[match.end() :])


def _known_word(word: str, further: dict[str, Currency]) -> _Mentions | None:
    small = word.casefold()
    code = _code(word)
    if code:
        return _Mentions(currencies=(_currency(code),))
    if small in _MULTIPLIERS:
        return _Mentions(exponents=(_MULTIPLIERS[small],))
    if small in _LOCAL_MULTIPLIERS:
        return _Mentions(local=(small,))
    currency = _WORDS.get(small) or further.get(word)
    if currency is not None:
        return _Mentions(currencies=(currency,))
    return _fused(word) or _without_blanks(small)


def _code(word: str) -> str:
    code = word.upper()
    if not (word.isupper() or code in _CODES_IN_ANY_CASE):
        return ""
    return _OTHER_CODES.get(code) or (code if code in currency_codes() else "")


def _fused(word: str) -> _Mentions | None:
    match = _FUSED.match(word)
    if match is None:
        return None
    rest, letter = word[match.end() :], match[1].casefold()
    code = _code(rest)
    currency = _currency(code) if code else _WORDS.get(rest.casefold())
    if currency is None:
        return None
    if letter in _LOCAL_MULTIPLIERS:
        return _Mentions(local=(letter,), currencies=(currency,))
    return _Mentions(exponents=(_MULTIPLIERS[letter],), currencies=(currency,))


def _without_blanks(text: str) -> _Mentions | None:
    """Chinese, Japanese and Korean words follow each other without a blank: 万円, 百万元."""
    out = _Mentions()
    while text:
        word = next((text[:n] for n in range(min(3, len(text)), 0, -1) if _is_east_asian_unit(text[:n])), "")
        if not word:
            return None
        text = text[len(word) :]
        if word in _MULTIPLIERS:
            out += _Mentions(exponents=(_MULTIPLIERS[word],))
        else:
            out += _Mentions(currencies=(_WORDS[word],))
    return out


def _is_east_asian_unit(word: str) -> bool:
    return word[0] >= "\u3000" and (word in _MULTIPLIERS or word in _WORDS)


@cache
def currency_codes() -> frozenset[str]:
    """ISO codes of currencies that are, or were in the last decades, legal tender.

    Examples
    --------
    >>> {"EUR", "ZAR", "HRK"} <= currency_codes(), "TBD" in currency_codes()
    (True, False)
    """
    in_use = {
        code
        for history in get_global("territory_currencies").values()
        for code, _, end, is_tender in history
        if is_tender and (end is None or end[0] >= _FIRST_YEAR)
    }
    return frozenset(in_use - _WORDS_RATHER_THAN_CODES)


@cache
def currency_names() -> dict[str, Currency]:
    """Names of currencies in full, in small letters: "us dollars", "schweizer franken", "российских рублей"."""
    names = defaultdict[str, set[str]](set)
    for language in _LANGUAGES:
        for code in currency_codes():
            for count in (None, 1, 2, 5):
                names[get_currency_name(code, count, language).casefold()].add(code)
    return {name: _currency(" ".join(sorted(codes))) for name, codes in names.items()}


@cache
def has_three_decimals(code: str) -> bool:
    """Whether amounts in this currency have three digits behind the decimal separator, as Kuwaiti dinars have.

    Examples
    --------
    >>> has_three_decimals("KWD"), has_three_decimals("EUR")
    (True, False)
    """
    return get_currency_precision(code) == 3


@cache
def _signs() -> dict[str, Currency]:
    signs = {sign.casefold(): currency for sign, currency in _SIGNS.items()}
    symbols = defaultdict[str, set[str]](set)
    for language in _LANGUAGES:
        for code, symbol in Locale(language).currency_symbols.items():
            if code in currency_codes() and re.search("[$£¥\u20a0-\u20cf]", symbol):
                symbols[symbol.casefold()].add(code)
    return {sign: _currency(" ".join(sorted(codes))) for sign, codes in symbols.items()} | signs


@cache
def _sign_pattern() -> re.Pattern[str]:
    """The longest sign first. One that ends with a letter ends a word: "$US" is not in "$USD", but it is "$ US" too."""
    signs = sorted(_signs(), key=lambda sign: (-len(sign), sign))
    patterns = (re.escape(sign) + (rf"(?!{_LETTER})" if sign[-1].isalpha() else "") for sign in signs)
    return re.compile("|".join(re.sub(r"^\\\$(?=\w)", r"\\$ ?", sign) for sign in patterns), re.IGNORECASE)
