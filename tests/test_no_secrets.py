"""A secret stands nowhere: not in what is printed, logged or raised, and in no file of the workspace.

Everything that speaks to a CRM is run against stand-ins that remember every token they handed out: with good
credentials, with bad ones, and over a line on which everything fails.
"""

import base64
import gzip
import io
import json
import logging
import re
import sqlite3
import threading
import traceback
import zipfile
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import quote

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner

pytest.importorskip("fastapi")
pytest.importorskip("httpx")
pytest.importorskip("apprise")

from winpredict.cli import app
from winpredict.simulate.world import simulate
from winpredict_sandbox.changes import apply_random_changes
from winpredict_sandbox.fake_servers import connected, fake_server
from winpredict_sandbox.faults import Faults

TALKATIVE = ("winpredict", "httpx", "httpcore", "urllib3", "requests", "apprise", "simple_salesforce", "keyring")
SETTINGS = {"model": {"bags": 1, "trees": 15, "large_leaves": 0}, "snapshots": {"every_days": 60}}
HOOK_SECRET, HOOK_PASSWORD = "B0DFsecretHook91", "hunter2-hunter2"
WRONG = "wrong-but-secret-0123456789"


@dataclass
class Way:
    """A way to sign in to a CRM."""

    crm: str
    settings: dict = field(default_factory=dict)

    @property
    def variables(self):
        """Where its secrets come from."""
        if self.settings.get("sign_in") == "jwt":
            return ["WINPREDICT_SALESFORCE_PRIVATE_KEY"]
        kinds = {"salesforce": ["CLIENT_SECRET"], "zoho": ["CLIENT_SECRET", "REFRESH_TOKEN"], "hubspot": ["TOKEN"]}
        own = ["CLIENT_SECRET", "REFRESH_TOKEN"] if self.settings.get("sign_in") == "oauth" else kinds[self.crm]
        return [f"WINPREDICT_{self.crm.upper()}_{kind}" for kind in own]


WAYS = {
    "salesforce": Way("salesforce"),
    "salesforce-jwt": Way("salesforce", {"sign_in": "jwt", "username": "integration@example.com"}),
    "hubspot": Way("hubspot"),
    "hubspot-oauth": Way("hubspot", {"sign_in": "oauth", "client_id": "0f1e2d3c-client"}),
    "zoho": Way("zoho"),
}


class Heard:
    """Everything that was printed, logged or raised."""

    def __init__(self):
        self.texts = []

    def run(self, *command):
        done = CliRunner().invoke(app, [*map(str, command)])
        self.texts += [done.output, done.stderr]
        if done.exception is not None:
            self.texts += ["".join(traceback.format_exception(done.exception)), repr(done.exception)]
        assert done.exit_code in (0, 1, 2), done.output
        return done.exit_code


def private_key():
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return pem, public.decode()


@pytest.fixture
def hook(monkeypatch):
    """An address for digests, which holds a secret."""

    class Taking(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *said):
            pass

    server = HTTPServer(("127.0.0.1", 0), Taking)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"json://bot:{HOOK_PASSWORD}@127.0.0.1:{server.server_port}/{HOOK_SECRET}"
    monkeypatch.setenv("WINPREDICT_DIGEST_URL", address)
    monkeypatch.setenv("WINPREDICT_BROKEN_URL", address.replace(str(server.server_port), "1"))
    yield
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("name", WAYS)
def test_a_secret_stands_nowhere(name, hook, tmp_path, monkeypatch, caplog, capfd):
    for logger in TALKATIVE:
        caplog.set_level(logging.DEBUG, logger)
    caplog.set_level(logging.DEBUG)
    way, heard = WAYS[name], Heard()
    server = fake_server(way.crm, simulate(120, seed=3))
    known = [HOOK_SECRET, HOOK_PASSWORD, WRONG]
    if way.settings.get("sign_in") == "jwt":
        pem, public = private_key()
        server.trust(way.settings["username"], public)
        monkeypatch.setenv(way.variables[0], pem)
        known += [line for line in pem.splitlines() if "-----" not in line]
        check = server.check_assertion
        monkeypatch.setattr(server, "check_assertion", lambda text: (known.append(text), check(text)))
    with connected(way.crm, server, **{way.crm: way.settings}) as config:
        if name == "salesforce":
            server.behaviour.token_requests = 25  # tokens expire on the way
        own = options(tmp_path, config, "report.yaml" if name == "hubspot" else "knobs.yaml")
        if name == way.crm:
            everything(heard, way.crm, own, server)
        else:  # another way in: what is done inside is the same
            assert heard.run("connect", way.crm, *own[2:]) == heard.run("sync", way.crm, *own) == 0
        for variable in way.variables:
            monkeypatch.setenv(variable, WRONG)
        for command in ("connect", "sync", "push", "run"):
            heard.run(command, way.crm, *(own if command != "connect" else own[2:]))
    for kinds in (("500", "503"), ("cut before", "half an answer"), ("401",)):
        with connected(way.crm, server, Faults(server.app, share=1.0, kinds=kinds), **sections(way)) as config:
            if way.settings.get("sign_in") == "jwt":
                monkeypatch.setenv(way.variables[0], pem)
            bad = options(tmp_path, config, "bad.yaml")
            assert heard.run("sync", way.crm, *bad) == 2
            assert heard.run("push", way.crm, "--apply", *bad) == 2
    printed = capfd.readouterr()
    known += server.secrets
    assert len(known) > 4
    heard.texts += [caplog.text, printed.out, printed.err, *(str(vars(each)) for each in caplog.records)]
    assert "httpx" in caplog.text or "httpcore" in caplog.text
    said = "\n".join(heard.texts)
    assert not [secret for secret in spelled(known) if secret in said]
    assert not list(standing_in(tmp_path / "w", known))


