"""The digest of a daily run, and that it reaches people without telling the address to anybody else."""

import json
import logging
import re
import threading
from dataclasses import replace
from html import escape
from http.server import BaseHTTPRequestHandler, HTTPServer

import pandas as pd
import pytest
from crm_names import names_in
from pydantic import SecretStr
from untranslated import untranslated

from winpredict import score
from winpredict.config import Run
from winpredict.errors import DigestError
from winpredict.locale.language import speaking
from winpredict.report.digest import Digest, Item, Part, digest
from winpredict.report.sending import _said_by, send

DAYS = 21


@pytest.fixture(scope="module")
def both_days(world, model):
    """Scores of three weeks ago and of now, as if the model had been there then."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(model), "refuse_hindsight", lambda self, moment: None)
        before = world.crm.known_until - pd.Timedelta(days=DAYS)
        earlier = score(model, world.crm.as_known_at(before), as_of=before, model_version="1")
    return earlier, score(model, world.crm, model_version="1")


def test_movers_are_named_with_their_reasons_the_strongest_first(world, model, both_days):
    earlier, scores = both_days
    result = digest(model, world.crm, scores, earlier, Run(digest_deals=3))
    now, before = (each.set_index("deal_id")["win_probability"] for each in (scores, earlier))
    moves = (now - before).dropna()
    parts = {part.title: part for part in result.parts}
    assert [each.deal_id for each in parts["Odds that rose"].items] == moves.nlargest(3).index.tolist()
    assert [each.deal_id for each in parts["Odds that fell"].items] == moves.nsmallest(3).index.tolist()
    first = parts["Odds that rose"].items[0]
    low, high = (round(100 * odds[first.deal_id]) for odds in (before, now))
    assert first.text == f"{line_of(world.crm, first.deal_id)}: {low}% to {high}% (+{high - low} points)"
    assert 0 < len(first.reasons) <= 3
    assert f"{(moves >= 0.05).sum()} rose and {(moves <= -0.05).sum()} fell by 5 points or more." in result.subtitle


def line_of(crm, deal_id):
    """A deal as the digest names it: name, account, amount, owner."""
    deal = crm.deals.set_index("deal_id").loc[deal_id]
    account = crm.accounts.set_index("account_id")["name"][deal["account_id"]]
    owner = crm.users.set_index("user_id")["name"][deal["owner_id"]]
    amount = "" if pd.isna(deal["amount"]) else f", {deal['amount']:,.0f}"
    return f"{deal['name']} ({account}){amount}, {owner}"


def test_the_line_of_a_deal_adds_up_as_it_is_written(world, model, both_days):
    earlier, scores = both_days
    for part in digest(model, world.crm, scores, earlier, Run(digest_deals=20)).parts[:2]:
        for item in part.items:
            before, after, points = re.search(r"([\d.]+)% to ([\d.]+)% \(([+−]\d+) points?\)$", item.text).groups()
            assert round(float(after) - float(before)) == int(points.replace("−", "-"))


def test_risks_are_big_and_flagged_and_neither_hopeless_nor_booked(world, model, both_days):
    earlier, scores = both_days
    result = digest(model, world.crm, scores, earlier, Run(digest_deals=100, big_share=0.5))
    (risks,) = (part.items for part in result.parts if part.title == "Big deals at risk")
    deals = world.crm.deals.set_index("deal_id")
    scored = scores.set_index("deal_id")
    amounts = deals.loc[scores["deal_id"], "amount"]
    shown = deals.loc[[each.deal_id for each in risks], "amount"]
    assert shown.is_monotonic_decreasing
    moves = scored["win_probability"] - earlier.set_index("deal_id")["win_probability"]
    flags = {deal_id: set(each.split(",")) for deal_id, each in scored["flags"].items()}
    expected = {
        deal_id
        for deal_id, amount in amounts.items()
        if amount >= amounts.median()
        and ("at_risk" in flags[deal_id] or (moves[deal_id] <= -0.05 and not flags[deal_id] & {"hopeless", "booked"}))
    }
    assert {each.deal_id for each in risks} == expected
    for each in risks:
        assert ("silent" in each.text) == ("silent" in flags[each.deal_id])
        assert ("odds down" in each.text) == (moves[each.deal_id] <= -0.05)
        step = scored["next_step"][each.deal_id]
        assert each.reasons == ((f"Next step: {step}",) if step else ())


def test_a_risk_says_which_flags_and_what_to_do(world, model, both_days):
    deal_id = both_days[1]["deal_id"].iloc[0]
    scores = (
        both_days[1]
        .head(1)
        .assign(win_probability=0.48, flags="at_risk,silent,overdue", next_step="Call them. No contact for 40 days.")
    )
    earlier = scores.assign(win_probability=0.61, as_of=scores["as_of"] - pd.Timedelta(days=7))
    crm = replace(world.crm, deals=world.crm.deals.assign(name="Acme renewal", amount=103_000.0, currency="EUR"))
    crm = replace(crm, accounts=None, users=crm.users.assign(name="Kim Lee").drop_duplicates("name"))
    crm = replace(crm, deals=crm.deals.assign(owner_id=crm.users["user_id"].iloc[0]))
    for language, line, step in (
        ("en", "Acme renewal, €103,000, Kim Lee: 48%; odds down 13 points, silent, and overdue", "Next step: "),
        (
            "fr",
            "Acme renewal, 103\u202f000\xa0€, Kim Lee\xa0: 48\xa0%\xa0; chances en baisse de 13 points, sans échange "
            "récent et clôture dépassée",
            "Prochaine action\xa0: ",
        ),
    ):
        with speaking(language):
            part = digest(model, crm, scores, earlier, Run(moved_points=5, big_share=1, digest_deals=1)).parts[-1]
        assert part.items == (Item(deal_id, line, (f"{step}Call them. No contact for 40 days.",)),)


def test_without_earlier_scores_only_flags_are_told(world, model, both_days):
    result = digest(model, world.crm, both_days[1], None, Run(), problems=["3 deals have no amount"])
    assert result.subtitle.endswith("No earlier scores to compare with.")
    assert {part.title for part in result.parts} <= {"Big deals at risk"}
    assert result.title.endswith(", 1 problem")
    assert "- 3 deals have no amount" in result.markdown()


def test_another_model_is_told(world, model, both_days):
    earlier, scores = both_days
    result = digest(model, world.crm, scores, earlier.assign(model_version="0"), Run())
    assert "Model 1 has replaced model 0; the moves below are by model 1 for both days." in result.subtitle


def test_the_digest_is_written_in_the_language_of_the_moment(world, model, both_days):
    earlier, scores = both_days
    moves = (scores.set_index("deal_id")["win_probability"] - earlier.set_index("deal_id")["win_probability"]).dropna()
    with speaking("fr"):
        result = digest(model, world.crm, scores, earlier, Run(digest_deals=1), ["Un."])
    assert result.title.startswith(f"winpredict\xa0: {len(scores)} affaires en cours, ")
    assert result.subtitle == (
        f"{len(scores)} affaires en cours au 13 mars 2025, comparées au 20 févr. 2025\xa0: {(moves >= 0.05).sum()} en "
        f"hausse et {(moves <= -0.05).sum()} en baisse d’au moins 5 points."
    )
    assert [part.title for part in result.parts] == [
        "Chances en hausse",
        "Chances en baisse",
        "Grandes affaires à risque",
    ]
    with speaking("fr"):
        assert "**Problèmes**\n\n- Un." in result.markdown()


def test_the_digest_says_nothing_that_is_not_translated(world, model, both_days):
    with speaking("en_XA"):
        before = world.crm.known_until - pd.Timedelta(days=DAYS)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(model), "refuse_hindsight", lambda self, moment: None)
            earlier = score(model, world.crm.as_known_at(before), as_of=before, model_version="1")
        scores = score(model, world.crm, model_version="1")
        result = digest(model, world.crm, scores, earlier, Run(digest_deals=5))
        lines = [result.title, *result.markdown().splitlines()]
    page = "".join(f"<p>{escape(line.strip(' -*'))}</p>" for line in lines)
    assert untranslated(page, names_in(world.crm)) == []


def test_names_from_the_crm_are_no_markup():
    items = (Item("a", "*Acme* [x](http://y)", ("a_b",)),)
    text = Digest("t", "s", (Part("Odds that rose", items),)).markdown()
    assert r"- \*Acme\* \[x\](http://y)" in text
    assert "\n    - a_b" in text


@pytest.fixture
def listener():
    """A server that takes what is sent to it."""
    taken = []

    class Taking(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            taken.append((self.path, json.loads(body)))
            self.send_response(500 if "refuse" in self.path else 200)
            self.end_headers()

        def log_message(self, *said):
            pass

    server = HTTPServer(("127.0.0.1", 0), Taking)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"127.0.0.1:{server.server_port}", taken
    server.shutdown()
    server.server_close()


def test_a_digest_arrives_and_nothing_tells_its_address(listener, caplog):
    caplog.set_level(logging.DEBUG)
    pytest.importorskip("apprise")
    address, taken = listener
    addresses = {
        "digest_url": SecretStr(f"json://bot:hunter2secret@{address}/services/T00SECRET"),
        "second": SecretStr(f"json://{address}/refuse/B00SECRET"),
    }
    with pytest.raises(DigestError, match="second did not take it") as caught:
        send("2 up", "- **Acme** rose", addresses)
    assert [path for path, _ in taken] == ["/services/T00SECRET", "/refuse/B00SECRET"]
    assert taken[0][1]["title"] == "2 up"
    assert "Acme" in taken[0][1]["message"]
    said = caplog.text + str(caught.value)
    for secret in ("hunter2secret", "T00SECRET", "B00SECRET"):
        assert secret not in said
    logging.getLogger("urllib3.connectionpool").warning("heard again")
    assert "heard again" in caplog.text


def test_what_is_no_address_is_a_sentence():
    pytest.importorskip("apprise")
    with pytest.raises(DigestError, match="digest_url is no address that Apprise knows") as caught:
        send("t", "b", {"digest_url": SecretStr("nonsense://T00SECRET")})
    assert "T00SECRET" not in str(caught.value)


def test_loggers_that_are_made_while_it_is_sent_are_silent_too(caplog, capfd):
    caplog.set_level(logging.DEBUG)
    with _said_by("apprise") as said:
        logging.getLogger("urllib3.made_late").warning("POST /services/secret")
        logging.getLogger("requests.made_late").debug("POST /services/secret")
        logging.getLogger("apprise.made_late").warning("POST /services/secret was refused")
    assert said == ["POST /services/secret was refused"]
    assert "secret" not in caplog.text + "".join(capfd.readouterr())
    logging.getLogger("urllib3.made_late").warning("heard again")
    assert "heard again" in caplog.text
