"""For each CRM: synced in increments, through all that happens, the tables are those of its own export."""

from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("httpx")

from winpredict.config import Config
from winpredict.connectors import store as raw_records
from winpredict.connectors.registry import CRMS, connect_to
from winpredict.connectors.replay import replayed
from winpredict.connectors.store import RawStore
from winpredict.connectors.sync import sync
from winpredict.ingest.importing import import_files
from winpredict.ingest.profiles import load_profile
from winpredict.simulate.world import simulate
from winpredict.tables.crm import CRMData
from winpredict_sandbox.changes import apply_random_changes
from winpredict_sandbox.fake_servers import connected, fake_server
from winpredict_sandbox.faults import FAULTS, Faults

ROUNDS, CHANGES = 5, 40
_replacing = raw_records.replacing


@pytest.fixture(scope="module")
def company():
    return simulate(90, seed=6)


def exported(server, name, folder) -> CRMData:
    server.export(folder)
    return import_files([folder], load_profile(name), now=server.clock.now + pd.Timedelta("1D")).crm


def assert_same(found: CRMData, expected: CRMData) -> None:
    tables = dict(found.tables())
    history = tables.pop("attribute_history")
    assert set(tables) == set(expected.rows)
    for name, frame in expected.tables():
        pd.testing.assert_frame_equal(tables[name], frame, check_like=True, obj=name)
    assert found.stage_order == expected.stage_order
    last = history.sort_values("observed_at").drop_duplicates("deal_id", keep="last")
    assert set(last["deal_id"]) == set(found.deals["deal_id"])
    deals = found.deals.set_index("deal_id").loc[last["deal_id"], list(found.observed_attributes)]
    told = last.set_index("deal_id")[list(found.observed_attributes)]
    pd.testing.assert_frame_equal(deals, told)
    assert (last["outcome"].to_numpy() == found.deals.set_index("deal_id").loc[last["deal_id"], "outcome"]).all()


def live(server, rng, number: int) -> None:
    list(apply_random_changes(server, rng, CHANGES))
    server.clock.advance(3600.0 * (number + 1))


@pytest.mark.parametrize("name", CRMS)
def test_increments_give_the_tables_of_the_export(name, company, tmp_path):
    server, rng = fake_server(name, company, seed=1), np.random.default_rng(2)
    store = RawStore(tmp_path / name)
    with connected(name, server) as config:
        for number in range(ROUNDS + 1):
            result = sync(connect_to(name, config), store, config.crm.sync)
            assert result.skipped == {} or set(result.skipped).isdisjoint(store.objects)
            crm = replayed(store, load_profile(name)).crm
            assert_same(crm, exported(server, name, tmp_path / f"export-{number}"))
            assert crm.known_until >= server.clock.now.floor("s")
            live(server, rng, number)
    attributes = crm.observed_attributes
    assert attributes
    changed = crm.attribute_history.groupby("deal_id")["Region" if "Region" in attributes else attributes[0]].nunique()
    assert changed.max() >= 1
    assert not any("winpredict" in column.lower() for column in crm.deals)


@pytest.mark.parametrize("name", CRMS)
def test_faults_change_nothing(name, company, tmp_path):
    server, rng = fake_server(name, company, seed=1), np.random.default_rng(4)
    faults = Faults(server.app, seed=3, share=0.2, delay_s=0.01)
    store = RawStore(tmp_path / name)
    with connected(name, server, faults, sync={"attempts": 15}) as config:
        for number in range(3):
            sync(connect_to(name, config), store, config.crm.sync)
            live(server, rng, number)
        sync(connect_to(name, config), store, config.crm.sync)
    assert {kind for kind, _, _ in faults.happened} == set(FAULTS)
    assert_same(replayed(store, load_profile(name)).crm, exported(server, name, tmp_path / "export"))
    assert server.writes == []


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize("name", CRMS)
def test_kills_change_nothing(name, company, tmp_path, monkeypatch):
    server, rng = fake_server(name, company, seed=1), np.random.default_rng(5)
    left = list(rng.integers(1, 25, 25))
    place = 0

    @contextmanager
    def replacing(path):
        nonlocal place
        place += 1
        before = rng.random() < 0.5
        if left and place >= left[0] and before:
            raise_killed()
        with _replacing(path) as temporary:
            yield temporary
        if left and place >= left[0]:
            raise_killed()

    def raise_killed():
        nonlocal place
        place = 0
        del left[0]
        raise Killed

    def synced(config: Config) -> None:
        while True:
            try:
                sync(connect_to(name, config), RawStore(tmp_path / name), config.crm.sync)
                return
            except Killed:
                continue

    monkeypatch.setattr(raw_records, "replacing", replacing)
    small = {"salesforce": {"bulk_from_rows": 150, "bulk_page_rows": 40}, "hubspot": {"page_size": 20}}
    with connected(name, server, **{name: small.get(name, {"page_size": 20})}) as config:
        for number in range(3):
            synced(config)
            live(server, rng, number)
        synced(config)
    assert not left
    assert_same(
        replayed(RawStore(tmp_path / name), load_profile(name)).crm, exported(server, name, tmp_path / "export")
    )


@pytest.mark.parametrize("name", CRMS)
def test_no_secret_is_in_the_workspace(name, company, tmp_path):
    server = fake_server(name, company, seed=1)
    with connected(name, server) as config:
        sync(connect_to(name, config), RawStore(tmp_path / name), config.crm.sync)
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert server.secrets
    assert not any(secret.encode() in kept for secret in server.secrets)
