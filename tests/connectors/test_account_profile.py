"""A profile for one account of a live CRM reads that account's stages, whatever they are called."""

from winpredict.connectors.account_profile import account_profile
from winpredict.connectors.base import Description, Stage
from winpredict.ingest import import_files, load_profile


def test_stages_whose_names_look_like_patterns_are_read_as_they_stand(tmp_path):
    stages = (
        Stage("Offer [50%]", "Offer 50", "open"),
        Stage("Won [EU]", "Won EU", "won"),
        Stage("No*", "Nope", "lost"),
        Stage("Why?", "Asked", "open"),
    )
    text = account_profile("salesforce", load_profile("salesforce"), Description("Acme", (), stages=stages))
    (tmp_path / "my.yaml").write_text(text)
    names = [*(each.name for each in stages), "Nothing", "Why!"]
    rows = "".join(f"006{number},2025-01-05,2025-02-01,{name}\n" for number, name in enumerate(names))
    (tmp_path / "Opportunity.csv").write_text("Id,CreatedDate,CloseDate,StageName\n" + rows)
    result = import_files([tmp_path / "Opportunity.csv"], load_profile(tmp_path / "my.yaml"))
    assert result.crm.deals["stage"].tolist() == ["Offer 50", "Won EU", "Nope", "Asked", "Nothing", "Why!"]
    assert result.crm.deals["outcome"].tolist() == ["open", "won", "lost", "open", "open", "open"]
    assert result.repairs == {
        'deals: the profile lacks the stage "Nothing", taken as open (repaired)': 1,
        'deals: the profile lacks the stage "Why!", taken as open (repaired)': 1,
    }
