"""What the odds are judged on: simulated worlds, the data sets beside the project, and public ones fetched by hand."""

import dataclasses
import hashlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from winpredict import Config
from winpredict.features.snapshots import labelled, open_at
from winpredict.ingest import import_files, load_profile
from winpredict.models.training import training_set
from winpredict.simulate.world import World, simulate
from winpredict.tables.crm import CRMData

Floats = NDArray[np.float64]

FIRST_SEED = 7001
WORLD_CUTOFFS = ("2024-06-03", "2024-10-01", "2025-03-13")
#: Where the cut-offs of a dated data set stand, as shares of the time between the first deal and the end of the data.
CUTOFFS = (0.5, 0.65, 0.8)
FOLDS = 5
#: Of undated data in the order in which they came in, the first share is learnt from and the rest judged.
EARLIER = 0.7


@dataclass(frozen=True)
class Public:
    """A public data set that is fetched by hand.

    Parameters
    ----------
    title, source, licence, note : str
        What it is, where it is published and on what terms, and what was done to it.
    files : dict of str to str
        Name in the data folder to the sha256 of what was measured.
    """

    title: str
    source: str
    licence: str
    files: dict[str, str]
    note: str


NOT_VERIFIED = "not verified"
PUBLIC = {
    "x_education": Public(
        "X Education, 9,240 leads of a seller of online courses",
        "https://www.kaggle.com/datasets/amritachatterjee09/lead-scoring-dataset (Lead Scoring.csv); measured on "
        "Leads.csv of https://github.com/KeerthanaDS1994/LEAD-SCORING-CASE-STUDY---Keerthana-DS at 21ddd2f",
        NOT_VERIFIED,
        {"leads.csv": "4031a25430787dc4ec47bac0a3acb3a9140772b101ca1979e2f7aae806475ee8"},
        "without Tags, Lead Quality, Lead Profile and Last Notable Activity, which are written once a lead was spoken "
        "to; in time by Lead Number",
    ),
    "bank": Public(
        "UCI Bank Marketing, 41,188 telephone offers of a Portuguese bank",
        "https://archive.ics.uci.edu/dataset/222/bank+marketing (bank-additional-full.csv)",
        "not verified; the note in its archive calls it publicly available for research and asks to be cited",
        {"bank-additional-full.csv": "74adfc578bf77a7ff4bb1ba4a9f8709d9e3c6907342959c2c8416847e0afb4d8"},
        "without duration, which is known only after the call; rows are in time, May 2008 to November 2010; all 20 "
        "columns, put together from two copies that agree row by row in the 15 columns of both: labels of "
        "https://github.com/abdulazizalatee/Machin_learning_bank_marketing at 0888ced, poutcome and the five economic "
        "indicators of https://github.com/sanjit-juneja/Keras-Bank-Marketing-Prediction at 9d5b37b",
    ),
    "bpic2017": Public(
        "BPI Challenge 2017, 1,878 loan applications of the first half of 2016",
        "https://doi.org/10.4121/uuid:5f3067df-f10b-45da-b98b-86ae4c7a310b; the excerpt is data/bpic17.csv of "
        "https://github.com/ghksdl6025/streaming_prediction4pm at 2a84465",
        "4TU General Terms of Use, as pm4py says beside its copy",
        {"bpic17.csv": "e2231c9f3dcd9aa6d13e8188b24d66380b9127aae1a9cd06079881c2dd2bd516"},
        "application and offer statuses are stages, W_ events touches; won: A_Pending, lost: A_Cancelled",
    ),
    "olist": Public(
        "Olist, 8,000 leads of a marketplace",
        "https://www.kaggle.com/datasets/olistbr/marketing-funnel-olist; measured on the copy of "
        "https://github.com/lasyasunkavilli408/FUTURE_DS_03 at cef4aaa, whose dates have the day first and no seconds",
        NOT_VERIFIED,
        {
            "olist_marketing_qualified_leads_dataset.csv": (
                "c749e1329e65c8a26a9c8710cd4c598d337a79b582e91fcfafbb4f11f6413679"
            ),
            "olist_closed_deals_dataset.csv": "063b2e02a263c236a171b7ba19534636cc8587fd10668eabeb9a66c35182a563",
        },
        "a lead not won within 180 days of its first contact counts as lost then",
    ),
}


class MissingDataError(Exception):
    """A data set that is not here."""


