"""statsforecast: seasonal naive, automatic ETS, automatic Theta, each with its own intervals.

One model a series; none of them takes covariates. Seasonal naive intervals are those of the library (normal).
"""

import sys
from pathlib import Path

import pandas as pd
from statsforecast import StatsForecast
from statsforecast.models import AutoETS, AutoTheta, SeasonalNaive

sys.path.append(str(Path(__file__).resolve().parent.parent))
from exchange import LEVELS, Window, ready, run_peer

HISTORY = {"D": 365, "W": 260, "M": 120}  # periods: a year of days; more costs time and says little to these models


def forecast(window: Window, kind: type) -> pd.DataFrame:
    """Fit one model a series on two cores and read the deciles off its central intervals."""
    about = window.about
    past = ready(window, history=HISTORY[about.freq[0]]).past[["id", "date", "y"]]
    past.columns = ["unique_id", "ds", "y"]
    model = kind(season_length=about.season)
    widths = [20, 40, 60, 80]  # percent
    engine = StatsForecast(models=[model], freq=about.freq, n_jobs=about.threads,
                           fallback_model=SeasonalNaive(season_length=about.season))
    made = engine.forecast(df=past, h=about.horizon, level=widths)
    name = repr(model)
    columns = {0.5: name} | {0.5 - w / 200: f"{name}-lo-{w}" for w in widths} | {0.5 + w / 200: f"{name}-hi-{w}" for w in widths}
    columns = {round(level, 1): column for level, column in columns.items()}
    out = {f"q{level:g}": made[columns[level]] for level in LEVELS}
    return pd.DataFrame({"id": made.unique_id, "date": made.ds, **out})


if __name__ == "__main__":
    run_peer({"seasonal_naive": lambda w: forecast(w, SeasonalNaive), "auto_ets": lambda w: forecast(w, AutoETS),
              "auto_theta": lambda w: forecast(w, AutoTheta)})
