"""Encodings: which one a text file is in, and its text as UTF-8."""

import codecs
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

import charset_normalizer
import numpy as np

from winpredict.errors import InputFileError
from winpredict.ingest.readers.content import Content, temporary
from winpredict.locale.text import text

#: Stands for bytes that are no character, until they are counted; no text has it, since Unicode keeps it unused.
BAD_BYTES = "\ufdd0"
_BAD_BYTES_UTF8 = BAD_BYTES.encode()
_HANDLER = "winpredict.bad_bytes"
codecs.register_error(_HANDLER, lambda error: (BAD_BYTES, getattr(error, "end", 0)))

_STEP = 8 * 2**20
#: Text in which more than this share of the bytes are control characters is no text.
_MAX_CONTROLS = 0.03
_SAMPLE_BYTES = 24_000
_SAMPLE_PLACES = 16

#: Single-byte and Asian encodings that exports come in, and the languages written in them; earlier ones win ties.
_CANDIDATES: dict[str, tuple[str, ...]] = {
    "cp1252": ("west",),
    "cp1250": ("pl", "cs", "hu", "ro"),
    "cp1251": ("ru",),
    "cp932": ("ja",),
    "euc_jp": ("ja",),
    "iso8859_2": ("pl", "cs", "hu"),
    "mac_roman": ("west",),
    "cp850": ("west",),
    "koi8_r": ("ru",),
    "cp866": ("ru",),
    "iso8859_5": ("ru",),
    "cp852": ("pl", "cs", "hu"),
    "cp1254": ("tr",),
    "cp1253": ("el",),
    "gb18030": ("zh",),
    "big5": ("zh",),
    "cp949": ("ko",),
}
#: What an encoding must fit better than others, since nobody has exported in it for long.
_RARE = {"cp866": 0.15, "koi8_r": 0.1, "iso8859_5": 0.1, "cp850": 0.05, "cp852": 0.05}
_NAMES = {
    "utf-8": "UTF-8",
    "utf-16": "UTF-16",
    "utf-16-le": "UTF-16",
    "utf-16-be": "UTF-16",
    "utf-32": "UTF-32",
    "utf-32-le": "UTF-32",
    "utf-32-be": "UTF-32",
    "cp1250": "Windows-1250",
    "cp1251": "Windows-1251",
    "cp1252": "Windows-1252",
    "cp1253": "Windows-1253",
    "cp1254": "Windows-1254",
    "cp932": "Shift-JIS",
    "shift_jis": "Shift-JIS",
    "euc_jp": "EUC-JP",
    "iso2022_jp": "ISO-2022-JP",
    "iso8859_2": "ISO-8859-2",
    "iso8859_5": "ISO-8859-5",
    "mac_roman": "Mac Roman",
    "koi8_r": "KOI8-R",
    "gb18030": "GB 18030",
    "big5": "Big5",
    "cp949": "EUC-KR",
}
#: Letters beyond a to z of each language; "west" holds those of Windows-1252's, since they share most of them.
_LETTERS = {
    "fr": "àâæçéèêëîïôœùûüÿ",
    "de": "äöüß",
    "es": "áéíñóúü",
    "pt": "áâãàçéêíóôõúü",
    "it": "àèéìíîòóùú",
    "nl": "áéëïóöüèê",
    "nordic": "åäöæøéü",
    "pl": "ąćęłńóśźż",
    "cs": "áčďéěíňóřšťúůýž",
    "hu": "áéíóöőúüű",
    "ro": "ăâîșțşţ",
    "tr": "çğıöşüâ",
}
_WEST = ("fr", "de", "es", "pt", "it", "nl", "nordic")
#: Marks that stand between words, beside figures or after them.
_MARKS = "\u00a0€£§«»°–—’‘“”„…•™®©×·№¿¡²³½ªº"
_CURRENCIES = "€£"
#: Words of one letter.
_LONE_LETTERS = "àâéèóòøåæÀÉвикосуя"
_BOUNDARY_MARKS = {"’", "‘", "·", "\u00a0", "–", "—", "ª", "º"}
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True)
class Encoding:
    """How the text of a file is encoded.

    Parameters
    ----------
    codec : str
        As Python names it.
    bad_bytes : bool
        Whether some bytes are no character in it.
    """

    codec: str
    bad_bytes: bool = False

    @property
    def name(self) -> str:
        """For people."""
        return _NAMES.get(self.codec, self.codec)