@dataclass(frozen=True)
class Exam:
    """What is learnt from, and the deals that are judged.

    Parameters
    ----------
    name : str
        Cut-off or fold.
    known : CRMData
        What was known; deals to judge are open in it.
    exported : CRMData
        The whole data, by which attributes are audited.
    as_of : Timestamp or None
        The cut-off; None for undated data and for data that end at it.
    snapshots : DataFrame
        deal_id and as_of of the deals to judge.
    won : ndarray of float64
        1 won, 0 lost, NaN where nobody knows yet.
    true_odds : ndarray of float64 or None
        Of simulated deals; NaN for deals that were never seen open.
    drop : tuple of str
        Attributes that the audit of the whole data drops, where `known` does not show it.
    """

    name: str
    known: CRMData
    exported: CRMData
    as_of: pd.Timestamp | None
    snapshots: pd.DataFrame
    won: Floats
    true_odds: Floats | None = None
    drop: tuple[str, ...] = ()


def dated_exams(
    crm: CRMData, moments: Sequence[pd.Timestamp], true_odds: Callable[[pd.Timestamp], pd.Series] | None = None
) -> Iterator[Exam]:
    """One exam a cut-off: the deals that were open then."""
    for moment in moments:
        known = crm if moment == crm.known_until else crm.as_known_at(moment)
        snapshots = open_at(known, moment)
        truth = None if true_odds is None else true_odds(moment).reindex(snapshots["deal_id"]).to_numpy(np.float64)
        yield Exam(f"{moment:%Y-%m-%d}", known, crm, moment, snapshots, ended(crm, snapshots), truth)


def ended(crm: CRMData, snapshots: pd.DataFrame) -> Floats:
    """1 for won, 0 for lost, NaN for open."""
    outcome = labelled(crm, snapshots)["outcome"]
    return outcome.astype(object).map({"won": 1.0, "lost": 0.0}).to_numpy(np.float64)


def spread_cutoffs(crm: CRMData) -> list[pd.Timestamp]:
    """Days between the first deal and the end of the data."""
    assert crm.known_until is not None
    first = crm.deals["created_at"].min()
    return [(first + share * (crm.known_until - first)).floor("D") for share in CUTOFFS]


def undated_exams(crm: CRMData, judged: Mapping[str, NDArray[np.bool_]]) -> Iterator[Exam]:
    """One exam a set of deals, which learn nothing: in what is learnt from they are open."""
    audit = training_set(crm, Config()).audit
    for name, chosen in judged.items():
        deals = crm.deals.assign(outcome=crm.deals["outcome"].mask(pd.Series(chosen, index=crm.deals.index), "open"))
        known = dataclasses.replace(crm, deals=deals)
        snapshots = pd.DataFrame({"deal_id": crm.deals["deal_id"][chosen].to_numpy()})
        snapshots["as_of"] = pd.Series(pd.NaT, index=snapshots.index, dtype=crm.deals["created_at"].dtype)
        won = (crm.deals["outcome"][chosen] == "won").to_numpy(np.float64)
        yield Exam(name, known, known, None, snapshots, won, drop=tuple(audit.dropped))


def random_folds(crm: CRMData, seed: int = 0, folds: int = FOLDS) -> dict[str, NDArray[np.bool_]]:
    """Folds by chance; deals that are alike in everything stand in the same one."""
    alike = crm.deals.drop(columns="deal_id").astype(object).map(str).agg("|".join, axis=1)
    group = pd.factorize(alike)[0]
    if 2 * (group.max(initial=-1) + 1) < len(group):  # few attributes make most deals alike by chance
        group = np.arange(len(group))
    fold = np.random.default_rng(seed).integers(0, folds, group.max(initial=-1) + 1)[group]
    return {f"fold {number + 1}": fold == number for number in range(folds)}


def latest(crm: CRMData) -> dict[str, NDArray[np.bool_]]:
    """The last of the deals, in the order of the table."""
    return {"latest": np.arange(len(crm.deals)) >= EARLIER * len(crm.deals)}


@dataclass(frozen=True)
class DataOptions:
    """What the command line asks for."""

    shared: Path
    data: Path
    deals: int
    worlds: int
    rows: int
    cutoffs: int


def imported(asked: DataOptions, profile: str, *path: str, earlier: CRMData | None = None) -> CRMData:
    """One of the data sets beside the project."""
    source = asked.shared.joinpath(*path)
    if not source.exists():
        raise MissingDataError(f"{source.name} is not in the folder given by --shared")
    crm = import_files([source], load_profile(profile), earlier=earlier).crm
    return crm if crm.dated else at_most(crm, asked.rows)


def at_most(crm: CRMData, rows: int) -> CRMData:
    """So many deals of undated data, spread over the table in its order; all where `rows` is 0."""
    if not rows or len(crm.deals) <= rows:
        return crm
    chosen = np.linspace(0, len(crm.deals) - 1, rows).round().astype(np.int64)
    return dataclasses.replace(crm, deals=crm.deals.iloc[chosen].reset_index(drop=True))


