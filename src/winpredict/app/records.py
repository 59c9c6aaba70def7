"""The tables of the app's database: people, what they may do, scores, feedback, and who did what."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, DateTime, ForeignKey, Index, MetaData, String, Text, TypeDecorator, false
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from winpredict.errors import WinPredictError
from winpredict.locale.text import text

#: The setting that changes with whatever lists show; see `winpredict.app.shown_deals`.
LISTS_MARK = "mark of lists"


class Role(StrEnum):
    """What a person is to the app; `winpredict.app.visibility` says what each may see."""

    REP = "rep"
    MANAGER = "manager"
    SCIENTIST = "scientist"
    ADMIN = "admin"


class UTCTime(TypeDecorator[datetime]):
    """A moment with a zone, whatever the database keeps; SQLite keeps none."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        """Refuse a moment without a zone, and store UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise WinPredictError(text("{value} has no time zone; the app stores moments in UTC", value=value))
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        """Give the zone back."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """All tables; constraints have names, so that migrations can speak of them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {
        datetime: UTCTime,
        dict[str, Any]: JSON,
        list[str]: JSON,
        list[dict[str, Any]]: JSON,
        list[Any]: JSON,
    }


class Person(Base):
    """Somebody who may sign in."""

    __tablename__ = "person"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(320), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    role: Mapped[Role] = mapped_column(String(20))
    #: Who they are in the CRM; a rep without one sees no deal.
    crm_user_id: Mapped[str | None] = mapped_column(String(200), index=True)
    #: Argon2; none for those who sign in elsewhere.
    password_hash: Mapped[str | None] = mapped_column(String(300))
    #: Whether somebody else has set their password, so that they have to take one of their own. The default stays in
    #: the database: SQLite could only drop it by making the table anew, and with the former one all sessions would go.
    password_must_change: Mapped[bool] = mapped_column(default=False, server_default=false())
    #: Issuer and subject of their OpenID identity.
    oidc_identity: Mapped[str | None] = mapped_column(String(600), unique=True)
    #: Language that they chose, as Babel names it; none goes by their browser.
    language: Mapped[str | None] = mapped_column(String(20))
    active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime]


class Session(Base):
    """A signed-in browser; only a hash of its cookie is kept."""

    __tablename__ = "session"
    key_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id", ondelete="CASCADE"), index=True)
    csrf_token: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    #: Up to a minute before the last request: it is not written down for each.
    last_seen_at: Mapped[datetime]
    #: Such as "Firefox, Linux"; empty where the browser does not say.
    browser: Mapped[str] = mapped_column(String(200), default="")
    address: Mapped[str] = mapped_column(String(64), default="")
    #: Whether the person came with the password, and not with the company's account.
    by_password: Mapped[bool] = mapped_column(default=True)
    person: Mapped[Person] = relationship()

    @property
    def must_change_password(self) -> bool:
        """Whether nothing else is allowed before the person has taken a password of their own."""
        return self.by_password and self.person.password_must_change


class PasswordReset(Base):
    """A link by which somebody who has forgotten their password takes another; only its key's hash is kept."""

    __tablename__ = "password_reset"
    key_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    #: When it was used, or became worthless since the password was changed in another way.
    used_at: Mapped[datetime | None]
    person: Mapped[Person] = relationship()


class ApiToken(Base):
    """A key for programs; only its hash is kept."""

    __tablename__ = "api_token"
    id: Mapped[int] = mapped_column(primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(200))
    key_hash: Mapped[str] = mapped_column(String(64), unique=True)
    scopes: Mapped[list[str]]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    person: Mapped[Person] = relationship()


class SignInAttempt(Base):
    """A try to sign in, kept to slow down guessing."""

    __tablename__ = "sign_in_attempt"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(320))
    address: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime]
    succeeded: Mapped[bool]
    __table_args__ = (Index("ix_sign_in_attempt_email_at", "email", "at"), Index("ix_address_at", "address", "at"))


class CrmUser(Base):
    """A user of the CRM as last imported: whose deals are whose, and who reports to whom."""

    __tablename__ = "crm_user"
    user_id: Mapped[str] = mapped_column(String(200), primary_key=True)
    name: Mapped[str | None] = mapped_column(String(300))
    manager_id: Mapped[str | None] = mapped_column(String(200), index=True)
    team: Mapped[str | None] = mapped_column(String(300))


