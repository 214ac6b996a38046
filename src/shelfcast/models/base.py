"""The protocol that every model follows, and nothing else to inherit."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self, TypeGuard, runtime_checkable

import numpy as np
import polars as pl

from shelfcast.errors import DataError, shorten
from shelfcast.forecast import Forecast
from shelfcast.names import ITEM, LEVELS, LOCATION
from shelfcast.panel import SalesPanel
from shelfcast.progress import Progress


@dataclass(frozen=True, kw_only=True)
class Traits:
    """What a model can use and needs: data, so that callers may ask without running it.

    Attributes
    ----------
    name : as in the registry
    summary : one line for `shelfcast models`
    uses_known, uses_past, uses_static : which covariates enter its forecasts
    uses_places : coordinates enter its forecasts
    needs_fit : it learns from a panel before it can predict
    min_history : periods of history that a series needs for the model to say something of its own
    series_apart : a series' forecast depends on its own history and what `fit` learned, not on what other series the
        panel given to `predict` holds; such a model may be run on a slice at a time
    extra : extra of the package that must be installed, or None
    package : the import that the extra brings, or None
    trained_on : data sets that shipped weights have seen
    resumes : it trains long and is a `Resumable`
    threads_decide : with another number of threads its numbers are others, in their last digits and then in more
    """

    name: str
    summary: str
    uses_known: bool = False
    uses_past: bool = False
    uses_static: bool = False
    uses_places: bool = False
    needs_fit: bool = True
    min_history: int = 1
    series_apart: bool = True
    extra: str | None = None
    package: str | None = None
    trained_on: tuple[str, ...] = ()
    resumes: bool = False
    threads_decide: bool = False


@runtime_checkable
class Forecaster(Protocol):
    """A model. Settings go to its constructor, data to `fit` and `predict`; what is learned has names ending in `_`.

    The exam that every registered model sits is `tests/contract/test_every_model.py`.
    """

    traits: Traits

    def fit(self, panel: SalesPanel) -> Self:
        """Learn from the history of a panel (rows up to its cutoff); return self. The panel is not changed."""

    def predict(self, panel: SalesPanel, *, horizon: int, levels: Sequence[float] = LEVELS) -> Forecast:
        """Forecast every series of the panel for the `horizon` periods after the panel's own cutoff.

        Known covariates over the horizon are in the panel. Quantiles do not cross, and are not negative unless the
        panel is net of returns. A series with too little history still gets a forecast (from what is pooled).
        """

    def save(self, folder: Path) -> None:
        """Write what was learned into an existing, empty folder, in formats that run no code on loading."""

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""


class Resumable(Forecaster, Protocol):
    """A forecaster that trains long, and goes on where it was when it is killed."""

    def fit(self, panel: SalesPanel, *, folder: Path | None = None, progress: Progress | bool | None = None) -> Self:
        """Learn from the history of a panel.

        Parameters
        ----------
        folder : for the history of the training and its checkpoint; a training found there goes on
        progress : where progress goes; None: a bar where a person watches; True or False: a bar, or none
        """


@runtime_checkable
class WeighsPlaces(Protocol):
    """A fitted model that can say how much each series' forecast owes to other places."""

    def place_weights(self, panel: SalesPanel) -> pl.DataFrame:
        """Item, location, and the weight of the other places, 0 to 1."""


def resumes(model: Forecaster) -> TypeGuard[Resumable]:
    """Whether a model's `fit` takes a folder for its checkpoint."""
    return model.traits.resumes


def require_future(panel: SalesPanel, horizon: int) -> None:
    """Refuse a panel whose known covariates stop before the horizon does; models that use them call this first.

    Raises
    ------
    DataError
        Names the covariate and the first item, location and date without a row. A row whose value is null is no error:
        it is nan in the dense view.
    """
    for name, kind in panel.covariates.items():
        if kind != "known":
            continue
        given = panel.given(name, horizon)
        if not given.all():
            series, step = np.argwhere(~given)[0]
            who = panel.series.row(int(series), named=True)
            when = panel.frequency.date(panel.cutoff + 1 + int(step))
            raise DataError(
                f"The known covariate {shorten(name)!r} has no row for {int((~given).sum()):,} of {given.size:,} future periods; "
                f"the first: item {shorten(who[ITEM])}, location {shorten(who[LOCATION])}, {when}. "
                f"Give its future in the sales file past the cutoff or in a file of its own (--covariates), or declare it "
                f"past (--past {shorten(name, 40)}).")
