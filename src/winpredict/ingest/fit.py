"""Whether a profile fits the files: one that cannot label or date deals is refused before anything is stored."""

from collections.abc import Mapping, Sequence

from winpredict.errors import InputFileError, ProfileError
from winpredict.ingest.profiles import Profile
from winpredict.ingest.quarantine import ENGLISH, Fate, Quarantine
from winpredict.locale.formats import count
from winpredict.locale.text import said, text, texts

#: Above this share of deals without a label, or of rows that are rejected or undated, a profile does not fit.
MAX_SHARE = 0.5
#: So few deals without an end may all be open; more of them at stages that the profile does not know are a bad fit.
FEW_DEALS = 5
_NAMES = 12


def refuse_poor_fit(
    profile: Profile,
    quarantine: Quarantine,
    *,
    first: bool,
    stages: Mapping[str, int] | None = None,
    date_columns: Sequence[str] = (),
) -> None:
    """Refuse an import whose deals cannot be labelled or dated, or of which most rows are rejected.

    Parameters
    ----------
    profile : Profile
    quarantine : Quarantine
        Of the whole import.
    first : bool
        Whether nothing was imported before: news of a few deals may well all be open.
    stages : mapping of str to int, optional
        Deals at each stage, for the message.
    date_columns : sequence of str
        Columns of the deals that look like dates and that the profile does not read as one.

    Raises
    ------
    InputFileError
        When `where` leaves no deals.
    ProfileError
        When the profile does not fit.
    """
    _refuse_nothing_left(profile, quarantine)
    _refuse_rejections(profile, quarantine)
    counts = quarantine.tallies
    deals = counts.get("deals", 0)
    if not deals:
        return
    _refuse_no_labels(profile, quarantine, deals, stages or {}, first=first)
    _refuse_no_dates(profile, quarantine, deals, date_columns)


def _refuse_nothing_left(profile: Profile, quarantine: Quarantine) -> None:
    books = [book for (table, _), book in quarantine.books.items() if table == "deals"]
    rows, left_out = sum(book.rows for book in books), sum(book.left_out for book in books)
    if rows and rows == left_out:
        causes = "; ".join(_causes(quarantine, "deals", "left out"))
        raise InputFileError(
            text(
                "no deals are left of {rows:count} rows: {causes}. Export deals that are not filtered out, or "
                "change `where` under tables.deals in the profile {name}",
                rows=rows,
                causes=causes,
                name=profile.name,
            )
        )


def _refuse_rejections(profile: Profile, quarantine: Quarantine) -> None:
    """Most rows of a table rejected; rows of deals that are not in this export are not the profile's fault."""
    for table in {table for table, _ in quarantine.books}:
        books = [book for (name, _), book in quarantine.books.items() if name == table]
        rows = sum(book.rows - book.left_out for book in books)
        strangers = quarantine.counts.get(f"{table}: belongs to no known deal (rejected)", 0)
        rejected = sum(book.rejected for book in books) - strangers
        if rejected > MAX_SHARE * rows:
            causes = "; ".join(_causes(quarantine, table, "rejected"))
            raise ProfileError(
                text(
                    "{rejected:count} of {rows:count} rows of {table} are rejected, so the profile {name} does "
                    "not fit: {causes}. Nothing was stored; correct the profile under tables.{table}, or the "
                    "file",
                    rejected=rejected,
                    rows=rows,
                    table=table,
                    name=profile.name,
                    causes=causes,
                )
            )


def _refuse_no_labels(
    profile: Profile, quarantine: Quarantine, deals: int, stages: Mapping[str, int], *, first: bool
) -> None:
    counts, columns = quarantine.tallies, quarantine.columns.get("deals", {})
    unlabelled, assumed = counts.get("deals without a label", 0), counts.get("deals taken as open", 0)
    ending = counts.get("won", 0) + counts.get("lost", 0)
    poor = unlabelled > MAX_SHARE * deals
    nothing_ends = first and deals > FEW_DEALS and not ending and assumed > MAX_SHARE * deals
    if not (poor or nothing_ends):
        return
    if not {"outcome", "stage", "is_closed", "is_won"} & set(columns):
        lacking = quarantine.lacking.get("deals", {})
        wanted = "; ".join(f"{name}: {lacking[name]}" for name in ("outcome", "stage", "is_closed") if name in lacking)
        reason = text(
            "no column tells won from lost deals (looked for {wanted})", wanted=wanted or text("outcome or stage")
        )
    else:
        there = ", ".join(f'"{stage}" ({count(number)})' for stage, number in list(stages.items())[:_NAMES])
        reason = text(
            "of {deals:count} deals nothing says of {n:count} whether they are won, lost or open; the stages are "
            "{stages}, and the profile calls won: {won}; lost: {lost}",
            deals=deals,
            n=unlabelled or assumed,
            stages=there or text("empty"),
            won=", ".join(profile.won) or text("none"),
            lost=", ".join(profile.lost) or text("none"),
        )
    raise ProfileError(
        text(
            "the profile {name} does not fit: {reason}. Nothing was stored; `winpredict import FILE` without "
            "--profile proposes one that fits, or write won, lost and stage_order into a profile of your own",
            name=profile.name,
            reason=reason,
        )
    )


def _refuse_no_dates(profile: Profile, quarantine: Quarantine, deals: int, date_columns: Sequence[str]) -> None:
    undated = quarantine.tallies.get("deals without created_at", 0)
    column = quarantine.columns.get("deals", {}).get("created_at")
    unread = _causes(quarantine, "deals", "repaired", of_column=column) if column else []
    if column and unread and undated > MAX_SHARE * deals:
        raise ProfileError(
            text(
                "the profile {name} does not fit: of {undated:count} of {deals:count} deals the creation date "
                "cannot be read: {unread}. Nothing was stored",
                name=profile.name,
                undated=undated,
                deals=deals,
                unread="; ".join(unread),
            )
        )
    if undated == deals and date_columns and "closed_at" not in quarantine.columns.get("deals", {}):
        names = ", ".join(date_columns[:_NAMES])
        raise ProfileError(
            text(
                "the profile {name} reads no creation date, and {names} may be one. Nothing was stored; name "
                "it under tables.deals.columns.created_at, or, if it is not, under tables.deals.never",
                name=profile.name,
                names=names,
            )
        )
    if undated == deals and column is None and "closed_at" in quarantine.columns.get("deals", {}):
        wanted = quarantine.lacking.get("deals", {}).get("created_at", "created_at")
        raise ProfileError(
            text(
                "the profile {name} does not fit: it dates the close of deals, and no column is their creation "
                "(looked for {wanted}). Nothing was stored; name the column under "
                "tables.deals.columns.created_at",
                name=profile.name,
                wanted=wanted,
            )
        )


def _causes(quarantine: Quarantine, table: str, fate: Fate, of_column: str = "") -> list[str]:
    """What was done to rows of a table, or because of a column, as clauses, the most frequent first."""
    counts = {
        cause: number
        for (of, cause, done), number in quarantine.by_cause.items()
        if (of, done) == (table, fate) and (not of_column or f"{of_column} " in cause.said_in(ENGLISH))
    }
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0].said_in(ENGLISH)))
    if fate == "left out":
        return [
            str(texts("{n:count} row left out: {cause}", "{n:count} rows left out: {cause}", n=number, cause=cause))
            for cause, number in ordered
        ]
    return [said("{n:count} x {cause}", n=number, cause=cause) for cause, number in ordered]