class ScoringRun(Base):
    """All open deals scored once; a run is seen when it is whole."""

    __tablename__ = "scoring_run"
    id: Mapped[int] = mapped_column(primary_key=True)
    #: None for undated data.
    as_of: Mapped[datetime | None]
    scored_at: Mapped[datetime]
    model_version: Mapped[str] = mapped_column(String(50))
    deals: Mapped[int]
    #: Of the workspace's tables and this model: the same is not published twice.
    fingerprint: Mapped[str] = mapped_column(String(64), unique=True)
    published_at: Mapped[datetime]


class Score(Base):
    """One open deal of a run, with what a list shows of it."""

    __tablename__ = "score"
    run_id: Mapped[int] = mapped_column(ForeignKey("scoring_run.id", ondelete="CASCADE"), primary_key=True)
    deal_id: Mapped[str] = mapped_column(String(200), primary_key=True)
    owner_id: Mapped[str | None] = mapped_column(String(200))
    name: Mapped[str | None] = mapped_column(Text)
    account: Mapped[str | None] = mapped_column(Text)
    stage: Mapped[str | None] = mapped_column(String(300))
    pipeline: Mapped[str | None] = mapped_column(String(300))
    product: Mapped[str | None] = mapped_column(String(300))
    amount: Mapped[float | None]
    currency: Mapped[str | None] = mapped_column(String(10))
    created_at: Mapped[datetime | None]
    expected_close_date: Mapped[datetime | None]
    last_touch_at: Mapped[datetime | None]
    next_touch_at: Mapped[datetime | None]
    win_probability: Mapped[float]
    low: Mapped[float | None]
    high: Mapped[float | None]
    p_win_30d: Mapped[float | None]
    p_win_quarter: Mapped[float | None]
    band: Mapped[str] = mapped_column(String(20))
    #: Of `winpredict.explain.reason.Reason.to_json`; sentences in runs that were published by an earlier version.
    reasons: Mapped[list[Any]]
    #: Of `winpredict.explain.next_steps.NextStep.to_json`.
    next_steps: Mapped[list[Any]]
    #: Keys of `winpredict.explain.deal_flags.FLAGS` with a comma between.
    flags: Mapped[str] = mapped_column(String(100), default="")
    #: Win probability a week before, where a run is that old and knew the deal.
    week_before: Mapped[float | None]
    run: Mapped[ScoringRun] = relationship()

    @property
    def flag_names(self) -> tuple[str, ...]:
        """The flags of the deal, in the order in which they are told."""
        return tuple(self.flags.split(",")) if self.flags else ()

    __table_args__ = (
        Index("ix_score_run_owner", "run_id", "owner_id"),
        Index("ix_score_run_odds", "run_id", "win_probability"),
        Index("ix_score_deal", "deal_id"),
    )


class Feedback(Base):
    """What a person says is wrong about a deal's odds."""

    __tablename__ = "feedback"
    id: Mapped[int] = mapped_column(primary_key=True)
    deal_id: Mapped[str] = mapped_column(String(200), index=True)
    run_id: Mapped[int | None] = mapped_column(ForeignKey("scoring_run.id", ondelete="SET NULL"))
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id", ondelete="CASCADE"))
    #: too_high, too_low, wrong_reason or other.
    kind: Mapped[str] = mapped_column(String(20))
    text: Mapped[str] = mapped_column(Text)
    win_probability: Mapped[float | None]
    created_at: Mapped[datetime]
    person: Mapped[Person] = relationship()


class Setting(Base):
    """A value that all workers share, such as the key that signs cookies."""

    __tablename__ = "setting"
    name: Mapped[str] = mapped_column(String(50), primary_key=True)
    value: Mapped[str] = mapped_column(Text)


class AuditEntry(Base):
    """Who did what: sign-ins, exports, publishing, promotions, changes of people and keys."""

    __tablename__ = "audit_entry"
    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
    person_id: Mapped[int | None] = mapped_column(ForeignKey("person.id", ondelete="SET NULL"))
    action: Mapped[str] = mapped_column(String(50))
    subject: Mapped[str] = mapped_column(String(300))
    details: Mapped[dict[str, Any]]
    #: Network address of who asked; empty for the command line.
    address: Mapped[str] = mapped_column(String(64), default="")
    person: Mapped[Person | None] = relationship()
