"""Erase a person or an account from a workspace, with a receipt; and tell what is kept of them."""

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from winpredict._internal.atomic import replacing, replacing_folder
from winpredict._internal.private import make_folder
from winpredict._internal.progress import Progress
from winpredict.errors import WinPredictError, WorkspaceBusyError
from winpredict.locale.text import Text, said, text, texts
from winpredict.privacy.erased import Erased, Kind
from winpredict.privacy.scrubbing import Scrubber

if TYPE_CHECKING:
    import pandas as pd

    from winpredict.connectors.store import RawStore
    from winpredict.workspace import Workspace

#: Whom a receipt is about, as people call them.
KIND_LABELS: dict[Kind, Text] = {"contact": text("contact"), "user": text("user"), "account": text("account")}
#: Where something was found.
PLACE_LABELS: dict[str, Text] = {
    "raw": text("Raw records of the CRM"),
    "tables": text("Tables"),
    "earlier": text("Earlier versions of the tables"),
    "added": text("Added files"),
    "scores": text("Scores"),
    "models": text("Models and runs"),
    "logs": text("Logs, undo files and settings"),
    "reports": text("Reports that were removed"),
    "database": text("Database of the win desk"),
}
#: What no command here can reach.
OUTSIDE = (
    text("backups of this workspace and of the database, and files that were written elsewhere, such as reports"),
    text("the CRM itself, where the same is to be erased"),
    text("an MLflow server or a warehouse to which models or scores were copied"),
    text("error logs in the folder that WINPREDICT_LOG_DIR names, by default ~/.local/state/winpredict"),
)
_RECEIPTS = "receipts"
#: Small files and folders of text beside the tables.
_LOGS = ("runs", "push", "profiles", "errors", "health.json", "models.json")
_MODEL_LINES = ("feature_names=", "pandas_categorical:")


