"""The files for deployment fit the code: commands, options, settings, addresses, names of figures, licences."""

import configparser
import importlib.util
import json
import re
import shlex
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import yaml
from fastapi import FastAPI
from fastapi.testclient import TestClient
from typer.main import get_command

from winpredict.app.application import create_app
from winpredict.app.people import now
from winpredict.cli import app as cli
from winpredict.config import Config, load_config
from winpredict.locale.text import text
from winpredict.models.monitoring import Check, Health
from winpredict.workspace import ENVIRONMENT_VARIABLE, Workspace

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
PORT = Config().app.port
YAML_FILES = [ROOT / "compose.yaml", *sorted(DEPLOY.rglob("*.yaml")), *sorted(DEPLOY.rglob("*.yml"))]
PROGRAMS = [DEPLOY / "airflow" / "winpredict_daily.py", DEPLOY / "dagster" / "winpredict_daily.py"]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
PAGE = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
#: What the desk tells of the checks of `winpredict monitor`.
HEALTH_STATE = "winpredict_health_state"


def one(path: Path) -> dict[str, Any]:
    """The only document of a YAML file."""
    (document,) = yaml.safe_load_all(path.read_text(encoding="utf-8"))
    return document


def instructions(name: str) -> list[str]:
    """What follows each NAME in the Dockerfile, with lines that go on joined."""
    joined = re.sub(r"\\\n\s*", "", DOCKERFILE)
    return re.findall(rf"^{name} (.*)$", joined, re.M)


def manifests() -> Iterator[dict[str, Any]]:
    for path in sorted((DEPLOY / "kubernetes").rglob("*.yaml")):
        if path.name != "kustomization.yaml":
            yield one(path)


def pods() -> Iterator[dict[str, Any]]:
    """The pods of all workloads."""
    for each in manifests():
        spec = each.get("spec", {})
        template = spec.get("jobTemplate", {}).get("spec", spec).get("template")
        if template:
            yield template["spec"]


def containers() -> Iterator[dict[str, Any]]:
    for pod in pods():
        yield from [*pod.get("initContainers", []), *pod["containers"]]


def page_commands() -> Iterator[list[str]]:
    """Words of what the page has people type, from the name of the command on."""
    code = "\n".join(re.findall(r"^```\n(.*?)^```", PAGE, re.M | re.S)).replace("\\\n", " ")
    for words in re.findall(
        r"(?:^winpredict|-- winpredict|as_winpredict|--rm (?:daily|desk)) ([a-z][^&\n]*)", code, re.M
    ):
        yield shlex.split(words)


def commands() -> Iterator[tuple[str, list[str]]]:
    """Every command line of winpredict in the files, and where it stands."""
    for words in instructions("CMD"):
        yield "Dockerfile", json.loads(words)
    for name, service in one(ROOT / "compose.yaml")["services"].items():
        if "winpredict" in service["image"]:
            yield f"compose.yaml: {name}", service["command"]
    for each in containers():
        yield f"kubernetes: {each['name']}", each["args"]
    for path in sorted((DEPLOY / "systemd").glob("*.service")):
        for words in re.findall(r"^ExecStart=\S*/winpredict (.*)$", path.read_text(encoding="utf-8"), re.M):
            yield path.name, shlex.split(words)
    for words in re.findall(
        r"\$\(winpredict (.*?) 2>&1\)", (DEPLOY / "cron" / "winpredict").read_text(encoding="utf-8")
    ):
        yield "cron", shlex.split(words)
    for path in PROGRAMS:
        source = path.read_text(encoding="utf-8")
        yield path.parent.name, re.findall(r'"([^"]+)"', re.search(r"COMMAND = \[(.*?)\]", source, re.S)[1])[1:]
    for words in page_commands():
        yield "docs/deploy.md", words


COMMANDS = list(commands())


