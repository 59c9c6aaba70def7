import json

import pytest

from winpredict.locale.language import Language, speaking
from winpredict.locale.text import Text, said, text, texts

DAYS = texts("{n:count} day", "{n:count} days")
SILENCE = texts("no contact for {n:count} day", "no contact for {n:count} days")
EVIDENCE = text(
    "usual at this stage: {won} for deals that were won, {lost} for lost ones",
    won=DAYS.with_values(n=8.0),
    lost=DAYS.with_values(n=1.0),
)


@pytest.mark.parametrize(
    "message",
    [
        text("no touch yet"),
        SILENCE.with_values(n=26.0),
        texts("{k:count} call of {total}", "{k:count} calls of {total}", "k", k=3, total=7),
        EVIDENCE,
        text("{deal} at {amount:money}", deal="Acme", amount=(12345.6, "EUR")),
        text("{parts:listed}", parts=(text("calls"), text("emails"))),
        text("{deep}", deep=text("{deeper}", deeper=SILENCE.with_values(n=2))),
    ],
)
def test_a_text_comes_back_from_json(message: Text) -> None:
    assert Text.from_json(json.loads(json.dumps(message.to_json()))) == message


def test_what_is_kept_is_said_in_the_language_of_who_reads_it() -> None:
    kept = json.loads(json.dumps(EVIDENCE.to_json()))
    assert Text.from_json(kept).said_in(Language("en_US")) == (
        "usual at this stage: 8 days for deals that were won, 1 day for lost ones"
    )
    assert Text.from_json(kept).said_in(Language("fr")) == (
        "en général à cette étape\u00a0: 8 jours pour les affaires gagnées, 1 jour pour les affaires perdues"
    )
    assert Text.from_json(kept).said_in(Language("de_AT")) == (
        "in dieser Phase üblich: 8 Tage bei gewonnenen Deals, 1 Tag bei verlorenen"
    )


@pytest.mark.parametrize(
    ("language", "told"),
    [
        ("en_US", ["no contact for 0 days", "no contact for 1 day", "no contact for 1,200 days"]),
        ("fr", ["aucun échange depuis 0 jour", "aucun échange depuis 1 jour", "aucun échange depuis 1\u202f200 jours"]),
        ("de", ["seit 0 Tagen kein Kontakt", "seit 1 Tag kein Kontakt", "seit 1.200 Tagen kein Kontakt"]),
    ],
)
def test_the_number_decides_between_the_forms(language: str, told: list[str]) -> None:
    with speaking(language):
        assert [str(SILENCE.with_values(n=n)) for n in (0.0, 1.0, 1200.0)] == told


def test_another_place_than_n_can_be_counted() -> None:
    calls = texts("{k:count} call in {days} days", "{k:count} calls in {days} days", "k", days=1)
    assert [str(calls.with_values(k=k)) for k in (1, 2)] == ["1 call in 1 days", "2 calls in 1 days"]


def test_values_are_not_read_as_messages() -> None:
    assert said("{name}: {share:percent}", name="{n:count} {0} %(x)s", share=0.5) == "{n:count} {0} %(x)s: 50%"


def test_a_list_of_texts_is_said_in_the_language() -> None:
    kinds = text("{kinds:listed}", kinds=(text("calls"), text("emails"), text("meetings")))
    assert kinds.said_in(Language("fr")) == "appels, e-mails et rendez-vous"
    assert kinds.said_in(Language("de")) == "Anrufe, E-Mails und Termine"


def test_the_style_of_a_place() -> None:
    assert SILENCE.style_of("n") == "count"
    assert text("{label}: {n:percent}").style_of("label") == ""
    assert text("{label}: {n:percent}").style_of("other") == ""


def test_more_values_leave_the_message_as_it_was() -> None:
    bare = text("{a} of {b}", a="1")
    assert str(bare.with_values(b="2")) == "1 of 2"
    assert bare.values == (("a", "1"),)