def public(asked: DataOptions, name: str) -> dict[str, pd.DataFrame]:
    """The tables of a public data set, by the name of their file."""
    tables = {}
    for file, digest in PUBLIC[name].files.items():
        path = asked.data / file
        if not path.exists():
            raise MissingDataError(
                f"{file} is not in the folder given by --data; see PUBLIC in benchmarks/odds_data.py"
            )
        if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            print(f"{file} is not the file that was measured first", file=sys.stderr)
        tables[file] = pd.read_csv(path, sep=None, engine="python")
    return tables


def x_education(asked: DataOptions) -> CRMData:
    """Leads from the first to the last."""
    leads = public(asked, "x_education")["leads.csv"].sort_values("Lead Number", ignore_index=True)
    hindsight = ["Tags", "Lead Quality", "Lead Profile", "Last Notable Activity"]
    attributes = leads.drop(columns=["Prospect ID", "Lead Number", "Converted", *hindsight]).dropna(axis=1, how="all")
    return undated(leads["Lead Number"], leads["Converted"] == 1, attributes, asked)


def bank(asked: DataOptions) -> CRMData:
    """Offers from the first to the last."""
    offers = public(asked, "bank")["bank-additional-full.csv"]
    # the last column says how it ended; the original names it y
    won = offers.iloc[:, -1] == "yes"
    return undated(pd.Series(range(len(offers))), won, offers.iloc[:, :-1].drop(columns="duration"), asked)


def undated(numbers: pd.Series, won: pd.Series, attributes: pd.DataFrame, asked: DataOptions) -> CRMData:
    """Deals without dates; the names of attributes keep clear of the canonical ones."""
    deals = pd.DataFrame(
        {
            "deal_id": numbers.astype(str),
            "created_at": pd.NaT,
            "closed_at": pd.NaT,
            "outcome": np.where(won, "won", "lost"),
            "stage": None,
        }
    )
    named = attributes.rename(columns=lambda name: f"a_{name}".replace(" ", "_").replace(".", "_"))
    return at_most(CRMData.from_tables(pd.concat([deals, named], axis=1)), asked.rows)


def bpic2017(asked: DataOptions) -> CRMData:
    """Loan applications: statuses as stages, what employees did as touches."""
    events = public(asked, "bpic2017")["bpic17.csv"]
    events = events.assign(
        deal_id=events["Case ID"], at=pd.to_datetime(events["Complete Timestamp"], format="mixed", utc=True)
    ).sort_values("at", kind="stable")
    by_case = events.groupby("deal_id", sort=True)["at"]
    last = {"A_Pending": "won", "A_Cancelled": "lost"}
    closing = events[events["Activity"].isin(last)].drop_duplicates("deal_id").set_index("deal_id")
    deals = pd.DataFrame({"created_at": by_case.min()})
    deals["closed_at"] = closing["at"]
    deals["outcome"] = closing["Activity"].map(last)
    deals["outcome"] = deals["outcome"].fillna("open")
    deals["stage"] = events[~events["Activity"].str.startswith("W_")].groupby("deal_id")["Activity"].last()
    work = events[events["Activity"].str.startswith("W_")]
    statuses = events.drop(work.index)
    return CRMData.from_tables(
        deals.reset_index(),
        deal_history=statuses[["deal_id", "at", "Activity"]].rename(columns={"at": "changed_at", "Activity": "stage"}),
        activities=pd.DataFrame(
            {
                "activity_id": [f"w{number}" for number in range(len(work))],
                "deal_id": work["deal_id"].to_numpy(),
                "occurred_at": work["at"].to_numpy(),
                "activity_type": np.where(work["Activity"].str.contains("Call"), "call", "task"),
                "user_id": work["Resource"].to_numpy(),
                "result": work["Activity"].to_numpy(),
            }
        ),
    )


def olist(asked: DataOptions) -> CRMData:
    """Leads, lost when they were not won within half a year."""
    tables = public(asked, "olist")
    leads = tables["olist_marketing_qualified_leads_dataset.csv"]
    won = tables["olist_closed_deals_dataset.csv"].set_index("mql_id")["won_date"]
    created, closed = any_dates(leads["first_contact_date"]), any_dates(leads["mql_id"].map(won))
    ends, expires = pd.Timestamp("2018-11-15", tz="UTC"), created + pd.Timedelta(days=180)
    is_won = (closed < expires) & (closed > created)
    closed_at = closed.where(is_won, expires)
    closed_at = closed_at.mask(closed_at >= ends)
    return CRMData.from_tables(
        pd.DataFrame(
            {
                "deal_id": leads["mql_id"],
                "created_at": created,
                "closed_at": closed_at,
                "outcome": np.select([closed_at.isna(), is_won], ["open", "won"], "lost"),
                "stage": None,
                "lead_source": leads["origin"],
                "landing_page": leads["landing_page_id"],
            }
        ),
        known_until=ends,
    )


