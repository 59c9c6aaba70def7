"""Files that people import, without those who were erased."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from winpredict.errors import WinPredictError
from winpredict.ingest.files import RawFile, read_files
from winpredict.privacy.erased import Erased
from winpredict.privacy.scrubbing import Scrubber

#: What can be rewritten; workbooks and packed files are only looked into.
_REWRITTEN = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson", ".parquet", ".yaml")


def without_erased(files: Iterable[RawFile], erased: Erased | None) -> Iterator[RawFile]:
    """Tables as they came, without those who were erased.

    Parameters
    ----------
    files : iterable of RawFile
    erased : Erased or None

    Yields
    ------
    RawFile
    """
    scrubber = Scrubber(erased) if erased else None
    for each in files:
        if scrubber is None:
            yield each
            continue
        frame = scrubber.frame(each.name, each.frame)
        yield replace(each, frame=frame, unreadable=scrubber.frame("", each.unreadable))


def scrub_files(folder: Path, scrubber: Scrubber, *, apply: bool = True) -> list[Path]:
    """Take those who were erased out of copies of files.

    Returns
    -------
    list of Path
        Workbooks and packed files that hold some of them, and cannot be rewritten.
    """
    left = []
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        if path.suffix.casefold() in _REWRITTEN:
            scrubber.file(path, apply=apply)
        elif _holds_any(path, scrubber):
            left.append(path)
    return left


def _holds_any(path: Path, scrubber: Scrubber) -> bool:
    looked = Scrubber(scrubber.erased)
    try:
        for each in read_files([path]):
            looked.frame(each.name, each.frame)
    except WinPredictError:
        return False
    return looked.total > 0
