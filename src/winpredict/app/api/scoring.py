"""Scoring of deals that programs send: those that wait at the same time share one pass over features and model."""

import gc
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from winpredict.app.api.batches import Batches, compatible
from winpredict.app.api.request_tables import Layout, Prepared, Seen
from winpredict.app.api.score_request import ScoreRequest
from winpredict.app.desk import Desk, Loaded
from winpredict.explain.reason import told_to
from winpredict.features.description import Audience
from winpredict.locale.language import ENGLISH, Language, speaking


@dataclass(frozen=True)
class PendingRequest:
    """A deal that was sent.

    Parameters
    ----------
    request : ScoreRequest
    owners : frozenset of str or None
        Whose deals the sender may see; None for everybody's.
    at : datetime
        When it came.
    audience : {"everyone", "managers"}
        Which reasons the sender is told.
    language : Language
        In which they are told.
    """

    request: ScoreRequest
    owners: frozenset[str] | None
    at: datetime
    audience: Audience = "managers"
    language: Language = ENGLISH


class RequestScorer:
    """Scores deals that were sent, those that wait together.

    Parameters
    ----------
    desk : Desk
    """

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.batches: Batches[PendingRequest, dict[str, Any]] = Batches(self.score)

    def score(self, requests: Sequence[PendingRequest]) -> list[dict[str, Any] | BaseException]:
        """The odds of each deal with all that belongs to them, or the error that says what is wrong with it."""
        loaded = self.desk.loaded()
        layout: Layout = self.desk.get_or_compute(("layout", loaded.state), lambda: _layout(loaded))
        answers: list[dict[str, Any] | BaseException] = []
        sound: dict[int, Prepared] = {}
        for place, each in enumerate(requests):
            try:
                sound[place] = layout.prepare(each.request, self._seen(loaded, each.owners), each.at)
                answers.append({})
            except Exception as error:
                answers.append(error)
        places = list(sound)
        for group in compatible([sound[place].claims for place in places]):
            found = _scored(loaded, layout, [sound[places[member]] for member in group])
            for member, answer in zip(group, found, strict=True):
                answers[places[member]] = _told(answer, requests[places[member]])
        return answers

    def _seen(self, loaded: Loaded, owners: frozenset[str] | None) -> Seen:
        """Whose history the sender may see in the odds: of owners, and of accounts that have a deal of these."""
        if owners is None:
            return Seen()
        deals = loaded.crm.deals

        def accounts() -> frozenset[str]:
            if "account_id" not in deals or "owner_id" not in deals:
                return frozenset()
            return frozenset(deals.loc[deals["owner_id"].isin(owners), "account_id"].dropna())

        return Seen(owners, self.desk.get_or_compute(("accounts", loaded.state, owners), accounts))


def _layout(loaded: Loaded) -> Layout:
    layout = Layout(loaded.model, loaded.crm)
    # the model and the tables stay: looking through all of them for garbage again and again takes 0.1 s each time
    gc.collect()
    gc.freeze()
    return layout


def _scored(loaded: Loaded, layout: Layout, deals: Sequence[Prepared]) -> list[dict[str, Any]]:
    scored = loaded.scorer.score_tables(*layout.lay_out(deals))
    columns = {str(name): scored.odds[name].tolist() for name in scored.odds}
    return [
        {
            **{name: _plain(values[row]) for name, values in columns.items()},
            "as_of": deals[row].as_of,
            "base_probability": scored.base_probability,
            "reasons": scored.told.reasons(row),
            "given": scored.told.given(row),
            "other_points": scored.told.other(row),
            "model_version": loaded.version,
        }
        for row in range(len(deals))
    ]


def _told(answer: dict[str, Any], request: PendingRequest) -> dict[str, Any]:
    """An answer with the reasons that somebody is told, in words; the others are part of everything else."""
    told = {name: told_to(answer[name], request.audience) for name in ("reasons", "given")}
    kept = sum(each.points for name in told for each in answer[name]) - sum(
        each.points for reasons in told.values() for each in reasons
    )
    # requests of several languages are answered together, in a thread of their own
    with speaking(request.language):
        words = {name: [each.to_dict() for each in reasons] for name, reasons in told.items()}
    return answer | words | {"other_points": answer["other_points"] + kept}


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
