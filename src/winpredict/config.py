"""The configuration: pydantic models of ``configs/default.yaml``; every setting has a unit and a default."""

import re
from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Literal, Union, get_args, get_origin

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from winpredict._internal.shipped import configs_folder
from winpredict.errors import ConfigError
from winpredict.locale.language import Language
from winpredict.locale.text import text

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

#: Where a value stands: names of sections and of a knob, and names or numbers inside its value.
_Place = tuple[int | str, ...]
#: What pydantic words for programmers, by its kind of fault.
_WANTED = {
    "model_type": "should hold names with values",
    "dict_type": "should hold names with values",
    "tuple_type": "should be a list, such as [a, b]",
    "bool_type": "should be true or false",
    "bool_parsing": "should be true or false",
    "string_type": "should be text",
    "invalid_key": "names should be text",
    "int_parsing": "should be a whole number",
    "int_type": "should be a whole number",
    "int_from_float": "should be a whole number",
    "float_parsing": "should be a number",
    "float_type": "should be a number",
}

Share = Annotated[float, Field(ge=0, le=1)]


def _switch(value: object) -> object:
    """YAML reads off and on, without quotes, as no and yes."""
    return {False: "off", True: "auto"}[value] if isinstance(value, bool) else value


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Snapshots(_Section):
    """Which days of a deal's life are looked at."""

    every_days: float = Field(7.0, gt=0, description="days between two looks at a deal")
    longest_days: float = Field(730.0, gt=0, description="no looks beyond this age in days")
    most: int = Field(
        300_000, ge=1000, description="snapshots to learn from at most; deals beyond them are left out at random"
    )
    look_power: Share = Field(0.5, description="a deal's n-th snapshot weighs n to the power of minus this")


class Attributes(_Section):
    """Static attributes: what the leakage audit decides can be overruled."""

    keep: tuple[str, ...] = Field((), description="attributes to use whatever the audit says")
    drop: tuple[str, ...] = Field((), description="attributes never to use")
    observed_deals: int = Field(
        200,
        ge=40,
        description="closed deals that syncs saw while open, from which a dropped attribute is used as observed",
    )


class Model(_Section):
    """The classifier; see `winpredict.models.estimator.WinClassifier`."""

    bags: int = Field(6, ge=1, description="number of models")
    trees: int = Field(300, ge=1, description="boosting rounds of each")
    learning_rate: float = Field(0.03, gt=0, le=1)
    leaves: int = Field(7, ge=2, description="leaves of a tree")
    large_leaves: int = Field(31, ge=0, description="leaves of the larger trees to choose from; 0: none")
    min_rows_leaf: int = Field(
        80, ge=1, description="least snapshots in a leaf; fewer where deals have fewer than eight each"
    )
    feature_share: float = Field(0.2, gt=0, le=1, description="share of the features a tree may look at")
    row_share: float = Field(0.7, gt=0, le=1, description="share of the snapshots a tree is fitted on")
    l2: float = Field(5.0, ge=0, description="penalty on leaf values")
    linear_weight: Share | None = Field(None, description="weight of the linear model against the trees; none: chosen")
    hazard_weight: Share = Field(0.25, description="weight of the competing-risks model in the blend; dated data")
    linear_strength: float = Field(0.05, gt=0, description="inverse of the linear model's penalty")
    monotone: dict[str, Literal[-1, 1]] = Field({}, description="feature: 1 (odds only rise with it) or -1 (only fall)")
    calibration_share: float = Field(0.2, ge=0, le=0.5, description="share of the last-closed deals to calibrate on")
    interval: float = Field(0.8, gt=0, lt=1, description="probability mass between low and high")
    pace: bool = Field(True, description="whether speed through the stages, against like deals, is a feature")
    text: Annotated[Literal["auto", "off"] | tuple[str, ...], BeforeValidator(_switch)] = Field(
        "auto", description="texts whose words are features; auto: those that help on later deals and do not leak"
    )
    threads: int | None = Field(None, ge=1, description="models fitted beside each other; none: one a core")