@dataclass(frozen=True)
class Receipt:
    """What was erased; it holds nothing of whom.

    Parameters
    ----------
    at : str
        The moment, ISO 8601 in UTC.
    by : str
        Who did it.
    kind : str
    mark : str
        Keyed hash of the id, by which it is known again.
    contacts : int
        Contacts of an account that were erased with it.
    found : dict of str to int
        Values that were replaced or removed, by a key of `PLACE_LABELS`.
    models : tuple of int
        Versions of models whose files held something.
    left : tuple of Text
        What could not be erased here, and what to do.
    path : Path or None
        Where the receipt is kept; None of a dry run.
    """

    at: str
    by: str
    kind: Kind
    mark: str
    contacts: int
    found: dict[str, int]
    models: tuple[int, ...] = ()
    left: tuple[Text, ...] = ()
    path: Path | None = None

    @property
    def total(self) -> int:
        """Values in all places."""
        return sum(self.found.values())

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, with sentences in the language of the moment."""
        return self._plain(str) | {"receipt": None if self.path is None else str(self.path)}

    def to_json(self) -> dict[str, Any]:
        """Plain values for the file."""
        return {"format": 1, **self._plain(Text.to_json)}

    def _plain(self, saying: Callable[[Text], Any]) -> dict[str, Any]:
        return {
            "at": self.at,
            "by": self.by,
            "kind": self.kind,
            "mark": self.mark,
            "contacts": self.contacts,
            "found": self.found,
            "models": list(self.models),
            "left": [saying(each) for each in self.left],
            "outside": [saying(each) for each in OUTSIDE],
            "comes_back": False,
        }


@dataclass(frozen=True)
class Subject:
    """Whom it is about.

    Parameters
    ----------
    kind : str
    ids : tuple of str
        The id that was named, and the pseudonym of an earlier attempt.
    contacts : tuple of str
        Ids of the contacts of an account.
    deals : tuple of str
        Ids of the deals of an account.
    """

    kind: Kind
    ids: tuple[str, ...]
    contacts: tuple[str, ...] = ()
    deals: tuple[str, ...] = ()


class Place(Protocol):
    """Something beside the workspace's files that holds personal data, such as the win desk's database."""

    def check(self, subject: Subject) -> None:
        """Raise a WinPredictError where erasing must not begin."""
        ...

    def values(self, subject: Subject) -> set[str]:
        """Names and addresses that it holds of the subject."""
        ...

    def scrub(self, scrubber: Scrubber, subject: Subject, *, apply: bool) -> None:
        """Take the subject out, or count only."""
        ...

    def rows(self, scrubber: Scrubber, subject: Subject) -> dict[str, list[dict[str, Any]]]:
        """What it holds of the subject."""
        ...


@dataclass
class _Work:
    workspace: "Workspace"
    subject: Subject
    erased: Erased
    places: Sequence[Place]
    progress: Progress
    scrubber: Scrubber
    models: list[int] = field(default_factory=list)
    left: list[Text] = field(default_factory=list)

    def all(self, *, apply: bool) -> None:
        self.progress(said("raw records"))
        for store in raw_stores(self.workspace):
            store.scrub(self.scrubber.at("raw"), apply=apply)
        self._added(apply=apply)
        self.progress(said("tables"))
        self._tables(apply=apply)
        self.progress(said("scores, models and logs"))
        self.scrubber.at("scores").folder(self.workspace.scores_folder, apply=apply)
        self._models(apply=apply)
        self.scrubber.at("logs")
        for name in _LOGS:
            path = self.workspace.folder / name
            if path.is_dir():
                self.scrubber.folder(path, apply=apply)
            elif path.exists():
                self.scrubber.file(path, apply=apply)
        if self.scrubber.total:  # in pages and PDFs nothing can be replaced; the next run writes them anew
            self._reports(apply=apply)
        self.progress(said("database"))
        for place in self.places:
            place.scrub(self.scrubber.at("database"), self.subject, apply=apply)

    def _added(self, *, apply: bool) -> None:
        from winpredict.connectors.erasing import scrub_files

        for path in scrub_files(self.workspace.added_folder, self.scrubber.at("added"), apply=apply):
            self.left.append(
                text("{path} cannot be rewritten; remove its folder, and import the file again as CSV", path=path)
            )

    def _tables(self, *, apply: bool) -> None:
        if not self.workspace.exists:
            return
        if apply:
            self.workspace.scrub(self.scrubber.at("tables"))
            if reading := self.workspace.forget_earlier():
                self.left.append(
                    texts(
                        "version {names:listed} of the tables is being read; run the command again once that has ended",
                        "versions {names:listed} of the tables are being read; run the command again once that has "
                        "ended",
                        n=len(reading),
                        names=reading,
                    )
                )
            shutil.rmtree(self.workspace.importing_folder, ignore_errors=True)
            return
        current = self.workspace.version().folder
        for name in ("tables", "quarantine"):
            self.scrubber.at("tables").folder(current / name, apply=False)
        for folder in (self.workspace.folder / "versions").glob("[0-9]*"):
            if folder != current:
                self.scrubber.at("earlier").folder(folder, apply=False)

    def _models(self, *, apply: bool) -> None:
        from winpredict.models.registry import models_in_use

        folder = self.workspace.folder
        self.scrubber.at("models")
        sealed = {folder / files: version for version, files in models_in_use(folder).files.items()}
        for data, version in sealed.items():
            if data.is_dir() and self._model(data, version, apply=apply):
                self.models.append(version)
        for path in sorted((folder / "artifacts").rglob("*")):
            if path.is_file() and path.suffix != ".png" and not any(data in path.parents for data in sealed):
                self._model_file(path, apply=apply)
        database = folder / "mlflow.db"
        if database.exists():
            scrub_sqlite(database, self.scrubber, apply=apply)

    def _model(self, data: Path, version: int, *, apply: bool) -> bool:
        """Rewrite a model's files beside it and swap them in, sealed, so that a kill leaves a whole model."""
        from winpredict.models.seal import check_seal, seal

        counted = self.scrubber.total
        for path in sorted(each for each in data.rglob("*") if each.is_file()):
            self._model_file(path, apply=False)
        if self.scrubber.total == counted or not apply:
            return self.scrubber.total > counted
        try:
            check_seal(data)
        except WinPredictError as error:  # what is damaged must not be sealed as if it were whole
            self.left.append(text("model {version} holds something: {reason}", version=version, reason=str(error)))
            return True
        silent = _Work(self.workspace, self.subject, self.erased, (), self.progress, Scrubber(self.erased))
        with replacing_folder(data) as temporary:
            shutil.copytree(data, temporary, dirs_exist_ok=True)
            for path in sorted(each for each in temporary.rglob("*") if each.is_file()):
                silent._model_file(path, apply=True)
            seal(temporary)
        return True

    def _model_file(self, path: Path, *, apply: bool) -> None:
        """Of a booster only names are looked at: all else are numbers."""
        if path.suffix != ".txt":
            self.scrubber.file(path, apply=apply)
            return
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        new = [self.erased.text(line) if line.startswith(_MODEL_LINES) else line for line in lines]
        if new != lines:
            self.scrubber.count()
            if apply:
                with replacing(path) as temporary:
                    temporary.write_text("".join(new), encoding="utf-8")

    def _reports(self, *, apply: bool) -> None:
        self.scrubber.at("reports")
        for path in sorted((self.workspace.folder / "reports").rglob("*")):
            if path.is_file():
                self.scrubber.count()
                if apply:
                    path.unlink()


