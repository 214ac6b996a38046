"""AutoGluon-TimeSeries: its presets `fast_training` and `medium_quality`, without the pretrained models.

Pretrained models fetch their weights from a hub at run time; they are left out by `excluded_model_types`, so that the run is what
the library itself learns from the data. Metric SQL, deciles, a time limit within the run's own.
"""

import shutil
import sys
import tempfile
from pathlib import Path

import pandas as pd
from autogluon.timeseries import TimeSeriesDataFrame, TimeSeriesPredictor

sys.path.append(str(Path(__file__).resolve().parent.parent))
from exchange import LEVELS, Window, ready, run_peer

PRETRAINED = ["Chronos", "Chronos2", "ChronosBolt", "Toto", "Toto2", "TimesFM", "TiRex", "Moirai"]


def forecast(window: Window, preset: str) -> pd.DataFrame:
    """Fit a preset on the window and predict with the best it found."""
    tidy = ready(window, texts="categories")
    about = tidy.about
    static = tidy.static.copy()
    texts = [c for c in about.static if not pd.api.types.is_numeric_dtype(window.static[c])]
    static[texts] = static[texts].astype("category")
    frame = TimeSeriesDataFrame.from_data_frame(tidy.past.rename(columns={"y": "target"}), id_column="id", timestamp_column="date",
                                                static_features_df=static if about.static else None)
    folder = tempfile.mkdtemp()
    try:
        predictor = TimeSeriesPredictor(
            target="target", prediction_length=about.horizon, freq=about.freq, eval_metric="SQL",
            eval_metric_seasonal_period=about.season,
            quantile_levels=list(LEVELS), known_covariates_names=about.known or None, path=folder, verbosity=2)
        predictor.fit(frame, presets=preset, time_limit=0.6 * about.limit, excluded_model_types=PRETRAINED, random_seed=about.seed,
                      enable_ensemble=True)
        print(predictor.leaderboard().to_string())
        future = None
        if about.known:
            future = TimeSeriesDataFrame.from_data_frame(tidy.future, id_column="id", timestamp_column="date")
        made = predictor.predict(frame, known_covariates=future, random_seed=about.seed).reset_index()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return made.rename(columns={"item_id": "id", "timestamp": "date", **{str(q): f"q{q:g}" for q in LEVELS}})


if __name__ == "__main__":
    run_peer({name: (lambda w, name=name: forecast(w, name)) for name in ("fast_training", "medium_quality")})
