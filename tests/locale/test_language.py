import threading
import time

import pytest

from winpredict.errors import ConfigError
from winpredict.locale import language as module
from winpredict.locale.language import ENGLISH, PSEUDO, Language, current, language_of, languages, offer, speaking
from winpredict.locale.text import text, texts


@pytest.mark.parametrize(
    ("wishes", "name"),
    [
        ((), "en_US"),
        ((None, ""), "en_US"),
        (("fr",), "fr"),
        (("de-CH", "fr"), "de_CH"),
        ((None, "nl", "fr"), "fr"),
        (("fr-CH, fr;q=0.9, en;q=0.8, de;q=0.7, *;q=0.5",), "fr_CH"),
        (("nl, de;q=0.5, fr;q=0.9",), "fr"),
        (("en;q=0.1, fr; q=0.5 , de ;q=0.4",), "fr"),
        (("fr;Q=0.3,de;q=0.2",), "fr"),
        (("fr;q=0, de;q=0.1",), "de"),
        (("de, fr",), "de"),
        (("FR-fr",), "fr_FR"),
        (("fr_FR",), "fr_FR"),
        (("fr-XX",), "fr"),
        (("de-CH-1996",), "de_CH"),
        (("fr-u-nu-arab",), "fr"),
        (("en-GB,en;q=0.9",), "en_GB"),
        (("en-XA",), "en_XA"),
    ],
)
def test_the_first_wish_that_can_be_granted(wishes: tuple[str | None, ...], name: str) -> None:
    assert language_of(*wishes).name == name


@pytest.mark.parametrize(
    "header",
    [
        "*",
        ";",
        ",,,;q=,",
        "fr;q=abc",
        "fr;q=nan",
        "fr;q=inf",
        "fr;q=-1",
        "fr;q=1.0.0",
        "-",
        "_",
        "../../../../etc/passwd",
        "..",
        "fr/../de",
        "\0",
        "fr\0",
        "fr\r\nSet-Cookie: a=b",
        "<script>alert(1)</script>",
        "fr@x",
        "und",
        "C",
        "x" * 70_000,
        "ｆｒ",
        "{n:count}",
        "nl-NL, pt-BR;q=0.9",
    ],
)
def test_a_header_that_means_nothing_gives_english(header: str) -> None:
    assert language_of(header) == ENGLISH


@pytest.mark.parametrize("part", ["xx", "fr-ZZ-{}", "xx_{}"])
def test_a_header_of_ten_thousand_wishes_takes_no_time(part: str) -> None:
    header = ",".join(part.format(number) for number in range(10_000))
    begun = time.process_time()
    assert language_of(header).name in ("en_US", "fr_FR")
    assert time.process_time() - begun < 0.2


def test_headers_do_not_fill_the_memory() -> None:
    before = module._locale.cache_info().currsize
    for number in range(100):
        language_of(f"fr-x-{number}")
    assert module._locale.cache_info().currsize <= before + 1


@pytest.mark.parametrize("name", ["", "xx", "french", "fr_", "../fr", "fr_XX", "\0"])
def test_an_unknown_language_is_refused_with_the_way_out(name: str) -> None:
    with pytest.raises(ConfigError, match=r"unknown language .*; write it as .* such as fr, en_US or de_DE"):
        Language(name)


def test_english_comes_first_among_the_languages() -> None:
    assert languages() == ("en", "de", "fr")


@pytest.mark.parametrize(
    ("name", "lang"), [("en_US", "en"), ("fr_CA", "fr"), ("de_CH", "de"), ("nl", "en"), (PSEUDO, "en")]
)
def test_lang_is_the_language_of_the_messages(name: str, lang: str) -> None:
    assert Language(name).lang == lang


def test_a_language_without_catalogue_keeps_english_words_and_its_own_numbers() -> None:
    with speaking("nl"):
        assert str(texts("{n:number} touch", "{n:number} touches", n=1.5)) == "1,5 touches"


def test_what_is_spoken_ends_with_the_block() -> None:
    assert current() == ENGLISH
    with speaking("fr") as spoken:
        assert current() == spoken == Language("fr")
        with speaking(Language("de")):
            assert current().name == "de"
        assert current().name == "fr"
    assert current() == ENGLISH


def test_what_is_spoken_ends_with_an_error_too() -> None:
    with pytest.raises(KeyError), speaking("fr"):
        str(text("{missing}"))
    assert current() == ENGLISH


def test_each_thread_speaks_its_own_language() -> None:
    heard = []
    with speaking("fr"):
        thread = threading.Thread(target=lambda: heard.append(current().name))
        thread.start()
        thread.join()
    assert heard == ["en_US"]


@pytest.fixture
def _nothing_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_OFFERED", {})


@pytest.mark.usefixtures("_nothing_offered")
def test_a_plug_in_brings_its_own_translations() -> None:
    offer(
        {
            "fr": {
                "touches at night": "échanges de nuit",
                "{n:count} touch at night": "{n:count} échange de nuit",
                "{n:count} touches at night": "{n:count} échanges de nuit",
            }
        }
    )
    offer({"fr": {"calls": "coups de fil"}, "de": {"touches at night": "Kontakte bei Nacht"}})
    at_night = texts("{n:count} touch at night", "{n:count} touches at night")
    with speaking("fr_CA"):
        assert str(text("touches at night")) == "échanges de nuit"
        assert [str(at_night.with_values(n=n)) for n in (0, 1, 3)] == [
            "0 échange de nuit",
            "1 échange de nuit",
            "3 échanges de nuit",
        ]
        assert str(text("calls")) == "appels"  # those of the catalogues come first
    assert text("touches at night").said_in(Language("de")) == "Kontakte bei Nacht"
    assert str(at_night.with_values(n=3)) == "3 touches at night"
    assert at_night.with_values(n=1).said_in(Language("de")) == "1 touch at night"


def test_the_pseudo_language_is_longer_accented_and_keeps_places_and_tags() -> None:
    with speaking(PSEUDO):
        assert str(text("no touch yet")) == "[ñô tôûçh ýét~~~~~]"
        assert str(texts("{n:count} day", "{n:count} days", n=3)) == "[3 dàýs~~]"
        assert str(text("<b>deal</b> &amp; {name}", name="Acme")) == "[<b>déàl</b> &amp; Acme~~]"


def test_the_pseudo_language_adds_two_fifths() -> None:
    message = "This is what the data show side by side, not what a change would bring about"
    assert len(Language(PSEUDO).message(message)) == pytest.approx(1.4 * len(message), abs=3)
