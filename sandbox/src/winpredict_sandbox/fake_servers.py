"""The stand-ins by the name of the CRM, served with what a client of them needs to know."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from winpredict.config import Config
from winpredict.connectors.secrets import PREFIX
from winpredict.simulate.world import World
from winpredict_sandbox.changes import Company
from winpredict_sandbox.faults import App
from winpredict_sandbox.records import WorldClock
from winpredict_sandbox.serving import served

_CLASSES = {"salesforce": "SalesforceServer", "hubspot": "HubSpotServer", "zoho": "ZohoServer"}
#: Nobody waits for a stand-in: neither for its limits nor after its faults.
_AT_ONCE: dict[str, dict[str, Any]] = {
    "salesforce": {"bulk_poll_s": 0.01},
    "hubspot": {"searches_per_s": 1e6, "requests_per_10s": 10**6},
    "zoho": {},
    "sync": {"longest_wait_s": 0.01},
}


class Server(Company, Protocol):
    """A stand-in of a live CRM."""

    clock: WorldClock

    @property
    def app(self) -> Any:
        """What answers requests."""
        ...

    @property
    def writes(self) -> list[tuple[str, str, Any]]:
        """Every field write that was carried out, in order: deal, field, value."""
        ...

    @property
    def secrets(self) -> list[str]:
        """Every secret that there is or was."""
        ...

    def export(self, folder: Path) -> None:
        """Write the files of the CRM's own export."""
        ...


def fake_server(name: str, world: World, seed: int = 0) -> Server:
    """A stand-in of a CRM that holds a simulated company.

    Examples
    --------
    >>> from winpredict.simulate.world import simulate
    >>> len(fake_server("zoho", simulate(50, seed=1)).accounts()) > 0
    True
    """
    server: Server = getattr(import_module(f"winpredict_sandbox.{name}.server"), _CLASSES[name]).of(world, seed)
    return server


@contextmanager
def connected(name: str, server: Server, app: App | None = None, **sections: dict[str, Any]) -> Iterator[Config]:
    """Serve a stand-in on loopback, with its secrets in the environment.

    Parameters
    ----------
    name : str
        Of the CRM.
    server : Server
    app : ASGI application, optional
        What answers instead of it, such as `Faults` around it.
    **sections : dict
        Knobs of sections of crm in the config, such as ``sync={"attempts": 9}``.

    Yields
    ------
    Config
        For `winpredict.connectors.registry.connect_to`.
    """
    rate_limiter: Any = getattr(server, "rate_limiter", server)
    known: Any = server
    secrets = {
        f"{PREFIX}{name.upper()}_{kind}": getattr(rate_limiter, attribute)
        for kind, attribute in (
            ("TOKEN", "private_token"),
            ("CLIENT_SECRET", "client_secret"),
            ("REFRESH_TOKEN", "refresh_token"),
        )
        if hasattr(rate_limiter, attribute)
    }
    before = {variable: os.environ.get(variable) for variable in secrets}
    os.environ.update(secrets)
    try:
        with served(app or server.app, server.clock) as address:
            own = {"base_url": address} if name == "hubspot" else known.config(address).model_dump()["crm"][name]
            settings = {section: _AT_ONCE[section] | sections.get(section, {}) for section in (name, "sync")}
            yield Config.model_validate({"crm": settings | {name: own | settings[name]}})
    finally:
        for variable, value in before.items():
            if value is None:
                os.environ.pop(variable, None)
            else:
                os.environ[variable] = value