def erase(
    workspace: "Workspace",
    kind: Kind,
    subject_id: str,
    *,
    places: Sequence[Place] = (),
    apply: bool = True,
    by: str = "",
    progress: Progress | None = None,
) -> Receipt:
    """Erase a contact, a user or an account, wherever the workspace holds something of them.

    What happened stays, so that counts and the odds of other deals do: an id becomes a random pseudonym, names and
    addresses go, and so does what was written about a touch with an erased contact. With an account go its contacts,
    but for those who are on other accounts' deals, and the names of its deals. Who was erased does not come back with
    the next sync or import: keyed hashes of their ids and names are kept, and applied to what comes.

    Parameters
    ----------
    workspace : Workspace
        Its lock is held.
    kind : {"contact", "user", "account"}
    subject_id : str
        As the CRM has it.
    places : sequence of Place
        What else holds something, such as the win desk's database.
    apply : bool
        False to count only.
    by : str
        Who does it, for the receipt.
    progress : callable, optional
        Called with a few words before each step.

    Returns
    -------
    Receipt
        It is kept in the workspace's folder ``receipts``, unless nothing was applied.

    Raises
    ------
    WinPredictError
        When nothing is known of the subject; then nothing is changed.

    Notes
    -----
    The list of hashes is kept first. Whenever this is killed, running it again completes it.
    """
    tell = progress or (lambda words: None)
    erased = workspace.erased()
    before = erased.pseudonym(kind, subject_id)
    subject = _subject(workspace, kind, subject_id, before)
    for place in places:
        place.check(subject)
    tell(said("names and addresses"))
    values = _values(workspace, subject)
    for place in places:
        values |= place.values(subject)
    (pseudonym,) = erased.add(kind, [subject_id])
    erased.add("contact", subject.contacts)
    erased.add_values(values, pseudonym, within=kind == "account")
    erased.add_values(_names_of_deals(workspace, subject))
    if before is None or not apply:
        survey = _Work(workspace, subject, erased, places, tell, Scrubber(erased))
        survey.all(apply=False)
        if not survey.scrubber.total and before is None:
            raise WinPredictError(
                text(
                    "nothing in {folder} tells of {kind} {id}; check the id, which is that of the CRM",
                    folder=workspace.folder,
                    kind=KIND_LABELS[kind],
                    id=subject_id,
                )
            )
        if not apply:
            return _receipt(survey, by)
    erased.write(workspace.folder)
    work = _Work(workspace, subject, erased, places, tell, Scrubber(erased))
    work.all(apply=True)
    return _kept(workspace, _receipt(work, by))


