"""Several fitted models that forecast as one: combined by weights, calibrated, and wider where the calendar is new to them.

What `auto` makes. It follows the protocol of a model, so that whatever runs a model runs this.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from shelfcast.adjust.calibrate import Calibration, calibrate
from shelfcast.adjust.combine import Weights, combine
from shelfcast.adjust.trial import class_codes
from shelfcast.adjust.unseen import Unseen, first_seen, widen_unseen
from shelfcast.errors import SettingsError, WeightsError, shorten
from shelfcast.forecast import Forecast, check_horizon, check_levels
from shelfcast.models.base import Forecaster, Traits
from shelfcast.models.registry import load_model, save_model
from shelfcast.names import LEVELS
from shelfcast.panel import SalesPanel

NAME = "auto"
_CHUNK = 4096  # series forecast at once: bounds memory, changes no number
_ABOUT = "combination.json"
_FORMAT = 1


class Combination:
    """Models, their weights, and what makes their quantiles true.

    Parameters
    ----------
    members : {name: model}; those that count in `weights`
    weights : over the demand classes
    calibration : which deviates to read
    unseen : what calendar the members have seen; None where it does not matter
    """

    def __init__(self, members: Mapping[str, Forecaster], weights: Weights, *, calibration: Calibration | None = None,
                 unseen: Unseen | None = None) -> None:
        absent = [m for m in weights.used if m not in members]
        if absent:
            raise SettingsError(f"The combination needs the model {shorten(absent[0])!r}, and it is not among its members.")
        self.members = {name: members[name] for name in weights.used}
        self.weights = weights
        self.calibration = calibration or Calibration.none()
        self.unseen = unseen
        self.traits = combined_traits([m.traits for m in self.members.values()])

    def fit(self, panel: SalesPanel) -> Self:
        """Fit the members anew; weights and calibration stay."""
        for member in self.members.values():
            member.fit(panel)
        if self.unseen is not None:
            self.unseen = replace(self.unseen, first=first_seen(panel.series["start"].to_numpy()))
        return self

    def predict(self, panel: SalesPanel, *, horizon: int, levels: Sequence[float] = LEVELS) -> Forecast:
        """Forecast every series of the panel; members speak at the default levels, others are read between those."""
        check_horizon(horizon)
        checked = check_levels(levels)
        size = _CHUNK if self.traits.series_apart else len(panel)
        quantiles, mean = np.empty((len(panel), horizon, len(checked))), np.empty((len(panel), horizon))
        at = 0
        for part in panel.chunks(size):
            here = slice(at, at + len(part))
            one = self._predict(part, horizon, checked)
            quantiles[here], mean[here] = one.quantiles, one.mean
            at += len(part)
        return Forecast(panel.series.select("item", "location"), panel.frequency, panel.cutoff, checked, quantiles, mean)

    def _predict(self, panel: SalesPanel, horizon: int, levels: tuple[float, ...]) -> Forecast:
        groups = class_codes(panel)
        said = {name: model.predict(panel, horizon=horizon, levels=LEVELS) for name, model in self.members.items()}
        floor = None if panel.net_of_returns else 0.0
        needed = tuple(sorted({*levels, 0.5}))  # widening is measured from the median
        mixed = calibrate(combine(said, self.weights, groups), self.calibration, groups, levels=needed, floor=floor)
        if self.unseen is not None:
            mixed = widen_unseen(mixed, self.unseen, starts=panel.series["start"].to_numpy(), floor=floor)
        return replace(mixed, levels=levels, quantiles=mixed.quantiles[:, :, [needed.index(q) for q in levels]])

    def save(self, folder: Path) -> None:
        """Write members, weights and calibration into a folder."""
        (folder / "members").mkdir()
        for name, model in self.members.items():
            save_model(model, folder / "members" / name)
        self.calibration.save(folder)
        about: dict[str, Any] = {"format": _FORMAT, "weights": self.weights.as_json(),
                                 "unseen": None if self.unseen is None else self.unseen.as_json()}
        (folder / _ABOUT).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        try:
            about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
            if about["format"] != _FORMAT:
                raise WeightsError(f"The combination in {str(folder)!r} was written by another version of shelfcast; fit it again.")
            weights = Weights.from_json(about["weights"])
            unseen = None if about["unseen"] is None else Unseen.from_json(about["unseen"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise WeightsError(f"{str(folder)!r} holds no combination that can be read; fit it and save it again.") from error
        members = {name: load_model(folder / "members" / name) for name in weights.used}
        return cls(members, weights, calibration=Calibration.load(folder), unseen=unseen)


def combined_traits(members: Sequence[Traits]) -> Traits:
    """What the members use and need, together."""
    return Traits(name=NAME, summary="Several models, weighted and calibrated on the data's own past.",
                  uses_known=any(t.uses_known for t in members), uses_past=any(t.uses_past for t in members),
                  uses_static=any(t.uses_static for t in members), uses_places=any(t.uses_places for t in members),
                  min_history=min((t.min_history for t in members), default=1),
                  series_apart=all(t.series_apart for t in members),
                  trained_on=tuple(sorted({s for t in members for s in t.trained_on})))