class Censoring(_Section):
    """What is done about deals that are still open."""

    method: Literal["ipcw", "none"] = Field("ipcw", description="inverse probability of censoring weights, or none")
    max_weight: float = Field(10.0, ge=1, description="largest weight")


class Timing(_Section):
    """The competing-risks model of when a deal closes."""

    grid_days: tuple[float, ...] = Field((7, 14, 30, 60, 90, 180, 365), description="ends of the intervals in days")


class Backtest(_Section):
    """The rolling-origin evaluation."""

    folds: int = Field(5, ge=1, description="number of cut-offs")
    horizon_days: float = Field(60.0, ge=0, description="days between the last cut-off and the end of the data")
    min_history_days: float = Field(180.0, ge=0, description="days of history before the first cut-off")


class Tuning(_Section):
    """The Optuna search behind ``--tune``."""

    trials: int = Field(40, ge=1)
    minutes: float = Field(10.0, gt=0, description="time budget in minutes")


class Salesforce(_Section):
    """How Salesforce is reached; secrets never stand here, see `winpredict.connectors.secrets`."""

    login_url: str = Field(
        "https://login.salesforce.com", description="https://test.salesforce.com for a sandbox, or your My Domain"
    )
    sign_in: Literal["client_credentials", "jwt"] = Field("client_credentials", description="OAuth flow")
    client_id: str = Field("", description="consumer key of the connected app")
    username: str = Field("", description="whom the JWT flow signs in")
    api_version: str = Field("65.0", description="version of the REST and Bulk API")
    bulk_from_rows: int = Field(
        20_000, ge=0, description="objects with at least so many rows to read come by Bulk API 2.0; 0: all do"
    )
    bulk_page_rows: int = Field(50_000, ge=1, description="rows in a page of bulk results")
    bulk_poll_s: float = Field(5.0, gt=0, description="longest wait between two looks at a bulk job, seconds")
    daily_share: Share = Field(0.5, description="stop once this share of the organisation's daily requests is used")


class HubSpot(_Section):
    """How HubSpot is reached."""

    base_url: str = Field("https://api.hubapi.com")
    api_version: str = Field("2026-09", description="date of the API version in the paths")
    sign_in: Literal["token", "oauth"] = Field("token", description="private-app token, or OAuth refresh token")
    client_id: str = Field("", description="of the OAuth app")
    page_size: int = Field(100, ge=1, le=100, description="records a page of a list")
    history_page_size: int = Field(50, ge=1, le=100, description="records a request with property histories")
    search_page_size: int = Field(200, ge=1, le=200, description="records a search")
    searches_per_s: float = Field(4.0, gt=0, description="most searches a second; HubSpot allows 5 an account")
    requests_per_10s: int = Field(100, ge=1, description="most requests in ten seconds; private apps allow 190")
    daily_share: Share = Field(0.5, description="stop once this share of the account's daily requests is used")


class Zoho(_Section):
    """How Zoho CRM is reached."""

    data_centre: Literal["com", "eu", "in", "com.au", "jp", "ca", "sa", "com.cn"] = Field(
        "com", description="where the organisation's data lie"
    )
    accounts_url: str = Field("", description="by default https://accounts.zoho.<data centre>")
    api_url: str = Field("", description="by default https://www.zohoapis.<data centre>")
    client_id: str = Field("")
    api_version: str = Field("v8")
    page_size: int = Field(200, ge=1, le=200, description="records a page")
    credits_kept: int = Field(
        1000, ge=0, description="stop once the organisation has no more API credits than this left for 24 hours"
    )


