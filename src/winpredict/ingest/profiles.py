"""Mapping profiles: which raw file and column is which canonical table and column."""

import codecs
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from winpredict._internal.shipped import configs_folder
from winpredict.errors import ProfileError
from winpredict.locale.text import text
from winpredict.tables.schema import TABLES

#: Names that a profile may map although they are no canonical columns: each is turned into one and left behind.
HELPERS = {
    "deals": {
        "is_won": "true for a won deal",
        "is_closed": "true for a won or lost deal",
        "modified_at": "the later of two rows of one deal is kept",
    },
    "deal_history": {"owner_before": "the owner before the change"},
    "activities": {
        "same_as": "id of another record of the same call, such as the task of a VoiceCall",
        "state": "done, scheduled, canceled, no_show or not_done: what did not take place is no touch",
        "is_child": "true for a colleague's own record of a meeting: one touch, and the colleague is involved",
        "is_series": "true for the header of a series, which is none of its meetings",
        "exact_at": "the stamp of what was done; rows without it stand at a substitute, which is told",
    },
}
#: Texts that stand for a missing value in one CRM or another.
MISSING = (
    "",
    "-",
    "--None--",
    "None",
    "none",
    "Select",
    "-None-",
    "(No value)",
    "N/A",
    "n/a",
    "NULL",
    "null",
    "NaN",
    "nan",
)


#: Between the names of columns of which, row by row, the first that is filled counts (``first_of`` in YAML).
FIRST_OF = " | "


_QUOTE = "YAML takes Yes, No, On and Off without quotation marks for true and false; write the name in quotation marks"


def _as_tuple(value: Any) -> Any:
    if isinstance(value, Mapping):
        return (_first_of(value),)
    if isinstance(value, list | tuple):
        if any(isinstance(each, bool) for each in value):
            raise ValueError(_QUOTE)
        return tuple(_first_of(each) if isinstance(each, Mapping) else each for each in value)
    if isinstance(value, bool):
        raise ValueError(_QUOTE)
    return (value,) if isinstance(value, str | int | float) else value


def _first_of(value: Mapping[Any, Any]) -> str:
    names = value.get("first_of")
    if set(value) != {"first_of"} or not isinstance(names, list | tuple) or not names:
        raise ValueError("write a column as its name, or as {first_of: [one column, another]}")
    return FIRST_OF.join(map(str, names))


Names = Annotated[tuple[str, ...], BeforeValidator(_as_tuple)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)


class Source(_Part):
    """One raw file that gives rows of one canonical table."""

    file: Names = Field(description="names without suffix, case ignored, * for anything: files, zip members, sheets")
    columns: dict[str, Names] = Field(
        {},
        description="canonical column: raw column, case ignored, or several, the first that the file has counts; "
        "a + b: both, as one text; {first_of: [a, b]}: row by row the first that is filled",
    )
    where: dict[str, Names] = Field(
        {}, description="raw column: values to keep, case ignored, * for anything, '' for missing"
    )
    explode: str | None = Field(None, description="raw column that holds a list: each element becomes a row")
    constants: dict[str, str] = Field({}, description="canonical column: the same value in every row")
    values: dict[str, dict[str, str]] = Field({}, description="canonical column: raw value: canonical value")
    scale: dict[str, float] = Field({}, description="canonical column: factor from the raw to the canonical unit")
    snapshots: bool = Field(
        False, description="rows are states of a deal on several days: of deal_history only what changed is kept"
    )
    left_stages: bool = Field(False, description="rows are written when a stage is left, not when it is entered")
    never: Names = Field((), description="raw columns never to use, * for anything")
    others: bool = Field(True, description="whether columns not named here come in as custom attributes")

    @field_validator("values", mode="before")
    @classmethod
    def _quoted(cls, values: Any) -> Any:
        of_columns = values.values() if isinstance(values, dict) else ()
        if any(isinstance(key, bool) for words in of_columns if isinstance(words, dict) for key in words):
            raise ValueError(_QUOTE)
        return values

    @field_validator("where", mode="before")
    @classmethod
    def _texts(cls, where: Any) -> Any:
        if not isinstance(where, dict):
            return where
        return {name: tuple(map(_plain, _as_tuple(values))) for name, values in where.items()}


