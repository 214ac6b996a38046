"""Small run folders of backtests, written by hand: what every reader of them may rely on."""

import json
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from shelfcast.evaluate.metrics import level_weights

DECILES = [k / 10 for k in range(1, 10)]
LEVELS = [0.01, 0.05, *DECILES, 0.95, 0.99]
HORIZON = 4
LEVELS_SCORED = [("all", "all", 0.0), ("item:category", "food", 0.1), ("item:category", "drinks", 0.2)]
CLASSES = ["smooth", "lumpy", "erratic"]


def sales_of(items: int, places: int, periods: int, *, seed: int = 0) -> np.ndarray:
    """(N, periods) whole numbers, often small."""
    random = np.random.default_rng(seed)
    return random.poisson(random.gamma(2.0, 2.0, size=(items * places, 1)) * np.ones(periods)).astype(float)


def write_run(folder: Path, models: Mapping[str, float], *, windows: int = 4, first: int = 0, items: int = 5, places: int = 4,
              seed: int = 0, fingerprint: str = "abc", forecasts: bool = True, shift: float = 0.0,
              step: int | None = None) -> Path:
    """A finished backtest, whose forecasts lie off the truth by so much: {model: share of the sales}.

    Parameters
    ----------
    first : windows that are left out at the old end, so that runs share some of them
    shift : added to all sales: another truth
    step : what the manifest says of the windows' distance
    """
    sales = sales_of(items, places, HORIZON * 12) + shift
    keys = [(f"item {i}", f"shop {p}") for i in range(items) for p in range(places)]
    rows, scores = [], []
    for window in range(first, windows):
        cutoff = date(2024, 1, 1) + timedelta(days=HORIZON * window)
        actual = sales[:, HORIZON * window: HORIZON * (window + 1)]
        days = [cutoff + timedelta(days=h + 1) for h in range(HORIZON)]
        (folder / "actuals").mkdir(parents=True, exist_ok=True)
        frame = pl.DataFrame({"item": [k[0] for k in keys for _ in days], "location": [k[1] for k in keys for _ in days],
                              "date": days * len(keys), "sales": actual.reshape(-1)})
        frame.write_parquet(folder / "actuals" / f"{cutoff}.parquet")
        for model, miss in models.items():
            random = np.random.default_rng([seed, window, len(model)])
            middle = actual * (1 + miss * random.standard_normal(actual.shape)) + miss
            quantiles = {f"q{q:g}": middle + (q - 0.5) * (1 + 4 * miss) for q in LEVELS}
            losses = losses_of(actual, middle, quantiles)
            if forecasts:
                (folder / "forecasts" / model).mkdir(parents=True, exist_ok=True)
                table = frame.drop("sales").with_columns(pl.Series("mean", middle.reshape(-1)),
                                                         *(pl.Series(c, v.reshape(-1)) for c, v in quantiles.items()))
                table.write_parquet(folder / "forecasts" / model / f"{cutoff}.parquet")
            rows.append(pl.DataFrame({
                "window": np.full(len(keys), window - first, dtype=np.int32), "cutoff": [cutoff] * len(keys),
                "model": [model] * len(keys), "item": [k[0] for k in keys], "location": [k[1] for k in keys],
                "class": [CLASSES[i % len(CLASSES)] for i in range(len(keys))], **losses}))
            value = losses["quantile_scaled"].sum() / losses["cells"].sum()
            scores += [(window - first, cutoff, model, kind, group, len(keys), "SQL", value + extra)
                       for kind, group, extra in LEVELS_SCORED]
    folder.mkdir(parents=True, exist_ok=True)
    pl.concat(rows).write_parquet(folder / "losses.parquet")
    columns = ["window", "cutoff", "model", "kind", "group", "series", "metric", "value"]
    pl.DataFrame(scores, schema=columns, orient="row").write_csv(folder / "scores.csv")
    about = {"verb": "backtest", "fingerprint": fingerprint, "horizon": HORIZON, "frequency": "D", "settings": {"step": step},
             "models": [{"model": m, "trained_on": []} for m in models]}
    (folder / "manifest.json").write_text(json.dumps(about), encoding="utf-8")
    return folder


def losses_of(actual: np.ndarray, middle: np.ndarray, quantiles: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Sums of each series, as a backtest keeps them."""
    pinball = np.mean([2 * np.maximum(q * (actual - quantiles[f"q{q:g}"]), (q - 1) * (actual - quantiles[f"q{q:g}"]))
                       for q in DECILES], axis=0)
    weights = level_weights(LEVELS)
    crps = np.sum([2 * w * np.maximum(q * (actual - quantiles[f"q{q:g}"]), (q - 1) * (actual - quantiles[f"q{q:g}"]))
                   for q, w in zip(LEVELS, weights, strict=True)], axis=0)
    scale = 1 + np.arange(len(actual)) % 3
    inside = (quantiles["q0.1"] <= actual) & (actual <= quantiles["q0.9"])
    return {"scale": scale.astype(float), "cells": np.full(len(actual), actual.shape[1], dtype=np.int64),
            "actual": np.abs(actual).sum(axis=1), "absolute": np.abs(actual - middle).sum(axis=1),
            "square": ((actual - middle) ** 2).sum(axis=1), "excess": (middle - actual).sum(axis=1),
            "absolute_scaled": np.abs(actual - middle).sum(axis=1) / scale, "quantile": pinball.sum(axis=1),
            "quantile_scaled": pinball.sum(axis=1) / scale, "inside": inside.sum(axis=1),
            "symmetric": (2 * np.abs(actual - middle) / np.maximum(np.abs(actual) + np.abs(middle), 1e-9)).sum(axis=1),
            "crps": crps.sum(axis=1), "square_scale": np.where(np.arange(len(actual)) == 0, np.nan, 2.0 * scale)}