class Sync(_Section):
    """Reading from a live CRM."""

    overlap_minutes: float = Field(
        10.0, ge=0, description="an increment starts so long before the last change that was seen"
    )
    attempts: int = Field(6, ge=1, description="tries of one request before giving up")
    longest_wait_s: float = Field(60.0, gt=0, description="longest wait between two tries, seconds")
    timeout_s: float = Field(60.0, gt=0, description="how long an answer may take, seconds")
    custom_fields: tuple[str, ...] = Field(
        ("*",), description="fields of deals beyond the standard ones to read; * for anything"
    )
    keep_deleted_days: float = Field(
        30.0,
        ge=0,
        description="days after which what was deleted in the CRM, or what it said of people before it said otherwise, "
        "goes from the raw records too",
    )


class Push(_Section):
    """Writing scores back: which score goes into which field of deals; none: it is not written."""

    win_odds: str | None = Field("WinPredict_Odds", description="percent, one decimal")
    band: str | None = Field("WinPredict_Band", description="very low to very high")
    reasons: str | None = Field("WinPredict_Reasons", description="the top reasons, a line each")
    reason_count: int = Field(3, ge=1, le=5, description="how many reasons are written")
    next_step: str | None = Field("WinPredict_Next_Step", description="what to do next, and why")
    flags: str | None = Field("WinPredict_Flags", description="at risk, silent, stalled, overdue and the like")
    model_version: str | None = Field("WinPredict_Model")
    scored_at: str | None = Field("WinPredict_Scored_At", description="needed to refuse scores older than those there")


class CRM(_Section):
    """Live CRMs."""

    salesforce: Salesforce = Salesforce()
    hubspot: HubSpot = HubSpot()
    zoho: Zoho = Zoho()
    sync: Sync = Sync()
    push: Push = Push()


