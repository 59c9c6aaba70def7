"""The facts that the rules of next steps look at, one value a deal."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from winpredict.config import NextSteps
from winpredict.errors import WinPredictError
from winpredict.explain.deal_flags import days_overdue, deal_flags, silence, silence_limit, stay_limit, whole
from winpredict.features.observed import OBSERVED
from winpredict.features.wording import MENTIONS
from winpredict.locale.text import text
from winpredict.models.stage_norms import Norm, StageNorms, figure, stages_of, words_of

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

#: What stands in a column of competitors where there is none, and where there is one without a name.
_NO_COMPETITOR = frozenset(
    (
        *("no", "none", "nobody", "unknown", "false", "n", "n/a", "na", "0", "0.0", "-", "–"),
        *("non", "aucun", "aucune", "inconnu", "faux", "nein", "kein", "keine", "keiner", "unbekannt", "falsch"),
    )
)
_UNNAMED = frozenset(("yes", "true", "y", "1", "1.0", "oui", "vrai", "ja", "wahr"))


@dataclass(frozen=True)
class Facts:
    """What the rules look at, one value a deal; days are whole, as people read them."""

    features: pd.DataFrame
    odds: Floats
    amounts: Floats
    currencies: NDArray[np.object_]
    norms: StageNorms
    settings: NextSteps
    effects: Mapping[str, tuple[float, float]]
    stage: NDArray[np.object_]

    @classmethod
    def of(
        cls,
        features: pd.DataFrame,
        odds: ArrayLike,
        amounts: ArrayLike | None,
        norms: StageNorms,
        settings: NextSteps,
        currencies: ArrayLike | None,
        effects: Mapping[str, tuple[float, float]],
    ) -> "Facts":
        length = len(features)
        amount = np.full(length, np.nan) if amounts is None else _numbers("amounts", amounts, length)
        if currencies is None:
            money = words_of(features, "currency")
        else:
            money = words_of(pd.DataFrame({"currency": _one_each("currencies", currencies, length)}), "currency")
        return cls(
            features,
            _numbers("odds", odds, length),
            np.where(amount > 0, amount, np.nan),
            money,
            norms,
            settings,
            effects,
            stages_of(features),
        )

    def figure(self, name: str) -> Floats:
        return figure(self.features, name)

    def norm(self, name: str) -> Norm:
        return self.norms.of(name, self.stage)

    @cached_property
    def stake(self) -> Floats:
        return self.amounts * self.odds * (1 - self.odds)

    @cached_property
    def flags(self) -> pd.DataFrame:
        """The flags of `winpredict.explain.deal_flags`, as far as the facts of one day tell them."""
        return deal_flags(self.features, self.odds, self.norms, self.settings)

    def flagged(self, flag: str) -> Bools:
        return self.flags[flag].to_numpy(dtype=bool)

    @cached_property
    def silent_for(self) -> Floats:
        return whole(silence(self.features, self.norms))

    @cached_property
    def never_touched(self) -> Bools:
        return np.isnan(self.figure("days_since_touch"))

    @cached_property
    def silence_limit(self) -> Norm:
        return silence_limit(self.features, self.norms, self.settings)

    @cached_property
    def usual_silence(self) -> Norm:
        return self.norm("silence")

    @cached_property
    def meetings_booked(self) -> Floats:
        return self.figure("meetings_booked")

    @cached_property
    def is_booked(self) -> Bools:
        return self.flagged("booked")

    @cached_property
    def nothing_booked(self) -> Bools:
        """Known to have no meeting ahead, in a CRM in which meetings are booked."""
        return np.asarray((self.meetings_booked == 0) & self.norms.records("meetings_booked"))

    @cached_property
    def usually_booked(self) -> Norm:
        return self.norm("booked")

    @cached_property
    def in_stage_for(self) -> Floats:
        return whole(self.figure("days_in_stage"))

    @cached_property
    def usual_stay(self) -> Norm:
        return self.norm("days_in_stage")

    @cached_property
    def stay_limit(self) -> Norm:
        return stay_limit(self.features, self.norms, self.settings)

    @cached_property
    def overdue_for(self) -> Floats:
        return days_overdue(self.features)

    @cached_property
    def closes_in(self) -> Floats:
        return whole(self.figure("days_to_expected_close"))

    @cached_property
    def usual_days_left(self) -> Norm:
        return self.norm("days_left")

    @cached_property
    def pushes(self) -> Floats:
        return self.figure("close_date_pushes")

    @cached_property
    def usual_pushes(self) -> Norm:
        return self.norm("pushes")

    @cached_property
    def usually_senior(self) -> Norm:
        return self.norm("senior")

    @cached_property
    def usually_a_team(self) -> Norm:
        return self.norm("team")

    @cached_property
    def competitor(self) -> NDArray[np.object_]:
        """The first competitor that a column names: its name, or "" where it has none; None where there is none."""
        out = np.full(len(self.features), None, dtype=object)
        for name in self.features:
            found = _competitors(self.features[name], str(name), self.settings.competitor_words)
            if found is not None:
                out = np.where(is_none(out), found, out)
        return out

    def speaks_against(self, feature: str) -> bool:
        """Whether the evidence is that deals with it were won less often."""
        return feature in self.effects and self.effects[feature][1] < 0


def _competitors(values: pd.Series, name: str, words: tuple[str, ...]) -> NDArray[np.object_] | None:
    """Competitors that a column names; None where it is not one of competitors."""
    lower = name.removeprefix(OBSERVED).lower()
    if pd.api.types.is_numeric_dtype(values):
        _, mentions, word = lower.rpartition(MENTIONS)
        bare = (word if mentions else lower.removesuffix("__c")).rstrip("s")
        # track records of competitors are numbers too: a number counts only in the column of that very name
        if bare not in words:
            return None
        out = np.full(len(values), None, dtype=object)
        out[values.to_numpy(np.float64, na_value=np.nan) > 0] = ""
        return out
    if not any(word in lower for word in words) or pd.api.types.is_datetime64_any_dtype(values):
        return None
    codes, names = pd.factorize(values)
    told = [_competitor(str(each)) for each in names]
    return np.array([*told, None], dtype=object)[codes]


def is_none(values: NDArray[np.object_]) -> Bools:
    return np.array([value is None for value in values], dtype=bool)


def _competitor(value: str) -> str | None:
    plain = value.strip().lower()
    if not plain or plain in _NO_COMPETITOR:
        return None
    return "" if plain in _UNNAMED else value.strip()


def _one_each(name: str, values: ArrayLike, length: int) -> NDArray[Any]:
    out = np.asarray(values, dtype=object)
    if out.shape != (length,):
        raise WinPredictError(
            text(
                "next_steps: {name} has {size} values for {length} deals; give one each",
                name=name,
                size=out.size,
                length=length,
            )
        )
    return out


def _numbers(name: str, values: ArrayLike, length: int) -> Floats:
    return pd.to_numeric(pd.Series(_one_each(name, values, length)), errors="coerce").to_numpy(
        np.float64, na_value=np.nan
    )