def encoding_of(content: Content, where: str, declared: str | None = None) -> Encoding:
    """Which encoding a text is in, from all of its bytes.

    Parameters
    ----------
    content : Content
    where : str
        The file, for people.
    declared : str, optional
        What it is said to be in, which counts.

    Returns
    -------
    Encoding

    Raises
    ------
    InputFileError
        When it is no text, or the declared encoding is unknown.

    Examples
    --------
    >>> import io
    >>> text = "Étape;Propriétaire".encode("cp1252")
    >>> encoding_of(Content(io.BytesIO(text), len(text)), "deals.csv").name
    'Windows-1252'
    """
    if declared:
        return _declared(declared, where)
    head = content.head
    for mark, codec in _BOMS:
        if head.startswith(mark):
            return Encoding(codec, bad_bytes=codec == "utf-8" and _utf8_counts(content)[1] > 0)
    codec = _wide(head[:4096])
    if codec:
        return Encoding(codec)
    if b"\x1b$" in head and head.isascii():
        return Encoding("iso2022_jp")
    good, bad = _utf8_counts(content)
    _refuse_binary(head, where)
    if not bad:
        return Encoding("utf-8")
    # text in another encoding hardly ever has as many sequences that happen to be UTF-8
    if good >= bad:
        return Encoding("utf-8", bad_bytes=True)
    return Encoding(_best(_sample(content)))


def utf8(content: Content, encoding: Encoding) -> Content:
    """The text as UTF-8, with `BAD_BYTES` for what is no character; a file in UTF-8 is given as it is."""
    if encoding.codec == "utf-8":
        return content
    out = temporary()
    size = 0
    decoder = codecs.getincrementaldecoder(encoding.codec)(errors=_HANDLER)
    for start in range(0, max(content.size, 1), _STEP):
        text = decoder.decode(content.read(start, _STEP), final=start + _STEP >= content.size)
        part = text.encode("utf-8", errors=_HANDLER)
        size += len(part)
        out.write(part)
    return Content(out, size)


def marked(data: bytes) -> bytes:
    r"""UTF-8 with `BAD_BYTES` for what is none.

    Examples
    --------
    >>> marked(b"Opp \xff").decode() == "Opp " + BAD_BYTES
    True
    """
    if data.isascii():
        return data
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("utf-8", errors=_HANDLER).encode("utf-8", errors=_HANDLER)
    return data


def text_of(content: Content, encoding: Encoding) -> str:
    """All of the text, without its byte-order mark."""
    return content.all().decode(encoding.codec, errors=_HANDLER).removeprefix("\ufeff")


def _declared(name: str, where: str) -> Encoding:
    try:
        codec = codecs.lookup(name)
        if not getattr(codec, "_is_text_encoding", True):
            raise LookupError
    except LookupError:
        raise InputFileError(
            text(
                "{where}: {name!r} is not an encoding; name one such as utf-8, cp1252, cp1251 or shift_jis, or "
                "leave it out",
                where=where,
                name=name,
            )
        ) from None
    canonical = codec.name.replace("_sig", "").replace("-sig", "")
    return Encoding(canonical, bad_bytes=canonical == "utf-8")