def _name_of_secret(text: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", text):
        raise ValueError("this is to be the name of a secret, such as digest_url; the address itself is the secret")
    return text


class Run(_Section):
    """What `winpredict run` does each time."""

    push: bool = Field(False, description="whether scores are written into the CRM")
    problems: Literal["serious", "warning", "none"] = Field(
        "serious", description="findings of data quality with which a run ends with 1"
    )
    reports: tuple[Literal["drivers", "pipeline", "forecast", "model-card"], ...] = Field(
        (), description="written into the workspace's folder reports"
    )
    report_suffix: Literal["html", "pdf", "md"] = Field("html", description="how reports are written")
    digest: tuple[Annotated[str, AfterValidator(_name_of_secret)], ...] = Field(
        (), description="names of secrets, each an Apprise address that the digest is sent to"
    )
    digest_deals: int = Field(5, ge=1, description="most deals in each list of the digest")
    moved_points: float = Field(5.0, ge=0, description="percentage points; smaller moves of the odds are not told")
    big_share: float = Field(0.25, gt=0, le=1, description="share of the open deals, the largest, that count as big")


class Retention(_Section):
    """How long a workspace keeps what it no longer needs; current tables and what was ever champion stay."""

    versions: int = Field(2, ge=1, description="versions of the tables, the current one included")
    daily_score_days: float = Field(92.0, ge=7, description="days in which the scores of every day are kept")
    weekly_score_days: float = Field(730.0, ge=7, description="days in which those of one day a week are kept")
    log_days: float = Field(365.0, gt=0, description="days in which logs of runs are kept")
    undo_days: float = Field(365.0, gt=0, description="days in which undo files of pushes are kept")
    challengers: int = Field(
        6, ge=1, description="models that were never champion and keep their files; their figures are kept of all"
    )


class Retraining(_Section):
    """When a new model is trained, and when it takes the champion's place."""

    when: Literal["never", "monthly", "on_alarm", "monthly_or_on_alarm"] = Field(
        "never", description="when `winpredict run` trains a challenger"
    )
    rounds: int = Field(2, ge=1, le=6, description="past days on which the challenger is trained anew to be judged")
    least_deals: int = Field(60, ge=30, description="fewest deals that have closed since, to judge by")
    margin: float = Field(0.005, ge=0, description="log loss by which a challenger may be worse and count as no worse")
    renew_after_days: float = Field(
        180.0, gt=0, description="days after which a challenger that is no worse takes an old champion's place"
    )
    rest_days: float = Field(14.0, ge=0, description="days between two trainings on an alarm")


class Monitoring(_Section):
    """When `winpredict monitor` and `winpredict run` raise an alarm."""

    false_alarms: float = Field(
        0.001,
        gt=0,
        lt=0.5,
        description="chance that a check that looks every day raises an alarm on a day without cause",
    )
    stale_days: float = Field(4.0, gt=0, description="days without a new fact from which data are stale")
    missing_points: float = Field(
        10.0, gt=0, le=100, description="percentage points more missing values than at training that are told"
    )
    shift: float = Field(0.3, gt=0, description="standard deviations that a feature has moved, from which it is told")
    least_deals: int = Field(60, ge=20, description="fewest deals that have closed since training, to judge odds by")


class NextSteps(_Section):
    """What counts as stalled, overdue, silent and hopeless, and which next steps are suggested.

    Days that the model learned from won deals of the stage go before those given here.
    """

    most: int = Field(3, ge=1, le=3, description="most next steps of a deal")
    skip: tuple[
        Literal[
            "let_go", "call", "book", "correct_date", "close_plan", "check_date", "unblock", "senior", "colleague",
            "competitor",
        ],
        ...,
    ] = Field((), description="next steps never to suggest")  # fmt: skip
    silent_days: float = Field(
        21.0, gt=0, description="days without contact beyond which a deal is silent, where won deals tell nothing"
    )
    min_silent_days: float = Field(7.0, ge=0, description="days; with less silence no deal is silent")
    unbooked_days: float = Field(10.0, ge=0, description="days without contact from which to book a meeting")
    recent_days: float = Field(3.0, ge=0, description="days after an outbound touch in which it is the customer's turn")
    stalled_days: float = Field(
        60.0, gt=0, description="days in a stage beyond which a deal is stalled, where won deals tell nothing"
    )
    overdue_days: float = Field(1.0, ge=1, description="days past the expected close from which a deal is overdue")
    pushes: int = Field(3, ge=1, description="times the expected close was pushed, from which to agree a close plan")
    senior_share: Share = Field(0.5, description="share of won deals with a senior contact, above which to get one")
    hopeless_odds: Share = Field(0.05, description="win odds below which a deal is hopeless, and not at risk")
    let_go_days: float = Field(60.0, gt=0, description="days without contact from which a hopeless deal is let go")
    competitor_words: tuple[str, ...] = Field(
        ("competitor", "concurrent", "wettbewerb", "mitbewerb"),
        description="parts of the names of columns that name a competitor",
    )


class App(_Section):
    """The win desk, `winpredict serve`."""

    host: str = Field("127.0.0.1", description="address to listen on; 0.0.0.0 for all, behind a proxy with TLS")
    port: int = Field(8765, ge=0, le=65535)
    database: str = Field(
        "", description="SQLAlchemy address; by default app.db in the workspace; env:NAME for one with a password"
    )
    public_url: str = Field("", description="as browsers see it, such as https://desk.example.com")
    session_hours: float = Field(12.0, gt=0, description="hours until one must sign in again")
    idle_minutes: float = Field(120.0, gt=0, description="minutes without a request until one must sign in again")
    audit_days: float = Field(400.0, ge=1, description="days in which entries of the audit log are kept")
    scientists_see_names: bool = Field(False, description="whether data scientists read names of deals and accounts")
    owner_record: Literal["managers", "everyone"] = Field(
        "managers", description="who reads how an owner's deals ended before, among the reasons of a deal"
    )
    page_rows: int = Field(50, ge=1, le=500, description="deals a page of a list")
    largest_request_kb: int = Field(1024, ge=1, description="larger requests are refused, kilobytes")
    slowest_request_s: float = Field(30.0, gt=0, description="seconds in which a request must have arrived")
    largest_header_kb: int = Field(32, ge=4, le=1024, description="requests with longer headers are refused, kilobytes")
    slowest_header_s: float = Field(10.0, gt=0, description="seconds in which a request's headers must have arrived")
    connections: int = Field(
        1000, ge=10, description="at a time, of each worker; for a further one the one silent for longest is closed"
    )
    connections_per_address: int = Field(200, ge=4, description="likewise, of one address that is not a proxy's")
    requests_per_person: int = Field(32, ge=4, description="at a time; a further one is answered with 429, come again")
    proxies: tuple[str, ...] = Field(
        (), description="addresses or networks of proxies whose X-Forwarded-For and -Proto are believed"
    )
    every_run_days: float = Field(92.0, ge=7, description="days in which every scoring run is kept in the database")
    weekly_run_days: float = Field(
        730.0, ge=7, description="days after which runs are deleted; in between one a week is kept"
    )
    oidc_issuer: str = Field("", description="OpenID Connect provider; empty: local accounts only")
    oidc_client_id: str = Field("")
    smtp_host: str = Field("", description="server that sends e-mail for the desk; empty: it sends none")
    smtp_port: int = Field(587, ge=1, le=65535)
    smtp_security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="how the connection to it is encrypted"
    )
    smtp_user: str = Field("", description="who the desk is there, whose password is the secret smtp_password")
    smtp_from: str = Field("", description="address that e-mail comes from, such as desk@example.com")


