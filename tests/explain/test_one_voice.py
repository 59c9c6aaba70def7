from itertools import product

import pandas as pd
import pytest

from winpredict.explain.drivers import Drivers
from winpredict.explain.effects import Effects
from winpredict.explain.one_voice import about, summary
from winpredict.features import themes
from winpredict.locale.language import PSEUDO, speaking
from winpredict.locale.text import text

MORE = "Deals with 2 or more touches in the first 14 days were won 12 points more often."
SAME = (
    "Deals with 2 or more touches in the first 14 days were won about as often as others (difference: −3 to +5 points)."
)
CLEAR = f"{MORE} Compared with deals alike at the start, the difference is +8 points (+3 to +13)."
GONE = (
    f"{MORE} Compared with deals alike at the start, no clear difference is shown (−2 to +5 points): the raw "
    "difference reflects which deals these are."
)
MAYBE = (
    f"{MORE} Compared with deals alike at the start, it is not certain (−2 to +15 points): it may only reflect which "
    "deals these are."
)
REVERSED = (
    f"{MORE} Compared with deals alike at the start, it is the other way round: −8 points (−13 to −3). The raw "
    "difference reflects which deals these are."
)
HIDDEN = (
    f"{SAME} Compared with deals alike at the start, the difference is +8 points (+3 to +13): the raw figure hides it, "
    "since these deals were unlike the others from the start."
)
NEITHER = f"{SAME} Compared with deals alike at the start, no clear difference is shown either (−2 to +5 points)."
TO_FORECAST = (
    "The driver “number of touches” still tells won from lost deals, since it shows how a deal is going: use it to "
    "forecast, not to decide what to do."
)
TO_DECIDE = (
    "The driver “number of touches” adds nothing to the other figures: use the comparison to decide what to do, the "
    "drivers to forecast."
)
OTHER_WAY = (
    "The driver “number of touches” points the other way, since it also shows how a deal is going: use it to "
    "forecast, the comparison to decide what to do."
)
RAW = {"more": (0.12, 0.08, 0.16), "less": (-0.12, -0.16, -0.08), "unclear": (0.01, -0.03, 0.05)}
ADJUSTED = {"more": (0.08, 0.03, 0.13), "less": (-0.08, -0.13, -0.03), "unclear": (0.01, -0.02, 0.05)}
DIRECTIONS = ("more is better", "less is better", "depends", "no evidence")


def driver(theme, strength, direction, leading="touches"):
    return {
        "theme": theme, "name": theme, "control": "controllable", "strength": strength, "low": strength,
        "high": strength, "leading": leading, "sentence": theme, "direction": direction,
        "evidence": direction != "no evidence", "p_value": 0.5, "stability": 1.0,
    }  # fmt: skip


def drivers_of(*rows, shape=()):
    columns = ["theme", "feature", "label", "n", "points", "closed", "win_rate"]
    names = {each.key: each.name for each in (themes.TOUCHES, themes.MEETINGS, themes.STAGE, themes.CONTACTS)}
    labels = {
        "touches": text("touches so far"),
        "stage_rank": text("place of the stage in the sales process"),
        "deal_type": text("deal type"),
    }
    nothing = pd.DataFrame()
    return Drivers(
        pd.DataFrame(rows), nothing, pd.DataFrame(shape, columns=columns), nothing, nothing, 500, (),
        names | {"deal_type": text("deal type")}, labels,
    )  # fmt: skip


def effect(raw="more", adjusted="more", *, verdict=None, interval=None, treatment="touches", least=2.0):
    named = dict(zip(("raw", "raw_low", "raw_high"), RAW[raw], strict=True))
    named |= dict(zip(("adjusted", "adjusted_low", "adjusted_high"), interval or ADJUSTED[adjusted], strict=True))
    return {
        "treatment": treatment, "sentence": treatment, "least": least, "treated": 90, "control": 120, **named,
        "overlap": 1.0, "verdict": verdict or adjusted,
    }  # fmt: skip


def effects_of(*rows, days=14):
    return Effects(pd.DataFrame(rows), days, 90, 210, ("amount", "product"))


def touches(direction, strength=0.06):
    return driver("touches", strength, direction)


STAGE = driver("stage", 0.14, "more is better", "stage_rank")
MEETINGS = driver("meetings", 0.01, "no evidence", "meetings")
STAGE_FIRST = (
    "Stage moves the odds most, by 14 points on average. More is better: place of the stage in the sales process."
)


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (effect("more", "more"), CLEAR),
        (effect("more", "unclear"), GONE),
        (effect("more", "unclear", interval=(0.06, -0.02, 0.15)), MAYBE),
        (effect("more", "less"), REVERSED),
        (effect("unclear", "more"), HIDDEN),
        (effect("unclear", "unclear"), NEITHER),
    ],
)
def test_raw_and_adjusted_difference_are_told_with_how_they_differ(row, sentence):
    assert effects_of(row).sentence("touches") == sentence


