"""What insights say in other languages."""

import pandas as pd
import pytest

from winpredict import CRMData
from winpredict.insights.control import changes
from winpredict.insights.forecast import forecast
from winpredict.insights.funnel import funnel
from winpredict.insights.labels import capital, duration, group_named, segment_label
from winpredict.insights.winrates import closed_won
from winpredict.locale.language import PSEUDO, speaking


@pytest.fixture(scope="module")
def insights(world, model):
    """All that says sentences, computed once and in English: what is kept is said in the language of the moment."""
    crm = world.crm
    moved = changes(crm, seed=0)
    return {
        "win rates": closed_won(crm),
        "funnel": funnel(crm, quota=1_000_000.0),
        "flagged funnel": funnel(crm, stalled=crm.deals.loc[crm.deals["outcome"] == "open", "deal_id"].head(3)),
        "forecast": forecast(model, crm, draws=50),
        "changes": moved,
        **{f"chart {key}": chart for key, chart in list(moved.charts.items())[:8]},
        **{
            f"decomposition {key}": each.decomposition
            for key, each in moved.explanations.items()
            if each is not None and each.decomposition is not None
        },
    }


def told(insights, language):
    with speaking(language):
        return {name: each.sentences() for name, each in insights.items()}


def test_every_sentence_is_translated(insights):
    for name, sentences in told(insights, PSEUDO).items():
        assert sentences, name
        for sentence in sentences:
            assert sentence.startswith("["), (name, sentence)
            assert "~" in sentence, (name, sentence)


@pytest.mark.parametrize("language", ["fr", "de"])
def test_no_sentence_stays_english(insights, language):
    english, other = told(insights, "en"), told(insights, language)
    for name, sentences in english.items():
        assert len(sentences) == len(other[name])
        assert not set(sentences) & set(other[name]), name


def deals(won, lost):
    """So many won and lost deals of 1000 each, closed in March 2024 after 10 and 20 days, and one open deal."""
    ends = ["won"] * won + ["lost"] * lost + ["open"]
    created = pd.Timestamp("2024-03-01", tz="UTC")
    days = [10] * won + [20] * lost + [None]
    closed = [None if each is None else created + pd.Timedelta(days=each) for each in days]
    table = {
        "deal_id": [f"d{place}" for place in range(len(ends))], "stage": "Demo", "outcome": ends,
        "created_at": created, "closed_at": closed, "amount": 1000.0,
    }  # fmt: skip
    return CRMData.from_tables(pd.DataFrame(table), stage_order=["Demo"], known_until="2024-04-01")


def plain(sentences):
    return [sentence.replace("\xa0", " ").replace("\u202f", " ") for sentence in sentences]


WON = {
    "en": "{n} of {all} deals closed in the 365 days to 31 Mar 2024 won: {rate}% (95% interval {low}% to {high}%).",
    "fr": "Affaires gagnées : {n} sur {all} conclues dans les 365 jours jusqu’au 31 mars 2024, soit {rate} % "
    "(intervalle à 95 % : de {low} % à {high} %).",
    "de": "{n} von {all} in den 365 Tagen bis 31.03.2024 abgeschlossenen Deals gewonnen: {rate} % (95-%-Intervall "
    "{low} % bis {high} %).",
}


@pytest.mark.parametrize(
    ("n", "figures"),
    [
        (0, {"rate": 0, "low": 0, "high": 56}),
        (1, {"rate": 25, "low": 5, "high": 70}),
        (2, {"rate": 40, "low": 12, "high": 77}),
    ],
)
def test_win_rates_of_0_1_and_2_won_deals(n, figures):
    result = closed_won(deals(n, 3))
    for language, sentence in WON.items():
        with speaking(language):
            assert plain(result.sentences())[0] == sentence.format(n=n, all=n + 3, **figures)


@pytest.mark.parametrize(
    ("language", "sentences"),
    [
        (
            "en",
            [
                "1 open deal, worth 1,000.",
                "At the pace of the last 365 days the pipeline yields about 750 in 30 days: 1 open deal, a win rate of "
                "25%, 1,000 a deal, 10 days to win.",
                "1 open deal, worth 1,000, is stalled.",
            ],
        ),
        (
            "fr",
            [
                "1 affaire en cours, d’une valeur de 1 000.",
                "Au rythme des 365 derniers jours, le pipeline rapporte environ 750 en 30 jours : 1 affaire en cours, "
                "un taux de réussite de 25 %, 1 000 par affaire, 10 jours pour gagner.",
                "1 affaire en cours, d’une valeur de 1 000, est à l’arrêt.",
            ],
        ),
        (
            "de",
            [
                "1 offener Deal im Wert von 1.000.",
                "Im Tempo der letzten 365 Tage bringt die Pipeline etwa 750 in 30 Tagen: 1 offener Deal, 25 % "
                "Abschlussquote, 1.000 je Deal, 10 Tage bis zum Gewinn.",
                "1 offener Deal im Wert von 1.000 ist festgefahren.",
            ],
        ),
    ],
)
def test_a_funnel_of_one_open_deal(language, sentences):
    result = funnel(deals(1, 3), stalled=["d4"])
    with speaking(language):
        assert plain(result.sentences()) == sentences


@pytest.mark.parametrize(
    ("language", "won", "durations"),
    [
        (
            "fr",
            [
                "Les affaires gagnées totalisent 2 000, soit 1 000 en moyenne.",
                "La moitié des affaires gagnées ont été conclues en 10 jours au plus, la moitié des affaires perdues "
                "en 20 jours au plus.",
            ],
            ["1 jour", "1 jour", "2 jours"],
        ),
        (
            "de",
            [
                "Gewonnene Deals brachten 2.000, im Mittel je 1.000.",
                "Gewonnene Deals brauchten zur Hälfte höchstens 10 Tage bis zum Abschluss, verlorene zur Hälfte "
                "höchstens 20 Tage.",
            ],
            ["1 Tag", "1 Tag", "2 Tage"],
        ),
    ],
)
def test_amounts_and_durations(language, won, durations):
    result = closed_won(deals(2, 3))
    with speaking(language):
        assert plain(result.sentences())[1:3] == won
        assert plain(str(duration(days)) for days in (0, 1, 2)) == durations


@pytest.mark.parametrize(
    ("language", "words"),
    [("fr", ["Nouveaux clients", "délai de conclusion"]), ("de", ["Neukunden", "Zeit bis zum Abschluss"])],
)
def test_labels_of_groups_and_segments(language, words):
    with speaking(language):
        assert [capital(group_named("customer", "", "new")), str(segment_label("speed"))] == words