def _wide(head: bytes) -> str:
    """UTF-16 or UTF-32 without a byte-order mark: ASCII letters have zeros beside them."""
    if len(head) < 4 or b"\x00" not in head:
        return ""
    zeros = [each.count(0) / max(len(each), 1) for each in (head[0::4], head[1::4], head[2::4], head[3::4])]
    if min(zeros[1:]) > 0.9 > zeros[0]:
        return "utf-32-le"
    if min(zeros[:3]) > 0.9 > zeros[3]:
        return "utf-32-be"
    for codec, of_zeros, of_letters in (("utf-16-le", head[1::2], head[::2]), ("utf-16-be", head[::2], head[1::2])):
        if of_zeros.count(0) > len(of_zeros) // 2 and of_letters.count(0) < len(of_letters) // 10:
            return codec
    for codec in ("utf-16-le", "utf-16-be"):  # letters of other scripts: line ends and delimiters tell
        pairs = head[: len(head) // 2 * 2]
        text = pairs.decode(codec, errors="replace")
        if text.count("\n") > 1 and not any(unicodedata.category(each) in ("Cn", "Co", "Cs", "So") for each in text):
            return codec
    return ""


def _utf8_counts(content: Content) -> tuple[int, int]:
    """How many characters beyond ASCII are good UTF-8, and how many bytes are none."""
    good = bad = 0
    for part in _line_steps(content):
        if part.isascii():
            continue
        try:
            text = part.decode("utf-8")
        except UnicodeDecodeError:
            text = part.decode("utf-8", errors="replace")
            lost = text.count("\ufffd") - part.count(b"\xef\xbf\xbd")
            bad += lost
        else:
            lost = 0
        ascii_bytes = len(part) - int(np.count_nonzero(np.frombuffer(part, dtype=np.uint8) & 0x80))
        good += len(text) - ascii_bytes - lost
    return good, bad


def _line_steps(content: Content) -> Iterator[bytes]:
    """Bytes in steps that end with a line where one does, so that no character is cut."""
    start = 0
    while start < content.size:
        part = content.read(start, _STEP)
        if start + len(part) < content.size and (cut := part.rfind(b"\n") + 1):
            part = part[:cut]
        if not part:
            return
        start += len(part)
        yield part


def _refuse_binary(head: bytes, where: str) -> None:
    codes = np.frombuffer(head, dtype=np.uint8)
    # NUL bytes fill up the cells and ends of some exports
    controls = np.count_nonzero(codes < 32) - sum(head.count(each) for each in (b"\x00", b"\t", b"\n", b"\r"))
    if controls > _MAX_CONTROLS * len(head):
        raise InputFileError(
            text(
                "{where} cannot be read: it is not text but binary data of an unknown kind; export it as .csv or .xlsx",
                where=where,
            )
        )


def _sample(content: Content) -> bytes:
    """Lines with bytes beyond ASCII, from all over the file."""
    places = _SAMPLE_PLACES if content.size > len(content.head) else 1
    stride = content.size // places + 1
    lines: list[bytes] = []
    for place in range(places):
        lines += _beyond_ascii(content.read(place * stride, min(stride, len(content.head))), _SAMPLE_BYTES // places)
    if not lines:  # the few bytes beyond ASCII are between the places looked at
        for part in _line_steps(content):
            lines += _beyond_ascii(part, _SAMPLE_BYTES // _SAMPLE_PLACES)
    return b"\n".join(lines)


def _beyond_ascii(part: bytes, most: int) -> list[bytes]:
    """Lines with bytes beyond ASCII, `most` bytes of them or so."""
    lines: list[bytes] = []
    size = 0
    for match in re.finditer(rb"[^\r\n]*[\x80-\xff][^\r\n]*", part):
        lines.append(match.group()[:1000])
        size += len(lines[-1])
        if size > most:
            break
    return lines


def _best(sample: bytes) -> str:
    """The encoding in which a sample reads best as one of the languages that exports come in."""
    fits = {codec: _fit(sample, codec, languages) - _RARE.get(codec, 0.0) for codec, languages in _CANDIDATES.items()}
    best = max(fits, key=lambda codec: fits[codec])
    if fits[best] > 0.5:
        return best
    # another language than those listed: the library knows more of them
    match = charset_normalizer.from_bytes(sample).best()
    known = match is not None and not match.encoding.startswith("utf") and match.encoding not in ("ascii",)
    return match.encoding if match is not None and known else best if fits[best] > -1 else "cp1252"


def _fit(sample: bytes, codec: str, languages: tuple[str, ...]) -> float:
    """How well a sample reads, from -3 to 1: every byte beyond ASCII a letter where the language has one."""
    text = sample.decode(codec, errors="replace")
    beyond = sum(each > 127 for each in sample)
    counts: dict[tuple[str, str], int] = {}
    score, weights = 0.0, 0.0
    for match in re.finditer(r"[^\x00-\x7f]", text):
        char = match.group()
        before = text[match.start() - 1] if match.start() else "\n"
        after = text[match.end()] if match.end() < len(text) else "\n"
        rated = _rated(char, before, after)
        if rated is None:
            lower = char.lower()
            counts[lower, "any"] = counts.get((lower, "any"), 0) + 1
            continue
        score += rated
        weights += 1
    letters = sum(counts.values())
    sets = _WEST if languages == ("west",) else tuple(each for each in languages if each in _LETTERS)
    if letters:
        known = {char for char, _ in counts}
        share = max(
            (sum(number for (char, _), number in counts.items() if char in _LETTERS[each]) / letters for each in sets),
            default=0.0,
        )
        if sets == _WEST and share < 1:  # several western languages in one file
            union = set("".join(_LETTERS[each] for each in _WEST))
            share = max(share, 0.9 * len([char for char in known if char in union]) / len(known))
        score += letters * (share if share > 0.5 else share - 1)
        weights += letters
    if not weights:
        return -3.0
    # an encoding of two bytes a character has half as many to judge by, and is not the better for it
    return score / weights - 0.2 * (1 - min(1.0, len(re.findall(r"[^\x00-\x7f]", text)) / max(beyond, 1))) * (
        0 if _is_wide(codec) else 1
    )


def _is_wide(codec: str) -> bool:
    return codec in ("cp932", "euc_jp", "gb18030", "big5", "cp949")


def _rated(char: str, before: str, after: str) -> float | None:
    """A verdict on one character; None for a Latin letter in its place, of which the language decides."""
    category = unicodedata.category(char)
    if char == "\ufffd" or category in ("Cc", "Cn", "Co", "Cs"):
        return -3.0
    if char in _MARKS:
        if before.isalpha() and after.isalpha() and char not in _BOUNDARY_MARKS:
            return -2.0
        return 0.9 if char in _CURRENCIES else 0.5
    if not before.isalpha() and not after.isalpha() and (char.islower() or char.isupper()):
        if before.isdigit() or after.isdigit():
            return -1.0  # a single letter beside a figure: most likely a sign of a currency, or a blank
        if char not in _LONE_LETTERS:
            return -0.5
    name = unicodedata.name(char, "")
    if name.startswith(("HIRAGANA", "KATAKANA", "IDEOGRAPHIC", "FULLWIDTH")):
        return 1.0
    if name.startswith("HALFWIDTH"):
        return 0.9 if "\uff61" <= before <= "\uff9f" or "\uff61" <= after <= "\uff9f" else 0.1
    if name.startswith("CJK"):
        lone = before.isascii() and after.isascii() and (before.isalpha() or after.isalpha())
        return -1.0 if lone else 0.9 if _is_common_kanji(char) else 0.1
    if name.startswith("HANGUL"):
        return 0.8 if _is_in(char, "euc_kr") else -0.5
    if name.startswith("CYRILLIC"):
        latin = any(each.isascii() and each.isalpha() for each in (before, after))
        wrong_case = char.isupper() and before.islower()
        usual = char.lower() in "абвгдежзийклмнопрстуфхцчшщъыьэюя" or char in "ёЁ"
        return -1.5 if latin or wrong_case else 1.0 if usual else -0.5
    if name.startswith("GREEK"):
        latin = any(each.isascii() and each.isalpha() for each in (before, after))
        return -1.5 if latin or (char.isupper() and before.islower()) else 0.9
    if name.startswith("LATIN"):
        return -1.5 if char.isupper() and before.islower() else None
    return -1.0


def _is_in(char: str, codec: str) -> bool:
    try:
        char.encode(codec)
    except UnicodeEncodeError:
        return False
    return True


def _is_common_kanji(char: str) -> bool:
    """Whether it is of the first level of the Japanese standard, or of that of mainland China."""
    try:
        return char.encode("euc_jp")[0] < 0xD0
    except UnicodeEncodeError:
        try:
            return char.encode("gb2312")[0] < 0xD8
        except UnicodeEncodeError:
            return False
