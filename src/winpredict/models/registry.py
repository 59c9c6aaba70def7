"""Runs and models in MLflow: what was trained on what, how good it was, and which version is in use."""

import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from winpredict.config import Config
from winpredict.errors import WinPredictError
from winpredict.locale.text import Text, text
from winpredict.models._recorded import message_of
from winpredict.models._tracking import ARTIFACTS, DATABASE, NAME, log_charts, mlflow_at, run_at, settings_of
from winpredict.models.champions import (
    FILE,
    ModelsInUse,
    read_models_in_use,
    write_models_in_use,
)

if TYPE_CHECKING:
    import pandas as pd

    from winpredict.features.description import FeatureInfo
    from winpredict.models.trained import TrainedModel

CHAMPION, CHALLENGER = "champion", "challenger"
_DRIVERS, _FEATURES, _DROPPED = "drivers.json", "features.json", "dropped_attributes.json"
_EXAMPLE_ROWS = 5
#: MLflow cuts longer values of tags.
_LONGEST_TAG = 8000
_ODDS = ("win_probability", "low", "high", "group_low", "group_high")


@dataclass(frozen=True)
class ModelVersion:
    """One registered model.

    Parameters
    ----------
    version : int
        1 for the first.
    aliases : tuple of str
        ``champion`` is used for scoring, ``challenger`` is the latest that was not promoted.
    created_at : Timestamp
        When it was registered.
    trained_as_of : str
        Facts recorded at or after this moment were not seen; empty for undated data.
    fingerprint : str
        Hash of the tables it was trained on.
    run_id : str
        MLflow's id of the run.
    metrics : dict of str to float
        Figures of the training run.
    params : dict of str to str
        Every knob.
    notes : tuple of Text
        Sentences such as fall-backs taken.
    """

    version: int
    aliases: tuple[str, ...]
    created_at: "pd.Timestamp"
    trained_as_of: str
    fingerprint: str
    run_id: str
    metrics: dict[str, float]
    params: dict[str, str]
    notes: tuple[Text, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self) | {"created_at": self.created_at.isoformat(), "notes": [str(note) for note in self.notes]}


def log_training(
    folder: Path,
    model: "TrainedModel",
    *,
    config: Config,
    fingerprint: str,
    example: "pd.DataFrame",
    drivers: "pd.DataFrame | None" = None,
) -> ModelVersion:
    """Record a training run and register its model.

    The first model becomes champion; a later one is challenger until it is promoted.

    Parameters
    ----------
    folder : Path
        The workspace.
    model : TrainedModel
    config : Config
        Its knobs become parameters of the run.
    fingerprint : str
        Hash of the tables.
    example : DataFrame
        Some rows of features; the first few become the model's input example.
    drivers : DataFrame, optional
        Columns feature, sentence and points, see `winpredict.models.charts.drivers_chart`.

    Returns
    -------
    ModelVersion
    """
    from winpredict.models.charts import drivers_chart

    with run_at(folder, "train") as mlflow:
        mlflow.log_params(settings_of(config))
        mlflow.set_tags(_training_tags(model, fingerprint))
        mlflow.log_metrics(model.figures)
        mlflow.log_dict([each.to_json() for each in model.info], _FEATURES)
        mlflow.log_dict({name: reason.to_json() for name, reason in model.dropped_attributes.items()}, _DROPPED)
        if drivers is not None:
            mlflow.log_dict(drivers.to_dict("records"), _DRIVERS)
            log_charts(mlflow, {"drivers": drivers_chart(drivers)})
        version = _register(mlflow, Path(folder), model, example)
    return find_model(folder, str(version))


def changed_at(folder: Path) -> tuple[int, ...] | None:
    """Times and sizes of the records, which differ once something was recorded or promoted; None before the first."""
    found: list[int] = []
    for name in (DATABASE, FILE):
        try:
            status = (Path(folder) / name).stat()
        except FileNotFoundError:
            continue
        found += (status.st_mtime_ns, status.st_size)
    return tuple(found) or None


