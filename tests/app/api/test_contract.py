"""The API keeps what its OpenAPI document promises, whoever asks and whatever is sent."""

from collections import Counter
from contextlib import suppress

import pytest
from desk_world import PEOPLE
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from sqlalchemy import select

from winpredict.app.people import make_token
from winpredict.app.records import Person

schemathesis = pytest.importorskip("schemathesis", reason="needs schemathesis")

SCOPES = ("read", "score", "models", "metrics")
WHO = ("rep", "manager", "scientist")
#: What a request of each kind is tried with; the answers of the insights take long to make.
EXAMPLES = 12
#: Rules that a document cannot tell: stages and figures of the workspace, moments after others.
NOT_IN_SCHEMA = ("positive_data_acceptance",)


@pytest.fixture(scope="module")
def keys(app) -> dict[str, str]:
    """A key of each person."""
    made = {}
    with app.state.desk.database.writing() as session:
        for who in WHO:
            person = session.scalar(select(Person).where(Person.email == PEOPLE[who][0]))
            made[who] = make_token(session, person, "contract", SCOPES)[0]
    return made


@pytest.fixture(scope="module")
def schema(app):
    return schemathesis.openapi.from_asgi("/api/v1/openapi.json", app)


def without_what_only_a_workspace_knows(request: dict) -> None:
    """Make what the document allows a deal that can be scored, with all that is odd about it otherwise."""
    request["deal"] |= {"stage": None, "attributes": {}, "created_at": "2025-01-01T00:00:00Z"}
    request["as_of"] = None
    for row in request.get("deal_history", []):
        row["stage"] = None
    for number, row in enumerate(request.get("activities", [])):
        row["activity_id"] = str(number)


def answers_to(operation, mode, examples: int, change, **more) -> Counter[int]:
    """The statuses of answers to requests made up by a document; what breaks its promises raises."""
    found: Counter[int] = Counter()

    @seed(5)
    @settings(
        max_examples=examples, database=None, deadline=None, phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=mode))
    def holds(case):
        change(case, found.total())
        found[case.call_and_validate(**more).status_code] += 1

    with suppress(Unsatisfiable):  # there may be nothing that could be wrong
        holds()
    return found


@pytest.mark.parametrize("who", WHO)
def test_schema(schema, keys, cast, who):
    def change(case, number: int) -> None:
        if number % 2 and "deal_id" in (case.path_parameters or {}):
            case.path_parameters["deal_id"] = cast.deal
        if number % 3 and mode == schemathesis.GenerationMode.POSITIVE and operation.path.endswith("/score"):
            without_what_only_a_workspace_knows(case.body)

    left_out = [schemathesis.checks.CHECKS.get_one(name) for name in NOT_IN_SCHEMA]
    answers = {}
    for operation in (found.ok() for found in schema.get_all_operations()):
        for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):
            answers[operation.label, mode.value] = answers_to(
                operation, mode, EXAMPLES, change,
                headers={"Authorization": f"Bearer {keys[who]}"}, excluded_checks=left_out, timeout=120,
            )  # fmt: skip
    assert answers["POST /api/v1/score", "positive"][200]
    assert answers["POST /api/v1/score", "negative"][422]
    assert sum(each.total() for each in answers.values()) > 200