def _plain(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


class Profile(_Part):
    """How one CRM's files become canonical tables.

    Examples
    --------
    >>> load_profile("salesforce").won
    ('Closed Won',)
    """

    name: str = ""
    description: str = ""
    time_zone: str = Field("UTC", description="zone of times that carry none, such as Europe/Berlin")
    dates: Literal["guess", "day_first", "month_first"] = Field("guess", description="how 03/04/2025 is meant")
    decimal: Literal["guess", ".", ","] = Field("guess", description="how 12.500 is meant: the decimal sign")
    encoding: str = Field("", description="of text files, such as windows-1252; empty to find out")
    missing: tuple[str, ...] = Field(MISSING, description="texts that stand for a missing value")
    stage_order: tuple[str, ...] = Field((), description="open stages from the first to the last")
    won: Names = Field((), description="stages of won deals")
    lost: Names = Field((), description="stages of lost deals")
    tables: dict[str, tuple[Source, ...]] = Field(
        description="canonical table: the files its rows come from; without deals, the rows go to deals known already"
    )

    @classmethod
    def checked(cls, values: Mapping[str, Any], where: Path | str = "") -> "Profile":
        """A profile of plain values.

        Raises
        ------
        ProfileError
            When it does not say what it must; every fault is named.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            faults = "; ".join(
                f"{'.'.join(map(str, each['loc'])) or 'profile'}: {each['msg'].removeprefix('Value error, ')}"
                for each in error.errors()
            )
            raise ProfileError(
                text("profile {where}: {faults}", where=where or values.get("name", ""), faults=faults)
            ) from None

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, encoding: str) -> str:
        try:
            return codecs.lookup(encoding).name if encoding else ""
        except LookupError:
            raise ValueError(f"{encoding!r} is not a known encoding; write it as utf-8 or windows-1252") from None

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(f"{zone!r} is not a time zone; write it as Europe/Berlin or UTC") from None
        return zone

    @model_validator(mode="after")
    def _known_names(self) -> "Profile":
        if not any(self.tables.values()):
            raise ValueError("tables must map at least one file")
        for table, sources in self.tables.items():
            if table not in TABLES:
                raise ValueError(f"{table} is not a canonical table; these are {', '.join(TABLES)}")
            known = {*TABLES[table].columns, *HELPERS.get(table, ())}
            for source in sources:
                unknown = sorted({*source.columns, *source.constants, *source.values, *source.scale} - known)
                if unknown:
                    raise ValueError(f"{table} has no column {', '.join(unknown)}; it has {', '.join(sorted(known))}")
        return self


def profiles_folder() -> Path:
    """Where the shipped profiles stand."""
    return configs_folder() / "profiles"


def shipped_profiles() -> tuple[str, ...]:
    """Names of the shipped profiles.

    Examples
    --------
    >>> "hubspot" in shipped_profiles()
    True
    """
    return tuple(sorted(path.stem for path in profiles_folder().glob("*.yaml")))


def load_profile(name: str | Path) -> Profile:
    """Read a shipped profile by its name, or a YAML file.

    A file may start from another profile with ``extends: salesforce`` and name only what differs; tables that it maps
    replace those of the other profile.

    Parameters
    ----------
    name : str or Path
        A name from `shipped_profiles`, or a path.

    Returns
    -------
    Profile

    Raises
    ------
    ProfileError
        When there is no such profile, or it does not say what it must; every fault is named.
    """
    path = _found(name)
    return Profile.checked({"name": path.stem} | _values(path), path)


def profile_yaml(profile: Profile) -> str:
    """A profile as YAML text, without what is left at its default.

    Examples
    --------
    >>> deals = {"file": "deals", "columns": {"deal_id": "Number", "closed_at": {"first_of": ["Won on", "Lost on"]}}}
    >>> print(profile_yaml(Profile(name="mine", tables={"deals": [deals]})))
    name: mine
    tables:
      deals:
      - file: deals
        columns:
          deal_id: Number
          closed_at:
            first_of:
            - Won on
            - Lost on
    <BLANKLINE>
    """
    values = profile.model_dump(mode="json", exclude_defaults=True)
    for sources in values["tables"].values():
        for source in sources:
            source["file"] = _shortest(source["file"])
            if "columns" in source:
                source["columns"] = {name: _shortest(offered) for name, offered in source["columns"].items()}
    return str(yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=110))


def _shortest(names: list[str]) -> Any:
    """Names as a person would write them: one alone, not as a list of one."""
    written = [{"first_of": name.split(FIRST_OF)} if FIRST_OF in name else name for name in names]
    return written[0] if len(written) == 1 else written


def _found(name: str | Path) -> Path:
    if str(name) in shipped_profiles():
        return profiles_folder() / f"{name}.yaml"
    path = Path(name)
    if not path.is_file():
        raise ProfileError(
            text(
                "profile {name!r} not found: it is neither a file nor one of {shipped_profiles}; `winpredict "
                "import PATH --guess` proposes one for an unknown file",
                name=str(name),
                shipped_profiles=", ".join(shipped_profiles()),
            )
        )
    return path


def _values(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ProfileError(text("cannot read the profile {path}: {error}", path=path, error=error)) from None
    if not isinstance(values, dict):
        raise ProfileError(
            text(
                "profile {path} holds no names with values; see {profiles_folder}",
                path=path,
                profiles_folder=profiles_folder() / "generic.yaml",
            )
        )
    base = values.pop("extends", None)
    if base is None:
        return values
    below = _values(_found(base))
    return below | values | {"tables": below.get("tables", {}) | (values.get("tables") or {})}