def models_in_use(folder: Path) -> ModelsInUse:
    """Which model is champion and which challenger, and how the champions came to be.

    Parameters
    ----------
    folder : Path
        The workspace. Of one whose record MLflow alone keeps, as an earlier winpredict left it, MLflow is asked.

    Raises
    ------
    WorkspaceError
        When the record is damaged.
    """
    found = read_models_in_use(Path(folder))
    if found is not None or not (Path(folder) / DATABASE).exists():
        return found or ModelsInUse()
    with mlflow_at(folder) as mlflow:
        client = mlflow.MlflowClient()
        aliases = {
            alias: int(version)
            for model in client.search_registered_models(f"name = '{NAME}'")
            for alias, version in model.aliases.items()
        }
        files = {
            int(each.version): data.relative_to(folder).as_posix()
            for each in client.search_model_versions(f"name = '{NAME}'")
            if (data := _data_of(Path(folder), each.source))
        }
    return ModelsInUse(files, aliases.get(CHAMPION), aliases.get(CHALLENGER))


def list_models(folder: Path) -> list[ModelVersion]:
    """Every registered model, the latest first; none where nothing was trained."""
    if not (Path(folder) / DATABASE).exists():
        return []
    with mlflow_at(folder) as mlflow:
        client = mlflow.MlflowClient()
        versions = client.search_model_versions(f"name = '{NAME}'")
        used = models_in_use(folder)
        return sorted((_describe(client, each, used) for each in versions), key=lambda each: -each.version)


def find_model(folder: Path, which: str = CHAMPION) -> ModelVersion:
    """One registered model.

    Parameters
    ----------
    folder : Path
        The workspace.
    which : str
        An alias (champion, challenger) or a version number.

    Returns
    -------
    ModelVersion

    Raises
    ------
    WinPredictError
        When there is none; the message lists those that there are.
    """
    models = list_models(folder)
    for each in models:
        if which in (str(each.version), *each.aliases):
            return each
    if not models:
        raise WinPredictError(text("{folder} has no trained model yet; run `winpredict train` first", folder=folder))
    there = ", ".join(
        f"{each.version} ({', '.join(each.aliases)})" if each.aliases else f"{each.version}" for each in models
    )
    raise WinPredictError(
        text("model {which!r} not found in {folder}; it has {there}", which=which, folder=folder, there=there)
    )


def load_model(folder: Path, which: str = CHAMPION) -> "TrainedModel":
    """A registered model, ready to score.

    Parameters
    ----------
    folder : Path
        The workspace.
    which : str
        An alias (champion, challenger) or a version number.

    Returns
    -------
    TrainedModel

    Raises
    ------
    WinPredictError
        When there is no such model, or its files are gone.
    """
    return load_version(folder, which)[1]


def load_version(folder: Path, which: str = CHAMPION) -> "tuple[int, TrainedModel]":
    """A registered model, ready to score, and its version; see `load_model`."""
    from winpredict.models.trained import TrainedModel

    version, data = _located(Path(folder), which)
    try:
        return version, TrainedModel.load(data)
    except WinPredictError:
        raise
    except Exception as error:  # whatever readers of JSON, numpy and LightGBM make of a file that is not as we wrote it
        raise WinPredictError(
            text(
                "the files of model {version} are damaged or were changed ({name}); bring them back from a "
                "copy, or train again",
                version=version,
                name=type(error).__name__,
            )
        ) from error


def version_of(folder: Path, which: str = CHAMPION) -> int:
    """The number of a registered model, found without MLflow; see `load_model`."""
    return _located(Path(folder), which)[0]


def _located(folder: Path, which: str) -> tuple[int, Path]:
    """A registered model's version, and the folder of what was saved."""
    used = models_in_use(folder)
    version = used.find(which)
    if version is None:
        version = find_model(folder, which).version  # tells what there is
    data = used.folder_of(version, folder)
    if data is None or not data.is_dir():
        missing = folder if data is None else data
        raise WinPredictError(
            text("the files of model {version} are missing ({missing}); train again", version=version, missing=missing)
        )
    return version, data


def read_drivers(folder: Path, model: ModelVersion) -> "pd.DataFrame":
    """The drivers that were logged with a model; empty where there was no open deal to look at.

    Parameters
    ----------
    folder : Path
        The workspace.
    model : ModelVersion

    Returns
    -------
    DataFrame
        feature, sentence, builder, points.
    """
    import pandas as pd

    return pd.DataFrame(_logged(folder, model, _DRIVERS, []))


