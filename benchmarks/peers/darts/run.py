"""Darts: one global LightGBM model with quantile likelihood (one booster a decile).

`multi_models=False`: one booster serves all steps of the horizon; 28 steps of 9 deciles would be 252 boosters. Lags of sales,
known covariates and date attributes of the step, static columns as categories. Training windows a series are limited, since the
library lays all of them out in memory at once.
"""

import sys
from pathlib import Path

import pandas as pd
from darts import TimeSeries
from darts.models import LightGBMModel

sys.path.append(str(Path(__file__).resolve().parent.parent))
from exchange import LEVELS, Window, calendar_lags, padded, ready, run_peer

SAMPLES = {"D": 400, "W": 150, "M": 60}  # training windows a series, the latest
LONGEST = {"D": 57, "W": 53, "M": 13}  # lags, in periods: a series must be longer than the longest, or it is begun with zeros
DATES = {"D": ["dayofweek", "day", "week", "month"], "W": ["week", "month"], "M": ["month"]}


def lightgbm(window: Window) -> pd.DataFrame:
    """Fit one model over all series; deciles straight from the likelihood's parameters."""
    unit = window.about.freq[0]
    usual = int(window.past.groupby("id").size().median())
    h = window.about.horizon
    lags = [lag for lag in calendar_lags(window.about) if lag < LONGEST[unit] and lag + 2 * h < usual]
    tidy = padded(ready(window, texts="codes", history=SAMPLES[unit] + max(lags) + 2 * h), max(lags) + 2 * h)
    about = tidy.about
    static = tidy.static.rename(columns={c: f"static_{c}" for c in about.static})
    names = [f"static_{c}" for c in about.static]
    past = tidy.past.merge(static, on="id")
    made = TimeSeries.from_group_dataframe(past, group_cols="id", time_col="date", value_cols="y", static_cols=names,
                                           freq=about.freq)
    ids = [str(one.static_covariates["id"].iloc[0]) for one in made]
    targets = [one.with_static_covariates(one.static_covariates.drop(columns="id") if names else None) for one in made]
    covariates = None
    if about.known:
        both = pd.concat([tidy.past[["id", "date", *about.known]], tidy.future], ignore_index=True).sort_values(["id", "date"])
        found = TimeSeries.from_group_dataframe(both, group_cols="id", time_col="date", value_cols=about.known, freq=about.freq)
        by_id = {str(one.static_covariates["id"].iloc[0]): one.with_static_covariates(None) for one in found}
        covariates = [by_id[i] for i in ids]
    texts = [f"static_{c}" for c in about.static if not pd.api.types.is_numeric_dtype(window.static[c])]
    model = LightGBMModel(
        lags=[-lag for lag in lags], lags_future_covariates=[0], output_chunk_length=about.horizon, multi_models=False,
        add_encoders={"datetime_attribute": {"future": DATES[unit]}}, likelihood="quantile", quantiles=list(LEVELS),
        categorical_static_covariates=texts or None, random_state=about.seed, n_estimators=300, learning_rate=0.05, num_leaves=63,
        min_child_samples=50, subsample=0.8, subsample_freq=1, colsample_bytree=0.8, n_jobs=about.threads, verbosity=-1)
    model.fit(targets, future_covariates=covariates, max_samples_per_ts=SAMPLES[unit])
    made = model.predict(about.horizon, series=targets, future_covariates=covariates, predict_likelihood_parameters=True)
    parts = [pd.DataFrame(one.values(), columns=[f"q{q:g}" for q in LEVELS]).assign(id=i, date=one.time_index)
             for i, one in zip(ids, made, strict=True)]
    return pd.concat(parts, ignore_index=True)


if __name__ == "__main__":
    run_peer({"lightgbm": lightgbm})
