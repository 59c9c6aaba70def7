"""Reports in every language: exact words in French and German, nothing untranslated, and room for longer words."""

import base64
import re
from html import unescape

import pytest
from crm_names import names_in
from untranslated import untranslated

from winpredict import backtest
from winpredict.errors import ConfigError
from winpredict.locale.formats import counting_in
from winpredict.locale.language import speaking
from winpredict.report import drivers as driver_report
from winpredict.report.forecast import forecast_report
from winpredict.report.model_card import model_card
from winpredict.report.pipeline import pipeline_report
from winpredict.report.writing import report_bytes

KINDS = ("drivers", "pipeline", "forecast", "model card")
#: Ticks of axes: amounts, shares, points, months.
TICK = re.compile(r"[+−]?[\d.,]+[kM]?%?|[A-Z][a-z]{2} \d\d")


@pytest.fixture(scope="module")
def judged(world, quick_config):
    return backtest(world.crm, quick_config, folds=2)


@pytest.fixture(scope="module")
def write(world, model, judged):
    """A report of a kind in a language, as a page; what takes long is computed once, for all languages."""
    computed, pages = {}, {}

    def once(name):
        compute = getattr(driver_report, name)

        def cached(*args, **options):
            if name not in computed:
                computed[name] = compute(*args, **options)
            return computed[name]

        return cached

    def report(kind):
        if kind == "drivers":
            return driver_report.drivers_report(model, world.crm, segment="customer")
        if kind == "pipeline":
            return pipeline_report(model, world.crm, segment="product")
        if kind == "forecast":
            return forecast_report(model, world.crm)
        tables = {name: getattr(judged, name).reset_index() for name in ("overall", "by_cutoff", "by_stage", "by_age")}
        return model_card(model, backtest=tables | {"reliability": judged.reliability}, verdict=judged.verdict)

    def written(kind, language):
        if (kind, language) not in pages:
            with speaking(language), counting_in("EUR"):
                pages[kind, language] = report_bytes(report(kind), ".html").decode()
        return pages[kind, language]

    with pytest.MonkeyPatch.context() as patch:
        for name in ("drivers", "changes", "adjusted_effects"):
            patch.setattr(driver_report, name, once(name))
        written("drivers", "en_XA")  # the first, since pairs of drivers are named as they are computed
        yield written


def words_of_charts(page):
    """What each drawing of a page says, its lines one after the other."""
    for drawing in set(re.findall(r"data:image/svg\+xml;base64,([\w+/=]+)", page)):
        svg = base64.b64decode(drawing).decode()
        yield [unescape(words) for words in re.findall(r"<text[^>]*>([^<]*)</text>", svg)]


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_untranslated(kind, write, world, model):
    page = write(kind, "en_XA")
    names = names_in(world.crm) | {*model.dropped_attributes}
    assert untranslated(page, names) == []
    for words in words_of_charts(page):
        said = " ".join(each for each in words if not TICK.fullmatch(each))
        assert untranslated(f"<p>{said}</p>", names) == []


@pytest.mark.parametrize(
    ("language", "kind", "sentences"),
    [
        (
            "fr",
            "drivers",
            [
                '<html lang="fr">',
                "<h1>Pourquoi les affaires sont gagnées</h1>",
                '<p class="subtitle">700 affaires au 13 mars 2025</p>',
                "<h2>Ce qui distingue les affaires gagnées des perdues</h2>",
                "<h2>Où les affaires s’enlisent</h2>",
                '<th scope="col">Jours dans l’étape</th>',
                ">Annexe</h2>",
                "<h3>Ce que les affaires gagnées ont en commun</h3>",
                "Cartes de contrôle\xa0: une fausse alerte sur 20 rapports, toutes cartes confondues.",
            ],
        ),
        (
            "de",
            "drivers",
            [
                '<html lang="de">',
                '<p class="subtitle">700 Deals, Stand 13.03.2025</p>',
                "<h2>Was gewonnene von verlorenen Deals unterscheidet</h2>",
                "<h2>Wo Deals stecken bleiben</h2>",
                ">Anhang</h2>",
                "Regelkarten: ein Fehlalarm in 20 Berichten, über alle Karten zusammen.",
            ],
        ),
        (
            "fr",
            "pipeline",
            [
                "<h1>Le pipeline</h1>",
                "<caption><span>Affaires en cours, meilleures chances d’abord</span></caption>",
                "<h2>Affaires en cours par segment\xa0: produit</h2>",
                "Vélocité commerciale\xa0: affaires en cours × taux de réussite × montant gagné moyen ÷ durée moyenne "
                "jusqu’au gain.",
            ],
        ),
        (
            "fr",
            "forecast",
            [
                '<p class="subtitle">Situation au 13 mars 2025</p>',
                "<td class=\"left\">Ce mois-ci</td>",
                "<h2>Les affaires qui portent le trimestre</h2>",
                "<h2>Par commercial</h2>",
            ],
        ),
        (
            "de",
            "forecast",
            ["<h1>Prognose</h1>", "<td class=\"left\">Dieser Monat</td>", "<h2>Deals, die das Quartal tragen</h2>"],
        ),
        (
            "fr",
            "model card",
            [
                "<h1>Fiche du modèle</h1>",
                "<li>Entraîné sur 586 affaires closes (dont 232 gagnées) en 2\u202f707 instantanés, avec",
                "<h2>Qualité des chances de gain</h2>",
                "<h2>Verdict du backtest</h2>\n<p>Log loss inférieure de ",
            ],
        ),
    ],
)  # fmt: skip
def test_sentences_and_heads_in_french_and_german(language, kind, sentences, write):
    page = unescape(write(kind, language))
    assert [each for each in sentences if each not in page] == []


def test_deals_are_named_and_not_their_ids(write, world):
    for kind in ("drivers", "pipeline", "forecast"):
        page = write(kind, "fr")
        assert re.search(r'<td class="left">Opp \d+ \(Account \d+\)</td>', page)
        assert not set(world.crm.deals["deal_id"]) & set(re.findall(r"\w+", re.sub(r'"data:[^"]*"', "", page)))


def test_a_change_that_no_month_shows_is_told_as_such(write):
    """The year differs from the one before; no series holds when the number of series is allowed for."""
    page = write("drivers", "fr")
    assert "C’est 10 points de moins que les 41\xa0% de la période précédente." in unescape(page)
    assert "<li>Mois par mois, le taux de réussite ne montre qu’une variation normale" in unescape(page)
    titles = [" ".join(words) for words in words_of_charts(page)]
    assert any("Taux de réussite\xa0: variation normale" in each for each in titles)
    assert not any("Taux de réussite\xa0: changement" in each for each in titles)


def laid_out(page):
    from winpredict.report.writing import _weasyprint

    try:
        return _weasyprint().HTML(string=page).render()
    except ConfigError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("language", ["fr", "de"])  # which take more room than English
def test_what_a_manager_must_know_is_on_two_pages(language, write):
    pages = laid_out(write("drivers", language)).pages
    assert [number for number, page in enumerate(pages, start=1) if "appendix" in page.anchors] == [3]


@pytest.mark.parametrize("kind", KINDS)
def test_longer_words_stay_on_the_page(kind, write):
    boxes = 0
    for page in laid_out(write(kind, "en_XA")).pages:
        right = page.width - 50  # the margin is 60 pixels
        for box in page._page_box.descendants():
            if getattr(box, "text", None) and box.text.strip():
                boxes += 1
                assert box.position_x + box.width <= right, box.text
    assert boxes > 50