def read_features(folder: Path, model: ModelVersion) -> "list[FeatureInfo]":
    """The features that a model looks at."""
    from winpredict.features.description import FeatureInfo

    return [FeatureInfo.from_json(each) for each in _logged(folder, model, _FEATURES, [])]


def read_dropped_attributes(folder: Path, model: ModelVersion) -> dict[str, Text]:
    """Attributes that the leakage audit kept from a model, each with the reason."""
    return {name: message_of(reason) for name, reason in _logged(folder, model, _DROPPED, {}).items()}


def _logged(folder: Path, model: ModelVersion, name: str, otherwise: Any) -> Any:
    """What was logged as JSON with a model; something else where the file is gone."""
    path = Path(folder) / ARTIFACTS / model.run_id / "artifacts" / name
    return json.loads(path.read_text()) if path.exists() else otherwise


def promote(folder: Path, version: int, reason: Text | None = None, *, by: str = "") -> ModelVersion:
    """Make a version the champion; the former champion becomes challenger, so there is a way back.

    Parameters
    ----------
    folder : Path
        The workspace, whose lock is held.
    version : int
    reason : Text, optional
        Why, for the record.
    by : str
        Who decided.

    Returns
    -------
    ModelVersion
        The new champion.

    Raises
    ------
    WinPredictError
        When there is no such version, or its files are gone.
    """
    chosen = find_model(folder, str(version))
    if CHAMPION in chosen.aliases:
        return chosen
    _located(Path(folder), str(version))
    used = models_in_use(folder).with_champion(chosen.version, reason or text("somebody chose it"), by=by)
    write_models_in_use(folder, used)
    _tell_mlflow(folder, used)
    return find_model(folder, str(version))


def roll_back(folder: Path, reason: Text | None = None, *, by: str = "") -> ModelVersion:
    """Make the champion before the present one champion again.

    Parameters
    ----------
    folder, reason, by
        As for `promote`.

    Returns
    -------
    ModelVersion
        The new champion.

    Raises
    ------
    WinPredictError
        When there was none before.
    """
    used = models_in_use(folder)
    earlier = used.earlier_champion or used.challenger
    if earlier is None:
        raise WinPredictError(
            text("{folder} had no champion before the present one; there is nothing to go back to", folder=folder)
        )
    why = reason or text("rolled back from model {version}", version=used.champion)
    return promote(folder, earlier, why, by=by)


def keep_verdict(folder: Path, version: int, reason: Text) -> None:
    """Keep on record why a challenger was not promoted; the workspace's lock is held."""
    write_models_in_use(folder, models_in_use(folder).with_verdict(version, reason))


def forget_challengers(folder: Path, keep: int) -> int:
    """Remove the files of models that were never champion, but for those registered last; the lock is held.

    What is on record of them stays: when they were trained and on what, their figures, and why they were not promoted.

    Parameters
    ----------
    folder : Path
        The workspace.
    keep : int
        So many of them keep their files, and the challenger does in any case.

    Returns
    -------
    int
        Models whose files were removed.
    """
    folder = Path(folder)
    used = read_models_in_use(folder)
    if used is None:
        return 0
    tried = sorted(set(used.files) - {each.version for each in used.promotions} - {used.champion})
    forgotten = [version for version in tried[: max(len(tried) - keep, 0)] if version != used.challenger]
    if not forgotten:
        return 0
    places = [folder_of_model for version in forgotten if (folder_of_model := used.folder_of(version, folder))]
    # first off the record: whoever is stopped in between leaves files that nobody needs, and no record without files
    write_models_in_use(folder, used.without(forgotten))
    for data in places:
        shutil.rmtree(_whole_folder(folder, data), ignore_errors=True)
    return len(forgotten)


def _whole_folder(folder: Path, data: Path) -> Path:
    """All that MLflow keeps of a model, given where what was saved of it lies; see `_data_of`."""
    of_models = folder / ARTIFACTS / "models"
    return of_models / data.relative_to(of_models).parts[0] if data.is_relative_to(of_models) else data


