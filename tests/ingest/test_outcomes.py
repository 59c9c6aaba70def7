import pytest

from winpredict.ingest.outcomes import stage_names
from winpredict.ingest.profiles import Profile, load_profile

HUBSPOT = load_profile("hubspot")
PLAIN = Profile(name="plain", tables={"deals": [{"file": "deals"}]}, won=["Won"], lost=["Lost"])


@pytest.mark.parametrize(
    ("spellings", "profile", "expected"),
    [
        ({"WON": 1, "won": 2, "Won": 3}, PLAIN, {"WON": "Won", "won": "Won"}),
        ({"CLOSED  LOST": 1}, load_profile("generic"), {"CLOSED  LOST": "Closed Lost"}),
        ({"demo": 1, "Demo": 5, "DEMO": 2}, PLAIN, {"demo": "Demo", "DEMO": "Demo"}),
        ({"demo": 2, "Demo": 2}, PLAIN, {"demo": "Demo"}),  # as frequent: the first by alphabet
        ({"Closed won (Renewals)": 4}, HUBSPOT, {"Closed won (Renewals)": "Closed Won"}),
        (
            {"Demo (EMEA)": 1, "Offer (EMEA)": 1, "Demo": 1},
            PLAIN,
            {"Demo (EMEA)": "Demo", "Offer (EMEA)": "Offer"},
        ),
        ({"Offer (50%)": 1, "Contract (75%)": 1, "Offer": 1}, PLAIN, {}),  # the brackets tell the stages apart
        ({"Offer (draft)": 1, "Offer": 1}, PLAIN, {}),
        ({"Demo": 1, "Offer": 1}, PLAIN, {}),
    ],
)
def test_spellings_of_a_stage_get_one_name(spellings, profile, expected):
    assert stage_names(spellings, profile) == expected
