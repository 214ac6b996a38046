"""mlforecast with LightGBM, in the two ways in which its guides make intervals.

conformal   one model, recursive over near and far lags, with conformal intervals from earlier windows
quantile    one LightGBM per decile (objective quantile); lags from the horizon on, so that nothing is recursive and a quantile
            is never fed back as if it were a sale

Both scale each series by its own mean and spread, and get lags, rolling means, date features, known covariates and static
columns (categorical).
"""

import sys
from pathlib import Path

import lightgbm as lgb
import pandas as pd
from mlforecast import MLForecast
from mlforecast.lag_transforms import ExpandingMean, RollingMean, RollingStd
from mlforecast.target_transforms import LocalStandardScaler
from mlforecast.utils import PredictionIntervals

sys.path.append(str(Path(__file__).resolve().parent.parent))
from exchange import LEVELS, About, Window, calendar_lags, padded, ready, run_peer

HISTORY = {"D": 546, "W": 260, "M": 120}  # periods of past that are learned from
DATES = {"D": ["dayofweek", "day", "dayofyear", "week", "month", "year"], "W": ["week", "month", "year"], "M": ["month", "year"]}
SPANS = {"D": (7, 28), "W": (4, 13), "M": (3, 6)}  # periods of the rolling means
CONFORMAL_WINDOWS = 5


def _regressor(about: About, **objective: object) -> lgb.LGBMRegressor:
    return lgb.LGBMRegressor(n_estimators=200, learning_rate=0.08, num_leaves=63, min_child_samples=50, subsample=0.8,
                             subsample_freq=1, colsample_bytree=0.8, n_jobs=about.threads, random_state=about.seed, verbosity=-1,
                             **objective)


def _engine(models: dict[str, lgb.LGBMRegressor], about: About, lags: list[int], first: int, length: int) -> MLForecast:
    short, long = SPANS[about.freq[0]]
    lags = [lag for lag in lags if lag < length]
    transforms = {first: [RollingMean(short, min_samples=1), RollingMean(long, min_samples=1), RollingStd(long, min_samples=2),
                          ExpandingMean()]}
    return MLForecast(models=models, freq=about.freq, lags=lags, lag_transforms=transforms, date_features=DATES[about.freq[0]],
                      target_transforms=[LocalStandardScaler()], num_threads=about.threads)


def _tables(window: Window, shortest: int = 0) -> tuple[About, pd.DataFrame, pd.DataFrame, list[str]]:
    """The past with static columns as the library takes them, the covariates of the horizon, the names of static columns."""
    tidy = padded(ready(window, texts="categories", history=HISTORY[window.about.freq[0]]), shortest)
    names = {"id": "unique_id", "date": "ds"}
    past = tidy.past.merge(tidy.static, on="id").rename(columns=names)
    return tidy.about, past, tidy.future.rename(columns=names), tidy.about.static


def _usual_length(window: Window) -> int:
    return int(window.past.groupby("id").size().clip(upper=HISTORY[window.about.freq[0]]).median())


def _predict(engine: MLForecast, about: About, future: pd.DataFrame, **levels: object) -> pd.DataFrame:
    return engine.predict(about.horizon, X_df=future if about.known else None, **levels)


def conformal(window: Window) -> pd.DataFrame:
    """Median regression (objective l1), recursive; intervals from its errors on earlier windows."""
    h = window.about.horizon
    windows = max(2, min(CONFORMAL_WINDOWS, _usual_length(window) // h - 2))
    about, past, future, static = _tables(window, (windows + 1) * h + 1)  # the library refuses series that are shorter
    engine = _engine({"lgb": _regressor(about, objective="l1")}, about, calendar_lags(about), 1, _usual_length(window) // 2)
    engine.fit(past, static_features=static, dropna=False,
               prediction_intervals=PredictionIntervals(n_windows=windows, h=h))
    widths = [20, 40, 60, 80]  # percent
    made = _predict(engine, about, future, level=widths)
    columns = {0.5: "lgb"} | {0.5 - w / 200: f"lgb-lo-{w}" for w in widths} | {0.5 + w / 200: f"lgb-hi-{w}" for w in widths}
    columns = {round(level, 1): column for level, column in columns.items()}
    return pd.DataFrame({"id": made.unique_id, "date": made.ds, **{f"q{q:g}": made[columns[q]] for q in LEVELS}})


def quantile(window: Window) -> pd.DataFrame:
    """One model a decile, all lags at least the horizon away."""
    about, past, future, static = _tables(window)
    h, season = about.horizon, max(about.season, 1)
    first = -(-h // season) * season  # the first whole season at or past the horizon
    year = {"D": 364, "W": 52, "M": 12}[about.freq[0]]
    lags = sorted({first + k * season for k in range(4)} | ({year} if year >= h else set()))
    engine = _engine({f"q{q:g}": _regressor(about, objective="quantile", alpha=q) for q in LEVELS}, about, lags, first,
                     _usual_length(window) // 2 + h)
    engine.fit(past, static_features=static, dropna=False)
    made = _predict(engine, about, future)
    return made.rename(columns={"unique_id": "id", "ds": "date"})


if __name__ == "__main__":
    run_peer({"conformal": conformal, "quantile": quantile})
