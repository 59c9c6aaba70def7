"""Runs and models in MLflow: what was trained on what, how good it was, and which version is in use."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from winpredict.config import Config
from winpredict.errors import WinPredictError
from winpredict.locale.text import Text, text
from winpredict.models._lookup import ModelLocation, data_of, look_up, parent_of_data
from winpredict.models._recorded import message_of
from winpredict.models._tracking import ARTIFACTS, DATABASE, NAME, log_charts, mlflow_at, run_at, settings_of

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
        version = _register(mlflow, model, example)
    return find_model(folder, str(version))


def changed_at(folder: Path) -> tuple[int, int] | None:
    """Time and size of the record, which differ once something was recorded or promoted; None before the first."""
    try:
        found = (Path(folder) / DATABASE).stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_size


def list_models(folder: Path) -> list[ModelVersion]:
    """Every registered model, the latest first; none where nothing was trained."""
    if not (Path(folder) / DATABASE).exists():
        return []
    with mlflow_at(folder) as mlflow:
        client = mlflow.MlflowClient()
        versions = client.search_model_versions(f"name = '{NAME}'")
        aliases = _aliases(client)
        return sorted((_describe(client, each, aliases) for each in versions), key=lambda each: -each.version)


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

    found = look_up(folder, which) or _ask_mlflow(folder, which)
    try:
        return found.version, TrainedModel.load(found.data)
    except WinPredictError:
        raise
    except Exception as error:  # whatever readers of JSON, numpy and LightGBM make of a file that is not as we wrote it
        raise WinPredictError(
            text(
                "the files of model {version} are damaged or were changed ({name}); bring them back from a "
                "copy, or train again",
                version=found.version,
                name=type(error).__name__,
            )
        ) from error


def version_of(folder: Path, which: str = CHAMPION) -> int:
    """The number of a registered model, found without MLflow where that can be; see `load_model`."""
    return (look_up(folder, which) or _ask_mlflow(folder, which)).version


def _ask_mlflow(folder: Path, which: str) -> ModelLocation:
    version = find_model(folder, which)
    with mlflow_at(folder) as mlflow:
        source = mlflow.MlflowClient().get_model_version(NAME, str(version.version)).source
    data = data_of(folder, source)
    if data is None:
        missing = parent_of_data(folder, source)
        raise WinPredictError(
            text(
                "the files of model {version} are missing ({missing}); train again",
                version=version.version,
                missing=missing,
            )
        )
    return ModelLocation(version.version, data)


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


def promote(folder: Path, version: int) -> ModelVersion:
    """Make a version the champion; the former champion becomes challenger, so there is a way back.

    Parameters
    ----------
    folder : Path
        The workspace.
    version : int

    Returns
    -------
    ModelVersion
        The new champion.

    Raises
    ------
    WinPredictError
        When there is no such version.
    """
    chosen = find_model(folder, str(version))
    if CHAMPION in chosen.aliases:
        return chosen
    former = next((each for each in list_models(folder) if CHAMPION in each.aliases), None)
    with mlflow_at(folder) as mlflow:
        client = mlflow.MlflowClient()
        client.set_registered_model_alias(NAME, CHAMPION, str(chosen.version))
        if former is not None:
            client.set_registered_model_alias(NAME, CHALLENGER, str(former.version))
    return find_model(folder, str(version))


def _register(mlflow: Any, model: "TrainedModel", example: "pd.DataFrame") -> int:
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
    registered = client.create_model_version(NAME, logged.model_uri, logged.run_id, model_id=logged.model_id)
    first = CHAMPION not in client.get_registered_model(NAME).aliases
    client.set_registered_model_alias(NAME, CHAMPION if first else CHALLENGER, registered.version)
    return int(registered.version)


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


def _aliases(client: Any) -> dict[int, tuple[str, ...]]:
    """Aliases of each version: the search for versions does not bring them along."""
    named = [pair for model in client.search_registered_models(f"name = '{NAME}'") for pair in model.aliases.items()]
    return {int(version): tuple(sorted(n for n, v in named if v == version)) for _, version in named}


def _describe(client: Any, found: Any, aliases: Mapping[int, tuple[str, ...]]) -> ModelVersion:
    import pandas as pd

    data = client.get_run(found.run_id).data
    return ModelVersion(
        version=int(found.version),
        aliases=aliases.get(int(found.version), ()),
        created_at=pd.Timestamp(found.creation_timestamp, unit="ms", tz="UTC"),
        trained_as_of=data.tags.get("trained_as_of", ""),
        fingerprint=data.tags.get("data_fingerprint", ""),
        run_id=found.run_id,
        metrics=dict(data.metrics),
        params=dict(data.params),
        notes=tuple(map(message_of, json.loads(data.tags.get("notes", "[]")))),
    )
