"""What moves the odds of a whole pipeline."""

import pandas as pd

from winpredict.explain.contributions import contributions
from winpredict.models.training import TrainedModel


def top_drivers(model: TrainedModel, features: pd.DataFrame) -> pd.DataFrame:
    """Every feature with the mean size of its effect on these deals' odds, strongest first.

    Parameters
    ----------
    model : TrainedModel
    features : DataFrame of shape (n_deals, n_features)
        From `TrainedModel.build_features`.

    Returns
    -------
    DataFrame
        feature, sentence, builder, and points: the mean absolute contribution as a probability (0.05 is five
        percentage points).
    """
    points = contributions(model.classifier, features).in_points().abs().mean()
    described = pd.DataFrame([(each.name, each.sentence, each.builder) for each in model.info])
    described.columns = ["feature", "sentence", "builder"]
    described["points"] = points[described["feature"]].to_numpy()
    return described.sort_values(["points", "feature"], ascending=[False, True], ignore_index=True)
