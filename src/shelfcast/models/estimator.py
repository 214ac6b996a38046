"""The models as scikit-learn knows them: an estimator with parameters, `fit(X, y)`, `predict(X)` and `score(X, y)`.

    from sklearn.model_selection import GridSearchCV
    from shelfcast import SalesForecaster, SalesSplit

    search = GridSearchCV(SalesForecaster(model="boosted"), {"settings__effort": ["fast", "full"]},
                          cv=SalesSplit(horizon=28, windows=3), scoring="neg_mean_absolute_error")
    search.fit(X, y)             # X: item, location, date and covariates; y: sales
    search.predict(tomorrow)     # the same columns for dates after those of X

The one thing that differs from a regressor: rows are moments, so a forecast of rows that were learned from is refused instead
of given, and cross-validation that trains on the future of what it tests fails instead of flattering. (A bare array has no dates
by which to notice; there use SalesSplit or TimeSeriesSplit.)

This file imports scikit-learn (extra `sklearn`) and is itself imported on first use.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any, Final, Self

import numpy as np
import polars as pl

from shelfcast.errors import MissingExtraError, SettingsError, shorten
from shelfcast.forecast import Forecast, check_levels
from shelfcast.models.base import Forecaster
from shelfcast.models.estimator_rows import Layout, is_frame, with_future
from shelfcast.models.registry import load_model, make_model, save_model
from shelfcast.names import Absent
from shelfcast.panel import PERIOD, SERIES, SalesPanel

try:
    from sklearn.base import BaseEstimator, RegressorMixin
    from sklearn.utils.validation import check_array, check_consistent_length, check_is_fitted, column_or_1d, validate_data
except ImportError as missing:
    raise MissingExtraError("SalesForecaster", "sklearn", "scikit-learn") from missing

EXPECTED_FAILED_CHECKS: Final[Mapping[str, str]] = MappingProxyType({
    "check_methods_subset_invariance": "The rows of a bare array are the periods after the history, one after the other: the fifth "
                                       "row alone is asked for as the first period.",
    "check_methods_sample_order_invariance": "The order of the rows of a bare array is the order of time, so another order is "
                                             "another question.",
})
"""The checks of scikit-learn's `check_estimator` that cannot hold for forecasts, each with the reason."""

_SETTINGS: Final = "settings"
_NESTED: Final = f"{_SETTINGS}__"


