"""``winpredict import`` as somebody uses it who has a file and no profile."""

import json

import pandas as pd
import pytest
import yaml
from printed_words import untranslated_words
from typer.testing import CliRunner

from winpredict.cli import app
from winpredict.workspace import Workspace

HEADER = "ID de l'opportunité;Nom du compte;Étape;Montant;Date de création;Date de clôture"
STAGES = ("Fermée / Gagnée", "Fermée / Perdue", "Négociation/Révision")


def french_report(folder, name="rapport.csv", *, amounts="{n}\u202f500,50", days="{d:02d}/0{m}/2024"):
    lines = [HEADER]
    for n in range(30):
        created, closed = (days.format(d=n % 28 + 1, m=m) for m in (1 + n % 3, 5 + n % 3))
        amount = amounts.format(n=n + 1)
        lines.append(f"0065g00000AA{n:04d};Client {n};{STAGES[n % 3]};{amount};{created};{closed}")
    path = folder / name
    path.write_bytes("\r\n".join(lines).encode("utf-8"))
    return path


def run(*words, code=0):
    ended = CliRunner().invoke(app, [str(word) for word in words])
    assert ended.exit_code == code, ended.output
    assert "Traceback" not in ended.output
    return ended


def test_a_file_without_a_profile_is_understood_and_its_profile_kept(tmp_path):
    workspace = tmp_path / "w"
    ended = run("import", french_report(tmp_path), "--workspace", workspace)
    assert ended.output.count("Deals: 10 won, 10 lost, 10 open") == 1
    assert f"Stored in {workspace}: 30 deals\n" in ended.output
    assert "Dates: created 2024-01-01 to 2024-03-27; closed 2024-05-01 to 2024-06-" in ended.output
    deals = Workspace(workspace).crm().deals.set_index("deal_id")
    assert deals.loc["0065g00000AA0000", ["outcome", "amount"]].tolist() == ["won", 1500.5]
    assert deals.loc["0065g00000AA0001", "created_at"] == pd.Timestamp("2024-02-02", tz="UTC")
    kept = yaml.safe_load((workspace / "profiles" / "rapport.yaml").read_text())
    assert kept["won"] == ["Fermée / Gagnée"]
    again = run("import", tmp_path / "rapport.csv", "--profile", workspace / "profiles" / "rapport.yaml",
                "--workspace", workspace, "--json")  # fmt: skip
    assert json.loads(again.output)["understood"]["outcomes"] == {"won": 10, "lost": 10, "open": 10}


def test_what_should_be_confirmed_is_not_imported_where_nobody_can_be_asked(tmp_path):
    path = french_report(tmp_path, amounts="{n}.500 $")
    workspace = tmp_path / "w"
    ended = run("import", path, "--workspace", workspace, code=2)
    assert "Please confirm:" in ended.output
    assert "are taken for US dollars [profile: constants: {currency: USD}]" in ended.output
    assert "Nothing was stored. Run it again with --yes" in ended.output
    assert not Workspace(workspace).exists
    run("import", path, "--workspace", workspace, "--yes")
    deals = Workspace(workspace).crm().deals
    assert deals["amount"].min() == 1500.0
    assert set(deals["currency"]) == {"USD"}


def test_a_proposal_goes_to_the_output_and_what_it_understands_beside_it(tmp_path):
    ended = run("import", french_report(tmp_path), "--guess")
    proposal = yaml.safe_load(ended.stdout)
    assert proposal["tables"]["deals"][0]["columns"]["closed_at"] == "Date de clôture"
    assert "Deals: 10 won, 10 lost, 10 open" in ended.stderr
    said = json.loads(run("import", tmp_path / "rapport.csv", "--guess", "--json").stdout)
    assert yaml.safe_load(said["profile"]) == proposal
    assert said["understood"]["created"] == ["2024-01-01", "2024-03-27"]


@pytest.mark.parametrize("profile", ["salesforce", "hubspot", "zoho", "generic"])
def test_a_profile_that_does_not_fit_stores_nothing(tmp_path, profile):
    ended = run("import", french_report(tmp_path), "--profile", profile, "--workspace", tmp_path / "w", code=2)
    assert "does not fit" in ended.output
    assert not Workspace(tmp_path / "w").exists


