"""Which registered model is in use, and how it came to be: a small file of the workspace's own.

MLflow keeps runs, figures and files; who is champion is the workspace's own affair, so that scoring needs neither
MLflow nor what its tables look like inside. MLflow's aliases follow, for those who look at its pages.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from winpredict._internal.atomic import point_to
from winpredict.errors import WorkspaceError
from winpredict.locale.text import Text, text

FILE = "models.json"
_FORMAT = 1


@dataclass(frozen=True)
class Promotion:
    """A model that became the champion.

    Parameters
    ----------
    version : int
    at : str
        The moment, ISO 8601 in UTC.
    reason : Text
        Why, as a sentence without its full stop.
    by : str
        Who decided; empty for a command or a scheduled run.
    """

    version: int
    at: str
    reason: Text
    by: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain values, which `from_json` reads."""
        return {"version": self.version, "at": self.at, "reason": self.reason.to_json(), "by": self.by}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "Promotion":
        """What `to_json` gave."""
        return cls(int(plain["version"]), str(plain["at"]), Text.from_json(plain["reason"]), str(plain["by"]))


@dataclass(frozen=True)
class ModelsInUse:
    """The registered models of a workspace.

    Parameters
    ----------
    files : mapping of int to str
        The folder with the files of each version, below the workspace, so that this can be moved.
    champion, challenger : int, optional
        The version that scores, and the one that may replace it.
    promotions : tuple of Promotion
        How the champions came to be, the latest last.
    verdicts : mapping of int to Text
        Why a challenger was not promoted.

    Examples
    --------
    >>> models = ModelsInUse().with_registered(1, "models/a").with_registered(2, "models/b")
    >>> models.champion, models.challenger
    (1, 2)
    >>> models = models.with_champion(2, text("better"))
    >>> models.champion, models.challenger, models.earlier_champion
    (2, 1, 1)
    """

    files: Mapping[int, str] = field(default_factory=dict)
    champion: int | None = None
    challenger: int | None = None
    promotions: tuple[Promotion, ...] = ()
    verdicts: Mapping[int, Text] = field(default_factory=dict)

    def with_registered(self, version: int, files: str, *, at: datetime | None = None) -> "ModelsInUse":
        """The same with a new model, which is champion if it is the first and else challenger."""
        more = replace(self, files={**self.files, version: files})
        if self.champion is None:
            return more.with_champion(version, text("it was the first model"), at=at)
        return replace(more, challenger=version)

    def with_champion(self, version: int, reason: Text, *, by: str = "", at: datetime | None = None) -> "ModelsInUse":
        """The same with another champion; the former one becomes challenger, so that there is a way back."""
        promotion = Promotion(version, (at or datetime.now(UTC)).isoformat(timespec="seconds"), reason, by)
        challenger = self.challenger if self.challenger != version else None
        if self.champion is not None and self.champion != version:
            challenger = self.champion
        return replace(self, champion=version, challenger=challenger, promotions=(*self.promotions, promotion))

    def with_verdict(self, version: int, reason: Text) -> "ModelsInUse":
        """The same with why a challenger was not promoted."""
        return replace(self, verdicts={**self.verdicts, version: reason})

    def without(self, versions: Collection[int]) -> "ModelsInUse":
        """The same without the files of some versions."""
        return replace(self, files={each: files for each, files in self.files.items() if each not in versions})

    @property
    def earlier_champion(self) -> int | None:
        """The one before the present; None where there was none."""
        earlier = [each.version for each in self.promotions if each.version != self.champion]
        return earlier[-1] if earlier else None

    def aliases(self, version: int) -> tuple[str, ...]:
        """What a version is called besides its number."""
        named = (("challenger", self.challenger), ("champion", self.champion))
        return tuple(sorted(name for name, found in named if found == version))

    def find(self, which: str) -> int | None:
        """The version of an alias or a number; None where there is none."""
        found = {"champion": self.champion, "challenger": self.challenger}.get(which)
        if which.isdecimal() and int(which) in self.files:
            found = int(which)
        return found

    def folder_of(self, version: int, workspace: Path) -> Path | None:
        """Where a version's files lie."""
        return workspace / PurePosixPath(self.files[version]) if version in self.files else None


def read_models_in_use(folder: Path) -> ModelsInUse | None:
    """What the workspace has on record; None where it has no such file.

    Raises
    ------
    WorkspaceError
        When the file is damaged.
    """
    path = Path(folder) / FILE
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        if plain["format"] != _FORMAT:
            raise WorkspaceError(
                text(
                    "{path} is of format {format}, and this winpredict reads {supported}; use the winpredict that "
                    "wrote it",
                    path=path,
                    format=plain["format"],
                    supported=_FORMAT,
                )
            )
        return ModelsInUse(
            files={int(version): _inside(files) for version, files in plain["files"].items()},
            champion=None if plain["champion"] is None else int(plain["champion"]),
            challenger=None if plain["challenger"] is None else int(plain["challenger"]),
            promotions=tuple(Promotion.from_json(each) for each in plain["promotions"]),
            verdicts={int(version): Text.from_json(each) for version, each in plain["verdicts"].items()},
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WorkspaceError(
            text(
                "{path} cannot be read ({error}). Bring it back from a copy, or remove it: it is then made again from "
                "MLflow's record, without the reasons of earlier promotions",
                path=path,
                error=f"{type(error).__name__}: {error}"[:200],
            )
        ) from None


def write_models_in_use(folder: Path, models: ModelsInUse) -> None:
    """Put it on record, whole or not at all; the workspace's lock is held."""
    plain = {
        "format": _FORMAT,
        "champion": models.champion,
        "challenger": models.challenger,
        "files": {str(version): files for version, files in sorted(models.files.items())},
        "promotions": [each.to_json() for each in models.promotions],
        "verdicts": {str(version): each.to_json() for version, each in sorted(models.verdicts.items())},
    }
    point_to(Path(folder) / FILE, json.dumps(plain, indent=2, ensure_ascii=False) + "\n")


def _inside(files: str) -> str:
    """A path below the workspace; anything else was not written by us."""
    path = PurePosixPath(files)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise ValueError(f"{files!r} is not below the workspace")
    return files