class SalesForecaster(RegressorMixin, BaseEstimator):
    """Any registered model as a scikit-learn regressor.

    X is a table (pandas, polars) with one row per item, location and date, and covariates whose future is known; y is what was
    sold, nan where nobody knows. X may also be a bare array (or a table, with `date=None`): then its rows are consecutive
    periods of one series, its columns are known covariates, and the rows that `predict` gets are the periods right after those
    that were learned from. The history ends at the last date that has sales.

    `predict` forecasts rows after the history. Rows within it are refused by name (DataError): the model has seen what was sold,
    so that a number for them would look like a forecast and be none; scores on training rows (`return_train_score`) are not to
    be had. Any of the later rows can be asked for, in any order; a model that looks at other places (`spacetime`) sees their
    covariates where X holds their rows, too. Sales below zero in y are taken for returns, and forecasts may then be negative.
    `score` is R2.

    A pickle runs code when it is loaded; `shelfcast.models.registry.save_model(estimator.model_, folder)` writes a folder that
    does not.

    Parameters
    ----------
    model : a name of the registry, such as `profile` or `boosted`
    settings : {setting: value} of the model; one alone is set with `set_params(settings__effort="fast")`
    level : what `predict` gives: the quantile of this probability in (0, 1), or the mean when None
    date : column of dates; None where the rows of a table are consecutive periods of one series
    item, location : key columns; where one is absent under its usual name, all rows belong to one
    freq : length of a period (`D`, `W-FRI`, `M` ...); read from the dates when None, daily without dates
    known : columns that are known covariates; all that are neither key nor static when None
    static : columns that never change for an item or for a location; `latitude` and `longitude` (degrees) locate a place
    absent : what a period without a row means between a series' first row and the last date: `missing` (nobody knows) or `zero`
        (nothing was sold)
    closed_when : known covariate that is 0 in periods when nothing can be sold (closed shop); then the forecast is 0

    Attributes
    ----------
    model_ : the fitted model
    panel_ : the history
    n_features_in_ : columns of X
    feature_names_in_ : their names, where X was a table

    Examples
    --------
    >>> X, y = np.zeros((28, 1)), np.tile([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], 4)
    >>> SalesForecaster("naive").fit(X, y).predict(np.zeros((3, 1)))
    array([1., 2., 3.])
    """

    def __init__(self, model: str = "profile", settings: Mapping[str, object] | None = None, level: float | None = None, *,
                 date: str | None = "date", item: str = "item", location: str = "location", freq: str | None = None,
                 known: Sequence[str] | None = None, static: Sequence[str] = (), absent: Absent = "missing",
                 closed_when: str | None = None) -> None:
        self.model = model
        self.settings = settings
        self.level = level
        self.date = date
        self.item = item
        self.location = location
        self.freq = freq
        self.known = known
        self.static = static
        self.absent = absent
        self.closed_when = closed_when

    # -- parameters -------------------------------------------------------------------------------------------------

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters; `deep` adds each of the given settings as `settings__<name>`."""
        params: dict[str, Any] = super().get_params(deep=deep)
        if deep and isinstance(self.settings, Mapping):
            params |= {f"{_NESTED}{name}": value for name, value in self.settings.items()}
        return params

    def set_params(self, **params: Any) -> Self:
        """Set parameters; `settings__<name>` sets one setting of the model and leaves the others."""
        nested = {name.removeprefix(_NESTED): params.pop(name) for name in list(params) if name.startswith(_NESTED)}
        super().set_params(**params)
        if nested:
            self.settings = {**self._settings(), **nested}  # a new one: the old may be somebody else's
        return self

    # -- learning and forecasting -----------------------------------------------------------------------------------

    def fit(self, X: Any, y: Any) -> Self:
        """Learn from sales.

        Parameters
        ----------
        X : (n, columns) table or array; see the class
        y : (n,), units sold; nan where not known
        """
        if y is None:
            raise SettingsError("SalesForecaster requires y to be passed, but the target y is None: y is what was sold.")
        X = self._checked(X, first=True)
        sales = column_or_1d(y, warn=True)
        sales = check_array(sales, ensure_2d=False, dtype=np.float64, ensure_all_finite="allow-nan", input_name="y")
        check_consistent_length(X, sales)
        if self.level is not None:
            check_levels((self.level,))
        model = make_model(self.model, self._settings())
        panel = self._layout().learned(X, sales)
        self.model_: Forecaster = model.fit(panel)
        self.panel_: SalesPanel = panel
        return self

    def predict(self, X: Any) -> np.ndarray:
        """(n,), units: the forecast mean of each row of X, or its quantile at `level`."""
        if self.level is not None:
            return self.predict_quantiles(X, (self.level,))[:, 0]
        forecast, at = self._forecast(X, (0.5,))
        return np.array(forecast.mean[at], dtype=np.float64)

    def predict_quantiles(self, X: Any, levels: Sequence[float]) -> np.ndarray:
        """(n, Q), units: the quantiles of each row of X at `levels`, probabilities that rise."""
        forecast, at = self._forecast(X, check_levels(levels))
        return np.array(forecast.quantiles[at], dtype=np.float64)

    def _forecast(self, X: Any, levels: Sequence[float]) -> tuple[Forecast, tuple[np.ndarray, np.ndarray]]:
        """A forecast that reaches all rows of X, and where in it they stand: (series, step)."""
        check_is_fitted(self, "model_")
        X = self._checked(X, first=False)
        asked = self._layout().asked(self.panel_, X)
        panel = self.panel_
        series = asked[SERIES].to_numpy().astype(np.int64)
        if self.model_.traits.series_apart:  # then what nobody asked for need not be forecast
            which = np.unique(series)
            series = np.searchsorted(which, series)
            panel = panel.select(which)
        steps = asked[PERIOD].to_numpy() - panel.cutoff
        panel = with_future(panel, asked.with_columns(pl.Series(SERIES, series.astype(np.uint32))))
        return self.model_.predict(panel, horizon=int(steps.max()), levels=levels), (series, steps - 1)

    def _settings(self) -> Mapping[str, object]:
        """The settings, checked here and not on construction, where scikit-learn wants parameters stored as they are."""
        if self.settings is None:
            return {}
        if not isinstance(self.settings, Mapping):
            raise SettingsError(f"settings is {shorten(repr(self.settings))}; give {{setting: value}}, or None for the defaults.")
        return self.settings

    def _layout(self) -> Layout:
        return Layout(date=self.date, item=self.item, location=self.location, freq=self.freq, static=tuple(self.static),
                      known=None if self.known is None else tuple(self.known), absent=self.absent, closed_when=self.closed_when)

    def _checked(self, X: Any, *, first: bool) -> Any:
        """X as scikit-learn wants it checked: a table has the columns that were learned, an array is (n, columns) of numbers."""
        if is_frame(X):
            validate_data(self, X, skip_check_array=True, reset=first)
            if not len(X):
                raise SettingsError("X has no rows: found array with 0 sample(s) while a minimum of 1 is required.")
            return X
        return validate_data(self, X, reset=first, dtype=np.float64, ensure_all_finite="allow-nan")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.regressor_tags.poor_score = True  # a row of random numbers cannot be forecast
        return tags

    # -- pickling ---------------------------------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        """What a model learned travels as the files that it saves, so that a pickle outlives what the model is made of."""
        state: dict[str, Any] = dict(super().__getstate__())
        if "model_" in state:
            state["model_"] = _files_of(state["model_"])
            panel = state["panel_"]
            state["panel_"] = {f.name: getattr(panel, f.name) for f in fields(panel)} | {"covariates": dict(panel.covariates)}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        if "model_" in state:
            state["model_"] = _model_of(state["model_"])
            state["panel_"] = SalesPanel(**state["panel_"])
        super().__setstate__(state)


def _files_of(model: Forecaster) -> dict[str, bytes]:
    """{path: content} of a saved model."""
    with TemporaryDirectory() as folder:
        root = Path(folder) / "model"
        save_model(model, root)
        return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def _model_of(files: Mapping[str, bytes]) -> Forecaster:
    """The model whose files these are."""
    with TemporaryDirectory() as folder:
        root = Path(folder) / "model"
        for name, content in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return load_model(root)