def any_dates(texts: pd.Series) -> pd.Series:
    """Times of ISO texts, or of copies in which a spreadsheet has written days first.

    Examples
    --------
    >>> any_dates(pd.Series(["2018-02-01 10:30:00", "01-02-2018", "26-02-2018 19:58", None])).tolist()
    [Timestamp('2018-02-01 10:30:00+0000', tz='UTC'), Timestamp('2018-02-01 00:00:00+0000', tz='UTC'), \
Timestamp('2018-02-26 19:58:00+0000', tz='UTC'), NaT]
    """
    iso = texts.astype("str").str.replace(r"^(\d\d)-(\d\d)-(\d{4})", r"\3-\2-\1", regex=True)
    return pd.to_datetime(iso, format="ISO8601", utc=True)


def world_exams(asked: DataOptions) -> Iterator[Exam]:
    """Cut-offs of the worlds; how deals end that are open at the end of the data is known as well."""
    for seed in range(FIRST_SEED, FIRST_SEED + asked.worlds):
        world: World = simulate(asked.deals, seed)
        moments = [pd.Timestamp(day, tz="UTC") for day in WORLD_CUTOFFS[-asked.cutoffs :]]
        for exam in dated_exams(world.crm, moments, world.win_probability):
            won = (world.outcomes.reindex(exam.snapshots["deal_id"]) == "won").to_numpy(np.float64)
            yield dataclasses.replace(exam, name=f"{seed} {exam.name}", won=won)


def salesforce_exam(asked: DataOptions) -> Iterator[Exam]:
    """Learnt from the March export, judged by the June one."""
    folder = "salesforce_export"
    first = imported(asked, "salesforce", folder, "WE_export_2025-03-13.zip")
    second = imported(asked, "salesforce", folder, "WE_export_2025-06-11.zip", earlier=first)
    assert first.known_until is not None
    snapshots = open_at(first, first.known_until)
    yield Exam("March", first, first, None, snapshots, ended(second, snapshots))


def both_ways(crm: CRMData) -> dict[str, Iterator[Exam]]:
    """Undated data whose order is that of time: by chance and by time."""
    return {"by chance": undated_exams(crm, random_folds(crm)), "by time": undated_exams(crm, latest(crm))}


def dated(crm: CRMData) -> dict[str, Iterator[Exam]]:
    """By time, at three cut-offs."""
    return {"": dated_exams(crm, spread_cutoffs(crm))}


def folded(crm: CRMData) -> dict[str, Iterator[Exam]]:
    """By chance."""
    return {"": undated_exams(crm, random_folds(crm))}


#: From the name of a data set to its title and its exams, by the way in which it is parted.
DATA_SETS: dict[str, tuple[str, Callable[[DataOptions], dict[str, Iterator[Exam]]]]] = {
    "worlds": ("Simulated worlds, true odds known", lambda asked: {"": world_exams(asked)}),
    "salesforce_export": (
        "A simulated company's Salesforce exports, learnt in March, judged in June",
        lambda asked: {"": salesforce_exam(asked)},
    ),
    "bpic2012": (
        "BPI Challenge 2012, 13,087 loan applications",
        lambda asked: dated(imported(asked, "bpic2012", "bpic2012")),
    ),
    "maven": (
        "Maven, 8,800 deals of a fictitious company",
        lambda asked: dated(imported(asked, "maven", "maven_crm_sales")),
    ),
    "ibm": (
        "IBM sales win/loss, 78,025 deals without dates",
        lambda asked: folded(imported(asked, "ibm", "ibm_sales_win_loss")),
    ),
    "salvirt": ("Salvirt, 448 deals without dates", lambda asked: folded(imported(asked, "salvirt", "salvirt_b2b"))),
    "x_education": (PUBLIC["x_education"].title, lambda asked: both_ways(x_education(asked))),
    "bank": (PUBLIC["bank"].title, lambda asked: both_ways(bank(asked))),
    "bpic2017": (PUBLIC["bpic2017"].title, lambda asked: dated(bpic2017(asked))),
    "olist": (PUBLIC["olist"].title, lambda asked: dated(olist(asked))),
}