def sections(way):
    return {way.crm: way.settings, "sync": {"attempts": 2}}


def options(folder, config, name):
    run = {
        "push": True,
        "digest": ["digest_url", "broken_url"],
        "reports": ["pipeline"] if name == "report.yaml" else [],
    }
    crm = config.model_dump(mode="json")["crm"]
    (folder / name).write_text(yaml.safe_dump(SETTINGS | {"crm": crm, "run": run}))
    return ["--workspace", folder / "w", "--config", folder / name]


def everything(heard, crm, own, server):
    """A first sync, a model, scores in the CRM, and a day on which much happens."""
    assert heard.run("connect", crm, *own[2:]) == 0
    for command in (["sync", crm], ["train"], ["score"], ["push", crm, "--create-fields"], ["push", crm, "--apply"]):
        given = own if command[0] != "score" else own[:2]
        assert heard.run(*command, *given) == 0, heard.texts[-4:]
    list(apply_random_changes(server, np.random.default_rng(1), 25))
    server.clock.advance(24 * 3600.0)
    assert heard.run("run", crm, *own) == 2  # one of the two digests did not arrive
    undo_file = max((own[1] / "push").glob("*.jsonl"))
    assert heard.run("push", crm, "--undo", undo_file, "--apply", "--json", *own) == 0


def spelled(secrets):
    """Secrets as they are, and as they may stand in addresses, JSON or MIME."""
    for secret in dict.fromkeys(secrets):
        yield secret
        yield quote(secret, safe="")
        yield base64.b64encode(secret.encode()).decode().rstrip("=")[:-1]


def standing_in(folder, secrets):
    """Files below a folder that hold a secret, and which."""
    wanted = [each.encode() for each in spelled(secrets)]
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        content = b"\n".join(readings(path.name, path.read_bytes(), path))
        for secret in wanted:
            if secret in content:
                yield path.relative_to(folder), secret


def readings(name, content, path=None):
    """What a file says: its bytes, and what is packed into them."""
    yield content
    if name.endswith(".parquet"):
        yield pq.ParquetFile(io.BytesIO(content)).schema_arrow.to_string().encode()
        yield pd.read_parquet(io.BytesIO(content)).to_json(default_handler=str, date_format="iso").encode()
    elif content.startswith(b"SQLite format 3"):
        with sqlite3.connect(path) as database:
            yield "\n".join(database.iterdump()).encode()
    elif zipfile.is_zipfile(io.BytesIO(content)):
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            for each in packed.namelist():
                yield from readings(each, packed.read(each))
    elif content.startswith(b"\x1f\x8b"):
        yield gzip.decompress(content)
    elif name.endswith(".html"):
        for packed in re.findall(rb"base64,([A-Za-z0-9+/=]+)", content):
            yield base64.b64decode(packed)


def test_the_search_finds_what_there_is(tmp_path):
    secret = "pat-0123456789"
    pd.DataFrame({"a": [json.dumps({"token": secret})] * 50}).to_parquet(tmp_path / "a.parquet", compression="zstd")
    with sqlite3.connect(tmp_path / "b.db") as database:
        database.execute("create table t (x text)")
        database.execute("insert into t values (?)", [secret])
    with zipfile.ZipFile(tmp_path / "c.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("inner", f"a {secret}" * 20)
    (tmp_path / "d.html").write_bytes(b"<img src='data:x;base64," + base64.b64encode(secret.encode()) + b"'>")
    (tmp_path / "e.txt").write_text("nothing")
    assert {str(path)[0] for path, _ in standing_in(tmp_path, [secret])} == set("abcd")