def test_a_report_without_lost_deals_is_refused_with_the_counts(tmp_path):
    path = french_report(tmp_path)
    lines = [line for line in path.read_text().splitlines() if "Perdue" not in line]
    path.write_text("\n".join(lines))
    ended = run("import", path, "--guess", code=2)
    assert "10 won" in ended.output
    assert "10 open" in ended.output
    assert "lost" in ended.output


def test_limits_are_settings(tmp_path):
    (tmp_path / "tight.yaml").write_text("input_limits: {columns: 4}\n")
    path = french_report(tmp_path)
    ended = run("import", path, "--config", tmp_path / "tight.yaml", "--workspace", tmp_path / "w", code=2)
    assert "input_limits.columns" in ended.output


FAULTY = """deal_id;stage;amount;created_at;closed_at
a;Won;1.500 $;13/01/2024;20/02/2024
b;Lost;2.500 $;14/01/2024;21/02/2024
b;Lost;2.600 $;14/01/2024;21/02/2024
c;Signed;-3.500 $;15/01/2024;
d;Demo;viel;16/01/2024;
e;Won;4.500 $;01/03/2024;20/02/2024
f;Demo;5.500 $;01/03/2090;
"""


@pytest.fixture
def faulty(tmp_path):
    """Few deals with whatever an import remarks on."""
    path = tmp_path / "faulty.csv"
    path.write_text(FAULTY)
    return ["import", path, "--profile", "generic", "--workspace", tmp_path / "w"]


def test_what_was_understood_and_is_wrong_is_said_in_french(faulty):
    imported = run(*faulty, "--locale", "fr_FR").output
    for line in (
        "Fichiers\u00a0: faulty.csv (7 lignes\u00a0; colonnes séparées par des points-virgules)\n",
        "Affaires\u00a0: 2 gagnées, 1 perdue, 3 en cours\n",
        "deals\u00a0: le même identifiant avec d’autres valeurs, la ligne la plus tardive compte (fusionné)\n",
        "deals\u00a0: amount n’est pas un nombre, pris pour manquant (réparé), par exemple 'viel'\n",
        "deals\u00a0: created_at est dans le futur, pris pour manquant (réparé)",
        "À confirmer\u00a0:\n",
        "1 affaire est à l’étape «\u00a0Signed\u00a0», qui évoque «\u00a0gagnée\u00a0»\u00a0; le profil ",
        "les montants avec «\u00a0$\u00a0» dans amount sont pris pour des dollars américains [profil\u00a0: ",
    ):
        assert line in imported
    checked = run("check", *faulty[-2:], "--locale", "fr_FR").output
    for line in (
        "Qualité des données\u00a0: 3 problèmes graves, ",
        "  grave\u00a0: trop peu d’affaires closes\u00a0: gagnées 2, perdues 1 (aucun modèle n’apprend ",
        "  grave\u00a0: aucun changement d’affaire n’est enregistré (",
        "affaires sur 6 n’ont pas de date de création (",
    ):
        assert line in checked


def test_nothing_of_an_import_and_a_check_is_left_untranslated(faulty, tmp_path):
    ended = run(*faulty, "--locale", "en_XA")
    assert untranslated_words(ended.output, {str(tmp_path)}) == []
    assert untranslated_words(run("check", *faulty[-2:], "--locale", "en_XA").output) == []
    proposed = run("import", french_report(tmp_path, amounts="{n}.500 $"), "--guess", "--locale", "en_XA")
    assert untranslated_words(proposed.stderr) == []


def test_what_an_import_keeps_does_not_change_with_the_language(faulty, tmp_path):
    run(*faulty, "--locale", "fr_FR")
    (imported,) = Workspace(tmp_path / "w").manifest["imports"]
    assert imported["repairs"]["deals: amount is not a number, taken as missing (repaired)"] == 1
    assert imported["sources"][0]["remark"] == "columns separated by semicolons"
    kept = pd.read_csv(Workspace(tmp_path / "w").version().quarantine_folder / "deals.csv")
    assert "amount is not a number, taken as missing" in set(kept["cause"])
    assert set(kept["done"]) == {"merged", "repaired"}