class InputLimits(_Section):
    """What a file may hold, so that a small one cannot fill memory or disk."""

    unpacked_mb: float = Field(51_200, gt=0, description="megabytes that a packed file or zip may unpack to")
    unpacked_ratio: float = Field(50, ge=1, description="times its own size that a packed file may unpack to")
    unpacked_free_mb: float = Field(256, ge=1, description="megabytes to which any packed file may unpack")
    zip_members: int = Field(10_000, ge=1, description="files in a zip")
    columns: int = Field(5_000, ge=1, description="columns of a table")
    cell_chars: int = Field(1_000_000, ge=1_000, description="characters in a cell")
    cells: int = Field(20_000_000, ge=1_000, description="cells of a table in a small packed, JSON or Parquet file")
    workbook_cells: int = Field(10_000_000, ge=1_000, description="cells of a sheet, from the first used to the last")
    nesting: int = Field(64, ge=1, le=400, description="levels of objects and lists in JSON")
    outside_links: bool = Field(False, description="whether symbolic links that lead out of a folder are followed")


def _language(name: str) -> str:
    """The name of a language, if it is one."""
    if name:
        try:
            Language(name)
        except ConfigError as error:
            raise ValueError(str(error)) from None
    return name


class Config(_Section):
    """All settings.

    Examples
    --------
    >>> Config().snapshots.every_days
    7.0
    """

    seed: int = Field(0, ge=0)
    language: Annotated[str, AfterValidator(_language)] = Field(
        "", description="language of sentences, numbers and dates where a person names none, such as fr or en_GB"
    )
    currency: str = Field(
        "", pattern="^([A-Z]{3})?$", description="ISO code of the currency of amounts that name none, such as EUR"
    )
    snapshots: Snapshots = Snapshots()
    attributes: Attributes = Attributes()
    builders: tuple[str, ...] = Field((), description="further feature builders, as package.module:ClassName")
    model: Model = Model()
    censoring: Censoring = Censoring()
    timing: Timing = Timing()
    backtest: Backtest = Backtest()
    tuning: Tuning = Tuning()
    crm: CRM = CRM()
    input_limits: InputLimits = InputLimits()
    run: Run = Run()
    retention: Retention = Retention()
    retraining: Retraining = Field(default_factory=Retraining)
    monitoring: Monitoring = Field(default_factory=Monitoring)
    next_steps: NextSteps = NextSteps()
    app: App = App()


