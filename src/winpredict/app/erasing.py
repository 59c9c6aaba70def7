"""Erase a person or an account from the win desk's database, and tell what it holds of them."""

from typing import Any

from sqlalchemy import JSON, Column, Table, delete, select, update
from sqlalchemy.orm import Session as DatabaseSession

from winpredict.app.database import Database
from winpredict.app.people import only_admin
from winpredict.app.records import AuditEntry, Base, Feedback, Person, Score, SignInAttempt
from winpredict.errors import WinPredictError
from winpredict.locale.text import text
from winpredict.privacy.erased import REPLACEMENT
from winpredict.privacy.scrubbing import Scrubber, kind_of
from winpredict.workflows.erasing import Subject, wipe_sqlite

#: Secrets, hashes of secrets and figures, in which nobody is named.
_NOT_LOOKED_AT = ("session", "api_token", "setting", "scoring_run", "alembic_version")
_SECRET = ("password_hash", "key_hash", "csrf_token")
_AT_ONCE = 500


class DeskData:
    """The database as a place that holds personal data; see `winpredict.workflows.erasing.Place`.

    Parameters
    ----------
    database : Database
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def check(self, subject: Subject) -> None:
        """Refuse to lose the last admin: nobody could let anybody in any more."""
        if subject.kind != "user":
            return
        with self._database.reading() as session:
            for person in _people(session, subject):
                if only_admin(session, person):
                    raise WinPredictError(
                        text("{email} is the only admin; make somebody else one first", email=person.email)
                    )

    def values(self, subject: Subject) -> set[str]:
        """Names and addresses of those who sign in as a user of the CRM."""
        if subject.kind != "user":
            return set()
        with self._database.reading() as session:
            people = _people(session, subject)
            identities = {each.oidc_identity.split(" ")[-1] for each in people if each.oidc_identity}
            return {value for each in people for value in (each.name, each.email)} | identities

    def scrub(self, scrubber: Scrubber, subject: Subject, *, apply: bool) -> None:
        """Take the subject out, or count only."""
        with self._database.writing() if apply else self._database.reading() as session:
            if apply and session.get_bind().dialect.name == "sqlite":
                session.connection().exec_driver_sql("PRAGMA secure_delete=ON")
            if subject.kind == "user":
                _forget_people(session, scrubber, subject, apply=apply)
            if subject.deals:
                _forget_names(session, scrubber, subject, apply=apply)
            for table in _tables():
                _scrub_table(session, table, scrubber, apply=apply)
        if apply and self._database.engine.dialect.name == "sqlite":
            # outside of a transaction, which the engine would begin
            connection = self._database.engine.raw_connection()
            try:
                wipe_sqlite(connection, self._database.engine.url.database or "")
            finally:
                connection.close()

    def rows(self, scrubber: Scrubber, subject: Subject) -> dict[str, list[dict[str, Any]]]:
        """What it holds of the subject, a list of rows a table; of secrets nothing."""
        found: dict[str, list[dict[str, Any]]] = {}
        with self._database.reading() as session:
            people = [each.id for each in _people(session, subject)] if subject.kind == "user" else []
            for table in _tables():
                texts = _texts(table)
                for row in session.execute(select(table)).mappings():
                    is_theirs = bool(people) and (
                        row.get("person_id") in people or (table.name == "person" and row["id"] in people)
                    )
                    if is_theirs or any(_scrubbed(row[each.name], each, scrubber) != row[each.name] for each in texts):
                        kept = {name: value for name, value in row.items() if name not in _SECRET}
                        found.setdefault(f"desk/{table.name}", []).append(kept)
        return found


def _people(session: DatabaseSession, subject: Subject) -> list[Person]:
    return list(session.scalars(select(Person).where(Person.crm_user_id.in_(subject.ids))))


def _forget_people(session: DatabaseSession, scrubber: Scrubber, subject: Subject, *, apply: bool) -> None:
    """Delete who signs in as the user, with sessions, keys, feedback and tries to sign in."""
    for person in _people(session, subject):
        tries = select(SignInAttempt.id).where(SignInAttempt.email == person.email)
        said = select(Feedback.id).where(Feedback.person_id == person.id)
        scrubber.count(1 + len(session.scalars(tries).all()) + len(session.scalars(said).all()))
        if apply:
            session.execute(delete(SignInAttempt).where(SignInAttempt.email == person.email))
            entries = select(AuditEntry).where(AuditEntry.subject == person.email)
            for entry in session.scalars(entries):
                entry.subject = REPLACEMENT
            # where they were is theirs too, and without the person nobody could find it again
            session.execute(update(AuditEntry).where(AuditEntry.person_id == person.id).values(address=""))
            session.flush()
            session.execute(delete(Person).where(Person.id == person.id))


def _forget_names(session: DatabaseSession, scrubber: Scrubber, subject: Subject, *, apply: bool) -> None:
    """Empty the names of an account's deals."""
    for start in range(0, len(subject.deals), _AT_ONCE):
        deals = subject.deals[start : start + _AT_ONCE]
        theirs = Score.deal_id.in_(deals) & (Score.name.is_not(None) | Score.account.is_not(None))
        scrubber.count(len(session.execute(select(Score.run_id, Score.deal_id).where(theirs)).all()))
        if apply:
            session.execute(update(Score).where(theirs).values(name=None, account=None))


def _scrub_table(session: DatabaseSession, table: Table, scrubber: Scrubber, *, apply: bool) -> None:
    keys = list(table.primary_key.columns)
    for column in _texts(table):
        if isinstance(column.type, JSON):
            for row in session.execute(select(*keys, column)).all():
                new = _scrubbed(row[-1], column, scrubber)
                if new != row[-1]:
                    scrubber.count()
                    if apply:
                        place = [key == value for key, value in zip(keys, row[:-1], strict=True)]
                        session.execute(update(table).where(*place).values({column.name: new}))
            continue
        for value in session.scalars(select(column).where(column.is_not(None)).distinct()).all():
            new = _scrubbed(value, column, scrubber)
            if new != value:
                scrubber.count()
                if apply:
                    session.execute(update(table).where(column == value).values({column.name: new}))


def _scrubbed(value: Any, column: "Column[Any]", scrubber: Scrubber) -> Any:
    quiet = Scrubber(scrubber.erased)
    if isinstance(value, str):
        return quiet.cell(str(value), column.name, _kind(column))
    return quiet.value(value, column.name) if isinstance(value, dict | list) else value


def _kind(column: "Column[Any]") -> Any:
    return None if column.name == "person_id" else kind_of(column.name)


def _texts(table: Table) -> "list[Column[Any]]":
    return [
        each
        for each in table.columns
        if each.name not in _SECRET and (isinstance(each.type, JSON) or each.type.python_type is str)
    ]


def _tables() -> list[Table]:
    return [table for table in Base.metadata.sorted_tables if table.name not in _NOT_LOOKED_AT]
