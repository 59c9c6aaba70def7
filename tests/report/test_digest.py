"""The digest of a daily run, and that it reaches people without telling the address to anybody else."""

import json
import logging
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pandas as pd
import pytest
from pydantic import SecretStr

from winpredict import score
from winpredict.config import Run
from winpredict.errors import DigestError
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


def test_movers_are_told_with_their_reasons_the_strongest_first(world, model, both_days):
    earlier, scores = both_days
    result = digest(model, world.crm, scores, earlier, Run(digest_deals=3))
    moves = (scores.set_index("deal_id")["win_probability"] - earlier.set_index("deal_id")["win_probability"]).dropna()
    parts = {part.title: part for part in result.parts}
    assert [each.deal_id for each in parts["Odds that rose"].items] == moves.nlargest(3).index.tolist()
    assert [each.deal_id for each in parts["Odds that fell"].items] == moves.nsmallest(3).index.tolist()
    first = parts["Odds that rose"].items[0]
    assert f"({100 * moves.max():+.1f} points)" in first.text
    assert 0 < len(first.reasons) <= 3
    assert f"{(moves >= 0.05).sum()} rose and {(moves <= -0.05).sum()} fell by 5 points or more" in result.subtitle


def test_risks_are_big_and_falling_or_silent(world, model, both_days):
    earlier, scores = both_days
    result = digest(model, world.crm, scores, earlier, Run(digest_deals=100, big_share=0.5))
    risks = next(part.items for part in result.parts if part.title == "Big deals at risk")
    deals = world.crm.deals.set_index("deal_id")
    amounts = deals.loc[scores["deal_id"], "amount"]
    told = deals.loc[[each.deal_id for each in risks], "amount"]
    assert told.is_monotonic_decreasing
    assert told.min() >= amounts.median()
    touches = world.crm.activities.groupby("deal_id")["occurred_at"].max()
    for each in risks:
        days = (world.crm.known_until - touches.get(each.deal_id, deals.loc[each.deal_id, "created_at"])).days
        assert ("no touch for" in each.text) == (days >= 21)
        assert "no touch for" in each.text or "odds −" in each.text


def test_without_earlier_scores_only_silence_is_told(world, model, both_days):
    result = digest(model, world.crm, both_days[1], None, Run(), problems=["3 deals have no amount"])
    assert "no earlier scores" in result.subtitle
    assert {part.title for part in result.parts} <= {"Big deals at risk"}
    assert result.title.endswith("1 problem")
    assert "- 3 deals have no amount" in result.markdown()


def test_another_model_is_told(world, model, both_days):
    earlier, scores = both_days
    result = digest(model, world.crm, scores, earlier.assign(model_version="0"), Run())
    assert "model 0 gave way to 1" in result.subtitle


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