def load_config(path: Path | str | None = None) -> Config:
    """Read a YAML file of settings; those it does not name keep their defaults.

    Parameters
    ----------
    path : Path or str, optional
        By default every setting has its default (see `default_config_file`).

    Returns
    -------
    Config

    Raises
    ------
    ConfigError
        When the file is absent, no YAML, or has unknown or impossible values; every one is named.

    Examples
    --------
    >>> load_config().model.bags == Config().model.bags
    True
    """
    if path is None:
        return Config()
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8-sig"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(text("cannot read the config {path}: {error}", path=path, error=error)) from None
    try:
        return Config.model_validate({} if values is None else values)
    except ValidationError as error:
        faults = "; ".join(_faults(error))
        raise ConfigError(
            text(
                "{path}: {faults}. All settings and their defaults are in {defaults}",
                path=path,
                faults=faults,
                defaults=default_config_file(),
            )
        ) from None


def default_config_file() -> Path:
    """The shipped file that names every setting with its unit and default."""
    return configs_folder() / "default.yaml"


def _faults(error: ValidationError) -> Iterator[str]:
    """A sentence for each value that cannot be."""
    of_knobs: dict[_Place, list[tuple[_Place, ErrorDetails]]] = {}
    for each in error.errors():
        knob, inside = _parted(each["loc"])
        of_knobs.setdefault(knob, []).append((inside, each))
    for knob, faults in of_knobs.items():
        if _has_alternatives(knob):
            # of the alternatives, the one whose value got furthest is the one that was meant
            furthest = max(len(inside) for inside, _ in faults)
            faults = [(inside, fault) for inside, fault in faults if len(inside) == furthest]
            if furthest == 0:
                wanted = ", or ".join(_wanted(fault).removeprefix("should be ") for _, fault in faults)
                yield _fault(knob, faults[0][1], f"should be {wanted}")
                continue
        for inside, fault in faults:
            yield _fault((*knob, *inside), fault, _wanted(fault))


def _fault(place: _Place, fault: "ErrorDetails", wanted: str) -> str:
    key, value = ".".join(map(str, place)), fault["input"]
    if fault["type"] == "extra_forbidden":
        return f"unknown setting {key}; known here: {', '.join(_names_beside(place))}"
    if not key:
        return f"the file holds {value!r} and not names with values"
    # an address, or anything under crm, may be a secret that stands in the wrong place
    silent = "://" in str(value) or (place[0] == "crm" and not _is_number(value))
    shown = "" if silent else f" (it is {'empty' if value is None else repr(value)})"
    return f"{key}: {wanted}{shown}"


def _wanted(fault: "ErrorDetails") -> str:
    """What a value was to be, in the words of YAML and not of pydantic."""
    if fault["type"] == "string_type" and _is_number(fault["input"]):
        return "should be text, so put it in quotes"
    message = fault["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return _WANTED.get(fault["type"], message)


def _parted(place: _Place) -> tuple[_Place, _Place]:
    """The setting that a fault is in, and where inside its value; pydantic's names of alternatives are left out."""
    knob = next((place[:depth] for depth in range(1, len(place)) if _section(place[:depth]) is None), place)
    inside = place[len(knob) :]
    return knob, inside[1:] if _has_alternatives(knob) else inside


def _section(place: _Place) -> type[BaseModel] | None:
    """The section at a place, if one is there."""
    found: object = Config
    for name in place:
        field = found.model_fields.get(str(name)) if isinstance(found, type) and issubclass(found, BaseModel) else None
        found = None if field is None else field.annotation
    return found if isinstance(found, type) and issubclass(found, BaseModel) else None


def _has_alternatives(knob: _Place) -> bool:
    """Whether a setting takes values of several kinds, beside none at all."""
    section = _section(knob[:-1]) if knob else None
    field = None if section is None else section.model_fields.get(str(knob[-1]))
    if field is None or get_origin(field.annotation) not in (Union, UnionType):
        return False
    return len(set(get_args(field.annotation)) - {NoneType}) > 1


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


def _names_beside(place: _Place) -> list[str]:
    section = _section(place[:-1])
    return [] if section is None else list(section.model_fields)