def _tell_mlflow(folder: Path, used: ModelsInUse) -> None:
    """Set the aliases that people see on MLflow's own pages."""
    with mlflow_at(folder) as mlflow:
        client = mlflow.MlflowClient()
        for alias, version in ((CHAMPION, used.champion), (CHALLENGER, used.challenger)):
            if version is not None:
                client.set_registered_model_alias(NAME, alias, str(version))


def _data_of(folder: Path, source: str) -> Path | None:
    """The folder of what was saved of a model, from what MLflow has as its source; None where there is none.

    It is looked up below the workspace and not by MLflow's absolute address, so that a workspace can be moved.
    """
    place = folder / ARTIFACTS / "models" / source.rpartition("/")[2] / "artifacts" / "data"
    return next(place.iterdir(), None) if place.is_dir() else None


def _register(mlflow: Any, folder: Path, model: "TrainedModel", example: "pd.DataFrame") -> int:
    with tempfile.TemporaryDirectory() as temporary:
        data = Path(temporary) / "model"
        data.mkdir()
        model.save(data)
        logged = mlflow.pyfunc.log_model(
            name="model",
            loader_module="winpredict.models.pyfunc",
            data_path=str(data),
            signature=_signature(model),
            input_example=_plain(example.head(_EXAMPLE_ROWS)),
            pip_requirements=_requirements(),
        )
    # by the client, since mlflow.register_model prints
    client = mlflow.MlflowClient()
    if not client.search_registered_models(f"name = '{NAME}'"):
        client.create_registered_model(NAME)
    used = models_in_use(folder)
    registered = client.create_model_version(NAME, logged.model_uri, logged.run_id, model_id=logged.model_id)
    version = int(registered.version)
    files = _data_of(folder, registered.source)
    if files is None:
        raise WinPredictError(
            text(
                "MLflow did not keep the files of model {version} in {folder}; train again",
                version=version,
                folder=folder,
            )
        )
    used = used.with_registered(version, files.relative_to(folder).as_posix())
    write_models_in_use(folder, used)
    _tell_mlflow(folder, used)
    return version


def _signature(model: "TrainedModel") -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    features = [ColSpec("string" if each.unit == "category" else "double", each.name) for each in model.info]
    return ModelSignature(
        inputs=Schema(features),
        outputs=Schema([ColSpec("double", name) for name in _ODDS]),
    )


def _plain(example: "pd.DataFrame") -> "pd.DataFrame":
    """Text as plain objects with None for missing, which is what JSON and MLflow understand."""
    text = example.select_dtypes(exclude="number").columns
    plain = {name: example[name].astype(object).where(example[name].notna(), None) for name in text}
    return example.assign(**plain).reset_index(drop=True)


def _requirements() -> list[str]:
    # given outright: MLflow would else find them by loading the model in a further process, which takes long
    from importlib.metadata import version

    return [f"{name}=={version(name)}" for name in ("winpredict", "lightgbm", "numpy", "pandas", "scikit-learn")]


def _training_tags(model: "TrainedModel", fingerprint: str) -> dict[str, str]:
    return {
        "data_fingerprint": fingerprint,
        "trained_as_of": "" if model.trained_as_of is None else model.trained_as_of.isoformat(),
        "notes": _notes_as_json(model.notes),
    }


def _notes_as_json(notes: Sequence[Text]) -> str:
    """The notes as JSON, without the last ones where MLflow would cut them off in the middle."""
    kept = [note.to_json() for note in notes]
    while len(written := json.dumps(kept)) > _LONGEST_TAG:
        kept.pop()
    return written


def _describe(client: Any, found: Any, used: ModelsInUse) -> ModelVersion:
    import pandas as pd

    data = client.get_run(found.run_id).data
    return ModelVersion(
        version=int(found.version),
        aliases=used.aliases(int(found.version)),
        created_at=pd.Timestamp(found.creation_timestamp, unit="ms", tz="UTC"),
        trained_as_of=data.tags.get("trained_as_of", ""),
        fingerprint=data.tags.get("data_fingerprint", ""),
        run_id=found.run_id,
        metrics=dict(data.metrics),
        params=dict(data.params),
        notes=tuple(map(message_of, json.loads(data.tags.get("notes", "[]")))),
    )