def personal_data(
    workspace: "Workspace", kind: Kind, subject_id: str, *, places: Sequence[Place] = ()
) -> dict[str, Any]:
    """Everything that is kept of a contact, a user or an account, for who asks to see it.

    Parameters
    ----------
    workspace, kind, subject_id, places
        As for `erase`.

    Returns
    -------
    dict
        Rows of tables, raw records, and rows of the other places, in which the subject occurs.

    Raises
    ------
    WinPredictError
        When nothing is known of the subject.
    """
    subject = _subject(workspace, kind, subject_id, None)
    values = _values(workspace, subject)
    for place in places:
        values |= place.values(subject)
    found = Erased(b"to find")
    found.add(kind, [subject_id])
    found.add_values(values | _names_of_deals(workspace, subject))
    scrubber = Scrubber(found)
    tables = {}
    if workspace.exists:
        for name, frame in workspace.crm().tables():
            if len(rows := _rows_with(frame, scrubber.frame(name, frame))):
                tables[name] = json.loads(rows.to_json(orient="records", date_format="iso"))
    raw = {}
    for store in raw_stores(workspace):
        for name in store.objects:
            records = [
                values
                for record_id, words in store.latest(name, ["record_id", "record"]).itertuples(index=False)
                if scrubber.record(name, record_id, values := json.loads(words)) != (record_id, values)
            ]
            if records:
                raw[f"{store.crm}/{name}"] = records
    database: dict[str, list[dict[str, Any]]] = {}
    for place in places:
        database |= place.rows(scrubber, subject)
    if not (tables or raw or database):
        raise WinPredictError(
            text(
                "nothing in {folder} tells of {kind} {id}; check the id, which is that of the CRM",
                folder=workspace.folder,
                kind=KIND_LABELS[kind],
                id=subject_id,
            )
        )
    return {"kind": kind, "id": subject_id, "at": _now(), "tables": tables, "raw": raw, "database": database}


def raw_stores(workspace: "Workspace") -> "Iterator[RawStore]":
    """The raw records of each CRM that the workspace was synced with."""
    from winpredict.connectors.store import RawStore

    for folder in sorted(workspace.raw_folder.glob("*")):
        if (folder / "state.json").exists():
            yield RawStore(folder, workspace.erased())


def scrub_sqlite(path: Path, scrubber: Scrubber, *, apply: bool) -> None:
    """Take those who were erased out of every text of a SQLite file, so that not a byte of it is left.

    Parameters
    ----------
    path : Path
    scrubber : Scrubber
    apply : bool
        False to count only.
    """
    with closing(sqlite3.connect(path, timeout=15, isolation_level=None)) as connection:
        connection.execute("PRAGMA secure_delete=ON")
        connection.execute("BEGIN IMMEDIATE" if apply else "BEGIN")
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for name in names:
            if not name.startswith("sqlite_"):
                _scrub_table(connection, name, scrubber, apply=apply)
        connection.execute("COMMIT")
        if apply:
            wipe_sqlite(connection, path)


def wipe_sqlite(connection: Any, path: Path | str) -> None:
    """Have a SQLite file hold nothing of what was deleted in it.

    Raises
    ------
    WorkspaceBusyError
        When somebody is reading it; what was deleted stays deleted, and its bytes go the next time.
    """
    try:
        connection.execute("VACUUM")
        is_busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    except sqlite3.OperationalError:
        is_busy = True
    if is_busy:
        raise WorkspaceBusyError(
            text(
                "{path} is in use, so that bytes of what was erased are left in it; stop the win desk and whatever "
                "else reads it, and run the command again",
                path=path,
            )
        )


