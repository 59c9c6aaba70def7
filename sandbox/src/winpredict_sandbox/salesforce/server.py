"""A stand-in of Salesforce on loopback, written from Salesforce's documentation.

It holds a simulated world and speaks as much of the REST, Bulk 2.0 and Tooling APIs as a client needs that mirrors
opportunities and writes scores. Where it is simpler than the real one: ids have 15 characters, the delete log is never
cut short, whoever signs in sees everything, and a job's rows are those of the moment at which it was made.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from winpredict.config import Config
from winpredict.simulate.world import World
from winpredict_sandbox.salesforce.company import Company
from winpredict_sandbox.salesforce.refusal import RefusedError
from winpredict_sandbox.salesforce.rows import as_csv
from winpredict_sandbox.salesforce.schema import EXPORTED, fields_of, object_names

if TYPE_CHECKING:
    from fastapi import FastAPI

_NOT_EXPORTED = ("address", "location", "base64")


@dataclass
class Behaviour:
    """How the organisation behaves; may be changed at any time.

    Parameters
    ----------
    version : str
        Of the API.
    page_rows, bulk_rows : int
        Most rows of a page.
    cursors : int
        So many queries may be paged through at once; older ones are forgotten.
    polls : int
        A bulk job is under way for so many looks.
    job_ends : str
        JobComplete, Failed or Aborted.
    job_lives : Timedelta
        After this time a job is gone.
    without_bulk : tuple of str
        Objects that the Bulk API refuses.
    most_parents : int
        Tasks and events of more distinct people and records than these are refused, as to a user who may not view all.
    most_removals : int
        Longer lists of removals are refused.
    absent : tuple of str
        Objects that the organisation has not.
    token_requests : int
        A token is good for so many requests; 0: for any number.
    token_lives : Timedelta
        And for so long.
    daily_limit : int
        Requests a day.
    customizes : bool
        Whether the user may make fields.
    grants : bool
        Whether the user may give rights to fields.
    """

    version: str = "65.0"
    page_rows: int = 2000
    bulk_rows: int = 100_000
    cursors: int = 10
    polls: int = 1
    job_ends: str = "JobComplete"
    job_lives: pd.Timedelta = field(default_factory=lambda: pd.Timedelta("7D"))
    without_bulk: tuple[str, ...] = ()
    most_parents: int = 100_000
    most_removals: int = 600_000
    absent: tuple[str, ...] = ()
    token_requests: int = 0
    token_lives: pd.Timedelta = field(default_factory=lambda: pd.Timedelta("2h"))
    daily_limit: int = 1_000_000
    customizes: bool = True
    grants: bool = True


@dataclass
class _Token:
    made_at: pd.Timestamp
    requests: int = 0


class SalesforceServer(Company):
    """An organisation in Salesforce.

    Parameters
    ----------
    world : World
    seed : int
    voice_share : float
        Share of the calls that telephony records twice, as Task and as VoiceCall; with 0 there is no object VoiceCall.
    behaviour : Behaviour, optional

    Attributes
    ----------
    records : Records
    writes : list of (str, str, Any)
        Deal, field and value of every write that was carried out, in order.
    secrets : list of str
        The client's secret, and every token that was handed out.
    locks : dict of str to int
        How many more writes to a deal fail since it is locked.
    refusals : dict of str to str
        What a validation rule says to writes to a deal.
    used_requests : int
        Of today.

    Examples
    --------
    >>> from winpredict.simulate.world import simulate
    >>> server = SalesforceServer.of(simulate(deals=50, seed=1))
    >>> len(server.open_deals()) + len(server.closed_deals())
    50
    """

    def __init__(
        self, world: World, seed: int = 0, *, voice_share: float = 0.0, behaviour: Behaviour | None = None
    ) -> None:
        super().__init__(world, seed, voice_share)
        self.behaviour = behaviour or Behaviour()
        if not voice_share:
            self.behaviour.absent = (*self.behaviour.absent, "VoiceCall")
        rng = np.random.default_rng([seed, 7])
        self._rng_of_tokens = rng
        self.client_id, self.client_secret = f"3MVG9{rng.bytes(16).hex()}", rng.bytes(24).hex().upper()
        self.secrets: list[str] = [self.client_secret]
        self.writes: list[tuple[str, str, Any]] = []
        self.locks: dict[str, int] = {}
        self.refusals: dict[str, str] = {}
        self.used_requests = 0
        self.fields = {name: fields_of(name) for name in object_names()}
        self.made_fields: dict[str, Mapping[str, Any]] = {}
        self.hidden_fields: set[str] = set()
        self._tokens: dict[str, _Token] = {}
        self._public_keys: dict[str, str] = {}
        #: Where it is served: told to those who sign in.
        self.address = "http://127.0.0.1"

    @classmethod
    def of(cls, world: World, seed: int = 0, *, voice_share: float = 0.0) -> "SalesforceServer":
        """An organisation that holds a world."""
        return cls(world, seed, voice_share=voice_share)

    @cached_property
    def app(self) -> "FastAPI":
        """What answers requests."""
        from winpredict_sandbox.salesforce.app import build_app

        return build_app(self)

    def config(self, address: str, **settings: Any) -> Config:
        """A config of a client of this server at an address; the secret is `client_secret`."""
        self.address = address
        return Config.model_validate(
            {"crm": {"salesforce": {"login_url": address, "client_id": self.client_id, "bulk_poll_s": 0.01} | settings}}
        )

    def trust(self, username: str, public_key: str) -> None:
        """Let a user sign in by assertions that the owner of a key has signed."""
        self._public_keys[username] = public_key

    def visible_fields(self, name: str) -> Mapping[str, str] | None:
        """Type by field of an object; None where there is no such object."""
        if name not in self.fields or name in self.behaviour.absent:
            return None
        return {field: kind for field, kind in self.fields[name].items() if field not in self.hidden_fields}

    def export(self, folder: Path) -> None:
        """Write the organisation's own data export: one CSV an object that has records, without deleted ones."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in EXPORTED:
            records = self.records.live(name)
            if records and name not in self.behaviour.absent:
                fields = [field for field, kind in self.fields[name].items() if kind not in _NOT_EXPORTED]
                text = as_csv(records, fields)
                (folder / f"{name}.csv").write_text(text, encoding="utf-8", newline="")

    def hand_out_token(self) -> dict[str, Any]:
        """A new token, as the sign-in answers it."""
        token = f"00DDn!{self._rng_of_tokens.bytes(24).hex()}"
        self._tokens[token] = _Token(self.clock.now)
        self.secrets.append(token)
        return {
            "access_token": token,
            "instance_url": self.address,
            "id": f"{self.address}/id/00DDn0000000001/{self._owners[0]}",
            "token_type": "Bearer",
            "scope": "api",
        }

    def check_assertion(self, assertion: str) -> None:
        """Refuse an assertion that none of the known keys has signed, or that is for somebody else."""
        import jwt

        try:
            username = jwt.decode(assertion, options={"verify_signature": False})["sub"]
            key = self._public_keys[username]
            claims = jwt.decode(assertion, key, algorithms=["RS256"], audience=self.address, issuer=self.client_id)
        except KeyError:
            raise RefusedError(400, "invalid_grant", "user hasn't approved this consumer") from None
        except jwt.InvalidAudienceError:
            raise RefusedError(400, "invalid_grant", "audience is invalid") from None
        except jwt.PyJWTError:
            raise RefusedError(400, "invalid_grant", "invalid assertion") from None
        if claims["exp"] > time.time() + 300:
            raise RefusedError(400, "invalid_grant", "expired authorization code: exp is too far ahead")

    def admit(self, authorization: str) -> None:
        """Let a request in, and count it; refuse one without a good token, or above the day's limit."""
        token = self._tokens.get(authorization.removeprefix("Bearer "))
        if token is None or not self._is_good(token):
            raise RefusedError(401, "INVALID_SESSION_ID", "Session expired or invalid")
        if self.used_requests >= self.behaviour.daily_limit:
            raise RefusedError(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
        token.requests += 1
        self.used_requests += 1

    def _is_good(self, token: _Token) -> bool:
        few = not self.behaviour.token_requests or token.requests < self.behaviour.token_requests
        return few and self.clock.now - token.made_at <= self.behaviour.token_lives