@pytest.mark.parametrize("path", YAML_FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_yaml_is_read(path):
    assert one(path)


@pytest.mark.parametrize(("where", "words"), COMMANDS, ids=[f"{where}: {words[0]}" for where, words in COMMANDS])
def test_commands_have_these_options(where, words):
    command, rest = get_command(cli), list(words)
    while hasattr(command, "commands"):
        assert rest[0] in command.commands, where
        command = command.commands[rest.pop(0)]
    command.make_context(command.name, rest)  # unknown options and missing arguments raise


def test_each_file_has_commands():
    told = {where.partition(":")[0] for where, _ in COMMANDS}
    units = {path.name for path in (DEPLOY / "systemd").glob("*.service")}
    assert told == {"Dockerfile", "compose.yaml", "kubernetes", "cron", "airflow", "dagster", "docs/deploy.md"} | units
    assert {words[0] for where, words in COMMANDS if where == "docs/deploy.md"} >= {"sync", "train", "run", "people"}


def test_what_the_image_copies_is_there_and_not_ignored():
    ignore = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in ignore
    lines = [words.split() for words in instructions("COPY") if not words.startswith("--from")]
    copied = {name for *names, _ in lines for name in names}
    for name in copied:
        assert (ROOT / name).exists(), name
        assert f"!{name}" in ignore, f"{name} is kept from the builder"
    # what the wheel is made of
    assert {"pyproject.toml", "uv.lock", "README.md", "LICENSE", "configs", "src"} <= copied


def test_the_image_runs_without_rights():
    final = DOCKERFILE.rpartition("\nFROM ")[2]
    assert "USER 10001:10001" in final
    assert not re.search(r"gcc|build-essential|pip install|uv ", final)
    assert f"{ENVIRONMENT_VARIABLE}=/workspace" in final
    assert 'VOLUME ["/workspace"]' in final
    assert f"EXPOSE {PORT}" in final
    assert f"http://127.0.0.1:{PORT}/api/v1/health" in final
    user = {each["securityContext"]["runAsUser"] for each in pods()}
    assert user == {10001}


def test_settings_are_known(tmp_path):
    compose = load_config(DEPLOY / "compose" / "config.yaml")
    inside = tmp_path / "config.yaml"
    inside.write_text(one(DEPLOY / "kubernetes" / "configmap.yaml")["data"]["config.yaml"], encoding="utf-8")
    kubernetes = load_config(inside)
    assert compose.app.database == kubernetes.app.database == "env:DESK_DATABASE"
    assert "DESK_DATABASE" in one(ROOT / "compose.yaml")["services"]["desk"]["environment"]
    assert "DESK_DATABASE" in one(DEPLOY / "kubernetes" / "secret.example.yaml")["stringData"]


def test_containers_have_no_more_rights_than_they_need():
    for name, service in one(ROOT / "compose.yaml")["services"].items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["mem_limit"], name
        ports = service.get("ports", [])
        assert all(each.startswith("127.0.0.1:") and each.endswith(f":{PORT}") for each in ports), name
    for pod in pods():
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not pod["automountServiceAccountToken"]
    for each in containers():
        assert each["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert "memory" in each["resources"]["limits"]


def test_kustomizations_name_all_manifests():
    for path in (DEPLOY / "kubernetes").rglob("kustomization.yaml"):
        there = {each.name for each in path.parent.glob("*.yaml")} - {"kustomization.yaml", "secret.example.yaml"}
        assert {*one(path)["resources"]} == there


def test_names_lead_to_each_other():
    by_kind = {(each["kind"], each["metadata"]["name"]): each for each in manifests()}
    desk = by_kind["Deployment", "winpredict"]["spec"]["template"]
    labels, ports = desk["metadata"]["labels"], {each["name"]: each for each in desk["spec"]["containers"][0]["ports"]}
    service = by_kind["Service", "winpredict"]["spec"]
    assert service["selector"].items() <= labels.items()
    assert service["ports"][0]["targetPort"] in ports
    assert ports["http"]["containerPort"] == PORT
    assert by_kind["NetworkPolicy", "winpredict"]["spec"]["ingress"][0]["ports"][0]["port"] == PORT
    for pod in pods():
        volumes = {each["name"]: each for each in pod["volumes"]}
        assert ("PersistentVolumeClaim", volumes["data"]["persistentVolumeClaim"]["claimName"]) in by_kind
        assert ("ConfigMap", volumes["config"]["configMap"]["name"]) in by_kind
    for each in containers():
        assert ("Secret", each["envFrom"][0]["secretRef"]["name"]) in by_kind


def test_the_daily_job_knows_the_exit_codes():
    from winpredict.workflows.steps import BUSY, NOT_DONE, PROBLEMS

    rules = one(DEPLOY / "kubernetes" / "cronjob.yaml")["spec"]["jobTemplate"]["spec"]["podFailurePolicy"]["rules"]
    by_code = {
        code: each["action"] for each in rules if "onExitCodes" in each for code in each["onExitCodes"]["values"]
    }
    assert by_code == {PROBLEMS: "FailJob", NOT_DONE: "FailJob", BUSY: "Ignore"}


@pytest.fixture(scope="module")
def desk(tmp_path_factory) -> Iterator[FastAPI]:
    """A desk of a workspace that holds nothing yet."""
    made = create_app(Workspace(tmp_path_factory.mktemp("empty")), Config())
    yield made
    made.state.desk.database.close()


def test_probes_ask_addresses_that_are_there(desk):
    probes = [each[kind] for each in containers() for kind in each if kind.endswith("Probe")]
    paths = {each["httpGet"]["path"] for each in probes}
    assert paths == {"/api/v1/health", "/api/v1/readiness"}
    # the kubelet asks by the pod's address
    with TestClient(desk, base_url=f"http://10.1.2.3:{PORT}") as client:
        assert client.get("/api/v1/health").status_code == 200
        assert client.get("/api/v1/readiness").status_code == 503  # nothing was published


def figures_of(desk: FastAPI) -> set[str]:
    """Names of what /metrics tells."""
    desk.state.metrics.note("GET", "/deals", 200, 0.1)
    return set(re.findall(r"^(winpredict_\w+)", desk.state.metrics.text().decode(), re.M))


def dashboard_queries() -> list[str]:
    panels = json.loads((DEPLOY / "grafana" / "winpredict.json").read_text(encoding="utf-8"))["panels"]
    return [target["expr"] for panel in panels for target in panel["targets"]]


def alert_queries() -> list[str]:
    groups = one(DEPLOY / "prometheus" / "winpredict.rules.yml")["groups"]
    return [rule["expr"] for group in groups for rule in group["rules"]]


def test_figures_that_are_drawn_and_watched_are_there(desk, monkeypatch):
    run = SimpleNamespace(deals=3, scored_at=now() - timedelta(hours=1))
    monkeypatch.setattr("winpredict.app.metrics.shown_run", lambda session: run)
    checked = Health(pd.Timestamp(now()), 1, (Check("odds", "ok", text("fine")),))
    monkeypatch.setattr("winpredict.models.monitoring.latest_health", lambda folder: checked)
    there = figures_of(desk)
    for queries in (dashboard_queries(), alert_queries()):
        asked = set(re.findall(r"\bwinpredict_\w+", " ".join(queries)))
        assert asked <= there
        assert asked >= {HEALTH_STATE, "winpredict_scores_age_seconds", "winpredict_request_seconds_bucket"}


def test_routes_that_are_watched_are_there(desk):
    with TestClient(desk) as client:
        for route in {each for query in alert_queries() for each in re.findall(r'route="([^"]+)"', query)}:
            assert client.get(route).status_code != 404, route


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.parent.name)
def test_programs_compile(path):
    compile(path.read_text(encoding="utf-8"), str(path), "exec")


def test_units_are_read():
    for path in (DEPLOY / "systemd").iterdir():
        unit = configparser.RawConfigParser(strict=False)  # a unit may give a name several times
        unit.optionxform = str
        unit.read_string(path.read_text(encoding="utf-8"))
        assert unit["Unit"]["Description"]
    assert "winpredict-run.service" in {path.name for path in (DEPLOY / "systemd").iterdir()}


def test_notices_name_all_packages():
    spec = importlib.util.spec_from_file_location("third_party_notices", ROOT / "tools" / "third_party_notices.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    rows = re.findall(r"^\| (\S+) \| [^|]+ \| ([^|]+) \| (\S+) \|$", script.OUT.read_text(encoding="utf-8"), re.M)
    listed = [name for name, _, _ in rows if name != "package"]
    assert listed == [*script.locked()], "uv.lock has changed: run tools/third_party_notices.py"
    assert all(licence.strip() and home.startswith("http") for name, licence, home in rows if name != "package")
    assert {"lightgbm", "fastapi", "simple-salesforce", "psycopg-binary"} <= {*listed}


def test_the_page_names_files_that_are_there():
    for name in re.findall(r"`((?:deploy/[\w./-]+)|compose\.yaml|Dockerfile)`", PAGE):
        assert (ROOT / name).exists(), name
    for name in re.findall(r"\]\(([^)#]+)", PAGE):
        assert (ROOT / "docs" / name).exists(), name
