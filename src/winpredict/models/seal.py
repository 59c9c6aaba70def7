"""The seal of a model's files: hashes that are checked before anything else reads them.

LightGBM ends the whole process when it reads a booster's text that was cut or changed. So no text reaches it whose hash
is not that of what was saved; the files of a model without a seal are tried out in a process of their own first.
"""

import json
import subprocess
import sys
from pathlib import Path

from winpredict._internal.atomic import replacing
from winpredict._internal.stored_files import StoredFiles
from winpredict.errors import WinPredictError
from winpredict.locale.text import text

_SEAL = "seal.json"
_RECOVERY = text("Restore the model's files from a backup, or train again")
_PATIENCE_S = 300.0
# each booster is read, and asked for the odds of a row: a tree that points nowhere shows only then
_TRY = """
import sys
import lightgbm, numpy
for path in sys.argv[1:]:
    booster = lightgbm.Booster(model_str=open(path, encoding="utf-8").read())
    booster.predict(numpy.zeros((1, booster.num_feature())), num_threads=1)
"""


def seal(folder: Path) -> None:
    """Note the size and the hash of every file of a model.

    Parameters
    ----------
    folder : Path
        As `winpredict.models.trained.TrainedModel.save` filled it.
    """
    (folder / _SEAL).unlink(missing_ok=True)
    files = StoredFiles.of(folder).to_json()
    with replacing(folder / _SEAL) as temporary:
        temporary.write_text(json.dumps(files, indent=1) + "\n", encoding="utf-8")


def check_seal(folder: Path) -> None:
    """Refuse a model whose files are not those that were saved.

    Parameters
    ----------
    folder : Path

    Raises
    ------
    WinPredictError
        When a file is missing, damaged or was not there, or, of a model without a seal, when LightGBM cannot read it.
    """
    path = folder / _SEAL
    if not path.exists():
        _try_out(folder)
        return
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        files = StoredFiles.from_json(folder, plain, str(_RECOVERY))
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise WinPredictError(
            text("{path} is damaged ({name}). {recovery}", path=path, name=type(error).__name__, recovery=_RECOVERY)
        ) from None
    files.check_all(beside=(_SEAL))


def _try_out(folder: Path) -> None:
    boosters = sorted(str(path) for path in folder.rglob("*.txt"))
    if not boosters:
        return
    try:
        tried = subprocess.run(
            [sys.executable, "-c", _TRY, *boosters], capture_output=True, timeout=_PATIENCE_S, check=False
        )
        failed = tried.returncode != 0
    except subprocess.TimeoutExpired:
        failed = True
    if failed:
        raise WinPredictError(
            text(
                "LightGBM cannot read the model in {folder}, whose files have no hashes to check. {recovery}",
                folder=folder,
                recovery=_RECOVERY,
            )
        )
