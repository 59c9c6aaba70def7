"""Files that add to the deals of a CRM, such as a telephone system's calls: kept, to be added again after each sync.

A sync makes the tables anew from the CRM's own records, which hold nothing of such files.
"""

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from winpredict._internal.atomic import replacing_folder
from winpredict.connectors.erasing import scrub_files, without_erased
from winpredict.errors import InputFileError
from winpredict.ingest.files import read_files
from winpredict.ingest.importing import Imported, import_raw
from winpredict.ingest.profiles import Profile, load_profile, profile_yaml
from winpredict.locale.text import said
from winpredict.privacy.erased import Erased
from winpredict.privacy.scrubbing import Scrubber

_PROFILE = "profile.yaml"


class SupplementaryImports:
    r"""What was imported by profiles without deals, in the order in which it came.

    Parameters
    ----------
    folder : Path
        Holds a folder an import, with copies of its files and of its profile.
    erased : Erased, optional
        Who was erased: the files are kept without them.

    Examples
    --------
    >>> import tempfile
    >>> place = Path(tempfile.mkdtemp())
    >>> _ = (place / "calls.csv").write_text("call_id,deal_id,start_time\n7,a,2025-06-01T12:00Z\n")
    >>> kept = SupplementaryImports(place / "added")
    >>> kept.keep([place / "calls.csv"], load_profile("tenfold"))
    >>> kept.keep([place / "calls.csv"], load_profile("tenfold"))  # the same again
    >>> [profile.name for profile, _ in kept]
    ['tenfold']
    """

    def __init__(self, folder: Path, erased: Erased | None = None) -> None:
        self.folder = Path(folder)
        self._erased = erased

    def __iter__(self) -> Iterator[tuple[Profile, list[Path]]]:
        """Profile and files of each import."""
        for place in self._places():
            # files of one name may come from different folders, so each has a folder of its own
            yield load_profile(place / _PROFILE), sorted(place.glob("[0-9]*/*"))

    @property
    def sha256(self) -> str:
        """A hash of all of it."""
        return hashlib.sha256(" ".join(place.name for place in self._places()).encode()).hexdigest()

    def keep(self, paths: Sequence[Path | str], profile: Profile) -> None:
        """Copy files, unless they are kept already with the same profile.

        Raises
        ------
        InputFileError
            When one is no file or folder, such as a warehouse.
        WorkspaceError
            When they cannot be copied.
        """
        sources = [Path(path) for path in paths]
        for path in sources:
            if not path.exists():
                raise InputFileError(
                    said(
                        "{path} is no file, so it could not be added again after a sync; save the table as a "
                        "file first",
                        path=path,
                    )
                )
        text = profile_yaml(profile)
        mark = _hash([text.encode(), *(each.read_bytes() for path in sources for each in _files(path))])
        if any(place.name.endswith(mark) for place in self._places()):
            return
        with replacing_folder(self.folder / f"{len(self._places()):06d}-{mark}") as copy:
            for number, path in enumerate(sources):
                target = copy / f"{number:06d}" / path.name
                target.parent.mkdir()
                (shutil.copytree if path.is_dir() else shutil.copy2)(path, target)
            if self._erased:
                scrub_files(copy, Scrubber(self._erased))
            (copy / _PROFILE).write_text(text, encoding="utf-8")

    def added_to(self, imported: Imported) -> Imported:
        """Add all of it to what came from a CRM.

        Parameters
        ----------
        imported : Imported

        Returns
        -------
        Imported
            Its tables are known until the same moment.
        """
        until = imported.crm.known_until
        for profile, paths in self:
            files = without_erased(read_files(paths), self._erased)
            more = import_raw(files, profile, earlier=imported.crm, now=until)
            repairs = dict(imported.repairs)
            for cause, rows in more.repairs.items():
                repairs[cause] = repairs.get(cause, 0) + rows
            quarantine = imported.quarantine | {
                f"{profile.name}_{table}": rows for table, rows in more.quarantine.items()
            }
            crm = replace(more.crm, known_until=until)
            understood = replace(
                imported.understood,
                files=[*imported.understood.files, *more.understood.files],
                points=[*imported.understood.points, *more.understood.points],
            )
            imported = Imported(crm, repairs, quarantine, [*imported.sources, *more.sources], understood)
        return imported

    def _places(self) -> list[Path]:
        found = self.folder.glob("[0-9]*-*") if self.folder.is_dir() else ()
        return sorted(place for place in found if (place / _PROFILE).is_file())


def _files(path: Path) -> list[Path]:
    return sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]


def _hash(parts: Sequence[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()[:32]
