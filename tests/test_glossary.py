from pathlib import Path

from winpredict import glossary
from winpredict.explain.deal_flags import FLAGS
from winpredict.locale.language import speaking

DOCS = Path(__file__).parents[1] / "docs" / "glossary.md"


def test_the_page_of_the_docs_is_up_to_date():
    assert DOCS.read_text(encoding="utf-8") == glossary.page()


def test_a_figure_says_what_deals_it_is_about_and_by_when():
    with speaking("en"):
        assert str(glossary.GLOSSARY["win_rate"].definition) == (
            "Won ÷ (won + lost), each deal counting once. Deals: deals closed in the period."
        )
        assert str(glossary.GLOSSARY["commit"].definition) == (
            "The 20% quantile of simulated futures. Deals: deals won in the period so far, open deals, and deals not "
            "yet "
            "created. Horizon: the end of the month or quarter."
        )


def test_each_flag_that_judges_a_deal_is_explained():
    explained = {"booked_meeting" if flag == "booked" else flag for flag in FLAGS}
    assert explained <= set(glossary.GLOSSARY)