def _scrub_table(connection: sqlite3.Connection, name: str, scrubber: Scrubber, *, apply: bool) -> None:
    quoted = name.replace('"', '""')
    columns = [row[1] for row in connection.execute(f'PRAGMA table_info("{quoted}")')]
    for column in columns:
        place = column.replace('"', '""')
        found = connection.execute(f'SELECT DISTINCT "{place}" FROM "{quoted}" WHERE typeof("{place}") = \'text\'')
        for (value,) in found.fetchall():
            new = scrubber.cell(value, column, None)
            if new == value:
                continue
            if apply:
                done = connection.execute(f'UPDATE "{quoted}" SET "{place}" = ? WHERE "{place}" = ?', (new, value))
                scrubber.count(max(done.rowcount, 1))
            else:
                scrubber.count()


def _subject(workspace: "Workspace", kind: Kind, subject_id: str, pseudonym: str | None) -> Subject:
    ids = (subject_id,) if pseudonym is None else (subject_id, pseudonym)
    if kind != "account" or not workspace.exists:
        return Subject(kind, ids)
    crm = workspace.crm()
    if "account_id" not in crm.deals:
        return Subject(kind, ids)
    theirs = crm.deals["account_id"].isin(ids)
    deals = crm.deals.loc[theirs, "deal_id"]
    contacts: set[str] = set()
    if crm.contacts is not None:
        on_theirs = crm.contacts["deal_id"].isin(deals)
        contacts = set(crm.contacts.loc[on_theirs, "contact_id"]) - set(crm.contacts.loc[~on_theirs, "contact_id"])
    known = workspace.erased().pseudonyms
    return Subject(kind, ids, tuple(sorted(contacts - known)), tuple(sorted(deals)))


def _values(workspace: "Workspace", subject: Subject) -> set[str]:
    """Names, addresses and numbers of the subject."""
    found: set[str] = set()
    for store in raw_stores(workspace):
        found |= store.personal_values(subject.kind, subject.ids)
        if subject.contacts:
            found |= store.personal_values("contact", subject.contacts)
    if not workspace.exists:
        return found
    crm = workspace.crm()
    if subject.kind == "user" and crm.users is not None:
        rows = crm.users[crm.users["user_id"].isin(subject.ids)]
        found |= {value for name in ("name", "email") if name in rows for value in rows[name].dropna()}
    if subject.kind == "account" and crm.accounts is not None and "name" in crm.accounts:
        found |= set(crm.accounts.loc[crm.accounts["account_id"].isin(subject.ids), "name"].dropna())
    return found


def _names_of_deals(workspace: "Workspace", subject: Subject) -> set[str]:
    """Names that only the deals of an account have; one of a single word tells of nobody."""
    deals = workspace.crm().deals if subject.deals else None
    if deals is None or "name" not in deals:
        return set()
    is_theirs = deals["deal_id"].isin(subject.deals)
    theirs, others = (set(deals.loc[which, "name"].dropna()) for which in (is_theirs, ~is_theirs))
    return {name for name in theirs - others if " " in name.strip()}


def _rows_with(frame: "pd.DataFrame", scrubbed: "pd.DataFrame") -> "pd.DataFrame":
    """The rows in which anything would be replaced."""
    if scrubbed is frame:
        return frame.head(0)
    differs = [
        (frame[name] != scrubbed[name]) & frame[name].notna() for name in frame if scrubbed[name] is not frame[name]
    ]
    out = differs[0]
    for each in differs[1:]:
        out = out | each
    return frame[out.fillna(False).astype(bool)]


def _receipt(work: _Work, by: str) -> Receipt:
    subject = work.subject
    return Receipt(
        at=_now(),
        by=by,
        kind=subject.kind,
        mark=work.erased.mark(subject.kind, subject.ids[0]),
        contacts=len(subject.contacts),
        found={name: count for name, count in work.scrubber.found.items() if count},
        models=tuple(sorted(work.models)),
        left=tuple(work.left),
    )


def _kept(workspace: "Workspace", receipt: Receipt) -> Receipt:
    from dataclasses import replace

    folder = workspace.folder / _RECEIPTS
    make_folder(folder, private=True)
    path = folder / f"erase-{datetime.now(UTC):%Y%m%dT%H%M%S.%f}.json"
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(receipt.to_json(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return replace(receipt, path=path)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
