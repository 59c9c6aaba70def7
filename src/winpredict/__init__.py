"""Honest odds of winning every open sales deal, and the reasons why.

The public names are imported when first used, so that ``import winpredict`` and ``winpredict --help`` are quick.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str
    from winpredict.config import Config as Config
    from winpredict.config import load_config as load_config
    from winpredict.errors import WinPredictError as WinPredictError
    from winpredict.explain.reasons import explain_deal as explain_deal
    from winpredict.explain.scores import score as score
    from winpredict.features.build import build_features as build_features
    from winpredict.features.builders import Feature as Feature
    from winpredict.features.builders import FeatureBuilder as FeatureBuilder
    from winpredict.ingest.frames import import_frames as import_frames
    from winpredict.ingest.importing import import_files as import_files
    from winpredict.ingest.profiles import load_profile as load_profile
    from winpredict.models.backtest import Backtest as Backtest
    from winpredict.models.backtest import backtest as backtest
    from winpredict.models.estimator import WinClassifier as WinClassifier
    from winpredict.models.trained import TrainedModel as TrainedModel
    from winpredict.models.training import train as train
    from winpredict.tables.crm import CRMData as CRMData

_HOMES = {
    "Backtest": "models.backtest",
    "CRMData": "tables.crm",
    "Config": "config",
    "Feature": "features.builders",
    "FeatureBuilder": "features.builders",
    "TrainedModel": "models.trained",
    "WinClassifier": "models.estimator",
    "WinPredictError": "errors",
    "backtest": "models.backtest",
    "build_features": "features.build",
    "explain_deal": "explain.reasons",
    "import_files": "ingest.importing",
    "import_frames": "ingest.frames",
    "load_config": "config",
    "load_profile": "ingest.profiles",
    "score": "explain.scores",
    "train": "models.training",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return version("winpredict")
    if name not in _HOMES:
        raise AttributeError(f"module 'winpredict' has no attribute {name!r}")
    return getattr(import_module(f"winpredict.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