def test_deals_that_cannot_be_compared_are_said_to_be_so():
    assert effects_of(effect("less", verdict="no like deals")).sentence("touches") == (
        "Deals with 2 or more touches in the first 14 days were won 12 points less often. They were too unlike the "
        "others from the start to say whether that made the difference."
    )
    assert effects_of(effect(verdict="too few deals", treatment="speed")).sentence("speed") == (
        "Deals with a first touch within 2 days: too few to compare (90 with, 120 without)."
    )


@pytest.mark.parametrize(
    ("direction", "adjusted", "difference"),
    [
        ("more is better", "more", ""),
        ("depends", "more", ""),
        ("no evidence", "unclear", ""),
        ("more is better", "unclear", TO_FORECAST),
        ("depends", "unclear", TO_FORECAST),
        ("no evidence", "more", TO_DECIDE),
        ("less is better", "more", OTHER_WAY),
        ("more is better", "less", OTHER_WAY),
    ],
)
def test_where_driver_and_effect_differ_it_is_said_which_to_trust_for_what(direction, adjusted, difference):
    effects = effects_of(effect("more", adjusted))
    told = about("touches", drivers_of(STAGE, touches(direction)), effects)
    assert told == f"{effects.sentence('touches')} {difference}".strip()


@pytest.mark.parametrize(("direction", "raw", "adjusted"), list(product(DIRECTIONS, RAW, ADJUSTED)))
def test_no_summary_contradicts_itself(direction, raw, adjusted):
    """Whichever way the three figures point, two that differ are never told without saying how they differ."""
    entries = summary(drivers_of(touches(direction), STAGE, MEETINGS), effects_of(effect(raw, adjusted)))
    told = " ".join(entries)
    driver_way = {"more is better": "more", "less is better": "less", "depends": "any"}.get(direction)
    if raw != adjusted and raw != "unclear":
        assert "reflects which deals these are" in told
    if raw == "unclear" and adjusted != "unclear":
        assert "the raw figure hides it" in told
    if driver_way in ("more", "less") and adjusted not in ("unclear", driver_way):
        assert OTHER_WAY in told
    assert (TO_FORECAST in told) == (driver_way is not None and adjusted == "unclear")
    assert (TO_DECIDE in told) == (driver_way is None and adjusted != "unclear")
    # one entry a subject, and what it speaks for is not listed as without evidence
    assert sum("touches" in entry for entry in entries) == 1
    assert entries[-1] == "No evidence was found for: meetings."


def test_a_driver_and_an_effect_of_one_subject_are_told_in_one():
    assert summary(drivers_of(touches("more is better"), STAGE), effects_of(effect("more", "unclear"))) == [
        "Number of touches moves the odds most, by 6 points on average. More is better: touches so far. "
        f"{GONE} {TO_FORECAST}"
    ]


def test_different_subjects_are_told_apart():
    assert summary(drivers_of(STAGE, touches("no evidence"), MEETINGS), effects_of(effect())) == [
        STAGE_FIRST,
        f"{CLEAR} {TO_DECIDE}",
        "No evidence was found for: meetings.",
    ]


def test_the_largest_clear_effect_is_told_and_one_that_is_clear_is_never_listed_as_without_evidence():
    contacts = driver("contacts", 0.01, "no evidence", "contacts")
    effects = effects_of(
        effect("more", "more", interval=(0.05, 0.01, 0.09)), effect(treatment="contacts"),
        effect("more", "unclear", treatment="people"),
    )  # fmt: skip
    told = summary(drivers_of(STAGE, touches("no evidence"), contacts, MEETINGS), effects)
    assert len(told) == 3
    assert told[1].startswith("Deals with 2 or more contacts in the first 14 days were won 12 points more often.")
    assert told[2] == "No evidence was found for: meetings."


def test_what_lacks_evidence_of_either_kind_is_listed():
    contacts = driver("contacts", 0.01, "no evidence", "contacts")
    effects = effects_of(effect(), effect("unclear", "unclear", treatment="contacts"))
    told = summary(drivers_of(STAGE, contacts, MEETINGS), effects)
    assert told[-1] == "No evidence was found for: contacts involved and meetings."


