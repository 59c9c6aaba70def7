"""The face that MLflow loads: a folder written by `TrainedModel.save`, answering with odds.

Named in ``MLmodel`` as ``loader_module``; nothing is unpickled and no workspace is needed.
"""

from pathlib import Path
from typing import Any

import pandas as pd

from winpredict.models.trained import TrainedModel


class Odds:
    """A trained model in the shape of MLflow's pyfunc flavour.

    Parameters
    ----------
    model : TrainedModel
    """

    def __init__(self, model: TrainedModel) -> None:
        self.model = model

    def predict(self, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Win odds of rows of features.

        Parameters
        ----------
        model_input : DataFrame of shape (n_deals, n_features)
            The columns of the model's signature: float64, or text for categories; missing values are allowed.
        params : dict, optional
            MLflow's; there are none to set.

        Returns
        -------
        DataFrame of shape (n_deals, 3)
            win_probability, low and high, each from 0 to 1.
        """
        return self.model.odds(model_input)


def _load_pyfunc(path: str) -> Odds:
    """MLflow's entry point."""
    return Odds(TrainedModel.load(Path(path)))