def test_without_any_evidence_that_is_said_once():
    assert summary(drivers_of(touches("no evidence"), MEETINGS), effects_of(effect("unclear", "unclear"))) == [
        "No figure or attribute tells won from lost deals beyond normal variation.",
        NEITHER,
    ]


def test_without_effects_that_is_said():
    none = Effects(pd.DataFrame(columns=["treatment", "verdict"]), 14, 0, 0, ())
    assert summary(drivers_of(STAGE), none) == [
        STAGE_FIRST,
        "No effect can be estimated: the data hold no touches or people with dates, or too few deals.",
    ]


@pytest.mark.parametrize("direction", ["no evidence", "depends"])
def test_no_direction_is_told_without_evidence(direction):
    told = drivers_of(STAGE, driver("meetings", 0.04, direction, "meetings")).sentences()
    assert not any("meetings" in sentence.lower() and "better" in sentence for sentence in told)
    assert (
        told
        == {
            "no evidence": [STAGE_FIRST, "Controllable: stage.", "No evidence was found for: meetings."],
            "depends": [
                STAGE_FIRST,
                "Meetings: 4 points on average. No clear direction: meetings.",
                "Controllable: stage and meetings.",
            ],
        }[direction]
    )


def test_directions_are_told_with_the_figure_that_they_are_about():
    told = drivers_of(STAGE, touches("more is better", 0.012)).sentences()
    assert told[1] == "Number of touches: 1 point on average. More is better: touches so far."
    told = drivers_of(STAGE, touches("less is better", 0.02)).sentences()
    assert told[1] == "Number of touches: 2 points on average. Less is better: touches so far."


def deal_type(existing, new):
    """Deal types, with mean contribution and win rate of 200 closed deals each."""
    rows = [("existing", 200, *existing), ("new", 250, *new), ("odd", 3, 0.4, 1.0), ("not known", 90, -0.3, 0.1)]
    shape = [("deal_type", "deal_type", label, n, points, n, rate) for label, n, points, rate in rows]
    return drivers_of(driver("deal_type", 0.07, "by value", "deal_type"), shape=shape).sentences()[0]


def test_a_category_names_the_value_that_wins_and_by_how_much():
    assert deal_type((0.081, 0.61), (-0.052, 0.38)) == (
        "Deal type moves the odds most, by 7 points on average. Best: existing customer, 61% won; worst: new "
        "business, 38%."
    )


def test_a_category_whose_win_rates_are_close_is_told_by_its_contributions():
    assert deal_type((0.081, 0.41), (-0.052, 0.38)) == (
        "Deal type moves the odds most, by 7 points on average. Best: existing customer (+8 points); worst: new "
        "business (−5 points)."
    )


def test_a_category_whose_win_rates_say_the_opposite_is_told_with_both():
    assert deal_type((0.081, 0.38), (-0.052, 0.61)) == (
        "Deal type moves the odds most, by 7 points on average. Best, other things being equal: existing customer (+8 "
        "points); worst: new business (−5 points). Their win rates, 38% and 61%, differ the other way, since these "
        "deals also differ in other respects."
    )


def test_a_category_without_two_values_to_compare_names_none():
    assert deal_type((0.081, 0.61), (0.01, 0.38)) == (
        "Deal type moves the odds most, by 7 points on average. No clear difference between its values."
    )


def all_of(language):
    """One sentence of each kind in a language."""
    stage = driver("stage", 0.14, "depends", "stage_rank")
    with speaking(language):
        drivers = drivers_of(stage, touches("more is better", 0.012), MEETINGS)
        others = effects_of(effect(treatment="senior contact"), effect(verdict="too few deals", treatment="speed"))
        return [
            *drivers.sentences(),
            deal_type((0.081, 0.61), (-0.012, 0.38)),
            *(effects_of(effect(raw, adjusted)).sentence("touches") for raw, adjusted in product(RAW, ADJUSTED)),
            *others.sentences(),
            *summary(drivers_of(touches("less is better"), STAGE, MEETINGS), effects_of(effect())),
            *summary(drivers_of(STAGE, touches("no evidence")), effects_of(effect())),
            *summary(drivers_of(STAGE, touches("depends")), effects_of(effect("more", "unclear"))),
        ]


def test_drivers_and_effects_in_french():
    deals = "Les affaires avec 2 échanges ou plus dans les 14 premiers jours"
    alike = "Par rapport à des affaires semblables au départ,"
    told = [sentence.replace("\xa0", " ").replace("\u202f", " ") for sentence in all_of("fr")]
    assert told[1:7] == [
        "Nombre d’échanges : 1 point en moyenne. Une valeur élevée est favorable : échanges à ce jour.",
        "Sous votre contrôle : étape et nombre d’échanges.",
        "Aucun effet démontré pour : rendez-vous.",
        "Type d’affaire : facteur le plus fort, 7 points en moyenne sur les chances de gain. Meilleure valeur : client "
        "existant, 61 % de réussite ; moins bonne : nouveau client, 38 %.",
        f"{deals} ont un taux de réussite supérieur de 12 points. {alike} l’écart est de +8 points (de +3 à +13).",
        f"{deals} ont un taux de réussite supérieur de 12 points. {alike} c’est l’inverse : −8 points (de −13 à −3). "
        "L’écart brut tient à la nature de ces affaires.",
    ]
    assert told[13] == (
        f"{deals} ont à peu près le même taux de réussite que les autres (écart : de −3 à +5 points). {alike} aucun "
        "écart net n’apparaît non plus (de −2 à +5 points)."
    )
    assert told[15] == (
        "Les affaires avec un premier échange en 2 jours au plus sont trop peu nombreuses pour être comparées (90 "
        "avec, 120 sans)."
    )
    assert told[-1].endswith(
        "Le facteur « nombre d’échanges » distingue quand même les affaires gagnées des perdues, car il montre comment "
        "l’affaire évolue : servez-vous-en pour prévoir, pas pour décider quoi faire."
    )


def test_drivers_and_effects_in_german():
    deals = "Deals mit 2 oder mehr Kontakten in den ersten 14 Tagen"
    alike = "Verglichen mit Deals, die anfangs ähnlich waren,"
    told = [sentence.replace("\xa0", " ") for sentence in all_of("de")]
    assert told[1:7] == [
        "Anzahl der Kontakte: im Mittel 1 Punkt. Mehr ist besser: bisherige Kontakte.",
        "Beeinflussbar: Phase und Anzahl der Kontakte.",
        "Kein Beleg gefunden für: Termine.",
        "Art des Deals bewegt die Gewinnchance am stärksten, im Mittel um 7 Punkte. Am besten: Bestandskunde, 61 % "
        "gewonnen; am schlechtesten: Neugeschäft, 38 %.",
        f"{deals} wurden um 12 Punkte öfter gewonnen. {alike} beträgt der Unterschied +8 Punkte (+3 bis +13).",
        f"{deals} wurden um 12 Punkte öfter gewonnen. {alike} ist es umgekehrt: −8 Punkte (−13 bis −3). Der "
        "unbereinigte Unterschied liegt daran, welche Deals das sind.",
    ]
    assert (
        told[15] == "Deals mit einem ersten Kontakt binnen 2 Tagen: zu wenige für einen Vergleich (90 mit, 120 ohne)."
    )
    assert told[-1].endswith(
        "Der Erfolgsfaktor „Anzahl der Kontakte“ unterscheidet gewonnene trotzdem von verlorenen Deals, denn er zeigt, "
        "wie ein Deal läuft: Nutzen Sie ihn für die Prognose, nicht für die Entscheidung, was zu tun ist."
    )


@pytest.mark.parametrize(
    ("points", "sentences"),
    [
        (0.002, ("0 points on average.", "0 point en moyenne.", "im Mittel 0 Punkte.")),
        (0.01, ("1 point on average.", "1 point en moyenne.", "im Mittel 1 Punkt.")),
        (0.02, ("2 points on average.", "2 points en moyenne.", "im Mittel 2 Punkte.")),
    ],
)
def test_points_have_the_right_plural(points, sentences):
    for language, sentence in zip(("en", "fr", "de"), sentences, strict=True):
        with speaking(language):
            told = drivers_of(STAGE, touches("more is better", points)).sentences()[1].replace("\xa0", " ")
        assert told.split(": ")[1].startswith(f"{sentence} ")


@pytest.mark.parametrize(
    ("least", "english", "french", "german"),
    [
        (1.0, "within 1 day", "en 1 jour au plus", "binnen 1 Tag"),
        (2.0, "within 2 days", "en 2 jours au plus", "binnen 2 Tagen"),
    ],
)
def test_days_have_the_right_plural(least, english, french, german):
    for language, written in {"en": english, "fr": french, "de": german}.items():
        with speaking(language):
            told = effects_of(effect(treatment="speed", least=least)).sentence("speed")
        assert f"{written} " in told.replace("\xa0", " ")


def test_every_sentence_is_translated():
    for sentence in all_of(PSEUDO):
        assert sentence.startswith("["), sentence
        assert "~" in sentence, sentence
